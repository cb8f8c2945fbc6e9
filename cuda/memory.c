/* SPDX-License-Identifier: MIT */
/* Memory of the device. Copies go through pinned buffers (staging.h), so that the host's memory is free on return. */
#include "memory.h"
#include <string.h>

static rn_status out_of_memory(rni_cuda_device *device, uint64_t bytes)
{
    size_t free_bytes = 0, total_bytes = 0;
    cudaGetLastError();
    cudaMemGetInfo(&free_bytes, &total_bytes);
    return rni_fail(RN_E_NOMEM, "out of memory: %llu bytes on cuda:%d, which has %zu of %zu free",
                    (unsigned long long)bytes, (int)device->index, free_bytes, total_bytes);
}

rn_status rni_cuda_alloc(rni_cuda_device *device, uint64_t bytes, void **out)
{
    RNI_TRY(rni_cuda_enter(device));
    const cudaError_t error = bytes <= SIZE_MAX ? cudaMalloc(out, (size_t)bytes) : cudaErrorMemoryAllocation;
    if (error == cudaErrorMemoryAllocation)
        return out_of_memory(device, bytes);
    return rni_cuda_result(device, error, "allocate memory");
}

void rni_cuda_free(rni_cuda_device *device, void *memory)
{
    if (!memory)
        return;
    cudaSetDevice(device->index);
    rni_cuda_result(device, cudaFree(memory), "free memory"); /* what went wrong before it is told by the next call */
}

static uint64_t part_of(const rni_staging_slot *slot, uint64_t bytes)
{
    return bytes < slot->bytes ? bytes : slot->bytes;
}

static rni_staging *staging_of(const rni_cuda_queue *queue)
{
    return &rni_cuda_opened_of(queue->device)->staging;
}

/* A copy in either direction through a slot, and the event that says when it is done. */
static rn_status enqueue_part(rni_cuda_queue *queue, const rni_staging_slot *slot, void *to, const void *from,
                              uint64_t bytes, enum cudaMemcpyKind kind)
{
    RNI_TRY(rni_cuda_result(queue->device, cudaMemcpyAsync(to, from, (size_t)bytes, kind, queue->stream),
                            kind == cudaMemcpyHostToDevice ? "copy to the device" : "copy from the device"));
    return rni_cuda_result(queue->device, cudaEventRecord(slot->done, queue->stream), "record an event");
}

static rn_status send_part(rni_cuda_queue *queue, char *to, const char *from, uint64_t bytes, uint64_t *sent)
{
    rni_staging_slot *slot;
    RNI_TRY(rni_staging_take(queue->device, staging_of(queue), 1, &slot));
    *sent = part_of(slot, bytes);
    memcpy(slot->memory, from, (size_t)*sent);
    const rn_status status = enqueue_part(queue, slot, to, slot->memory, *sent, cudaMemcpyHostToDevice);
    rni_staging_give_back(staging_of(queue), slot);
    return status;
}

rn_status rni_cuda_copy_in(rni_cuda_queue *queue, void *to, const void *from, uint64_t bytes)
{
    uint64_t part;
    RNI_TRY(rni_cuda_queue_start(queue));
    rni_staging_expect(staging_of(queue), bytes);
    for (uint64_t done = 0; done < bytes; done += part)
        RNI_TRY(send_part(queue, (char *)to + done, (const char *)from + done, bytes - done, &part));
    return RN_OK;
}

/* A copy from the device: parts up to `asked` were enqueued, those up to `done` are there. */
typedef struct arrival {
    rni_cuda_queue *queue;
    char *to;
    const char *from;
    uint64_t bytes, asked, done;
} arrival;

/* A part on its way. */
typedef struct arriving {
    rni_staging_slot *slot; /* NULL: none */
    uint64_t bytes;
} arriving;

/* The next part, if there is one, and a slot for it. */
static rn_status ask_for_part(arrival *a, int wait, arriving *part)
{
    part->slot = NULL;
    if (a->asked == a->bytes)
        return RN_OK;
    RNI_TRY(rni_staging_take(a->queue->device, staging_of(a->queue), wait, &part->slot));
    if (!part->slot)
        return RN_OK;
    part->bytes = part_of(part->slot, a->bytes - a->asked);
    const rn_status status =
        enqueue_part(a->queue, part->slot, part->slot->memory, a->from + a->asked, part->bytes, cudaMemcpyDeviceToHost);
    a->asked += part->bytes;
    if (status < 0) {
        rni_staging_give_back(staging_of(a->queue), part->slot);
        part->slot = NULL;
    }
    return status;
}

static rn_status take_part(arrival *a, const arriving *part)
{
    const rn_status status =
        rni_cuda_result(a->queue->device, cudaEventSynchronize(part->slot->done), "wait for the device");
    if (status == RN_OK)
        memcpy(a->to + a->done, part->slot->memory, (size_t)part->bytes);
    a->done += part->bytes;
    rni_staging_give_back(staging_of(a->queue), part->slot);
    return status;
}

/* One part is on its way while the one before it is taken out. */
rn_status rni_cuda_copy_out(rni_cuda_queue *queue, void *to, const void *from, uint64_t bytes)
{
    arrival a = {queue, to, from, bytes, 0, 0};
    arriving part = {NULL, 0}, next;
    RNI_TRY(rni_cuda_queue_start(queue));
    rni_staging_expect(staging_of(queue), bytes);
    while (a.done < bytes) {
        if (!part.slot)
            RNI_TRY(ask_for_part(&a, 1, &part));
        const rn_status asked = ask_for_part(&a, 0, &next), taken = take_part(&a, &part);
        if (asked < 0 || taken < 0) {
            if (next.slot)
                rni_staging_give_back(staging_of(queue), next.slot);
            return asked < 0 ? asked : taken;
        }
        part = next;
    }
    return RN_OK;
}

rn_status rni_cuda_copy(rni_cuda_queue *queue, void *to, const void *from, uint64_t bytes)
{
    RNI_TRY(rni_cuda_queue_start(queue));
    if (!bytes)
        return RN_OK;
    return rni_cuda_result(queue->device,
                           cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyDeviceToDevice, queue->stream),
                           "copy on the device");
}

rn_status rni_cuda_zero(rni_cuda_queue *queue, void *memory, uint64_t bytes)
{
    RNI_TRY(rni_cuda_queue_start(queue));
    if (!bytes)
        return RN_OK;
    return rni_cuda_result(queue->device, cudaMemsetAsync(memory, 0, (size_t)bytes, queue->stream), "fill memory");
}
