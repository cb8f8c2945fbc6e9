/* SPDX-License-Identifier: MIT */
/*
 * bench_region [--arch NAME] [--batch N] [--threads N] [--dtype fp32|bf16] [--size PX] [--rounds N] [--json]
 *
 * What sharing work among threads costs. First an empty parallel region of as many tasks as there are threads: one after
 * another, so that the workers spin, and after a pause, so that they sleep. Then inference: the regions of one forward are
 * counted and timed, and run again with the same numbers of tasks that do nothing, which is the part of the
 * forward that goes into starting and joining.
 *
 * The plan gets its threads through rn_context_options::parallel: a pool of the library's own kind, with a clock around it.
 */
#include "base/alloc.h"
#include "base/threads.h"
#include "bench.h"
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_REGIONS = 4096, BURST = 200, SLEEPS = 50 };
static const double pause_seconds = 2e-3; /* longer than a worker spins */

typedef struct options {
    const char *arch;
    rn_dtype dtype;
    int batch, threads, size, rounds, json;
} options;

/* The pool with a record of the regions of one forward. */
typedef struct recorder {
    rni_pool *pool;
    int count, recording;
    size_t tasks[MOST_REGIONS];
    double inside; /* seconds */
} recorder;

typedef struct result {
    bench_spread spinning, sleeping; /* seconds of an empty region */
    bench_spread forward, inside, empty; /* of one forward: all of it, in regions, in the same regions without work */
    int regions;
    double tasks;
} result;

static void usage(const char *what)
{
    fprintf(stderr, "bench_region: bad flag or value: %s\n", what);
    exit(2);
}

static options parse(int argc, char **argv)
{
    options o = {.arch = "tutorial", .dtype = RN_F32, .batch = 1, .size = 32, .rounds = 300};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            o.json = 1;
            continue;
        }
        if (i + 1 >= argc)
            usage(argv[i]);
        const char *const flag = argv[i], *const value = argv[++i];
        if (strcmp(flag, "--arch") == 0)
            o.arch = value;
        else if (strcmp(flag, "--dtype") == 0)
            o.dtype = bench_dtype(value);
        else if (strcmp(flag, "--batch") == 0)
            o.batch = atoi(value);
        else if (strcmp(flag, "--threads") == 0)
            o.threads = atoi(value);
        else if (strcmp(flag, "--size") == 0)
            o.size = atoi(value);
        else if (strcmp(flag, "--rounds") == 0)
            o.rounds = atoi(value);
        else
            usage(flag);
    }
    if (o.threads < 1)
        o.threads = rni_available_threads();
    if (o.rounds < 1)
        usage("--rounds");
    return o;
}

static void nothing(void *arg, size_t index)
{
    (void)arg;
    (void)index;
}

static rn_status run_region(void *user, rn_task_fn task, void *arg, size_t count)
{
    recorder *const r = user;
    if (!r->recording)
        return rni_pool_run(r->pool, task, arg, count);
    if (r->count < MOST_REGIONS)
        r->tasks[r->count++] = count;
    const double begin = bench_now();
    const rn_status status = rni_pool_run(r->pool, task, arg, count);
    r->inside += bench_now() - begin;
    return status;
}

static double empty_region(const recorder *r, size_t tasks)
{
    const double begin = bench_now();
    BENCH_CHECK(rni_pool_run(r->pool, nothing, NULL, tasks));
    return bench_now() - begin;
}

/* Bursts of regions, of which each gives one mean: a clock around every region would weigh as much as the region. */
static void measure_empty(const options *o, const recorder *r, result *out)
{
    double *const seconds = calloc((size_t)(o->rounds > SLEEPS ? o->rounds : SLEEPS), sizeof *seconds);
    if (!seconds)
        bench_die("bench_region: out of memory");
    for (int i = 0; i < o->rounds; i++) {
        empty_region(r, (size_t)o->threads);
        const double begin = bench_now();
        for (int k = 0; k < BURST; k++)
            BENCH_CHECK(rni_pool_run(r->pool, nothing, NULL, (size_t)o->threads));
        seconds[i] = (bench_now() - begin) / BURST;
    }
    out->spinning = bench_spread_of(seconds, o->rounds);
    for (int i = 0; i < SLEEPS; i++) {
        bench_sleep(pause_seconds);
        seconds[i] = empty_region(r, (size_t)o->threads);
    }
    out->sleeping = bench_spread_of(seconds, SLEEPS);
    free(seconds);
}

typedef struct net {
    rn_context *ctx;
    rn_model *model;
    rn_plan *plan;
    rn_tensor *x, *y;
} net;

static void open_net(net *n, const options *o, recorder *r)
{
    rn_context_options context = RN_CONTEXT_OPTIONS_INIT;
    rn_plan_options plan = RN_PLAN_OPTIONS_INIT;
    const int64_t image[4] = {o->batch, 3, o->size, o->size};
    int64_t out[RN_MAX_RANK];
    int32_t rank;
    rn_device *cpu;
    rn_layer *layer;
    context.num_threads = o->threads;
    context.parallel = run_region;
    context.parallel_user = r;
    BENCH_CHECK(rn_context_create(&context, &n->ctx));
    BENCH_CHECK(rn_context_find_device(n->ctx, "cpu", &cpu));
    BENCH_CHECK(rn_zoo_create(n->ctx, o->arch, NULL, &layer));
    BENCH_CHECK(rn_model_create(n->ctx, layer, cpu, &n->model));
    rn_layer_release(layer);
    memcpy(plan.input_dims, image, sizeof image);
    plan.compute_dtype = o->dtype;
    BENCH_CHECK(rn_plan_create(n->model, &plan, &n->plan));
    BENCH_CHECK(rn_tensor_create(cpu, n->plan->low.p.values[n->plan->x].dtype, 4, image, &n->x));
    BENCH_CHECK(rn_plan_output_shape(n->plan, o->batch, &rank, out));
    BENCH_CHECK(rn_tensor_create(cpu, n->plan->low.p.values[n->plan->y].dtype, rank, out, &n->y));
    memset(rn_tensor_data(n->x), 0, rn_tensor_nbytes(n->x));
}

static void close_net(net *n)
{
    rn_tensor_release(n->x);
    rn_tensor_release(n->y);
    rn_plan_release(n->plan);
    rn_model_release(n->model);
    rn_context_release(n->ctx);
}

/* One after another: a forward as it is, one with the clock around its regions, its regions without work. */
static void measure_net(const options *o, recorder *r, result *out)
{
    net n = {0};
    double *const times = calloc((size_t)o->rounds * 3, sizeof *times), *const inside = times + o->rounds,
                  *const empty = inside + o->rounds;
    if (!times)
        bench_die("bench_region: out of memory");
    open_net(&n, o, r);
    for (int i = -3; i < o->rounds; i++) {
        const double begin = bench_now();
        BENCH_CHECK(rn_plan_forward(n.plan, n.x, n.y));
        const double forward = bench_now() - begin;
        r->count = 0;
        r->inside = 0;
        r->recording = 1;
        BENCH_CHECK(rn_plan_forward(n.plan, n.x, n.y));
        r->recording = 0;
        const double start = bench_now();
        for (int k = 0; k < r->count; k++)
            BENCH_CHECK(rni_pool_run(r->pool, nothing, NULL, r->tasks[k]));
        if (i < 0)
            continue; /* warms up */
        times[i] = forward;
        inside[i] = r->inside;
        empty[i] = bench_now() - start;
    }
    out->regions = r->count;
    for (int k = 0; k < r->count; k++)
        out->tasks += (double)r->tasks[k];
    out->forward = bench_spread_of(times, o->rounds);
    out->inside = bench_spread_of(inside, o->rounds);
    out->empty = bench_spread_of(empty, o->rounds);
    free(times);
    close_net(&n);
}

static void print_json(const options *o, const result *r)
{
    printf("{\"arch\": \"%s\", \"batch\": %d, \"threads\": %d, \"dtype\": \"%s\", \"spinning_us\": %.3f, "
           "\"spinning_best_us\": %.3f, \"sleeping_us\": %.2f, \"regions\": %d, \"tasks\": %.0f, \"forward_us\": %.2f, "
           "\"inside_us\": %.2f, \"empty_us\": %.2f, \"empty_share\": %.4f}\n",
           o->arch, o->batch, o->threads, bench_dtype_name(o->dtype), r->spinning.median * 1e6,
           r->spinning.smallest * 1e6, r->sleeping.median * 1e6, r->regions, r->tasks, r->forward.median * 1e6,
           r->inside.median * 1e6, r->empty.median * 1e6, r->empty.median / r->forward.median);
}

static void print_line(const char *what, const bench_spread *s)
{
    printf("%-44s %9.2f us (quartiles %.2f to %.2f, best %.2f)\n", what, s->median * 1e6, s->quarter * 1e6,
           s->three_quarters * 1e6, s->smallest * 1e6);
}

static void print_text(const options *o, const result *r)
{
    printf("%d threads\n", o->threads);
    print_line("empty region, workers spinning", &r->spinning);
    print_line("empty region, workers asleep", &r->sleeping);
    printf("%s, batch %d: %d regions, %.0f tasks\n", o->arch, o->batch, r->regions, r->tasks);
    print_line("forward", &r->forward);
    print_line("of it in regions", &r->inside);
    print_line("the same regions without work", &r->empty);
    printf("starting and joining is %.1f %% of the forward\n", 100 * r->empty.median / r->forward.median);
}

int main(int argc, char **argv)
{
    static recorder r;
    const options o = parse(argc, argv);
    result out = {.tasks = 0};
    BENCH_CHECK(rni_pool_create(&rni_default_allocator, o.threads, NULL, NULL, &r.pool));
    measure_empty(&o, &r, &out);
    measure_net(&o, &r, &out);
    o.json ? print_json(&o, &out) : print_text(&o, &out);
    rni_pool_destroy(r.pool);
    return 0;
}
