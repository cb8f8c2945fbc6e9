/* SPDX-License-Identifier: MIT */
/* The thread pool: every task once, from any caller, and what happens without threads. */
#include "base/alloc.h"
#include "base/threads.h"
#include "support.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const rn_allocator *const memory = &rni_default_allocator;

/* The linker sends the library's calls of pthread_create() here (see meson.build). */
int __real_pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
static atomic_int threads_left = 1000000, threads_made;

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    if (atomic_fetch_sub(&threads_left, 1) <= 0)
        return EAGAIN;
    atomic_fetch_add(&threads_made, 1);
    return __real_pthread_create(out, attr, run, arg);
}

enum { MOST = 3000 };

typedef struct counts {
    atomic_int times[MOST];
    rni_pool *pool;
} counts;

static void count_task(void *arg, size_t index)
{
    counts *const c = arg;
    atomic_fetch_add(&c->times[index], 1);
}

static void expect_once(const counts *c, size_t count)
{
    for (size_t i = 0; i < MOST; i++)
        ck_assert_int_eq(atomic_load(&c->times[i]), i < count);
}

static rni_pool *make_pool(int32_t threads)
{
    rni_pool *pool = NULL;
    ck_ok(rni_pool_create(memory, threads, NULL, NULL, &pool));
    ck_assert_int_eq(rni_pool_threads(pool), threads);
    return pool;
}

START_TEST(every_task_runs_once)
{
    const size_t sizes[] = {0, 1, 2, 3, 7, 64, MOST};
    for (int32_t threads = 1; threads <= 8; threads++) {
        rni_pool *const pool = make_pool(threads);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            static counts c;
            memset(&c, 0, sizeof c);
            ck_ok(rni_pool_run(pool, count_task, &c, sizes[i]));
            expect_once(&c, sizes[i]);
        }
        rni_pool_destroy(pool);
    }
    rni_pool_destroy(NULL);
}
END_TEST

/* Plain memory: what a task wrote is seen by the next run's tasks on other threads. */
static void add_neighbours(void *arg, size_t i)
{
    int (*const rows)[66] = arg;
    rows[1][i + 1] = rows[0][i] + rows[0][i + 1] + rows[0][i + 2];
}

START_TEST(runs_see_what_earlier_runs_wrote)
{
    rni_pool *const pool = make_pool(4);
    int rows[2][66] = {{0}};
    for (int round = 0; round < 3000; round++) {
        for (int i = 0; i < 66; i++)
            rows[0][i] = round + i;
        ck_ok(rni_pool_run(pool, add_neighbours, rows, 64));
        for (int i = 0; i < 64; i++)
            ck_assert_int_eq(rows[1][i + 1], 3 * (round + i + 1));
    }
    rni_pool_destroy(pool);
}
END_TEST

static void pause_for(long nanoseconds)
{
    nanosleep(&(struct timespec){0, nanoseconds}, NULL);
}

/* Pauses around the length of the spin: workers fall asleep while the next run begins. */
START_TEST(sleeping_workers_wake)
{
    rni_pool *const pool = make_pool(3);
    for (long i = 0; i < 300; i++) {
        static counts c;
        memset(&c, 0, sizeof c);
        ck_ok(rni_pool_run(pool, count_task, &c, 10));
        expect_once(&c, 10);
        pause_for(i % 30 * 5000);
    }
    rni_pool_destroy(pool);
}
END_TEST

static void wait_for_the_other(void *arg, size_t index)
{
    atomic_int *const arrived = arg;
    (void)index;
    atomic_fetch_add(arrived, 1);
    for (int i = 0; i < 5000 && atomic_load(arrived) < 2; i++)
        pause_for(1000000);
}

START_TEST(tasks_run_on_several_threads)
{
    rni_pool *const pool = make_pool(2);
    atomic_int arrived = 0;
    ck_ok(rni_pool_run(pool, wait_for_the_other, &arrived, 2)); /* each waits until the other has begun */
    ck_assert_int_eq(atomic_load(&arrived), 2);
    pause_for(50000000); /* asleep by now */
    atomic_store(&arrived, 0);
    const time_t before = time(NULL);
    ck_ok(rni_pool_run(pool, wait_for_the_other, &arrived, 2));
    ck_assert_int_lt((int)(time(NULL) - before), 4); /* they met, none gave up */
    rni_pool_destroy(pool);
}
END_TEST

static void nest(void *arg, size_t index)
{
    counts *const c = arg;
    static counts inner[8];
    ck_assert_int_eq(rni_pool_run(c->pool, count_task, &inner[index], 50), RN_OK);
    expect_once(&inner[index], 50);
    count_task(arg, index);
}

START_TEST(a_task_may_run_tasks)
{
    static counts c;
    c.pool = make_pool(3);
    ck_ok(rni_pool_run(c.pool, nest, &c, 8));
    expect_once(&c, 8);
    rni_pool_destroy(c.pool);
}
END_TEST

static void *call_often(void *arg)
{
    counts *const c = arg;
    for (int round = 0; round < 500; round++) {
        memset(c->times, 0, sizeof c->times);
        if (rni_pool_run(c->pool, count_task, c, 20) != RN_OK)
            return arg;
        for (size_t i = 0; i < 20; i++)
            if (atomic_load(&c->times[i]) != 1)
                return arg;
    }
    return NULL;
}

START_TEST(several_callers_at_once)
{
    enum { CALLERS = 4 };
    static counts c[CALLERS];
    rni_pool *const pool = make_pool(3);
    pthread_t callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        c[i].pool = pool;
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_often, &c[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        void *wrong;
        pthread_join(callers[i], &wrong);
        ck_assert_ptr_null(wrong);
    }
    rni_pool_destroy(pool);
}
END_TEST

static rn_status backwards(void *user, rn_task_fn task, void *arg, size_t count)
{
    ++*(int *)user;
    while (count-- > 0)
        task(arg, count);
    return RN_OK;
}

static rn_status refuse(void *user, rn_task_fn task, void *arg, size_t count)
{
    (void)user, (void)task, (void)arg, (void)count;
    return RN_E_USER;
}

START_TEST(the_hosts_parallel_for_is_used_instead)
{
    static counts c;
    rni_pool *pool = NULL;
    int calls = 0;
    const int made = atomic_load(&threads_made);
    ck_ok(rni_pool_create(memory, 5, backwards, &calls, &pool));
    ck_assert_int_eq(rni_pool_threads(pool), 5);
    ck_assert_int_eq(atomic_load(&threads_made), made);
    ck_ok(rni_pool_run(pool, count_task, &c, 100));
    expect_once(&c, 100);
    ck_assert_int_eq(calls, 1);
    rni_pool_destroy(pool);
    ck_ok(rni_pool_create(memory, 5, refuse, NULL, &pool));
    ck_assert_int_eq(rni_pool_run(pool, count_task, &c, 100), RN_E_USER);
    rni_pool_destroy(pool);
}
END_TEST

START_TEST(a_thread_that_cannot_be_made)
{
    for (int n = 0; n < 4; n++) {
        rni_pool *pool = (void *)&pool;
        atomic_store(&threads_left, n);
        ck_fails(rni_pool_create(memory, 5, NULL, NULL, &pool), RN_E_NOMEM, "a thread cannot be made");
        ck_assert_ptr_eq(pool, (void *)&pool);
    }
    atomic_store(&threads_left, 1000000);
    rni_pool_destroy(make_pool(5));
}
END_TEST

static void *signals_of_this_thread(void *arg)
{
    pthread_sigmask(SIG_SETMASK, NULL, arg);
    return NULL;
}

START_TEST(threads_block_all_signals)
{
    pthread_t thread;
    sigset_t inside, before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    ck_ok(rni_thread_start(&thread, signals_of_this_thread, &inside));
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM, SIGPIPE};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        ck_assert_int_eq(sigismember(&inside, signals[i]), 1);
        ck_assert_int_eq(sigismember(&after, signals[i]), sigismember(&before, signals[i]));
    }
}
END_TEST

/* Run in the child: 0 when all is as it should be. */
static int use_parents_pool(rni_pool *pool)
{
    static counts c;
    alarm(20); /* rather than hang */
    if (rni_pool_run(pool, count_task, &c, 10) != RN_E_STATE || !strstr(rn_error_message(), "fork"))
        return 1;
    if (rni_pool_run(pool, count_task, &c, 1) != RN_OK) /* needs no worker */
        return 2;
    rni_pool_destroy(pool);
    return 0;
}

START_TEST(a_forked_child_is_told)
{
    rni_pool *const pool = make_pool(3);
    static counts c;
    int status = -1;
    const pid_t child = fork();
    if (child == 0)
        _exit(use_parents_pool(pool));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %d", status);
    ck_ok(rni_pool_run(pool, count_task, &c, 10)); /* the parent's threads are as before */
    expect_once(&c, 10);
    rni_pool_destroy(pool);
}
END_TEST

/* Task 0 waits until the other thread has one. */
typedef struct meeting {
    pthread_t caller;
    atomic_int others_first; /* index, -1 before */
} meeting;

static void meet(void *arg, size_t index)
{
    meeting *const m = arg;
    int none = -1;
    if (!pthread_equal(pthread_self(), m->caller))
        atomic_compare_exchange_strong(&m->others_first, &none, (int)index);
    const time_t end = time(NULL) + 20;
    while (index == 0 && atomic_load(&m->others_first) < 0 && time(NULL) < end)
        usleep(100);
}

/* Neighbours go to one thread: the second of two begins in the middle. */
START_TEST(each_thread_begins_with_its_share)
{
    rni_pool *const pool = make_pool(2);
    for (int i = 0; i < 20; i++) {
        meeting m = {.caller = pthread_self()};
        atomic_init(&m.others_first, -1);
        ck_ok(rni_pool_run(pool, meet, &m, 6));
        ck_assert_int_eq(atomic_load(&m.others_first), 3);
    }
    rni_pool_destroy(pool);
}
END_TEST

START_TEST(at_least_one_thread_is_available)
{
    const int32_t threads = rni_available_threads();
    ck_assert_int_ge(threads, 1);
    ck_assert_int_le(threads, sysconf(_SC_NPROCESSORS_CONF));
}
END_TEST

SUPPORT_MAIN("threads", every_task_runs_once, runs_see_what_earlier_runs_wrote, sleeping_workers_wake,
             tasks_run_on_several_threads, a_task_may_run_tasks, several_callers_at_once,
             the_hosts_parallel_for_is_used_instead, a_thread_that_cannot_be_made, threads_block_all_signals,
             a_forked_child_is_told, each_thread_begins_with_its_share, at_least_one_thread_is_available)
