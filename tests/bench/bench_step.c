/* SPDX-License-Identifier: MIT */
/*
 * bench_step [--arch NAME] [--mode train|infer] [--batch N] [--threads N] [--dtype fp32|bf16|fp16] [--size PX]
 *            [--optimizer sgd|adam] [--no-winograd] [--no-fusion] [--drop-weights] [--seconds S] [--windows N] [--steps N]
 *            [--profile] [--device NAME]
 *
 * Times whole training steps or inference on random images and prints one line of JSON. Steps are timed in windows of
 * --seconds; the median and the best window are given. `first_step_ms` is from the start of main() to the end of the
 * first step, context and plan included. --steps N runs just N steps and times each: for the peak of memory.
 *
 * FLOPs are those of direct convolutions and matrix products, whatever algorithm computes them: `gflops` and
 * `share_of_peak` leave out taps that fall into the padding, `gflops_nominal` and `share_nominal` count them. The peak is
 * measured in this process with as many threads, between the windows: multiply-adds of the kernel level, or for
 * bf16 dot products. A net that goes by Winograd's algorithm can have more than all of it.
 *
 * `foreign_cpu` is the share of all processors that other processes had meanwhile: above a few per cent the figures are theirs
 * too.
 *
 * --device cuda:0: on a GPU. The host waits for it after every window only. The shares are 0: the peak measured is the processor's.
 *
 * --drop-weights: RN_PLAN_DROP_WEIGHTS for inference; training keeps them.
 *
 * --size 0, the default: 224 for ImageNet's nets, else 32. SGD has momentum 0.9 and weight decay 1e-4.
 */
#include "bench.h"
#include "cpu/levels.h"
#include "peak.h"
#include <math.h>
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WINDOWS = 100000 };

typedef struct options {
    const char *arch, *optimizer, *device;
    rn_dtype dtype;
    int train, batch, threads, size, profile, windows, steps;
    uint64_t flags;
    double seconds;
} options;

typedef struct bench {
    const options *o;
    rn_context *ctx;
    rn_device *device;
    int on_cpu;
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_plan *plan;
    rn_tensor *x, *y, *labels;
    double first_step, peak, foreign;
} bench;

static const char *const value_flags[] = {"--arch", "--mode",      "--batch",   "--threads", "--dtype",
                                          "--size", "--optimizer", "--seconds", "--windows", "--steps",
                                          "--device"};

static void usage(const char *flag)
{
    fprintf(stderr, "bench_step: bad flag or value: %s\n", flag);
    exit(2);
}

/* Flags that stand alone. */
static int parse_switch(options *o, const char *flag)
{
    if (strcmp(flag, "--profile") == 0)
        o->profile = 1;
    else if (strcmp(flag, "--no-fusion") == 0)
        o->flags |= RN_PLAN_NO_FUSION;
    else if (strcmp(flag, "--drop-weights") == 0)
        o->flags |= RN_PLAN_DROP_WEIGHTS;
#ifdef RN_PLAN_NO_WINOGRAD
    else if (strcmp(flag, "--no-winograd") == 0)
        o->flags |= RN_PLAN_NO_WINOGRAD;
#endif
    else
        return 0;
    return 1;
}

static void parse_value(options *o, const char *flag, const char *value)
{
    int *const numbers[] = {NULL,     NULL, &o->batch, &o->threads, NULL,
                            &o->size, NULL, NULL,      &o->windows, &o->steps,
                            NULL};
    if (strcmp(flag, "--arch") == 0)
        o->arch = value;
    else if (strcmp(flag, "--mode") == 0)
        o->train = strcmp(value, "infer") != 0;
    else if (strcmp(flag, "--dtype") == 0)
        o->dtype = bench_dtype(value);
    else if (strcmp(flag, "--optimizer") == 0)
        o->optimizer = value;
    else if (strcmp(flag, "--seconds") == 0)
        o->seconds = atof(value);
    else if (strcmp(flag, "--device") == 0)
        o->device = value;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] && strcmp(flag, value_flags[i]) == 0)
            *numbers[i] = atoi(value);
}

static int is_imagenet(const char *arch)
{
    return strncmp(arch, "resnet", 6) == 0 || strncmp(arch, "resnext", 7) == 0 || strncmp(arch, "wide_resnet", 11) == 0;
}

static options parse(int argc, char **argv)
{
    options o = {.arch = "tutorial", .optimizer = "adam", .device = "cpu", .dtype = RN_F32, .train = 1,
                 .batch = 100,       .windows = 15,       .seconds = 0.3};
    for (int i = 1; i < argc; i++) {
        int known = 0;
        if (parse_switch(&o, argv[i]))
            continue;
        for (size_t k = 0; k < sizeof value_flags / sizeof *value_flags; k++)
            known |= strcmp(argv[i], value_flags[k]) == 0;
        if (!known || i + 1 >= argc)
            usage(argv[i]);
        parse_value(&o, argv[i], argv[i + 1]);
        i++;
    }
    if (o.train)
        o.flags &= ~(uint64_t)RN_PLAN_DROP_WEIGHTS;
    if (o.size == 0)
        o.size = is_imagenet(o.arch) ? 224 : 32;
    if (o.windows < 1 || o.windows > MOST_WINDOWS || o.steps < 0 || o.steps > MOST_WINDOWS)
        usage("--windows, --steps");
    if (strcmp(o.optimizer, "sgd") != 0 && strcmp(o.optimizer, "adam") != 0)
        usage(o.optimizer);
    return o;
}

static void create_optimizer(bench *b)
{
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
    sgd.lr = 0.01;
    sgd.momentum = 0.9;
    sgd.weight_decay = 1e-4;
    if (strcmp(b->o->optimizer, "sgd") == 0)
        BENCH_CHECK(rn_sgd_create(b->model, &sgd, &b->optimizer));
    else
        BENCH_CHECK(rn_adam_create(b->model, NULL, &b->optimizer));
}

static void create_plan(bench *b)
{
    const options *const o = b->o;
    rn_plan_options plan = RN_PLAN_OPTIONS_INIT;
    plan.flags = o->flags;
    plan.mode = o->train ? RN_PLAN_TRAIN : RN_PLAN_INFER;
    plan.compute_dtype = o->dtype;
    plan.input_dims[0] = o->batch;
    plan.input_dims[1] = 3;
    plan.input_dims[2] = plan.input_dims[3] = o->size;
    if (o->train) {
        create_optimizer(b);
        BENCH_CHECK(rn_cross_entropy_create(b->ctx, NULL, &b->loss));
        plan.loss = b->loss;
        plan.optimizer = b->optimizer;
    }
    BENCH_CHECK(rn_plan_create(b->model, &plan, &b->plan));
}

/* Of the types that the plan reads and writes; pixels in [0, 1). */
static void create_tensors(bench *b)
{
    const options *const o = b->o;
    const int64_t image[4] = {o->batch, 3, o->size, o->size}, count = o->batch;
    const rn_value *const values = b->plan->low.p.values;
    int64_t out[RN_MAX_RANK];
    int32_t rank;
    uint32_t state = 1;
    rn_device *cpu;
    rn_tensor *pixels;
    BENCH_CHECK(rn_context_find_device(b->ctx, "cpu", &cpu));
    BENCH_CHECK(rn_tensor_create(cpu, RN_F32, 4, image, &pixels));
    BENCH_CHECK(rn_tensor_create(b->device, values[b->plan->x].dtype, 4, image, &b->x));
    BENCH_CHECK(rn_tensor_create(b->device, RN_I64, 1, &count, &b->labels));
    BENCH_CHECK(rn_plan_output_shape(b->plan, o->batch, &rank, out));
    BENCH_CHECK(rn_tensor_create(b->device, values[b->plan->y].dtype, rank, out, &b->y));
    float *const to = rn_tensor_data(pixels);
    for (int64_t i = 0; i < rn_tensor_count(pixels); i++) {
        state = state * 1664525u + 1013904223u;
        to[i] = (float)(state >> 8) * 0x1p-24f;
    }
    BENCH_CHECK(rn_tensor_copy(pixels, b->x));
    rn_tensor_release(pixels);
    int64_t *const labels = calloc((size_t)count, sizeof *labels);
    if (!labels)
        bench_die("bench_step: out of memory");
    for (int64_t i = 0; i < count; i++)
        labels[i] = i % out[1];
    BENCH_CHECK(rn_tensor_write(b->labels, labels, (uint64_t)count * sizeof *labels));
    free(labels);
}

static void open_bench(bench *b)
{
    rn_context_options context = RN_CONTEXT_OPTIONS_INIT;
    rn_layer *net;
    context.num_threads = b->o->threads;
    BENCH_CHECK(rn_context_create(&context, &b->ctx));
    BENCH_CHECK(rn_context_find_device(b->ctx, b->o->device, &b->device));
    b->on_cpu = strcmp(b->o->device, "cpu") == 0;
    BENCH_CHECK(rn_zoo_create(b->ctx, b->o->arch, NULL, &net));
    BENCH_CHECK(rn_model_create(b->ctx, net, b->device, &b->model));
    rn_layer_release(net);
    create_plan(b);
    create_tensors(b);
}

static void close_bench(bench *b)
{
    rn_tensor_release(b->x);
    rn_tensor_release(b->y);
    rn_tensor_release(b->labels);
    rn_plan_release(b->plan);
    rn_optimizer_release(b->optimizer);
    rn_loss_release(b->loss);
    rn_model_release(b->model);
    rn_context_release(b->ctx);
}

static void step(bench *b)
{
    if (b->o->train)
        BENCH_CHECK(rn_plan_train_step(b->plan, b->x, b->labels));
    else
        BENCH_CHECK(rn_plan_forward(b->plan, b->x, b->y));
}

static void wait(const bench *b)
{
    BENCH_CHECK(rn_device_synchronize(b->device));
}

static void take_peak(bench *b)
{
    if (!b->on_cpu)
        return;
    const int kind = peak_kind((int)rn_cpu_level(b->device), b->o->dtype == RN_BF16);
    const double peak = peak_flops((int)rn_context_num_threads(b->ctx), kind);
    b->peak = peak > b->peak ? peak : b->peak;
}

/* Seconds per step. The host is not to wait within a window, as a program that trains does not. */
static double time_window(bench *b)
{
    int64_t steps = 0;
    step(b);
    wait(b);
    const double begin = bench_now();
    do {
        step(b);
        steps++;
    } while (bench_now() - begin < b->o->seconds);
    wait(b);
    return (bench_now() - begin) / (double)steps;
}

/* Seconds per step of every window, or of every step. Returns how many there are. */
static int run_windows(bench *b, double *seconds)
{
    const options *const o = b->o;
    for (int i = 0; i < o->steps; i++) {
        const double begin = bench_now();
        step(b);
        wait(b);
        seconds[i] = bench_now() - begin;
    }
    if (o->steps)
        return o->steps;
    time_window(b); /* warms up */
    if (o->profile)
        BENCH_CHECK(rn_plan_set_profiling(b->plan, 1));
    for (int i = 0; i < o->windows; i++) {
        seconds[i] = time_window(b);
        take_peak(b);
    }
    return o->windows;
}

static rn_status print(void *user, const char *text, size_t length)
{
    (void)user;
    fwrite(text, 1, length, stderr);
    return RN_OK;
}

static void print_speed(const bench *b, const bench_spread *s)
{
    const bench_flops flops = bench_plan_flops(b->plan);
    const double real = flops.real / s->median * 1e-9, nominal = flops.nominal / s->median * 1e-9;
    const double peak = b->peak > 0 ? b->peak : 1;
    printf("\"images_per_second\": %.2f, \"best\": %.2f, \"worst\": %.2f, \"ms_per_step\": %.4f, ", b->o->batch / s->median,
           b->o->batch / s->smallest, b->o->batch / s->largest, s->median * 1e3);
    printf("\"gflops\": %.2f, \"gflops_nominal\": %.2f, \"peak_gflops\": %.1f, \"share_of_peak\": %.4f, "
           "\"share_nominal\": %.4f, ",
           real, nominal, b->peak, b->peak > 0 ? real / peak : 0, b->peak > 0 ? nominal / peak : 0);
}

static void report(const bench *b, const bench_spread *s, long long peak_rss)
{
    const options *const o = b->o;
    rn_memory memory = RN_MEMORY_INIT;
    char processor[49];
    rni_cpu_processor_name(processor);
    BENCH_CHECK(rn_plan_memory(b->plan, &memory));
    printf("{\"arch\": \"%s\", \"mode\": \"%s\", \"batch\": %d, \"threads\": %d, \"dtype\": \"%s\", \"size\": %d, "
           "\"optimizer\": \"%s\", \"flags\": %llu, ",
           o->arch, o->train ? "train" : "infer", o->batch, (int)rn_context_num_threads(b->ctx),
           bench_dtype_name(o->dtype), o->size, o->train ? o->optimizer : "", (unsigned long long)o->flags);
    print_speed(b, s);
    printf("\"arena_bytes\": %llu, \"arena_lower_bound\": %llu, \"plan_total_bytes\": %llu, \"peak_rss_bytes\": %lld, "
           "\"first_step_ms\": %.2f, \"foreign_cpu\": %.3f, \"device\": \"%s\", \"cpu\": \"%s\", \"level\": \"%s\"}\n",
           (unsigned long long)memory.arena, (unsigned long long)memory.lower_bound, (unsigned long long)memory.total,
           peak_rss, b->first_step * 1e3, b->foreign, o->device, processor,
           b->on_cpu ? rni_cpu_level_name(rn_cpu_level(b->device)) : "");
}

int main(int argc, char **argv)
{
    const double begin = bench_now();
    const options o = parse(argc, argv);
    bench b = {.o = &o};
    double *const seconds = calloc((size_t)(o.steps ? o.steps : o.windows), sizeof *seconds);
    if (!seconds)
        bench_die("bench_step: out of memory");
    open_bench(&b);
    step(&b);
    wait(&b);
    b.first_step = bench_now() - begin;
    const bench_moment start = bench_moment_now();
    const int count = run_windows(&b, seconds);
    b.foreign = fmax(bench_foreign_share(&start), 0);
    const long long peak_rss = bench_peak_rss();
    const bench_spread spread = bench_spread_of(seconds, count);
    if (o.steps)
        take_peak(&b);
    report(&b, &spread, peak_rss);
    if (o.profile && !o.steps)
        BENCH_CHECK(rn_plan_profile(b.plan, print, NULL));
    close_bench(&b);
    free(seconds);
    return 0;
}
