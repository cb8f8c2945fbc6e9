/* SPDX-License-Identifier: MIT */
#include "staging.h"

void rni_staging_init(rni_staging *staging)
{
    pthread_mutex_init(&staging->lock, NULL);
    pthread_cond_init(&staging->given_back, NULL);
    staging->wanted = RNI_STAGING_LEAST;
}

void rni_staging_release(rni_staging *staging)
{
    for (int i = 0; i < RNI_STAGING_SLOTS; i++) {
        if (staging->slots[i].done)
            cudaEventDestroy(staging->slots[i].done);
        if (staging->slots[i].memory)
            cudaFreeHost(staging->slots[i].memory);
    }
    pthread_cond_destroy(&staging->given_back);
    pthread_mutex_destroy(&staging->lock);
}

void rni_staging_expect(rni_staging *staging, uint64_t bytes)
{
    pthread_mutex_lock(&staging->lock);
    while (staging->wanted < RNI_STAGING_MOST && staging->wanted * (RNI_STAGING_SLOTS / 2) < bytes)
        staging->wanted *= 2;
    pthread_mutex_unlock(&staging->lock);
}

/* A free slot becomes the thread's; NULL when there is none. Under the lock. */
static rni_staging_slot *free_slot(rni_staging *staging)
{
    for (int i = 0; i < RNI_STAGING_SLOTS; i++) {
        const int32_t at = (staging->next + i) % RNI_STAGING_SLOTS;
        if (!staging->slots[at].taken) {
            staging->next = (at + 1) % RNI_STAGING_SLOTS;
            staging->slots[at].taken = 1;
            return &staging->slots[at];
        }
    }
    return NULL;
}

/* Room for `wanted` bytes. What is there has to do when there is no memory for more. */
static rn_status make_room(rni_cuda_device *device, rni_staging_slot *slot, uint64_t wanted)
{
    void *memory;
    if (slot->bytes >= wanted)
        return RN_OK;
    const cudaError_t error = cudaMallocHost(&memory, (size_t)wanted);
    const rn_status status = rni_cuda_result(device, error, "allocate pinned memory for copies");
    if (status < 0)
        return error == cudaErrorMemoryAllocation && slot->memory ? RN_OK : status;
    if (slot->memory)
        cudaFreeHost(slot->memory);
    slot->memory = memory;
    slot->bytes = wanted;
    return RN_OK;
}

static rn_status make_ready(rni_cuda_device *device, rni_staging_slot *slot, uint64_t wanted)
{
    if (!slot->done)
        RNI_TRY(
            rni_cuda_result(device, cudaEventCreateWithFlags(&slot->done, cudaEventDisableTiming), "make an event"));
    RNI_TRY(rni_cuda_result(device, cudaEventSynchronize(slot->done), "wait for a copy"));
    return make_room(device, slot, wanted);
}

rn_status rni_staging_take(rni_cuda_device *device, rni_staging *staging, int wait, rni_staging_slot **out)
{
    pthread_mutex_lock(&staging->lock);
    rni_staging_slot *slot = free_slot(staging);
    while (!slot && wait) {
        pthread_cond_wait(&staging->given_back, &staging->lock);
        slot = free_slot(staging);
    }
    const uint64_t wanted = staging->wanted;
    pthread_mutex_unlock(&staging->lock);
    *out = slot;
    const rn_status status = slot ? make_ready(device, slot, wanted) : RN_OK;
    if (status < 0) {
        rni_staging_give_back(staging, slot);
        *out = NULL;
    }
    return status;
}

void rni_staging_give_back(rni_staging *staging, rni_staging_slot *slot)
{
    pthread_mutex_lock(&staging->lock);
    slot->taken = 0;
    pthread_cond_signal(&staging->given_back);
    pthread_mutex_unlock(&staging->lock);
}
