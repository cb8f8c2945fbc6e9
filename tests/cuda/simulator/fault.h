/* SPDX-License-Identifier: MIT */
#ifndef RNI_SIMULATOR_FAULT_H
#define RNI_SIMULATOR_FAULT_H

namespace sim
{
/* Makes the simulator the first to hear of faults; may be called again, when somebody else came between. */
void catch_faults();
void release_faults();
} // namespace sim

#endif
