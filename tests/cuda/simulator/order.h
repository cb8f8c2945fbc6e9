/* SPDX-License-Identifier: MIT */
/* What atomic operations and fences order between the blocks of a launch. */
#ifndef RNI_SIMULATOR_ORDER_H
#define RNI_SIMULATOR_ORDER_H

#include <stdint.h>

namespace sim
{
/*
 * A thread that fences and then changes a location atomically releases what its block did before its last barrier. A
 * thread that changes that location later and then fences acquires it, for itself and, behind the next barrier, for its
 * block. Nothing else orders blocks.
 */
void begin_launch_order();
void note_fence();
void note_atomic(const void *location);

/* Whether what another block did in an epoch is ordered before the current thread's moment. */
bool ordered_before(uint32_t epoch);
} // namespace sim

#endif
