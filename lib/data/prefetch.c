/* SPDX-License-Identifier: MIT */
/*
 * Background threads that make batches ahead. Which images a batch holds is settled under the mutex, in order, before
 * a worker begins; so batches do not depend on how many workers there are or which is faster.
 */
#include "data/loader.h"
#include <unistd.h>

static rni_slot *slot_of(rn_loader *l, uint64_t ticket)
{
    return &l->slots[ticket % l->num_slots];
}

static int has_work(const rn_loader *l)
{
    const rni_ring *const r = &l->ring;
    return r->running && l->batches > 0 && r->taken < r->handed + (uint64_t)l->options.prefetch;
}

/* With the mutex held. */
static rni_slot *take_ticket(rn_loader *l)
{
    rni_ring *const r = &l->ring;
    if (r->next.batch == l->batches)
        r->next = (rni_position){r->next.epoch + 1, 0};
    rni_slot *const slot = slot_of(l, r->taken++);
    rni_batch_assign(l, slot, &r->next);
    r->next.batch++;
    return slot;
}

static void *run_worker(void *arg)
{
    const rni_worker *const me = arg;
    rn_loader *const l = me->l;
    rni_ring *const r = &l->ring;
    pthread_mutex_lock(&r->mutex);
    while (!r->stopping) {
        if (!has_work(l)) {
            pthread_cond_wait(&r->work, &r->mutex);
            continue;
        }
        rni_slot *const slot = take_ticket(l);
        r->busy++;
        pthread_mutex_unlock(&r->mutex);
        rni_batch_make(l, slot, me->scratch, &r->cancelled);
        pthread_mutex_lock(&r->mutex);
        r->busy--;
        slot->ready = 1;
        pthread_cond_broadcast(&r->done);
    }
    pthread_mutex_unlock(&r->mutex);
    return NULL;
}

static rn_status make_locks(rni_ring *r)
{
    if (pthread_mutex_init(&r->mutex, NULL) == 0) {
        if (pthread_cond_init(&r->work, NULL) == 0) {
            if (pthread_cond_init(&r->done, NULL) == 0) {
                r->made = 1;
                return RN_OK;
            }
            pthread_cond_destroy(&r->work);
        }
        pthread_mutex_destroy(&r->mutex);
    }
    return rni_nomem("loader", sizeof *r);
}

static rn_status start_workers(rn_loader *l)
{
    rni_ring *const r = &l->ring;
    const size_t count = (size_t)l->options.workers;
    r->workers = rni_calloc(l->allocator, count, sizeof *r->workers);
    if (!r->workers)
        return rni_nomem("loader", count * sizeof *r->workers);
    RNI_TRY(make_locks(r));
    for (size_t i = 0; i < count; i++) {
        r->workers[i].l = l;
        RNI_TRY(rni_batch_scratch(l, &r->workers[i].scratch));
    }
    for (; r->started < l->options.workers; r->started++)
        RNI_TRY(rni_thread_start(&r->workers[r->started].thread, run_worker, &r->workers[r->started]));
    return RN_OK;
}

rn_status rni_ring_start(rn_loader *l)
{
    atomic_init(&l->ring.cancelled, 0);
    l->ring.pid = getpid();
    const rn_status status = start_workers(l);
    if (status < 0)
        rni_ring_stop(l);
    return status;
}

static void join_workers(rn_loader *l)
{
    rni_ring *const r = &l->ring;
    pthread_mutex_lock(&r->mutex);
    r->stopping = 1;
    atomic_store(&r->cancelled, 1);
    pthread_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->mutex);
    for (int32_t i = 0; i < r->started; i++)
        pthread_join(r->workers[i].thread, NULL);
    pthread_cond_destroy(&r->done);
    pthread_cond_destroy(&r->work);
    pthread_mutex_destroy(&r->mutex);
}

/* In a forked child there are no workers, and the mutex may be held for ever: only memory is freed. */
void rni_ring_stop(rn_loader *l)
{
    rni_ring *const r = &l->ring;
    if (r->made && r->pid == getpid())
        join_workers(l);
    for (int32_t i = 0; r->workers && i < l->options.workers; i++)
        rni_free(l->allocator, r->workers[i].scratch);
    rni_free(l->allocator, r->workers);
    r->workers = NULL;
    r->started = 0;
    r->made = 0;
}

rn_status rni_ring_check(const rn_loader *l)
{
    if (l->ring.made && l->ring.pid != getpid())
        return rni_fail(RN_E_STATE, "loader: its background threads were left behind by fork()");
    return RN_OK;
}

void rni_ring_rewind(rn_loader *l)
{
    rni_ring *const r = &l->ring;
    pthread_mutex_lock(&r->mutex);
    r->running = 0;
    atomic_store(&r->cancelled, 1);
    while (r->busy > 0)
        pthread_cond_wait(&r->done, &r->mutex);
    atomic_store(&r->cancelled, 0);
    r->taken = r->handed = 0;
    pthread_mutex_unlock(&r->mutex);
}

/* Waits with the mutex held. The batch the host held until now is free from here on. */
static rni_slot *wait_for_next(rn_loader *l)
{
    rni_ring *const r = &l->ring;
    if (!r->running) {
        r->running = 1;
        r->next = l->position;
    }
    pthread_cond_broadcast(&r->work);
    rni_slot *const slot = slot_of(l, r->handed);
    while (r->taken <= r->handed || !slot->ready)
        pthread_cond_wait(&r->done, &r->mutex);
    r->handed++;
    pthread_cond_broadcast(&r->work);
    return slot;
}

rn_status rni_ring_next(rn_loader *l, rni_slot **out)
{
    rni_ring *const r = &l->ring;
    RNI_TRY(rni_ring_check(l));
    pthread_mutex_lock(&r->mutex);
    *out = wait_for_next(l);
    pthread_mutex_unlock(&r->mutex);
    return RN_OK;
}
