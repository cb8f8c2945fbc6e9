/* SPDX-License-Identifier: MIT */
/* A run captured in several streams, which wait for one another where its steps say so. */
#include "lanes.h"
#include "memory.h"
#include "workspace.h"
#include <string.h>

/* What is captured. Events are recorded again and again. */
typedef struct lanes {
    rni_cuda_program *program;
    rni_cuda_call call;
    cudaStream_t stream[RNI_LANES];
    cudaEvent_t fork, ended[RNI_LANES];
    int32_t follows[RNI_LANES]; /* the last fork */
    int32_t used[RNI_LANES]; /* has work that the first lane does not follow */
    rni_steps_left left;
} lanes;

static rn_status make_event(const lanes *l, cudaEvent_t *event)
{
    return rni_cuda_result(l->call.device, cudaEventCreateWithFlags(event, cudaEventDisableTiming), "make an event");
}

static rn_status make_events(lanes *l)
{
    RNI_TRY(make_event(l, &l->fork));
    for (int lane = 1; lane < RNI_LANES; lane++)
        RNI_TRY(make_event(l, &l->ended[lane]));
    return RN_OK;
}

static rn_status record(const lanes *l, cudaEvent_t event, int lane)
{
    return rni_cuda_result(l->call.device, cudaEventRecord(event, l->stream[lane]), "record an event");
}

static rn_status wait_for(const lanes *l, cudaEvent_t event, int lane)
{
    return rni_cuda_result(l->call.device, cudaStreamWaitEvent(l->stream[lane], event, 0), "wait for an event");
}

/* The other lanes wait for the first one, each when it is used; by that a stream joins the capture. */
static rn_status fork_lanes(lanes *l)
{
    memset(l->follows, 0, sizeof l->follows);
    return record(l, l->fork, 0);
}

static rn_status join_lanes(lanes *l)
{
    for (int lane = 1; lane < RNI_LANES; lane++) {
        if (!l->used[lane])
            continue;
        RNI_TRY(record(l, l->ended[lane], lane));
        RNI_TRY(wait_for(l, l->ended[lane], 0));
        l->used[lane] = 0;
    }
    return RN_OK;
}

/* What gradients of filters wait in is free again when they have been added to those that are there. */
static rn_status add_left(lanes *l)
{
    if (!l->left.count)
        return RN_OK;
    RNI_TRY(join_lanes(l));
    l->call.stream = l->stream[0];
    RNI_TRY(rni_steps_add(&l->program->steps, &l->call, &l->left));
    return fork_lanes(l);
}

static rn_status enqueue_step(lanes *l, const rni_lane_step *step)
{
    const rn_run *const run = l->call.run;
    const uint32_t op = run->first_op + step->op, end = run->first_op + run->num_ops;
    if (step->join)
        RNI_TRY(join_lanes(l));
    if (step->fork)
        RNI_TRY(fork_lanes(l));
    if (rni_steps_add_first(&l->program->steps, &l->left, op))
        RNI_TRY(add_left(l));
    if (step->lane && !l->follows[step->lane])
        RNI_TRY(wait_for(l, l->fork, step->lane));
    l->follows[step->lane] = l->used[step->lane] = 1;
    l->call.stream = l->stream[step->lane];
    l->call.workspace = step->lane ? l->program->lane_workspace[step->lane] : NULL;
    return rni_steps_run_op(&l->program->steps, &l->call, op, end, &l->left);
}

static rn_status enqueue(lanes *l)
{
    const rni_cuda_program *const p = l->program;
    rni_lane_step *const steps = p->lanes;
    const uint32_t count = rni_lanes_arrange(p->desc, p->steps.step, l->call.run, p->lane_bytes, steps);
    RNI_TRY(make_events(l));
    for (uint32_t i = 0; i < count; i++)
        RNI_TRY(enqueue_step(l, &steps[i]));
    RNI_TRY(add_left(l));
    return join_lanes(l);
}

static void clear(lanes *l)
{
    if (l->fork)
        cudaEventDestroy(l->fork);
    for (int lane = 1; lane < RNI_LANES; lane++)
        if (l->ended[lane])
            cudaEventDestroy(l->ended[lane]);
}

size_t rni_lanes_bytes(const rn_program_desc *desc)
{
    return (desc->num_ops ? desc->num_ops : 1) * sizeof(rni_lane_step);
}

/* Bytes of workspace for the ops that may run aside. */
static uint64_t workspace_of(const rn_program_desc *desc)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < desc->num_ops; i++) {
        const rn_op *const op = &desc->ops[i];
        if (op->workspace == RN_NO_VALUE || !rni_lanes_aside(op, desc->values))
            continue;
        const uint64_t bytes = desc->values[op->workspace].bytes;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Where there is no memory for the other lanes, only ops without a workspace are in them. */
void rni_lanes_prepare(rni_cuda_program *program)
{
    const uint64_t bytes = workspace_of(program->desc);
    void *memory;
    if (!bytes || program->lane_bytes)
        return;
    const uint64_t each = (bytes + RNI_PART_ALIGN - 1) / RNI_PART_ALIGN * RNI_PART_ALIGN;
    if (rni_cuda_alloc(&program->opened->device, (RNI_LANES - 1) * each, &memory) < 0)
        return;
    program->lane_bytes = bytes;
    for (int lane = 1; lane < RNI_LANES; lane++)
        program->lane_workspace[lane] = (char *)memory + (uint64_t)(lane - 1) * each;
}

rn_status rni_lanes_enqueue(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run)
{
    lanes l = {.program = program, .stream = {queue->capture}};
    l.call = rni_cuda_program_call(program, queue, queue->capture, run);
    for (int lane = 1; lane < RNI_LANES; lane++)
        l.stream[lane] = queue->aside[lane];
    const rn_status status = enqueue(&l);
    clear(&l);
    return status;
}
