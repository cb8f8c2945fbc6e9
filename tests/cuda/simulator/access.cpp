/* SPDX-License-Identifier: MIT */
#include "access.h"
#include "constants.h"
#include "fiber.h"
#include "memory.h"
#include "record.h"
#include "report.h"
#include "shared.h"
#include <cstring>
#include <sys/mman.h>

namespace sim
{
bool checking;
Traffic traffic;

/*
 * Who accessed two neighbouring bytes last: epoch (32 bits), thread (10), others (2), bytes (2), clock (18).
 * An epoch is what lies between two barriers of one block; epochs of all blocks and launches are numbered through.
 */
typedef uint64_t Stamp;
struct Shadow {
    Stamp read, write;
};
/* Which accesses besides the named thread's a stamp stands for. For writes ALONE or ATOMICALLY. */
enum Others : uint64_t { ALONE, LANES, WARPS, BLOCKS, ATOMICALLY = 1 };
constexpr int THREAD_SHIFT = 22, OTHERS_SHIFT = 20, BYTES_SHIFT = 18;
constexpr uint32_t CLOCK_MASK = (1u << BYTES_SHIFT) - 1;

static Shadow *global_shadow;
static unsigned char *global_defined;
static size_t shadow_bytes_of_arena;
static Shadow shared_shadow[SHARED_ROOM / 2];
static unsigned char shared_defined[SHARED_ROOM];
static uint32_t epoch = 1, launch_epoch = 1, block_epoch = 1;

static uint32_t epoch_of(Stamp s)
{
    return (uint32_t)(s >> 32);
}
static uint32_t thread_of(Stamp s)
{
    return (uint32_t)s >> THREAD_SHIFT;
}
static uint64_t others_of(Stamp s)
{
    return s >> OTHERS_SHIFT & 3;
}
static uint64_t bytes_of(Stamp s)
{
    return s >> BYTES_SHIFT & 3;
}

static Stamp with_others(Stamp s, uint64_t others)
{
    return s | others << OTHERS_SHIFT;
}

bool open_shadow(size_t arena_bytes)
{
    if (!checking)
        return true;
    const size_t sizes[2] = {arena_bytes / 2 * sizeof(Shadow), arena_bytes};
    void *at[2];
    for (int i = 0; i < 2; i++)
        at[i] = mmap(nullptr, sizes[i], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at[0] == MAP_FAILED || at[1] == MAP_FAILED) {
        for (int i = 0; i < 2; i++)
            if (at[i] != MAP_FAILED)
                munmap(at[i], sizes[i]);
        return false;
    }
    global_shadow = (Shadow *)at[0];
    global_defined = (unsigned char *)at[1];
    shadow_bytes_of_arena = arena_bytes;
    return true;
}

void forget_shadow(uintptr_t address, size_t bytes)
{
    if (!global_shadow)
        return;
    const size_t at = address - arena.base;
    madvise(&global_shadow[at / 2], bytes / 2 * sizeof(Shadow), MADV_DONTNEED);
    madvise(&global_defined[at], bytes, MADV_DONTNEED);
}

void begin_launch_accesses()
{
    if (epoch > 0xf0000000u) { /* numbers run out: all that happened is forgotten */
        epoch = 0;
        if (global_shadow)
            madvise(global_shadow, shadow_bytes_of_arena / 2 * sizeof(Shadow), MADV_DONTNEED);
        memset(shared_shadow, 0, sizeof shared_shadow);
    }
    launch_epoch = ++epoch;
}

void begin_block_accesses()
{
    block_epoch = ++epoch;
}

void next_epoch()
{
    epoch++;
}

void forget_shared_shadow(size_t bytes)
{
    if (checking)
        memset(shared_defined, 0, bytes);
}

/* Whether the current thread's access collides with what the stamp stands for. */
static bool collides(Stamp s, uint64_t bytes, const Thread &self, bool shared, bool is_read_stamp)
{
    if (epoch_of(s) < launch_epoch || !(bytes_of(s) & bytes))
        return false;
    if (epoch_of(s) < block_epoch)
        return !shared; /* another block's: nothing orders blocks */
    const uint64_t others = is_read_stamp ? others_of(s) : ALONE;
    if (others == BLOCKS)
        return true;
    if (epoch_of(s) != epoch)
        return false;
    if (others == WARPS || (int)thread_of(s) / WARP != self.warp)
        return true;
    if (others == ALONE && (int)thread_of(s) == self.number)
        return false;
    return (s & CLOCK_MASK) == (self.clock & CLOCK_MASK);
}

/* A read joins the reads before it that a later write could collide with. */
static Stamp joined(Stamp old, Stamp mine, const Thread &self, bool shared)
{
    if (epoch_of(old) < launch_epoch)
        return mine;
    const Stamp both = mine | (old & (Stamp)3 << BYTES_SHIFT);
    if (epoch_of(old) < block_epoch)
        return shared ? mine : with_others(both, BLOCKS);
    if (others_of(old) == BLOCKS)
        return with_others(both, BLOCKS);
    if (epoch_of(old) != epoch)
        return mine;
    if (others_of(old) == WARPS || (int)thread_of(old) / WARP != self.warp)
        return with_others(both, WARPS);
    const bool same_clock = (old & CLOCK_MASK) == (mine & CLOCK_MASK);
    return same_clock && (others_of(old) == LANES || thread_of(old) != thread_of(mine)) ? with_others(both, LANES)
                                                                                       : mine;
}

static void report_race(const char *verb, const char *memory, const char *did, Stamp other, const void *code)
{
    const char *const whose = epoch_of(other) < block_epoch || (others_of(other) == BLOCKS && did[0] == 'r')
                                  ? "of another block "
                              : others_of(other) == WARPS || others_of(other) == LANES ? "(and others) " : "";
    report("race: %s %s memory that thread %u %s%s with nothing between to order them, at %s", verb, memory,
           thread_of(other), whose, did, code_place(code).c_str());
}

/* One pair of bytes; true when a race was found. */
static bool check_pair(Shadow &s, uint64_t bytes, Stamp stamp, const Thread &self, bool shared, Access access,
                       const void *code)
{
    const Stamp mine = stamp | bytes << BYTES_SHIFT;
    const bool write = access != Access::READ;
    const bool both_atomic = access == Access::ATOMIC && others_of(s.write) == ATOMICALLY;
    const char *const memory = shared ? "shared" : "global";
    bool found = false;
    if (!both_atomic && collides(s.write, bytes, self, shared, false)) {
        report_race(write ? "overwrites" : "reads", memory, "wrote", s.write, code);
        found = true;
    } else if (write && collides(s.read, bytes, self, shared, true)) {
        report_race("writes", memory, "read", s.read, code);
        found = true;
    }
    if (write)
        s.write = access == Access::ATOMIC ? with_others(mine, ATOMICALLY) : mine;
    else
        s.read = joined(s.read, mine, self, shared);
    return found;
}

static void check_races(Shadow *shadow, size_t at, size_t bytes, bool shared, Access access, const void *code)
{
    const Thread &self = *block.current;
    const Stamp stamp = (Stamp)epoch << 32 | (Stamp)self.number << THREAD_SHIFT | (self.clock & CLOCK_MASK);
    const size_t end = at + bytes;
    for (size_t pair = at / 2; pair * 2 < end; pair++) {
        const uint64_t low = pair * 2 >= at, high = pair * 2 + 1 < end;
        if (check_pair(shadow[pair], low | high << 1, stamp, self, shared, access, code))
            return; /* once per access */
    }
}

static void check_defined(unsigned char *defined, size_t bytes, const char *memory, Access access, const void *code)
{
    if (access != Access::WRITE && memchr(defined, 0, bytes)) {
        report("read of %zu bytes of %s memory that nobody wrote, at %s", bytes, memory, code_place(code).c_str());
        memset(defined, 1, bytes);
    }
    if (access != Access::READ)
        memset(defined, 1, bytes);
}

static void check_global(uintptr_t address, size_t bytes, Access access, const void *code)
{
    const char *const verb = access == Access::READ ? "read" : access == Access::WRITE ? "write" : "atomic access";
    if (!holder((const void *)address, bytes)) {
        report("%s of %zu bytes outside every allocation, at %s: %s", verb, bytes, code_place(code).c_str(),
               describe_address(address));
        abandon_kernel(cudaErrorIllegalAddress);
    }
    record_touch(address, bytes);
    (access == Access::READ ? traffic.read : traffic.written) += bytes;
    const size_t at = address - arena.base;
    check_defined(global_defined + at, bytes, "global", access, code);
    check_races(global_shadow, at, bytes, false, access, code);
}

static void check_shared(size_t at, size_t bytes, Access access, const void *code)
{
    if (!shared_array(at, bytes)) {
        report("%s of %zu bytes outside the shared arrays, at %s", access == Access::READ ? "read" : "write", bytes,
               code_place(code).c_str());
        abandon_kernel(cudaErrorIllegalAddress);
    }
    check_defined(shared_defined + at, bytes, "shared", access, code);
    check_races(shared_shadow, at, bytes, true, access, code);
}

void check_access(const void *address, size_t bytes, Access access, const void *code)
{
    const uintptr_t a = (uintptr_t)address;
    if (!in_kernel() || !block.current || on_stacks(a))
        return;
    if (in_arena(a)) {
        check_global(a, bytes, access, code);
    } else if (a - (uintptr_t)shared_room < SHARED_ROOM) {
        check_shared(a - (uintptr_t)shared_room, bytes, access, code);
    } else if (access != Access::READ || !is_constant(a)) {
        report("%s of %zu bytes of host memory, at %s", access == Access::READ ? "read" : "write", bytes,
               code_place(code).c_str());
        abandon_kernel(cudaErrorIllegalAddress);
    }
}

void mark_defined(const void *address, size_t bytes)
{
    if (checking)
        memset(global_defined + ((uintptr_t)address - arena.base), 1, bytes);
}

void copy_defined(const void *to, const void *from, size_t bytes)
{
    if (checking)
        memmove(global_defined + ((uintptr_t)to - arena.base), global_defined + ((uintptr_t)from - arena.base), bytes);
}

size_t first_undefined(const void *address, size_t bytes)
{
    if (!checking)
        return bytes;
    const unsigned char *const defined = defined_bytes((uintptr_t)address);
    const void *const found = memchr(defined, 0, bytes);
    return found ? (size_t)((const unsigned char *)found - defined) : bytes;
}

const unsigned char *defined_bytes(uintptr_t address)
{
    return checking ? global_defined + (address - arena.base) : nullptr;
}
} // namespace sim
