/* SPDX-License-Identifier: MIT */
/*
 * Device memory: one reserved range of addresses, out of which every allocation gets pages of its own that are never
 * given out again. Nobody may touch it but work that the simulator runs.
 */
#ifndef RNI_SIMULATOR_MEMORY_H
#define RNI_SIMULATOR_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sim
{
constexpr size_t PAGE = 4096;
constexpr size_t GUARD = 256; /* bytes before and behind an allocation that must stay as they are */
constexpr unsigned char FRESH = 0xff, GUARDED = 0xa5;

struct Allocation {
    uintptr_t address; /* a multiple of 256 and of nothing more */
    size_t bytes;
    unsigned number; /* from 1 in order of allocation */
    bool live;
    uintptr_t first_page() const
    {
        return address - GUARD;
    }
    size_t page_bytes() const
    {
        return (GUARD + bytes + GUARD + PAGE - 1) / PAGE * PAGE;
    }
};

struct Arena {
    uintptr_t base;
    size_t size, used;
};
extern Arena arena;

inline bool in_arena(uintptr_t address)
{
    return address - arena.base < arena.size;
}

/* nullptr when there is no room left of RNI_SIM_MEMORY_MB. */
void *device_allocate(size_t bytes);
bool device_free(void *address);

/* The allocation that the page of an address belongs to, live or not; nullptr: none. */
const Allocation *page_owner(uintptr_t address);

/* The live allocation that holds the whole range; nullptr: none. */
const Allocation *holder(const void *address, size_t bytes);

/* The same; a fault is reported in the name of `who`. */
bool inside_allocation(const void *address, size_t bytes, const char *who);

/* "N bytes into allocation #K of B bytes", "behind", "freed": where an address lies. In a buffer of the function's own. */
const char *describe_address(uintptr_t address);

std::vector<const Allocation *> live_allocations();
size_t device_bytes();

/* The pages of all live allocations. */
void protect_all(int protection);

/* Work may touch device memory from the first to the second, which comes when the host goes on. */
void unlock_memory();
void lock_memory();

/* Reports guards that changed since the last time. Memory is unlocked. */
void check_guards();
} // namespace sim

#endif
