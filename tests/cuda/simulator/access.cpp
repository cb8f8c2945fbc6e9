/* SPDX-License-Identifier: MIT */
#include "access.h"
#include "constants.h"
#include "fiber.h"
#include "memory.h"
#include "report.h"
#include "shared.h"
#include "touch.h"
#include <cstring>
#include <sys/mman.h>

namespace sim
{
bool checking;
Traffic traffic;

/*
 * Who accessed something last: epoch (32 bits), thread (10), others (2), clock (20). An epoch is what lies between two
 * barriers of one block; epochs of all blocks and launches are numbered through.
 */
typedef uint64_t Stamp;
struct Shadow {
    Stamp read, write;
};
/* Which accesses besides the named thread's a stamp stands for. For writes ALONE or ATOMICALLY. */
enum Others : uint64_t { ALONE, LANES, WARPS, BLOCKS, ATOMICALLY = 1 };
constexpr int THREAD_SHIFT = 22, OTHERS_SHIFT = 20;
constexpr uint32_t CLOCK_MASK = (1u << OTHERS_SHIFT) - 1;

/*
 * Accesses are remembered by pairs of bytes, as hardly anything is smaller than two. Those of half a pair are remembered
 * by bytes, apart; and all others look there, too, in a launch that has such.
 */
struct Memory {
    const char *name;
    bool shared;
    Shadow *pairs, *bytes;
    unsigned char *states; /* of every byte: 0, or WRITTEN and FENCED */
};
static Shadow shared_pairs[SHARED_ROOM / 2], shared_bytes[SHARED_ROOM];
static unsigned char shared_states[SHARED_ROOM];
static Memory global = {"global", false, nullptr, nullptr, nullptr};
static const Memory shared = {"shared", true, shared_pairs, shared_bytes, shared_states};
static size_t arena_size;
static bool halves; /* the launch has accesses of half a pair */
enum : unsigned char { WRITTEN = 1, FENCED = 2 };
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

static Stamp with_others(Stamp s, uint64_t others)
{
    return s | others << OTHERS_SHIFT;
}

static void *reserve(size_t bytes)
{
    void *const p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
}

static void release(void *p, size_t bytes)
{
    if (p)
        munmap(p, bytes);
}

bool open_shadow(size_t arena_bytes)
{
    if (!checking)
        return true;
    const size_t stamps = arena_bytes * sizeof(Shadow);
    arena_size = arena_bytes;
    global.pairs = (Shadow *)reserve(stamps / 2);
    global.bytes = (Shadow *)reserve(stamps);
    global.states = (unsigned char *)reserve(arena_bytes);
    if (global.pairs && global.bytes && global.states)
        return true;
    release(global.pairs, stamps / 2);
    release(global.bytes, stamps);
    release(global.states, arena_bytes);
    return false;
}

static void forget_global(size_t from, size_t bytes)
{
    madvise(&global.pairs[from / 2], bytes / 2 * sizeof(Shadow), MADV_DONTNEED);
    madvise(&global.bytes[from], bytes * sizeof(Shadow), MADV_DONTNEED);
}

void forget_shadow(uintptr_t address, size_t bytes)
{
    if (!checking)
        return;
    forget_global(address - arena.base, bytes);
    madvise(&global.states[address - arena.base], bytes, MADV_DONTNEED);
}

void begin_launch_accesses()
{
    if (epoch > 0xf0000000u) { /* numbers run out: all that happened is forgotten */
        epoch = 0;
        if (checking)
            forget_global(0, arena_size);
        memset(shared_pairs, 0, sizeof shared_pairs);
        memset(shared_bytes, 0, sizeof shared_bytes);
    }
    launch_epoch = ++epoch;
    halves = false;
}

void begin_block_accesses()
{
    block_epoch = ++epoch;
}

void next_epoch()
{
    epoch++;
}

void forget_shared_shadow(size_t from, size_t bytes)
{
    if (checking)
        memset(shared_states + from, 0, bytes);
}

/* Whether the current thread's access collides with what the stamp stands for. */
static bool collides(Stamp s, uint64_t others, const Thread &self, bool is_shared)
{
    if (epoch_of(s) < launch_epoch)
        return false;
    if (epoch_of(s) < block_epoch)
        return !is_shared; /* another block's: nothing orders blocks */
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
static Stamp joined(Stamp old, Stamp mine, const Thread &self, bool is_shared)
{
    if (epoch_of(old) < launch_epoch)
        return mine;
    if (epoch_of(old) < block_epoch)
        return is_shared ? mine : with_others(mine, BLOCKS);
    if (others_of(old) == BLOCKS)
        return with_others(mine, BLOCKS);
    if (epoch_of(old) != epoch)
        return mine;
    if (others_of(old) == WARPS || (int)thread_of(old) / WARP != self.warp)
        return with_others(mine, WARPS);
    const bool same_clock = (old & CLOCK_MASK) == (mine & CLOCK_MASK);
    return same_clock && (others_of(old) == LANES || thread_of(old) != thread_of(mine)) ? with_others(mine, LANES)
                                                                                        : mine;
}

static void report_race(const char *verb, const Memory &memory, const char *did, Stamp other, uint64_t others,
                        const void *code)
{
    const char *const whose = epoch_of(other) < block_epoch || others == BLOCKS ? "of another block "
                              : others == ALONE                                 ? ""
                                                                                : "(and others) ";
    report("race: %s %s memory that thread %u %s%s with nothing between to order them, at %s", verb, memory.name,
           thread_of(other), whose, did, code_place(code).c_str());
}

/* What one thread does at one moment. */
struct Moment {
    const Memory &memory;
    const Thread &self;
    Access access;
    Stamp stamp;
    const void *code;
};

/* True when the access is in a race with what the shadow remembers. */
static bool in_race(const Shadow &s, const Moment &now)
{
    const bool write = now.access != Access::READ;
    const bool both_atomic = now.access == Access::ATOMIC && others_of(s.write) == ATOMICALLY;
    if (!both_atomic && collides(s.write, ALONE, now.self, now.memory.shared)) {
        report_race(write ? "overwrites" : "reads", now.memory, "wrote", s.write, ALONE, now.code);
        return true;
    }
    if (write && collides(s.read, others_of(s.read), now.self, now.memory.shared)) {
        report_race("writes", now.memory, "read", s.read, others_of(s.read), now.code);
        return true;
    }
    return false;
}

static void remember(Shadow &s, const Moment &now)
{
    if (now.access == Access::READ)
        s.read = joined(s.read, now.stamp, now.self, now.memory.shared);
    else
        s.write = now.access == Access::ATOMIC ? with_others(now.stamp, ATOMICALLY) : now.stamp;
}

static bool check_half(size_t at, const Moment &now)
{
    halves = true;
    const bool found = in_race(now.memory.pairs[at / 2], now) || in_race(now.memory.bytes[at], now);
    remember(now.memory.bytes[at], now);
    return found;
}

static bool check_pair(size_t at, const Moment &now)
{
    Shadow &pair = now.memory.pairs[at / 2];
    bool found = in_race(pair, now);
    if (halves && !found)
        found = in_race(now.memory.bytes[at], now) || in_race(now.memory.bytes[at + 1], now);
    remember(pair, now);
    return found;
}

/* One report for an access. */
static void check_races(const Memory &memory, size_t at, size_t bytes, Access access, const void *code)
{
    const Thread &self = *block.current;
    const Stamp stamp = (Stamp)epoch << 32 | (Stamp)self.number << THREAD_SHIFT | (self.clock & CLOCK_MASK);
    const Moment now = {memory, self, access, stamp, code};
    const size_t end = at + bytes;
    bool found = at % 2 != 0 && check_half(at, now);
    for (at += at % 2; at + 1 < end && !found; at += 2)
        found = check_pair(at, now);
    if (at < end && !found)
        check_half(at, now);
}

static bool fenced(const unsigned char *states, size_t bytes)
{
    while (bytes && !(*states & FENCED))
        bytes--, states++;
    return bytes != 0;
}

/* The usual case at a glance. */
static bool all_written(const unsigned char *states, size_t bytes)
{
    uint64_t word = 0;
    if (bytes > sizeof word)
        return all_written(states, sizeof word) && all_written(states + sizeof word, bytes - sizeof word);
    memcpy(&word, states, bytes);
    return word == 0x0101010101010101u >> 8 * (sizeof word - bytes);
}

static void check_states(const Memory &memory, size_t at, size_t bytes, Access access, const void *code)
{
    unsigned char *const states = memory.states + at;
    if (all_written(states, bytes))
        return;
    const std::string place = code_place(code);
    if (fenced(states, bytes))
        report("%s of %zu bytes in reach of a fence, at %s: %s", access == Access::READ ? "read" : "write", bytes,
               place.c_str(), describe_address(arena.base + at));
    else if (access != Access::WRITE && memchr(states, 0, bytes))
        report("read of %zu bytes of %s memory that nobody wrote, at %s", bytes, memory.name, place.c_str());
    for (size_t i = 0; i < bytes; i++)
        states[i] |= WRITTEN; /* after a report, too: once is enough */
}

static void check_global(uintptr_t address, size_t bytes, Access access, const void *code)
{
    const char *const verb = access == Access::READ ? "read" : access == Access::WRITE ? "write" : "atomic access";
    if (!holder((const void *)address, bytes)) {
        report("%s of %zu bytes outside every allocation, at %s: %s", verb, bytes, code_place(code).c_str(),
               describe_address(address));
        abandon_kernel(cudaErrorIllegalAddress);
    }
    note_touch(address, bytes);
    (access == Access::READ ? traffic.read : traffic.written) += bytes;
    const size_t at = address - arena.base;
    check_states(global, at, bytes, access, code);
    check_races(global, at, bytes, access, code);
}

static void check_shared(size_t at, size_t bytes, Access access, const void *code)
{
    if (!shared_array(at, bytes)) {
        report("%s of %zu bytes outside the shared arrays, at %s", access == Access::READ ? "read" : "write", bytes,
               code_place(code).c_str());
        abandon_kernel(cudaErrorIllegalAddress);
    }
    check_states(shared, at, bytes, access, code);
    check_races(shared, at, bytes, access, code);
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
        memset(global.states + ((uintptr_t)address - arena.base), 1, bytes);
}

void copy_defined(const void *to, const void *from, size_t bytes)
{
    if (checking)
        memmove(global.states + ((uintptr_t)to - arena.base), global.states + ((uintptr_t)from - arena.base), bytes);
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
    return checking ? global.states + (address - arena.base) : nullptr;
}

bool in_reach_of_fence(const void *address, size_t bytes)
{
    return checking && fenced(global.states + ((uintptr_t)address - arena.base), bytes);
}

void put_fence(const void *address, size_t bytes, bool up)
{
    unsigned char *const states = global.states + ((uintptr_t)address - arena.base);
    for (size_t i = 0; checking && i < bytes; i++)
        states[i] = (unsigned char)(up ? states[i] | FENCED : states[i] & ~FENCED);
}
} // namespace sim
