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
    size_t count;
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
    for (size_t i = 0; i < l->count; i++)
        if (l->steps[i].marked)
            RNI_TRY(make_event(l->device, &l->events[i]));
    return RN_OK;
}

static rn_status enqueue_op(const lanes *l, rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run,
                            uint32_t i)
{
    const rni_lane_step *const step = &l->steps[i];
    if (step->after >= 0)
        RNI_TRY(wait_for(l, l->events[step->after], step->side));
    RNI_TRY(rni_cuda_program_enqueue_op(program, queue, l->stream[step->side], run, run->first_op + i,
                                        step->side ? program->side_workspace : NULL));
    return step->marked ? record(l, l->events[i], step->side) : RN_OK;
}

static rn_status enqueue(const lanes *l, rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run,
                         int64_t join)
{
    RNI_TRY(record(l, l->fork, 0)); /* the second stream joins the capture */
    RNI_TRY(wait_for(l, l->fork, 1));
    for (uint32_t i = 0; i < run->num_ops; i++)
        RNI_TRY(enqueue_op(l, program, queue, run, i));
    return join >= 0 ? wait_for(l, l->events[join], 0) : RN_OK;
}

static void clear(lanes *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->events[i])
            cudaEventDestroy(l->events[i]);
    if (l->fork)
        cudaEventDestroy(l->fork);
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
    l.stream[0] = queue->capture;
    l.stream[1] = queue->side;
    rn_status status = make_events(&l);
    if (status == RN_OK)
        status = enqueue(&l, program, queue, run, join);
    clear(&l);
    return status;
}
