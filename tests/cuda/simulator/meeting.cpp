/* SPDX-License-Identifier: MIT */
/* Where threads meet: the block's barrier, and operations of a warp. */
#include "access.h"
#include "fiber.h"
#include "report.h"
#include <string>

using namespace sim;

static std::string name(const simt::Site *site)
{
    return site ? std::string(site->name) + " at " + site->file + ":" + std::to_string(site->line) : "none";
}

static void check_one_site()
{
    const simt::Site *first = nullptr;
    for (int i = 0; i < block.threads; i++) {
        const Thread &t = block.thread[i];
        if (t.state != State::AT_BARRIER)
            continue;
        if (first && t.site != first) {
            report("threads of one block wait at different barriers: %s and %s", name(first).c_str(),
                   name(t.site).c_str());
            return;
        }
        first = t.site;
    }
}

static void release_barrier()
{
    check_one_site();
    if (block.alive < block.threads)
        report("%s is reached by %d of %d threads; the others have returned", name(block.current->site).c_str(),
               block.alive, block.threads);
    block.at_barrier = 0;
    next_epoch();
    for (int i = 0; i < block.threads; i++)
        if (block.thread[i].state == State::AT_BARRIER) {
            block.thread[i].clock = 0;
            make_ready(block.thread[i]);
        }
}

static void report_deadlock()
{
    int at_barrier = 0, in_warp = 0;
    const simt::Site *barrier = nullptr, *operation = nullptr;
    for (int i = 0; i < block.threads; i++) {
        const Thread &t = block.thread[i];
        if (t.state == State::AT_BARRIER)
            at_barrier++, barrier = t.site;
        if (t.state == State::IN_WARP)
            in_warp++, operation = t.site;
    }
    report("deadlock: %d threads wait at a barrier (%s), %d in a warp operation (%s) whose mask names lanes that never "
           "come",
           at_barrier, name(barrier).c_str(), in_warp, name(operation).c_str());
}

void sim::all_wait()
{
    if (block.at_barrier == block.alive) {
        release_barrier();
        return;
    }
    report_deadlock();
    abandon_kernel(cudaErrorLaunchTimeout);
}

void simt::barrier(const Site *site)
{
    Thread &self = *block.current;
    self.site = site;
    self.state = State::AT_BARRIER;
    block.at_barrier++;
    wait();
}

/* The mask without lanes that cannot come; what is wrong with it is reported. */
static uint32_t checked_mask(const Thread &self, uint32_t mask, const simt::Site *site)
{
    const uint32_t alive = block.warp[self.warp].alive;
    const int lanes = block.threads - self.warp * WARP;
    const uint32_t existing = lanes >= WARP ? 0xffffffffu : (1u << lanes) - 1;
    if (!(mask >> self.lane & 1))
        report("%s: the mask %08x does not name the lane that calls", name(site).c_str(), mask);
    if (mask & ~existing)
        report("%s: the mask %08x names lanes beyond the block's %d threads", name(site).c_str(), mask, block.threads);
    else if (mask & ~alive)
        report("%s: the mask %08x names lanes that have returned (alive: %08x)", name(site).c_str(), mask, alive);
    return (mask & alive) | 1u << self.lane;
}

static void check_meeting(const Thread &self, const Thread &other)
{
    if (other.site != self.site)
        report("lanes of one warp meet in different operations: %s and %s", name(self.site).c_str(),
               name(other.site).c_str());
    else if (other.mask != self.mask)
        report("%s: lanes that meet have different masks, %08x and %08x", name(self.site).c_str(), self.mask,
               other.mask);
}

/* The last of the lanes to come works for all. */
static void complete(Thread &self, void (*compute)(Thread *lanes, uint32_t mask))
{
    Warp &warp = block.warp[self.warp];
    Thread *const lanes = &block.thread[self.warp * WARP];
    uint32_t latest = 0;
    for (uint32_t m = self.mask; m; m &= m - 1) {
        const Thread &t = lanes[__builtin_ctz(m)];
        check_meeting(self, t);
        latest = t.clock > latest ? t.clock : latest;
    }
    if (compute)
        compute(lanes, self.mask);
    for (uint32_t m = self.mask; m; m &= m - 1) {
        Thread &t = lanes[__builtin_ctz(m)];
        t.clock = latest + 1;
        if (t.state == State::IN_WARP)
            make_ready(t);
    }
    warp.arrived &= ~self.mask;
}

static uint64_t meet(uint32_t mask, uint64_t value, int source, const simt::Site *site,
                     void (*compute)(Thread *lanes, uint32_t mask))
{
    Thread &self = *block.current;
    Warp &warp = block.warp[self.warp];
    self.mask = checked_mask(self, mask, site);
    self.site = site;
    self.value = value;
    self.source = source;
    warp.arrived |= 1u << self.lane;
    if ((warp.arrived & self.mask) == self.mask) {
        complete(self, compute);
    } else {
        self.state = State::IN_WARP;
        wait();
    }
    return self.result;
}

static void no_such_lane(const Thread &t, uint32_t mask)
{
    report("%s reads lane %d, which is not in the mask %08x", name(t.site).c_str(), t.source, mask);
}

static void exchange_values(Thread *lanes, uint32_t mask)
{
    for (uint32_t m = mask; m; m &= m - 1) {
        Thread &t = lanes[__builtin_ctz(m)];
        const bool there = mask >> (t.source & 31) & 1;
        if (!there)
            no_such_lane(t, mask);
        t.result = there ? lanes[t.source & 31].value : 0x7fc0dead7fc0deadu; /* a NaN in f32 and f64 */
    }
}

static void count_votes(Thread *lanes, uint32_t mask)
{
    uint32_t votes = 0;
    for (uint32_t m = mask; m; m &= m - 1)
        if (lanes[__builtin_ctz(m)].value)
            votes |= m & -m;
    for (uint32_t m = mask; m; m &= m - 1)
        lanes[__builtin_ctz(m)].result = votes;
}

uint64_t simt::exchange(uint32_t mask, uint64_t value, int source, const Site *site)
{
    return meet(mask, value, source, site, exchange_values);
}

uint32_t simt::ballot(uint32_t mask, bool vote, const Site *site)
{
    return (uint32_t)meet(mask, vote, 0, site, count_votes);
}

void simt::warp_barrier(uint32_t mask, const Site *site)
{
    meet(mask, 0, 0, site, nullptr);
}
