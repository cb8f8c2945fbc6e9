/* SPDX-License-Identifier: MIT */
/* A run captured in two streams, which events order where the lanes must. */
#include "lanes.h"
#include "memory.h"
#include <string.h>

/* What is captured: the streams of the lanes, and an event for each op that is waited for. */
typedef struct lanes {
    rni_cuda_device *device;
    cudaStream_t stream[RNI_LANES];
    rni_lane_step *steps;
    cudaEvent_t *events; /* of marked ops */
    cudaEvent_t fork;
    cudaEvent_t side_so_far, added; /* around what adds gradients of filters that wait for it */
    size_t count;
    const rni_cuda_steps *program_steps;
    rni_steps_left left;
    int side_is_behind; /* the second lane does not follow the last addition yet */
} lanes;

static rn_status make_event(rni_cuda_device *device, cudaEvent_t *event)
{
    return rni_cuda_result(device, cudaEventCreateWithFlags(event, cudaEventDisableTiming), "make an event");
}

static rn_status record(const lanes *l, cudaEvent_t event, int lane)
{
    return rni_cuda_result(l->device, cudaEventRecord(event, l->stream[lane]), "record an event");
}

static rn_status wait_for(const lanes *l, cudaEvent_t event, int lane)
{
    return rni_cuda_result(l->device, cudaStreamWaitEvent(l->stream[lane], event, 0), "wait for an event");
}

static rn_status make_events(lanes *l)
{
    RNI_TRY(make_event(l->device, &l->fork));
    RNI_TRY(make_event(l->device, &l->side_so_far));
    RNI_TRY(make_event(l->device, &l->added));
    for (size_t i = 0; i < l->count; i++)
        if (l->steps[i].marked)
            RNI_TRY(make_event(l->device, &l->events[i]));
    return RN_OK;
}

/* In the first lane, after all that the second one has; the memory they wait in is then free for the second. */
static rn_status add_left(lanes *l, rni_cuda_call *call)
{
    if (!l->left.count)
        return RN_OK;
    RNI_TRY(record(l, l->side_so_far, 1));
    RNI_TRY(wait_for(l, l->side_so_far, 0));
    call->stream = l->stream[0];
    RNI_TRY(rni_steps_add(l->program_steps, call, &l->left));
    l->side_is_behind = 1;
    return record(l, l->added, 0);
}

/* Op i of the run, with those that share its launch; they are in one lane. */
static rn_status enqueue_op(lanes *l, rni_cuda_program *program, rni_cuda_call *call, uint32_t i)
{
    const uint32_t first = call->run->first_op, end = first + call->run->num_ops;
    const int side = l->steps[i].side;
    call->op = &program->desc->ops[first + i];
    if (rni_steps_add_first(l->program_steps, &l->left, first + i))
        RNI_TRY(add_left(l, call));
    if (side && l->side_is_behind) {
        RNI_TRY(wait_for(l, l->added, side));
        l->side_is_behind = 0;
    }
    const uint32_t together = l->program_steps->step[first + i].together;
    for (uint32_t k = i; k < i + together && k < call->run->num_ops; k++)
        if (l->steps[k].after >= 0)
            RNI_TRY(wait_for(l, l->events[l->steps[k].after], side));
    call->stream = l->stream[side];
    call->workspace = side ? program->side_workspace : NULL;
    RNI_TRY(rni_steps_run_op(l->program_steps, call, first + i, end, &l->left));
    for (uint32_t k = i; k < i + call->num_ops; k++)
        if (l->steps[k].marked)
            RNI_TRY(record(l, l->events[k], side));
    return RN_OK;
}

static rn_status enqueue(lanes *l, rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run, int64_t join)
{
    rni_cuda_call call = rni_cuda_program_call(program, queue, l->stream[0], run);
    RNI_TRY(record(l, l->fork, 0)); /* the second stream joins the capture */
    RNI_TRY(wait_for(l, l->fork, 1));
    for (uint32_t i = 0; i < run->num_ops; i += call.num_ops)
        RNI_TRY(enqueue_op(l, program, &call, i));
    RNI_TRY(add_left(l, &call));
    return join >= 0 ? wait_for(l, l->events[join], 0) : RN_OK;
}

static void clear(lanes *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->events[i])
            cudaEventDestroy(l->events[i]);
    cudaEvent_t *const others[] = {&l->fork, &l->side_so_far, &l->added};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (*others[i])
            cudaEventDestroy(*others[i]);
}

size_t rni_lanes_bytes(const rn_program_desc *desc)
{
    return (desc->num_ops ? desc->num_ops : 1) * (sizeof(rni_lane_step) + sizeof(cudaEvent_t));
}

static lanes make(const rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run)
{
    lanes l = {.device = queue->device, .count = run->num_ops, .steps = program->lanes};
    l.events = (cudaEvent_t *)(void *)(l.steps + l.count);
    memset(l.events, 0, l.count * sizeof *l.events);
    return l;
}

/* Where there is no memory for the second lane, only ops without a workspace are in it. */
void rni_lanes_prepare(rni_cuda_program *program)
{
    const uint64_t bytes = rni_lanes_workspace(program->desc);
    if (bytes && !program->side_workspace &&
        rni_cuda_alloc(&program->opened->device, bytes, &program->side_workspace) == RN_OK)
        program->side_bytes = bytes;
}

rn_status rni_lanes_enqueue(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run)
{
    int64_t join = -1;
    lanes l = make(program, queue, run);
    if (!rni_lanes_arrange(program->desc, run, program->side_bytes, l.steps, &join))
        return rni_cuda_program_enqueue(program, queue, queue->capture, run);
    l.program_steps = &program->steps;
    l.stream[0] = queue->capture;
    l.stream[1] = queue->side;
    rn_status status = make_events(&l);
    if (status == RN_OK)
        status = enqueue(&l, program, queue, run, join);
    clear(&l);
    return status;
}
