/* SPDX-License-Identifier: MIT */
#include "access.h"
#include "constants.h"
#include "control.h"
#include "device.h"
#include "fiber.h"
#include "memory.h"
#include "order.h"
#include "report.h"
#include "shadow.h"
#include "shared.h"
#include "statistics.h"
#include "touch.h"
#include <cstring>
#include <sys/mman.h>

namespace sim
{
bool instrumented, checking;
Traffic traffic;

static Shadow shared_pairs[SHARED_ROOM / 2], shared_bytes[SHARED_ROOM];
static unsigned char shared_states[SHARED_ROOM];
static Memory global = {"global", false, nullptr, nullptr, nullptr};
static const Memory shared = {"shared", true, shared_pairs, shared_bytes, shared_states};
static size_t arena_size;
enum : unsigned char { WRITTEN = 1, FENCED = 2 };

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
    if (epochs.now > 0xf0000000u) { /* numbers run out: all that happened is forgotten */
        epochs.now = 0;
        if (checking)
            forget_global(0, arena_size);
        memset(shared_pairs, 0, sizeof shared_pairs);
        memset(shared_bytes, 0, sizeof shared_bytes);
    }
    epochs.launch = ++epochs.now;
    epochs.halves = false;
    begin_launch_order();
}

void begin_block_accesses()
{
    epochs.block = ++epochs.now;
}

void next_epoch()
{
    epochs.now++;
}

void forget_shared_shadow(size_t from, size_t bytes)
{
    if (checking)
        memset(shared_states + from, 0, bytes);
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
    if (!checking)
        return;
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
    if (!checking)
        return;
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

using namespace sim;

int rni_sim_access(const void *address, size_t bytes, int mode, const char *who)
{
    const Lock lock;
    if (!inside_allocation(address, bytes, who))
        return 0;
    if (in_reach_of_fence(address, bytes))
        report("%s: %zu bytes at %p are in reach of a fence", who, bytes, address);
    const size_t undefined = mode & RNI_SIM_READ ? first_undefined(address, bytes) : bytes;
    if (undefined < bytes)
        report("%s: reads device memory that nobody wrote: %s", who, describe_address((uintptr_t)address + undefined));
    if (mode & RNI_SIM_WRITE)
        mark_defined(address, bytes);
    count_other(who, 0, mode & RNI_SIM_READ ? bytes : 0, mode & RNI_SIM_WRITE ? bytes : 0);
    return 1;
}

void rni_sim_fence(const void *address, size_t bytes, int up)
{
    const Lock lock;
    if (inside_allocation(address, bytes, "rni_sim_fence"))
        put_fence(address, bytes, up != 0);
}
