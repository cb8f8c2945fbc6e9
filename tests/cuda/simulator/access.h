/* SPDX-License-Identifier: MIT */
/*
 * Full checking: every access of kernels that were compiled with -fsanitize=thread is looked at for bounds, alignment,
 * bytes that nobody wrote, and other threads' accesses that nothing orders. Without such kernels all this does nothing.
 */
#ifndef RNI_SIMULATOR_ACCESS_H
#define RNI_SIMULATOR_ACCESS_H

#include <cstddef>
#include <cstdint>

namespace sim
{
enum class Access { READ, WRITE, ATOMIC };

extern bool instrumented; /* kernels tell of every access */
extern bool checking; /* and it is looked at; else counted only */

/* The shadow of an arena of so many bytes. False: no address space. */
bool open_shadow(size_t arena_bytes);
void forget_shadow(uintptr_t address, size_t bytes);

/* Time goes on: a launch, a block, and a barrier within a block begin. */
void begin_launch_accesses();
void begin_block_accesses();
void next_epoch();
void forget_shared_shadow(size_t from, size_t bytes);

/* An access by the current thread; `code` is where. */
void check_access(const void *address, size_t bytes, Access access, const void *code);

/* Device bytes written outside kernels, and the first of a range that nobody wrote (bytes: none). */
void mark_defined(const void *address, size_t bytes);
void copy_defined(const void *to, const void *from, size_t bytes);
size_t first_undefined(const void *address, size_t bytes);
const unsigned char *defined_bytes(uintptr_t address); /* one per byte of device memory, lowest bit: written */

/* Bytes that nobody may touch for a while. */
bool in_reach_of_fence(const void *address, size_t bytes);
void put_fence(const void *address, size_t bytes, bool up);

/* Of global memory, by kernels. */
struct Traffic {
    uint64_t read, written;
};
extern Traffic traffic;
} // namespace sim

#endif
