/* SPDX-License-Identifier: MIT */
/* What changes from run to run, written to device memory in stream order: ops of a captured graph read it there. */
#include "memory.h"
#include "queue.h"
#include <string.h>

static size_t size_of(int32_t groups)
{
    return sizeof(rni_cuda_scalars) + (size_t)groups * sizeof(double);
}

static rni_cuda_scalars *slot_at(const rni_scalar_ring *ring, int32_t slot)
{
    return (rni_cuda_scalars *)(ring->slots + (size_t)slot * size_of(ring->groups));
}

static void release_memory(rni_cuda_queue *queue)
{
    rni_scalar_ring *const ring = &queue->scalars;
    rni_cuda_free(queue->device, ring->on_device);
    if (ring->slots)
        cudaFreeHost(ring->slots);
    ring->on_device = NULL;
    ring->slots = NULL;
    ring->groups = 0;
    ring->written = -1;
}

void rni_cuda_scalars_release(rni_cuda_queue *queue)
{
    release_memory(queue);
    for (int i = 0; i < RNI_SCALAR_SLOTS; i++)
        if (queue->scalars.free[i])
            cudaEventDestroy(queue->scalars.free[i]);
}

static rn_status make_events(rni_cuda_queue *queue)
{
    for (int i = 0; i < RNI_SCALAR_SLOTS; i++) {
        cudaEvent_t *const event = &queue->scalars.free[i];
        if (!*event)
            RNI_TRY(rni_cuda_result(queue->device, cudaEventCreateWithFlags(event, cudaEventDisableTiming),
                                    "make an event"));
    }
    return RN_OK;
}

/* Room for so many groups: once, unless a later program has more than all before it. */
static rn_status reserve(rni_cuda_queue *queue, int32_t groups)
{
    rni_scalar_ring *const ring = &queue->scalars;
    void *on_device, *slots;
    if (ring->groups >= groups && ring->slots) /* made last: all of it is there */
        return RN_OK;
    const int32_t room = groups > RNI_SCALAR_GROUPS ? groups : RNI_SCALAR_GROUPS;
    RNI_TRY(rni_cuda_result(queue->device, cudaStreamSynchronize(queue->stream), "wait for the stream"));
    release_memory(queue);
    RNI_TRY(make_events(queue));
    RNI_TRY(rni_cuda_alloc(queue->device, size_of(room), &on_device));
    ring->on_device = on_device;
    RNI_TRY(rni_cuda_result(queue->device, cudaMallocHost(&slots, RNI_SCALAR_SLOTS * size_of(room)),
                            "allocate pinned memory for scalars"));
    ring->slots = slots;
    memset(slots, 0, RNI_SCALAR_SLOTS * size_of(room));
    ring->groups = room;
    return RN_OK;
}

static void fill_slot(rni_cuda_scalars *to, const rn_run *run, int32_t groups)
{
    to->seed = run->seed;
    to->step = run->step;
    to->optimizer_step = run->optimizer_step;
    to->grad_scale = run->grad_scale;
    for (int32_t i = 0; i < groups; i++)
        to->lr[i] = run->lr ? run->lr[i] : 0.0;
}

rn_status rni_cuda_scalars_wait(rni_cuda_queue *queue, int32_t groups)
{
    pthread_mutex_t *const lock = &rni_cuda_opened_of(queue->device)->lock;
    rni_scalar_ring *const ring = &queue->scalars;
    uint64_t count;
    RNI_TRY(reserve(queue, groups));
    do { /* again when another thread has taken the slot */
        count = ring->count;
        pthread_mutex_unlock(lock);
        const cudaError_t error = cudaEventSynchronize(ring->free[count % RNI_SCALAR_SLOTS]);
        pthread_mutex_lock(lock);
        RNI_TRY(rni_cuda_result(queue->device, error, "wait for a copy"));
    } while (ring->count != count);
    return RN_OK;
}

rn_status rni_cuda_scalars_write(rni_cuda_queue *queue, const rn_run *run, int32_t groups)
{
    rni_scalar_ring *const ring = &queue->scalars;
    const int32_t at = (int32_t)(ring->count % RNI_SCALAR_SLOTS);
    rni_cuda_scalars *const slot = slot_at(ring, at);
    fill_slot(slot, run, groups);
    if (ring->written >= groups && memcmp(ring->last, slot, size_of(groups)) == 0)
        return RN_OK;
    ring->written = -1;
    RNI_TRY(rni_cuda_result(
        queue->device, cudaMemcpyAsync(ring->on_device, slot, size_of(groups), cudaMemcpyHostToDevice, queue->stream),
        "copy scalars to the device"));
    RNI_TRY(rni_cuda_result(queue->device, cudaEventRecord(ring->free[at], queue->stream), "record an event"));
    ring->last = slot;
    ring->written = groups;
    ring->count++;
    return RN_OK;
}
