/* SPDX-License-Identifier: MIT */
/*
 * RNI_SIM_STATISTICS=FILE: at the end one line per kernel is appended, separated by commas:
 * kernel's mangled name,launches,threads,bytes read,bytes written (of global memory; 0 where kernels were not compiled for full checking).
 * What stand-ins of device libraries run is counted as "library", each of their operands by its name, and fills as "fill".
 */
#ifndef RNI_SIMULATOR_STATISTICS_H
#define RNI_SIMULATOR_STATISTICS_H

#include <cstdint>

namespace sim
{
struct Launch;
void count_launch(const Launch &launch);
void count_other(const char *name, uint64_t launches, uint64_t read, uint64_t written);
void write_statistics();
} // namespace sim

#endif
