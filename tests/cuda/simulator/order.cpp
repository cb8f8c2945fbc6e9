/* SPDX-License-Identifier: MIT */
#include "order.h"
#include "access.h"
#include "fiber.h"
#include "shadow.h"
#include <map>
#include <vector>

namespace sim
{
/* What a block did from its first epoch to before another one. */
struct Part {
    uint32_t first, end;
};
/* A part of another block that this one knows of: one of its threads, and all of them in later epochs. */
struct Acquired {
    uint32_t end, epoch;
    int thread;
};

static std::map<const void *, std::vector<Part>> released;
static std::map<uint32_t, Acquired> acquired; /* by the first epoch */
static uint32_t fenced[MOST_THREADS]; /* the epoch of a thread's last fence */
static std::map<int, std::vector<Part>> pending; /* by thread: seen by an atomic, not yet behind a fence */
static uint32_t known_block;

/* Blocks run one after the other: what the last one knew goes with it. */
static void enter_block()
{
    if (known_block == epochs.block)
        return;
    known_block = epochs.block;
    acquired.clear();
    pending.clear();
}

void begin_launch_order()
{
    released.clear();
    acquired.clear();
    pending.clear();
    known_block = 0;
}

void note_fence()
{
    if (!checking)
        return;
    enter_block();
    const int thread = block.current->number;
    fenced[thread] = epochs.now;
    const auto found = pending.find(thread);
    if (found == pending.end())
        return;
    for (const Part &part : found->second)
        acquired.emplace(part.first, Acquired{part.end, epochs.now, thread});
    pending.erase(found);
}

void note_atomic(const void *location)
{
    if (!checking)
        return;
    enter_block();
    const int thread = block.current->number;
    std::vector<Part> &parts = released[location];
    std::vector<Part> &seen = pending[thread];
    seen.insert(seen.end(), parts.begin(), parts.end());
    if (fenced[thread] >= epochs.block)
        parts.push_back({epochs.block, fenced[thread]});
}

bool ordered_before(uint32_t epoch)
{
    enter_block();
    auto found = acquired.upper_bound(epoch);
    if (found == acquired.begin())
        return false;
    const Acquired &last = (--found)->second;
    return epoch < last.end && (last.epoch < epochs.now || last.thread == block.current->number);
}
} // namespace sim

void simt::fence()
{
    sim::note_fence();
}
