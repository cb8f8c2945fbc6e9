/* SPDX-License-Identifier: MIT */
/*
 * The pool. A run is announced by a new ticket number. Each thread has a share of the tasks, neighbours, and takes what is left of
 * the others' shares after its own: runs over the same data mostly give it what its cache still holds, and what a task asks for
 * ahead is for the same thread. Workers spin shortly for the next run, then sleep on a condition variable.
 */
#include "base/threads.h"
#include "base/alloc.h"
#include "base/error.h"
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How long a worker looks for the next run before it sleeps. */
enum { SPIN_NANOSECONDS = 50000, SPIN_CHECK = 64, SPINS_BEFORE_YIELD = 2000 };

/* A thread's tasks that nobody has taken; each in a cache line of its own. */
typedef struct share {
    atomic_size_t next;
    size_t end;
    char padding[64 - 2 * sizeof(size_t)];
} share;

struct rni_pool {
    rn_allocator allocator;
    rn_parallel_fn parallel;
    void *user;
    int32_t num_threads, num_workers;
    pid_t pid; /* of the process that made the workers */
    pthread_t *workers;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    int32_t sleeping; /* under the mutex */

    atomic_flag busy;      /* a run is on */
    atomic_uint ticket;    /* number of the run; odd while it is open */
    atomic_int stop;
    share *shares;         /* of the caller, then of the workers */
    atomic_int started;    /* workers that have taken a number */
    atomic_int inside;     /* workers in the open run */
    rn_task_fn task;       /* this and the shares: written before the ticket, read after it */
    void *arg;
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

rn_status rni_thread_start(pthread_t *out, void *(*run)(void *), void *arg)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const int error = pthread_create(out, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error)
        return rni_fail(RN_E_NOMEM, "a thread cannot be made: %s", strerror(error));
    return RN_OK;
}

static void pull_share(share *s, rn_task_fn task, void *arg)
{
    for (;;) {
        const size_t i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
        if (i >= s->end)
            return;
        task(arg, i);
    }
}

/* The thread's own share, then what others have left. */
static void pull_tasks(rni_pool *pool, int32_t me)
{
    const rn_task_fn task = pool->task;
    void *const arg = pool->arg;
    for (int32_t i = me; i < pool->num_threads; i++)
        pull_share(&pool->shares[i], task, arg);
    for (int32_t i = 0; i < me; i++)
        pull_share(&pool->shares[i], task, arg);
}

/* Joins the run with this ticket, if it is still open. */
static void join_run(rni_pool *pool, int32_t me, unsigned ticket)
{
    /* Sequentially consistent with the caller's close and look at `inside`: either it sees us or we see it closed. */
    atomic_fetch_add(&pool->inside, 1);
    if (atomic_load(&pool->ticket) == ticket)
        pull_tasks(pool, me);
    atomic_fetch_sub(&pool->inside, 1);
}

/* A ticket other than `seen` that is open, or 0 when the pool stops. */
static unsigned spin_for_run(rni_pool *pool, unsigned seen)
{
    const int64_t end = nanoseconds() + SPIN_NANOSECONDS;
    do {
        for (int i = 0; i < SPIN_CHECK; i++) {
            const unsigned ticket = atomic_load(&pool->ticket);
            if ((ticket & 1) && ticket != seen)
                return ticket;
            pause_cpu();
        }
    } while (nanoseconds() < end);
    return 0;
}

static unsigned sleep_for_run(rni_pool *pool, unsigned seen)
{
    unsigned ticket = 0;
    pthread_mutex_lock(&pool->mutex);
    pool->sleeping++;
    for (;;) {
        ticket = atomic_load(&pool->ticket);
        if (atomic_load(&pool->stop) || ((ticket & 1) && ticket != seen))
            break;
        pthread_cond_wait(&pool->wake, &pool->mutex);
    }
    pool->sleeping--;
    pthread_mutex_unlock(&pool->mutex);
    return ticket;
}

static void *work(void *arg)
{
    rni_pool *const pool = arg;
    const int32_t me = 1 + atomic_fetch_add(&pool->started, 1);
    unsigned seen = 0;
    while (!atomic_load(&pool->stop)) {
        unsigned ticket = spin_for_run(pool, seen);
        if (!ticket)
            ticket = sleep_for_run(pool, seen);
        if (atomic_load(&pool->stop))
            break;
        join_run(pool, me, ticket);
        seen = ticket;
    }
    return NULL;
}

static void stop_workers(rni_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int32_t i = 0; i < pool->num_workers; i++)
        pthread_join(pool->workers[i], NULL);
}

void rni_pool_destroy(rni_pool *pool)
{
    if (!pool)
        return;
    const rn_allocator allocator = pool->allocator;
    /* In a forked child the workers do not exist and the mutex may be held for good. */
    if (pool->num_workers && pool->pid == getpid())
        stop_workers(pool);
    if (pool->pid == getpid()) {
        pthread_cond_destroy(&pool->wake);
        pthread_mutex_destroy(&pool->mutex);
    }
    rni_free(&allocator, pool->shares);
    rni_free(&allocator, pool->workers);
    rni_free(&allocator, pool);
}

static rn_status start_workers(rni_pool *pool)
{
    const size_t count = (size_t)pool->num_threads - 1;
    pool->workers = rni_calloc(&pool->allocator, count + 1, sizeof *pool->workers);
    pool->shares = rni_calloc(&pool->allocator, count + 1, sizeof *pool->shares);
    if (!pool->workers || !pool->shares)
        return rni_nomem("a thread pool", (count + 1) * (sizeof *pool->workers + sizeof *pool->shares));
    for (size_t i = 0; i < count; i++) {
        RNI_TRY(rni_thread_start(&pool->workers[i], work, pool));
        pool->num_workers++;
    }
    return RN_OK;
}

rn_status rni_pool_create(const rn_allocator *allocator, int32_t num_threads, rn_parallel_fn parallel, void *user,
                          rni_pool **out)
{
    rni_pool *const pool = rni_calloc(allocator, 1, sizeof *pool);
    if (!pool)
        return rni_nomem("a thread pool", sizeof *pool);
    pool->allocator = *allocator;
    pool->parallel = parallel;
    pool->user = user;
    pool->num_threads = num_threads < 1 ? 1 : num_threads;
    pool->pid = getpid();
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    atomic_flag_clear(&pool->busy);
    const rn_status status = parallel ? RN_OK : start_workers(pool);
    if (status < 0) {
        rni_pool_destroy(pool);
        return status;
    }
    *out = pool;
    return RN_OK;
}

int32_t rni_pool_threads(const rni_pool *pool)
{
    return pool->num_threads;
}

static void wake_workers(rni_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    if (pool->sleeping)
        pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

static void share_out(rni_pool *pool, size_t count)
{
    const size_t threads = (size_t)pool->num_threads, each = count / threads, more = count % threads;
    size_t first = 0;
    for (size_t i = 0; i < threads; i++) {
        atomic_store_explicit(&pool->shares[i].next, first, memory_order_relaxed);
        first += each + (i < more);
        pool->shares[i].end = first;
    }
}

/* A run with the workers. The caller holds `busy`. */
static void run_shared(rni_pool *pool, rn_task_fn task, void *arg, size_t count)
{
    pool->task = task;
    pool->arg = arg;
    share_out(pool, count);
    atomic_fetch_add(&pool->ticket, 1); /* open */
    wake_workers(pool);
    pull_tasks(pool, 0);
    atomic_fetch_add(&pool->ticket, 1); /* close: nobody joins from here on */
    for (int i = 0; atomic_load(&pool->inside) != 0; i++) {
        if (i < SPINS_BEFORE_YIELD)
            pause_cpu();
        else
            sched_yield();
    }
}

static void run_alone(rn_task_fn task, void *arg, size_t count)
{
    for (size_t i = 0; i < count; i++)
        task(arg, i);
}

static rn_status run_by_host(rni_pool *pool, rn_task_fn task, void *arg, size_t count)
{
    const rn_status status = pool->parallel(pool->user, task, arg, count);
    if (status == RN_OK)
        return RN_OK;
    return rni_fail(status < 0 ? status : RN_E_USER, "options.parallel: the host's parallel-for returned %d", (int)status);
}

rn_status rni_pool_run(rni_pool *pool, rn_task_fn task, void *arg, size_t count)
{
    if (pool->parallel && count > 1)
        return run_by_host(pool, task, arg, count);
    if (count <= 1 || pool->num_workers == 0) {
        run_alone(task, arg, count);
        return RN_OK;
    }
    if (pool->pid != getpid())
        return rni_fail(RN_E_STATE, "the context was made before fork(): its threads are not in this process");
    if (atomic_flag_test_and_set_explicit(&pool->busy, memory_order_acquire)) {
        run_alone(task, arg, count);
        return RN_OK;
    }
    run_shared(pool, task, arg, count);
    atomic_flag_clear_explicit(&pool->busy, memory_order_release);
    return RN_OK;
}
