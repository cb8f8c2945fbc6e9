/* SPDX-License-Identifier: MIT */
/*
 * bench_step [--arch NAME] [--mode train|infer] [--batch N] [--threads N] [--size PX] [--seconds S] [--profile]
 *
 * Times whole training steps (Adam) or inference on random images and prints one line of JSON. Steps are timed in
 * windows; the median and the best window are given. `first_step_ms` is from the start of main() to the end of the
 * first step, context and plan included.
 */
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { WINDOWS = 15 };

#define CHECK(call)                                                          \
    do {                                                                     \
        if ((call) < 0) {                                                    \
            fprintf(stderr, "bench_step: %s\n", rn_error_message());         \
            exit(1);                                                         \
        }                                                                    \
    } while (0)

typedef struct options {
    const char *arch;
    int train, batch, threads, size, profile;
    double seconds;
} options;

typedef struct bench {
    rn_context *ctx;
    rn_device *cpu;
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *adam;
    rn_plan *plan;
    rn_tensor *x, *y, *labels;
} bench;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static options parse(int argc, char **argv)
{
    options o = {"tutorial", 1, 100, 0, 32, 0, 0.3};
    for (int i = 1; i < argc; i++) {
        const char *const value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--profile") == 0) {
            o.profile = 1;
            continue;
        }
        if (strcmp(argv[i], "--arch") == 0)
            o.arch = value;
        else if (strcmp(argv[i], "--mode") == 0)
            o.train = strcmp(value, "infer") != 0;
        else if (strcmp(argv[i], "--batch") == 0)
            o.batch = atoi(value);
        else if (strcmp(argv[i], "--threads") == 0)
            o.threads = atoi(value);
        else if (strcmp(argv[i], "--size") == 0)
            o.size = atoi(value);
        else if (strcmp(argv[i], "--seconds") == 0)
            o.seconds = atof(value);
        else {
            fprintf(stderr, "bench_step: unknown flag %s\n", argv[i]);
            exit(2);
        }
        i++;
    }
    return o;
}

static void fill(bench *b, const options *o)
{
    const int64_t image[4] = {o->batch, 3, o->size, o->size}, count = o->batch;
    int64_t out[RN_MAX_RANK];
    int32_t rank;
    uint32_t state = 1;
    CHECK(rn_tensor_create(b->cpu, RN_F32, 4, image, &b->x));
    CHECK(rn_tensor_create(b->cpu, RN_I64, 1, &count, &b->labels));
    CHECK(rn_plan_output_shape(b->plan, o->batch, &rank, out));
    CHECK(rn_tensor_create(b->cpu, RN_F32, rank, out, &b->y));
    float *const pixels = rn_tensor_data(b->x);
    for (int64_t i = 0; i < rn_tensor_count(b->x); i++) {
        state = state * 1664525u + 1013904223u;
        pixels[i] = (float)(state >> 8) / 16777216.0f;
    }
    int64_t *const labels = rn_tensor_data(b->labels);
    for (int64_t i = 0; i < count; i++)
        labels[i] = i % out[1];
}

static void start(bench *b, const options *o)
{
    rn_context_options context = RN_CONTEXT_OPTIONS_INIT;
    rn_plan_options plan = RN_PLAN_OPTIONS_INIT;
    rn_layer *net;
    context.num_threads = o->threads;
    CHECK(rn_context_create(&context, &b->ctx));
    CHECK(rn_context_find_device(b->ctx, "cpu", &b->cpu));
    CHECK(rn_zoo_create(b->ctx, o->arch, NULL, &net));
    CHECK(rn_model_create(b->ctx, net, b->cpu, &b->model));
    rn_layer_release(net);
    CHECK(rn_cross_entropy_create(b->ctx, NULL, &b->loss));
    CHECK(rn_adam_create(b->model, NULL, &b->adam));
    plan.mode = o->train ? RN_PLAN_TRAIN : RN_PLAN_INFER;
    plan.input_dims[0] = o->batch;
    plan.input_dims[1] = 3;
    plan.input_dims[2] = plan.input_dims[3] = o->size;
    if (o->train) {
        plan.loss = b->loss;
        plan.optimizer = b->adam;
    }
    CHECK(rn_plan_create(b->model, &plan, &b->plan));
    fill(b, o);
}

static void step(bench *b, const options *o)
{
    if (o->train)
        CHECK(rn_plan_train_step(b->plan, b->x, b->labels));
    else
        CHECK(rn_plan_forward(b->plan, b->x, b->y));
    CHECK(rn_device_synchronize(b->cpu));
}

/* Seconds per step over one window. */
static double window(bench *b, const options *o)
{
    const double begin = now();
    int64_t steps = 0;
    do {
        step(b, o);
        steps++;
    } while (now() - begin < o->seconds);
    return (now() - begin) / (double)steps;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static rn_status print(void *user, const char *text, size_t length)
{
    (void)user;
    fwrite(text, 1, length, stderr);
    return RN_OK;
}

static void report(const bench *b, const options *o, double *seconds, double first_step)
{
    rn_memory memory = RN_MEMORY_INIT;
    struct rusage usage;
    CHECK(rn_plan_memory(b->plan, &memory));
    getrusage(RUSAGE_SELF, &usage);
    qsort(seconds, WINDOWS, sizeof *seconds, compare);
    const double median = seconds[WINDOWS / 2], best = seconds[0];
    printf("{\"arch\": \"%s\", \"mode\": \"%s\", \"batch\": %d, \"threads\": %d, \"size\": %d, \"device\": \"%s\", "
           "\"images_per_second\": %.1f, \"best\": %.1f, \"ms_per_step\": %.4f, \"arena_bytes\": %llu, "
           "\"arena_lower_bound\": %llu, \"plan_total_bytes\": %llu, \"peak_rss_bytes\": %lld, \"first_step_ms\": %.2f}\n",
           o->arch, o->train ? "train" : "infer", o->batch, (int)rn_context_num_threads(b->ctx), o->size,
           rn_device_description(b->cpu), o->batch / median, o->batch / best, median * 1e3,
           (unsigned long long)memory.arena, (unsigned long long)memory.lower_bound, (unsigned long long)memory.total,
           (long long)usage.ru_maxrss * 1024, first_step * 1e3);
}

int main(int argc, char **argv)
{
    const double begin = now();
    const options o = parse(argc, argv);
    double seconds[WINDOWS];
    bench b = {0};
    start(&b, &o);
    step(&b, &o);
    const double first_step = now() - begin;
    window(&b, &o); /* warm up */
    if (o.profile)
        CHECK(rn_plan_set_profiling(b.plan, 1));
    for (int i = 0; i < WINDOWS; i++)
        seconds[i] = window(&b, &o);
    report(&b, &o, seconds, first_step);
    if (o.profile)
        CHECK(rn_plan_profile(b.plan, print, NULL));
    rn_tensor_release(b.x);
    rn_tensor_release(b.y);
    rn_tensor_release(b.labels);
    rn_plan_release(b.plan);
    rn_optimizer_release(b.adam);
    rn_loss_release(b.loss);
    rn_model_release(b.model);
    rn_context_release(b.ctx);
    return 0;
}
