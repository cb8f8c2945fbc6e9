/* SPDX-License-Identifier: MIT */
/* The context's thread pool, and small wrappers of pthreads for background work. */
#ifndef RNI_BASE_THREADS_H
#define RNI_BASE_THREADS_H

#include <pthread.h>
#include <resnet/base.h>

typedef struct rni_pool rni_pool;

/* Threads that affinity mask and cgroup quota (v1, v2) allow; at least 1. */
int32_t rni_available_threads(void);

/*
 * num_threads counts the caller: num_threads - 1 workers are made. With `parallel`
 * the host's function runs the tasks instead and no thread is made.
 */
rn_status rni_pool_create(const rn_allocator *allocator, int32_t num_threads, rn_parallel_fn parallel, void *user,
                          rni_pool **out);
void rni_pool_destroy(rni_pool *pool);
int32_t rni_pool_threads(const rni_pool *pool);

/*
 * Runs task(arg, i) once for i in 0..count-1 and returns when all are done. A
 * second concurrent (or nested) caller runs its tasks itself. In a forked child:
 * RN_E_STATE when workers would be needed.
 */
rn_status rni_pool_run(rni_pool *pool, rn_task_fn task, void *arg, size_t count);

/* A thread with all signals blocked. RN_E_NOMEM when it cannot be made. */
rn_status rni_thread_start(pthread_t *out, void *(*run)(void *), void *arg);

#endif
