/* SPDX-License-Identifier: MIT */
/*
 * The threads of a block, one at a time on this host thread. A carrier is a stack that runs one thread after another;
 * a thread that waits keeps the carrier it is on, and others go on with the next. So a block whose threads never wait is
 * a plain loop, and nothing has to be known about a kernel beforehand.
 */
#ifndef RNI_SIMULATOR_FIBER_H
#define RNI_SIMULATOR_FIBER_H

#include "simt.h"
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

namespace sim
{
constexpr int WARP = 32, MOST_THREADS = 1024;

enum class State : uint8_t { FRESH, READY, AT_BARRIER, IN_WARP, DONE };

struct Carrier {
    void *stack_pointer;
    Carrier *next_idle;
};

struct Thread {
    uint3 index;
    int number, warp, lane;
    State state;
    Carrier *carrier;
    const simt::Site *site; /* where it waits */
    uint32_t mask; /* of the warp operation it waits in */
    uint64_t value, result;
    int source;
    uint32_t clock; /* grows with every warp operation; equal to that of the lanes it met */
};

struct Warp {
    uint32_t fresh, ready, alive, arrived; /* bits of lanes */
};

/* The block that runs. */
struct Block {
    uint3 index;
    dim3 size, grid;
    int threads, warps, alive, at_barrier;
    Thread thread[MOST_THREADS];
    Warp warp[MOST_THREADS / WARP];
    Thread *current;
};
extern Block block;

/* Sets up the threads of all blocks of a launch. */
void shape_blocks(dim3 grid, dim3 size, int64_t order);

/* Runs one block to its end. False when the kernel was abandoned. */
bool run_block(uint3 index, void (*call)(void *), void *argument);

/* Ends the kernel from inside it, with the error that the device shall have. Does not return. */
[[noreturn]] void abandon_kernel(cudaError_t error);
cudaError_t abandoned_with();

/* Whether a kernel runs on this host thread. */
bool in_kernel();

/* The current thread has taken a state in which it waits: goes on with another one, and returns when it is READY. */
void wait();
/* A waiting thread can go on. */
void make_ready(Thread &thread);
/* Nobody in the block can go on. (meeting.cpp) */
void all_wait();

bool on_stacks(uintptr_t address);
} // namespace sim

#endif
