/* SPDX-License-Identifier: MIT */
/* Recorded launches: tests/cuda/ptx/FORMAT.md. */
#ifndef RNI_SIMULATOR_RECORD_H
#define RNI_SIMULATOR_RECORD_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace sim
{
struct Launch;

/* The kernel's symbol; "" when it is not exported. */
std::string mangled_name(const Launch &launch);

bool record_wanted(const Launch &launch);

/* After the launch, with the pages that it touched at hand. */
void record(const Launch &launch);
} // namespace sim

#endif
