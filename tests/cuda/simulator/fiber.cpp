/* SPDX-License-Identifier: MIT */
#include "fiber.h"
#include "report.h"
#include "settings.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

/* Saves the callee's registers on the stack, leaves the stack pointer in *save, goes on at `to`. */
extern "C" void simt_switch(void **save, void *to) __attribute__((visibility("hidden")));
asm(R"(
    .text
    .globl simt_switch
    .hidden simt_switch
    .type simt_switch, @function
simt_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size simt_switch, .-simt_switch
)");

namespace sim
{
constexpr size_t STACK = 128 << 10, GUARD_PAGE = 4096;

Block block;

static char *stacks; /* all of them, each above a page that nobody may touch */
static Carrier carriers[MOST_THREADS];
static int carriers_made;
static Carrier *idle;
static Carrier *running; /* the one this host thread is on */
static void *main_stack_pointer;
static void (*body)(void *);
static void *body_argument;
static cudaError_t abandoned;
static int64_t order; /* of the launch: an Order */
static thread_local bool inside __attribute__((tls_model("initial-exec")));

bool in_kernel()
{
    return inside;
}

bool on_stacks(uintptr_t address)
{
    return address - (uintptr_t)stacks < MOST_THREADS * STACK;
}

cudaError_t abandoned_with()
{
    return abandoned;
}

static int pick_lane(uint32_t lanes)
{
    switch (order) {
    case ASCENDING:
        return __builtin_ctz(lanes);
    case DESCENDING:
        return 31 - __builtin_clz(lanes);
    default:
        for (uint32_t skip = random_below((uint32_t)__builtin_popcount(lanes)); skip; skip--)
            lanes &= lanes - 1;
        return __builtin_ctz(lanes);
    }
}

/* Threads of the warp that ran last come first, except that the random order now and then looks elsewhere. */
static Thread *pick(int first_warp)
{
    const uint32_t own = block.warp[first_warp].fresh | block.warp[first_warp].ready;
    if (own && order == ASCENDING)
        return &block.thread[first_warp * WARP + __builtin_ctz(own)];
    if (order == RANDOM && random_below(4) == 0)
        first_warp = (int)random_below((uint32_t)block.warps);
    const int step = order == DESCENDING ? block.warps - 1 : 1;
    for (int i = 0, w = first_warp; i < block.warps; i++, w = (w + step) % block.warps) {
        const uint32_t runnable = block.warp[w].fresh | block.warp[w].ready;
        if (runnable)
            return &block.thread[w * WARP + pick_lane(runnable)];
    }
    return nullptr;
}

static int first_warp()
{
    return order == DESCENDING ? block.warps - 1 : 0;
}

/* The thread to go on with; nullptr when the block is done. */
static Thread *schedule(int warp)
{
    Thread *t = pick(warp);
    if (!t && block.alive > 0) {
        all_wait();
        t = pick(first_warp());
    }
    return t;
}

static void take(Thread &t)
{
    Warp &w = block.warp[t.warp];
    w.fresh &= ~(1u << t.lane);
    w.ready &= ~(1u << t.lane);
    block.current = &t;
}

static void go_to(Carrier *to)
{
    Carrier *const from = running;
    running = to;
    simt_switch(&from->stack_pointer, to->stack_pointer);
}

static void finish(Thread &t)
{
    t.state = State::DONE;
    block.warp[t.warp].alive &= ~(1u << t.lane);
    block.alive--;
}

/* What a carrier does: the current thread, then the next, until one waits that has a carrier of its own. */
static void carry()
{
    for (;;) {
        Thread &t = *block.current;
        t.carrier = running;
        t.state = State::READY;
        body(body_argument);
        finish(t);
        Thread *const next = schedule(t.warp);
        if (next)
            take(*next);
        if (next && next->state == State::FRESH)
            continue;
        running->next_idle = idle;
        idle = running;
        if (next)
            go_to(next->carrier);
        else
            simt_switch(&running->stack_pointer, main_stack_pointer);
    }
}

static void start_afresh(Carrier &c)
{
    const size_t number = (size_t)(&c - carriers);
    char *const top = stacks + (number + 1) * STACK;
    /* Tops a little apart: stacks at equal distances of a power of two would share the cache's sets. */
    void **sp = (void **)(top - number * 37 % 60 * 64);
    *--sp = nullptr;
    *--sp = (void *)carry;
    for (int i = 0; i < 6; i++)
        *--sp = nullptr;
    c.stack_pointer = sp;
}

static void make_stacks()
{
    void *const p =
        mmap(nullptr, MOST_THREADS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "simulator: no memory for stacks\n");
        abort();
    }
    stacks = (char *)p;
}

static Carrier *idle_carrier()
{
    Carrier *c = idle;
    if (c) {
        idle = c->next_idle;
        return c;
    }
    if (!stacks)
        make_stacks();
    c = &carriers[carriers_made++];
    mprotect(stacks + (size_t)(c - carriers) * STACK, GUARD_PAGE, PROT_NONE);
    start_afresh(*c);
    return c;
}

void wait()
{
    Thread &self = *block.current;
    Thread *const next = schedule(self.warp);
    take(*next);
    if (next != &self)
        go_to(next->state == State::FRESH ? idle_carrier() : next->carrier);
}

void make_ready(Thread &t)
{
    t.state = State::READY;
    block.warp[t.warp].ready |= 1u << t.lane;
}

void shape_blocks(dim3 grid, dim3 size, int64_t order_of_threads)
{
    order = order_of_threads;
    block.grid = grid;
    block.size = size;
    block.threads = (int)(size.x * size.y * size.z);
    block.warps = (block.threads + WARP - 1) / WARP;
    for (int i = 0; i < block.threads; i++) {
        Thread &t = block.thread[i];
        const unsigned n = (unsigned)i;
        t.index = {n % size.x, n / size.x % size.y, n / size.x / size.y};
        t.number = i;
        t.warp = i / WARP;
        t.lane = i % WARP;
    }
}

static void refresh_block(uint3 index)
{
    block.index = index;
    block.alive = block.threads;
    block.at_barrier = 0;
    for (int w = 0; w < block.warps; w++) {
        const int lanes = block.threads - w * WARP;
        block.warp[w].fresh = block.warp[w].alive = lanes >= WARP ? 0xffffffffu : (1u << lanes) - 1;
        block.warp[w].ready = block.warp[w].arrived = 0;
    }
    for (int i = 0; i < block.threads; i++) {
        block.thread[i].state = State::FRESH;
        block.thread[i].clock = 0;
    }
}

/* Carriers of an abandoned kernel stand somewhere inside it. */
static void restart_carriers()
{
    idle = nullptr;
    for (int i = carriers_made; i-- > 0;) {
        start_afresh(carriers[i]);
        carriers[i].next_idle = idle;
        idle = &carriers[i];
    }
}

bool run_block(uint3 index, void (*call)(void *), void *argument)
{
    body = call;
    body_argument = argument;
    abandoned = cudaSuccess;
    refresh_block(index);
    take(*pick(first_warp()));
    running = idle_carrier();
    inside = true;
    simt_switch(&main_stack_pointer, running->stack_pointer);
    inside = false;
    block.current = nullptr;
    if (abandoned != cudaSuccess)
        restart_carriers();
    return abandoned == cudaSuccess;
}

void abandon_kernel(cudaError_t error)
{
    void *unused;
    abandoned = error;
    simt_switch(&unused, main_stack_pointer);
    __builtin_unreachable();
}
} // namespace sim

namespace simt
{
uint3 thread_index()
{
    return sim::block.current->index;
}

uint3 block_index()
{
    return sim::block.index;
}

dim3 block_size()
{
    return sim::block.size;
}

dim3 grid_size()
{
    return sim::block.grid;
}

int lane()
{
    return sim::block.current->lane;
}
} // namespace simt
