/* SPDX-License-Identifier: MIT */
#ifndef RNI_SIMULATOR_CONSTANTS_H
#define RNI_SIMULATOR_CONSTANTS_H

#include <cstdint>

namespace sim
{
/* Whether an address lies in what the file that the simulator is part of has loaded read-only: kernels' constants. */
bool is_constant(uintptr_t address);
} // namespace sim

#endif
