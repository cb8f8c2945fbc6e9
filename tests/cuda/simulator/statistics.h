/* SPDX-License-Identifier: MIT */
/*
 * RNI_SIM_STATISTICS=FILE: at the end one line per kernel is appended, separated by commas:
 * kernel's mangled name,launches,threads,bytes read,bytes written (of global memory; 0 without full checking).
 */
#ifndef RNI_SIMULATOR_STATISTICS_H
#define RNI_SIMULATOR_STATISTICS_H

namespace sim
{
struct Launch;
void count_launch(const Launch &launch);
void write_statistics();
} // namespace sim

#endif
