/* SPDX-License-Identifier: MIT */
/* Shared memory of the running block: every RN_SHARED of a launch at a place of its own, between red zones. */
#ifndef RNI_SIMULATOR_SHARED_H
#define RNI_SIMULATOR_SHARED_H

#include <cstddef>
#include <cstdint>

namespace sim
{
constexpr size_t SHARED_LIMIT = 48 << 10; /* what a kernel may have without asking for more */
constexpr size_t SHARED_ROOM = 4 * SHARED_LIMIT;
extern unsigned char shared_room[SHARED_ROOM];

struct SharedArray {
    const char *name;
    size_t offset, bytes;
};
/* The array that holds the range; nullptr: none. */
const SharedArray *shared_array(size_t offset, size_t bytes);

void begin_launch_shared();
void begin_block_shared(); /* everything undefined */
void end_block_shared(); /* looks at the red zones */
} // namespace sim

#endif
