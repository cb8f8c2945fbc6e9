/* SPDX-License-Identifier: MIT */
#include "shared.h"
#include "access.h"
#include "fiber.h"
#include "launch.h"
#include "report.h"
#include <cstring>
#include <vector>

namespace sim
{
constexpr size_t RED_ZONE = 64;
constexpr unsigned char UNDEFINED = 0xff, RED = 0xa5;

alignas(4096) unsigned char shared_room[SHARED_ROOM];
static std::vector<SharedArray> arrays;
static size_t used, asked;

const SharedArray *shared_array(size_t offset, size_t bytes)
{
    for (const SharedArray &a : arrays)
        if (offset >= a.offset && offset + bytes <= a.offset + a.bytes)
            return &a;
    return nullptr;
}

void begin_launch_shared()
{
    arrays.clear();
    asked = 0;
    used = RED_ZONE;
    memset(shared_room, RED, RED_ZONE);
}

void begin_block_shared()
{
    for (const SharedArray &a : arrays)
        memset(shared_room + a.offset, UNDEFINED, a.bytes);
    forget_shared_shadow(0, used);
}

static size_t first_changed(size_t from, size_t to)
{
    while (from < to && shared_room[from] == RED)
        from++;
    return from;
}

void end_block_shared()
{
    size_t from = 0;
    for (size_t i = 0; i <= arrays.size(); i++) {
        const size_t to = i < arrays.size() ? arrays[i].offset : used;
        const size_t changed = first_changed(from, to);
        if (changed < to) {
            report("shared memory beside the array %s was overwritten", arrays[i ? i - 1 : 0].name);
            memset(shared_room + from, RED, to - from);
        }
        if (i < arrays.size())
            from = arrays[i].offset + arrays[i].bytes;
    }
}

/* Aligned as its type asks and no better, so that wider accesses through casts show. */
static size_t next_place(size_t alignment)
{
    const size_t doubled = 2 * alignment;
    return (used + doubled - 1) / doubled * doubled + alignment;
}

static void *add_array(const char *name, size_t bytes, size_t alignment)
{
    const size_t offset = next_place(alignment), end = offset + bytes + RED_ZONE;
    asked += bytes;
    if (asked > SHARED_LIMIT)
        report("the kernel has more than %zu bytes of shared memory, with array %s of %zu", SHARED_LIMIT, name, bytes);
    if (end > SHARED_ROOM)
        abandon_kernel(cudaErrorInvalidConfiguration);
    arrays.push_back({name, offset, bytes});
    memset(shared_room + used, RED, end - used);
    memset(shared_room + offset, UNDEFINED, bytes);
    forget_shared_shadow(offset, bytes);
    used = end;
    return shared_room + offset;
}
} // namespace sim

void *simt::shared(Shared *key, const char *name, size_t bytes, size_t alignment)
{
    if (key->launch != sim::launch_number()) {
        key->launch = sim::launch_number();
        key->place = sim::add_array(name, bytes, alignment);
    }
    return key->place;
}
