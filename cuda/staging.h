/* SPDX-License-Identifier: MIT */
/*
 * Pinned memory that copies between host and device go through: a ring of slots, each with an event that says when what
 * was copied through it is done. No lock is held while a thread waits for the device or fills or empties its slot.
 */
#ifndef RNI_CUDA_STAGING_H
#define RNI_CUDA_STAGING_H

#include "cuda.h"
#include <pthread.h>

/*
 * Half of the slots have room for the largest copy so far, so that two such copies are on their way at once: behind a
 * step that runs and the one before it. Small ones take a slot each.
 */
enum { RNI_STAGING_SLOTS = 16, RNI_STAGING_LEAST = 1 << 18, RNI_STAGING_MOST = 4 << 20 };

typedef struct rni_staging_slot {
    char *memory; /* NULL until it is first used */
    uint64_t bytes; /* there */
    cudaEvent_t done;
    int32_t taken; /* a thread has it */
} rni_staging_slot;

typedef struct rni_staging {
    rni_staging_slot slots[RNI_STAGING_SLOTS];
    int32_t next; /* in turn */
    uint64_t wanted; /* bytes of a slot */
    pthread_mutex_t lock; /* of what is above but for a taken slot */
    pthread_cond_t given_back;
} rni_staging;

void rni_staging_init(rni_staging *staging);
void rni_staging_release(rni_staging *staging);

/* Before the first part of a copy of so many bytes: slots that are taken from now on have room for it. */
void rni_staging_expect(rni_staging *staging, uint64_t bytes);
/*
 * The next slot, with nothing in it that is still on its way. When other threads have all of them, waits for one, or,
 * without `wait`, gives NULL: who has a slot must not wait for another.
 */
rn_status rni_staging_take(rni_cuda_device *device, rni_staging *staging, int wait, rni_staging_slot **out);
void rni_staging_give_back(rni_staging *staging, rni_staging_slot *slot);

#endif
