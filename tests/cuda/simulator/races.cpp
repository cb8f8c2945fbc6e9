/* SPDX-License-Identifier: MIT */
/* Races: accesses of different threads to one place that nothing orders, one of them a write. */
#include "fiber.h"
#include "order.h"
#include "report.h"
#include "shadow.h"

namespace sim
{
Epochs epochs = {1, 1, 1, false};

/* Which accesses besides the named thread's a stamp stands for. For writes ALONE or ATOMICALLY. */
enum Others : uint64_t { ALONE, LANES, WARPS, BLOCKS, ATOMICALLY = 1 };
constexpr int THREAD_SHIFT = 22, OTHERS_SHIFT = 20;
constexpr uint32_t CLOCK_MASK = (1u << OTHERS_SHIFT) - 1;

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

/* Whether the current thread's access collides with what the stamp stands for. */
static bool collides(Stamp s, uint64_t others, const Thread &self, bool is_shared)
{
    if (epoch_of(s) < epochs.launch)
        return false;
    if (epoch_of(s) < epochs.block)
        return !is_shared && !(others == ALONE && ordered_before(epoch_of(s))); /* another block's */
    if (others == BLOCKS)
        return true;
    if (epoch_of(s) != epochs.now)
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
    if (epoch_of(old) < epochs.launch)
        return mine;
    if (epoch_of(old) < epochs.block)
        return is_shared ? mine : with_others(mine, BLOCKS);
    if (others_of(old) == BLOCKS)
        return with_others(mine, BLOCKS);
    if (epoch_of(old) != epochs.now)
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
    const char *const whose = epoch_of(other) < epochs.block || others == BLOCKS ? "of another block "
                              : others == ALONE                                  ? ""
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
    epochs.halves = true;
    const bool found = in_race(now.memory.pairs[at / 2], now) || in_race(now.memory.bytes[at], now);
    remember(now.memory.bytes[at], now);
    return found;
}

static bool check_pair(size_t at, const Moment &now)
{
    Shadow &pair = now.memory.pairs[at / 2];
    bool found = in_race(pair, now);
    if (epochs.halves && !found)
        found = in_race(now.memory.bytes[at], now) || in_race(now.memory.bytes[at + 1], now);
    remember(pair, now);
    return found;
}

/* One report for an access. */
void check_races(const Memory &memory, size_t at, size_t bytes, Access access, const void *code)
{
    const Thread &self = *block.current;
    const Stamp stamp = (Stamp)epochs.now << 32 | (Stamp)self.number << THREAD_SHIFT | (self.clock & CLOCK_MASK);
    const Moment now = {memory, self, access, stamp, code};
    const size_t end = at + bytes;
    bool found = at % 2 != 0 && check_half(at, now);
    for (at += at % 2; at + 1 < end && !found; at += 2)
        found = check_pair(at, now);
    if (at < end && !found)
        check_half(at, now);
}
} // namespace sim
