/* SPDX-License-Identifier: MIT */
/* Memory of the device. Copies go through a ring of pinned buffers, so that the host's memory is free on return. */
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

static rn_status make_staging(rni_cuda_device *device, rni_staging *staging)
{
    void *memory;
    if (staging->memory)
        return RN_OK;
    for (int i = 0; i < RNI_STAGING_SLOTS; i++)
        if (!staging->free[i])
            RNI_TRY(rni_cuda_result(device, cudaEventCreateWithFlags(&staging->free[i], cudaEventDisableTiming),
                                    "make an event"));
    RNI_TRY(rni_cuda_result(device, cudaMallocHost(&memory, (size_t)RNI_STAGING_SLOTS * RNI_STAGING_BYTES),
                            "allocate pinned memory for copies"));
    staging->memory = memory;
    return RN_OK;
}

void rni_staging_release(rni_staging *staging)
{
    for (int i = 0; i < RNI_STAGING_SLOTS; i++)
        if (staging->free[i])
            cudaEventDestroy(staging->free[i]);
    if (staging->memory)
        cudaFreeHost(staging->memory);
    staging->memory = NULL;
}

/* The next slot of the ring, once what was copied through it before is done. */
static rn_status take_slot(rni_cuda_device *device, rni_staging *staging, int32_t *slot, char **memory)
{
    RNI_TRY(make_staging(device, staging));
    *slot = staging->next;
    staging->next = (*slot + 1) % RNI_STAGING_SLOTS;
    *memory = staging->memory + (size_t)*slot * RNI_STAGING_BYTES;
    return rni_cuda_result(device, cudaEventSynchronize(staging->free[*slot]), "wait for a copy");
}

static uint64_t part_of(uint64_t bytes)
{
    return bytes < RNI_STAGING_BYTES ? bytes : RNI_STAGING_BYTES;
}

static rn_status send_part(rni_cuda_queue *queue, void *to, const void *from, uint64_t bytes)
{
    rni_staging *const staging = &rni_cuda_opened_of(queue->device)->staging;
    int32_t slot;
    char *memory;
    RNI_TRY(take_slot(queue->device, staging, &slot, &memory));
    memcpy(memory, from, (size_t)bytes);
    RNI_TRY(rni_cuda_result(queue->device,
                            cudaMemcpyAsync(to, memory, (size_t)bytes, cudaMemcpyHostToDevice, queue->stream),
                            "copy to the device"));
    return rni_cuda_result(queue->device, cudaEventRecord(staging->free[slot], queue->stream), "record an event");
}

static rn_status send(rni_cuda_queue *queue, char *to, const char *from, uint64_t bytes)
{
    RNI_TRY(rni_cuda_queue_start(queue));
    for (uint64_t done = 0; done < bytes; done += RNI_STAGING_BYTES)
        RNI_TRY(send_part(queue, to + done, from + done, part_of(bytes - done)));
    return RN_OK;
}

rn_status rni_cuda_copy_in(rni_cuda_queue *queue, void *to, const void *from, uint64_t bytes)
{
    pthread_mutex_t *const lock = &rni_cuda_opened_of(queue->device)->staging.lock;
    pthread_mutex_lock(lock);
    const rn_status status = send(queue, to, from, bytes);
    pthread_mutex_unlock(lock);
    return status;
}

/* A part on its way from the device. */
typedef struct arriving {
    char *memory;
    int32_t slot;
} arriving;

static rn_status fetch_part(rni_cuda_queue *queue, const void *from, uint64_t bytes, arriving *part)
{
    rni_staging *const staging = &rni_cuda_opened_of(queue->device)->staging;
    RNI_TRY(take_slot(queue->device, staging, &part->slot, &part->memory));
    RNI_TRY(rni_cuda_result(queue->device,
                            cudaMemcpyAsync(part->memory, from, (size_t)bytes, cudaMemcpyDeviceToHost, queue->stream),
                            "copy from the device"));
    return rni_cuda_result(queue->device, cudaEventRecord(staging->free[part->slot], queue->stream), "record an event");
}

static rn_status take_part(rni_cuda_queue *queue, const arriving *part, void *to, uint64_t bytes)
{
    const rni_staging *const staging = &rni_cuda_opened_of(queue->device)->staging;
    RNI_TRY(rni_cuda_result(queue->device, cudaEventSynchronize(staging->free[part->slot]), "wait for the device"));
    memcpy(to, part->memory, (size_t)bytes);
    return RN_OK;
}

/* One part is on its way while the one before it is taken out. */
static rn_status fetch(rni_cuda_queue *queue, char *to, const char *from, uint64_t bytes)
{
    arriving part, next;
    RNI_TRY(rni_cuda_queue_start(queue));
    if (!bytes)
        return RN_OK;
    RNI_TRY(fetch_part(queue, from, part_of(bytes), &part));
    for (uint64_t done = 0; done < bytes; done += RNI_STAGING_BYTES, part = next) {
        const uint64_t following = done + RNI_STAGING_BYTES;
        if (following < bytes)
            RNI_TRY(fetch_part(queue, from + following, part_of(bytes - following), &next));
        RNI_TRY(take_part(queue, &part, to + done, part_of(bytes - done)));
    }
    return RN_OK;
}

rn_status rni_cuda_copy_out(rni_cuda_queue *queue, void *to, const void *from, uint64_t bytes)
{
    pthread_mutex_t *const lock = &rni_cuda_opened_of(queue->device)->staging.lock;
    pthread_mutex_lock(lock);
    const rn_status status = fetch(queue, to, from, bytes);
    pthread_mutex_unlock(lock);
    return status;
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
