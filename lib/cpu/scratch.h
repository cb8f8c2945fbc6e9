/* SPDX-License-Identifier: MIT */
/* Memory for tasks that run at the same time: each takes a slot and gives it back. Results must not depend on which. */
#ifndef RNI_CPU_SCRATCH_H
#define RNI_CPU_SCRATCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rni_scratch {
    char *at;
    size_t slot_bytes, tasks;
    int32_t slots;
} rni_scratch;

/* A slot starts with a flag and what its tasks note; what they may use begins a cache line later. */
enum { RNI_SCRATCH_HEAD = 64, RNI_SCRATCH_NOTE = 32 };

static inline size_t rni_scratch_slot_bytes(size_t bytes)
{
    return RNI_SCRATCH_HEAD + (bytes + 63) / 64 * 64;
}

/* For so many tasks, of which a thread takes neighbours. */
static inline rni_scratch rni_scratch_make(void *at, size_t bytes, int32_t slots, size_t tasks)
{
    const rni_scratch s = {at, rni_scratch_slot_bytes(bytes), tasks, slots};
    for (int32_t i = 0; i < slots; i++) {
        char *const slot = s.at + (size_t)i * s.slot_bytes;
        atomic_init((atomic_int *)(void *)slot, 0);
        *(int32_t *)(void *)(slot + RNI_SCRATCH_NOTE) = 0;
    }
    return s;
}

/* Looks first at the slot of the task's thread, which is in its core's cache; waits when all are taken. */
static inline void *rni_scratch_take(const rni_scratch *s, size_t task)
{
    for (size_t i = task * (size_t)s->slots / s->tasks;; i = i + 1 == (size_t)s->slots ? 0 : i + 1) {
        char *const slot = s->at + i * s->slot_bytes;
        if (!atomic_exchange_explicit((atomic_int *)(void *)slot, 1, memory_order_acquire))
            return slot + RNI_SCRATCH_HEAD;
    }
}

/* 0 until a task that has taken this memory sets it: what it left there serves the next ones as well. */
static inline int32_t *rni_scratch_note(void *taken)
{
    return (int32_t *)(void *)((char *)taken - RNI_SCRATCH_HEAD + RNI_SCRATCH_NOTE);
}

static inline void rni_scratch_give(void *taken)
{
    atomic_store_explicit((atomic_int *)(void *)((char *)taken - RNI_SCRATCH_HEAD), 0, memory_order_release);
}

#endif
