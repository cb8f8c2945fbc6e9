/* SPDX-License-Identifier: MIT */
/*
 * Two threads on one device, over the simulated module: while one waits for the device, the other goes on. And copies,
 * which wait for nothing but their own slots.
 *   test_threads MODULE
 */
#include "simulated.h"
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

static const sim_training small = {"tutorial", 2, 8, 3, 0, RN_F32, 1, 0, 0};
static const sim_training other = {"cifar_resnet20", 2, 8, 1, 1, RN_F32, 1, 0, 0};

/* What the second thread does, and what became of it. */
static struct {
    rn_status (*job)(void);
    rn_status status;
    int64_t launched; /* kernels, until it was done */
    int skip, times, late;
    sem_t done;
} elsewhere;

static void *run_job(void *unused)
{
    (void)unused;
    const rn_status status = elsewhere.job();
    if (elsewhere.status == RN_OK)
        elsewhere.status = status;
    elsewhere.launched += sim.get("launches");
    sem_post(&elsewhere.done);
    return NULL;
}

/* Called while the first thread waits: the other one has half a minute to come through. */
static void go_elsewhere(void)
{
    pthread_t thread;
    struct timespec until;
    if (elsewhere.skip-- > 0) {
        sim.on_wait(go_elsewhere);
        return;
    }
    elsewhere.times++;
    elsewhere.launched = -sim.get("launches");
    ck_assert_int_eq(pthread_create(&thread, NULL, run_job, NULL), 0);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    if (sem_timedwait(&elsewhere.done, &until) != 0) {
        elsewhere.late = 1; /* it comes through when the wait is over */
        pthread_detach(thread);
    } else {
        pthread_join(thread, NULL);
    }
}

/* After `skip` waits of the first thread. */
static void meet(rn_status (*job)(void), int skip)
{
    memset(&elsewhere, 0, sizeof elsewhere);
    sem_init(&elsewhere.done, 0, 0);
    elsewhere.job = job;
    elsewhere.skip = skip;
    sim.on_wait(go_elsewhere);
}

static void check_met(void)
{
    sim.on_wait(NULL);
    ck_assert_int_eq(elsewhere.times, 1);
    ck_assert_msg(!elsewhere.late, "another thread was blocked while one waited");
    ck_assert_msg(elsewhere.status == RN_OK, "on another thread: %s", rn_status_name(elsewhere.status));
    sem_destroy(&elsewhere.done);
}

/* A training, ready for a step. */
typedef struct training {
    rn_device *dev;
    sim_parts parts;
    rn_tensor *x, *y;
} training;
static training first, second; /* of the two threads */

static void begin(rn_device *dev, const sim_training *t, training *out)
{
    *out = (training){.dev = dev};
    ck_ok(sim_begin(dev, t, &out->parts));
    out->x = sim_images(dev, t, 0);
    out->y = sim_labels(dev, t, 0);
}

static void end(training *t)
{
    rn_tensor_release(t->x);
    rn_tensor_release(t->y);
    sim_end(&t->parts);
}

/* What the first thread waits in. */
static void wait_for_device(void)
{
    ck_ok(rn_device_synchronize(first.dev));
}

static void read_metrics(void)
{
    rn_metrics metrics = RN_METRICS_INIT;
    ck_ok(rn_plan_metrics(first.parts.plan, &metrics, 1));
}

static void read_tensor(void)
{
    int64_t labels[2];
    ck_ok(rn_tensor_read(first.y, labels, sizeof labels));
}

/* The plan goes while its work is on the device. */
static void end_plan(void)
{
    rn_plan_release(first.parts.plan);
    first.parts.plan = NULL;
}

/* One step after the other, until there is no slot for scalars. */
static void run_ahead(void)
{
    for (int step = 0; step < 20 && !elsewhere.times; step++)
        ck_ok(rn_plan_train_step(first.parts.plan, first.x, first.y));
}

/* And what the second one does meanwhile. */
static rn_status train_step(void)
{
    return rn_plan_train_step(second.parts.plan, second.x, second.y);
}

/* Runs need slots for scalars as well; making a program does not. */
static rn_plan *made;

static rn_status make_plan(void)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    memcpy(o.input_dims, (const int64_t[]){other.batch, 3, other.side, other.side}, 4 * sizeof(int64_t));
    return rn_plan_create(second.parts.model, &o, &made);
}

static void check_wait(void (*wait)(void), rn_status (*job)(void))
{
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    begin(dev, &small, &first);
    begin(dev, &other, &second);
    ck_ok(rn_device_synchronize(dev));
    ck_ok(rn_plan_train_step(first.parts.plan, first.x, first.y));
    meet(job, 0);
    wait();
    check_met();
    ck_assert_int_eq(elsewhere.launched, 0); /* it waited for nothing on the device */
    rn_plan_release(made);
    made = NULL;
    end(&first);
    end(&second);
    rn_context_release(ctx);
    sim_settled();
}

START_TEST(others_go_on_while_one_waits_for_the_device)
{
    check_wait(wait_for_device, train_step);
}
END_TEST

START_TEST(others_go_on_while_one_reads_metrics)
{
    check_wait(read_metrics, train_step);
}
END_TEST

START_TEST(others_go_on_while_one_reads_a_tensor)
{
    check_wait(read_tensor, train_step);
}
END_TEST

START_TEST(others_go_on_while_a_plan_ends)
{
    check_wait(end_plan, train_step);
}
END_TEST

START_TEST(others_go_on_while_one_is_far_ahead)
{
    check_wait(run_ahead, make_plan);
}
END_TEST

/* Reads and writes of another thread, while one waits for a part of a copy: both are right. */
static float sent[1000], received[1000];
static rn_tensor *copied;

static rn_status copy_both_ways(void)
{
    for (int i = 0; i < 1000; i++)
        sent[i] = (float)i * 0.5f;
    const rn_status status = rn_tensor_write(copied, sent, sizeof sent);
    return status == RN_OK ? rn_tensor_read(copied, received, sizeof received) : status;
}

START_TEST(copies_of_two_threads)
{
    static const int64_t some = 1000, many = 3 << 20;
    rn_device *dev = NULL, *cpu = NULL;
    rn_tensor *large = NULL, *back = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    rn_tensor *const host = support_tensor(cpu, 1, &many, 3);
    ck_ok(rn_tensor_create(dev, RN_F32, 1, &many, &large));
    ck_ok(rn_tensor_create(cpu, RN_F32, 1, &many, &back));
    ck_ok(rn_tensor_create(dev, RN_F32, 1, &some, &copied));
    ck_ok(rn_tensor_copy(host, large));
    meet(copy_both_ways, 1); /* first it waits for what is before the copy */
    ck_ok(rn_tensor_read(large, rn_tensor_data(back), rn_tensor_nbytes(back)));
    check_met();
    ck_assert_mem_eq(received, sent, sizeof sent);
    ck_assert_mem_eq(rn_tensor_data(back), rn_tensor_data(host), rn_tensor_nbytes(host));
    rn_tensor_release(host);
    rn_tensor_release(large);
    rn_tensor_release(back);
    rn_tensor_release(copied);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* Two trainings at once, each in its thread, with metrics every step: what each alone comes to. */
typedef struct training_thread {
    rn_device *dev;
    const sim_training *t;
    double losses[SIM_MAX_STEPS];
    rn_status status;
} training_thread;

static void *train(void *arg)
{
    training_thread *const w = arg;
    sim_parts parts;
    w->status = sim_begin(w->dev, w->t, &parts);
    for (int step = 0; step < w->t->steps && w->status == RN_OK; step++) {
        rn_metrics metrics = RN_METRICS_INIT;
        w->status = sim_step(w->dev, w->t, &parts, step);
        if (w->status == RN_OK)
            w->status = rn_plan_metrics(parts.plan, &metrics, 1);
        w->losses[step] = metrics.last_loss;
    }
    sim_end(&parts);
    return NULL;
}

START_TEST(two_trainings_at_once)
{
    static const sim_training both[] = {{"tutorial", 3, 8, 8, 0, RN_F32, 1, 0, 0},
                                        {"tutorial", 2, 8, 8, 1, RN_F32, 2, 0, 0}};
    sim_outcome alone[2];
    rn_device *dev = NULL;
    pthread_t threads[2];
    training_thread workers[2];
    for (int i = 0; i < 2; i++)
        sim_train_alone(&both[i], &alone[i]);
    rn_context *const ctx = sim_device(&dev);
    for (int i = 0; i < 2; i++) {
        workers[i] = (training_thread){.dev = dev, .t = &both[i]};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, train, &workers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_msg(workers[i].status == RN_OK, "training %d: %s", i, rn_status_name(workers[i].status));
        for (int step = 0; step < both[i].steps; step++)
            ck_assert(workers[i].losses[step] == alone[i].losses[step]);
        sim_outcome_free(&alone[i]);
    }
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* Two copies as large as any before are on their way at once, and a step waits in line between them. */
START_TEST(large_copies_wait_for_no_step)
{
    static const int64_t count = 5 << 20; /* 20 MiB */
    rn_device *dev = NULL, *cpu = NULL;
    rn_tensor *one = NULL, *two = NULL, *back = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    rn_tensor *const host = support_tensor(cpu, 1, &count, 3), *const beside = support_tensor(cpu, 1, &count, 4);
    ck_ok(rn_tensor_create(dev, RN_F32, 1, &count, &one));
    ck_ok(rn_tensor_create(dev, RN_F32, 1, &count, &two));
    ck_ok(rn_tensor_create(cpu, RN_F32, 1, &count, &back));
    ck_ok(rn_tensor_copy(host, one));
    ck_ok(rn_tensor_copy(host, one)); /* every slot was used, and has its size now */
    begin(dev, &small, &first);
    ck_ok(rn_device_synchronize(dev));
    ck_ok(rn_plan_train_step(first.parts.plan, first.x, first.y));
    const int64_t before = sim.get("launches");
    ck_ok(rn_tensor_copy(beside, one));
    ck_ok(rn_plan_train_step(first.parts.plan, first.x, first.y));
    ck_ok(rn_tensor_copy(host, two));
    ck_assert_int_eq(sim.get("launches"), before);
    ck_assert_int_gt(sim.get("queued"), 0);
    ck_ok(rn_tensor_copy(one, back));
    ck_assert_mem_eq(rn_tensor_data(back), rn_tensor_data(beside), rn_tensor_nbytes(host));
    ck_ok(rn_tensor_copy(two, back));
    ck_assert_mem_eq(rn_tensor_data(back), rn_tensor_data(host), rn_tensor_nbytes(host));
    end(&first);
    rn_tensor_release(one);
    rn_tensor_release(two);
    rn_tensor_release(back);
    rn_tensor_release(host);
    rn_tensor_release(beside);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* Of pinned memory there are 64 MiB at most; what is larger, and what there is no memory for, goes in parts. */
START_TEST(copies_larger_than_the_ring)
{
    static const int64_t few = 1000, count = (20 << 20) + 3; /* 80 MiB and a bit */
    rn_device *dev = NULL, *cpu = NULL;
    rn_tensor *there = NULL, *back = NULL;
    for (int short_of_memory = 0; short_of_memory < 2; short_of_memory++) {
        rn_context *const ctx = sim_device(&dev);
        ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
        rn_tensor *const host = support_tensor(cpu, 1, &count, 5);
        ck_ok(rn_tensor_create(dev, RN_F32, 1, &count, &there));
        ck_ok(rn_tensor_create(cpu, RN_F32, 1, &count, &back));
        for (int slot = 0; slot < 16; slot++) { /* each has a little */
            rn_tensor *t = NULL;
            ck_ok(rn_tensor_create(dev, RN_F32, 1, &few, &t));
            ck_ok(rn_tensor_write(t, rn_tensor_data(host), (size_t)few * sizeof(float)));
            rn_tensor_release(t);
        }
        sim.set("fail_malloc_host", short_of_memory ? -1 : 0);
        ck_ok(rn_tensor_copy(host, there));
        ck_ok(rn_tensor_copy(there, back));
        sim.set("fail_malloc_host", 0);
        ck_assert_mem_eq(rn_tensor_data(back), rn_tensor_data(host), rn_tensor_nbytes(host));
        ck_assert_int_le(sim.get("host_bytes"), (64 << 20) + 4096);
        ck_assert((sim.get("host_bytes") > 32 << 20) == !short_of_memory);
        rn_tensor_release(host);
        rn_tensor_release(there);
        rn_tensor_release(back);
        rn_context_release(ctx);
        sim_settled();
    }
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        others_go_on_while_one_waits_for_the_device,
        others_go_on_while_one_reads_metrics,
        others_go_on_while_one_reads_a_tensor,
        others_go_on_while_a_plan_ends,
        others_go_on_while_one_is_far_ahead,
        copies_of_two_threads,
        two_trainings_at_once,
        large_copies_wait_for_no_step,
        copies_larger_than_the_ring,
    };
    if (argc != 2 || !sim_open(argv[1]))
        return 2;
    return support_main("threads", tests, sizeof tests / sizeof *tests);
}
