/* SPDX-License-Identifier: MIT */
/*
 * bench_loader [--residency host|auto|device] [--device NAME] [--dtype fp32|bf16|fp16] [--batch N] [--workers N]
 *              [--images N] [--arch NAME] [--threads N] [--seconds S]
 *
 * Times a loader over images of 32 x 32 that lie in memory, with CIFAR's usual augmentation (a crop of the padded image,
 * a mirror, a normalisation), and prints one line of JSON. Its batches are in the order and type that the net's first
 * layer reads. `loader` is the loader alone, `training` with a step of the net on each batch, `step` the same step on one batch
 * again and again, without a loader; all in images per second. `resident_bytes` is 0 when the host made the batches.
 */
#include "bench.h"
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, CLASSES = 10, WARM = 4 };

typedef struct options {
    const char *arch, *device;
    rn_dtype dtype;
    int residency, workers, batch, images, threads;
    double seconds;
} options;

typedef struct bench {
    const options *o;
    rn_context *ctx;
    rn_device *device;
    rn_dataset *ds;
    rn_transform *transform;
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_plan *plan;
    rn_loader *loader;
} bench;

/* What is done with batches while the clock runs. */
enum { LOADER, TRAINING, STEP };

static void usage(const char *flag)
{
    fprintf(stderr, "bench_loader: bad flag or value: %s\n", flag);
    exit(2);
}

static int residency_of(const char *name)
{
    static const char *const names[] = {"host", "auto", "device"};
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    usage("--residency");
    return 0;
}

static void parse_value(options *o, const char *flag, const char *value)
{
    if (strcmp(flag, "--residency") == 0)
        o->residency = residency_of(value);
    else if (strcmp(flag, "--device") == 0)
        o->device = value;
    else if (strcmp(flag, "--dtype") == 0)
        o->dtype = bench_dtype(value);
    else if (strcmp(flag, "--arch") == 0)
        o->arch = value;
    else if (strcmp(flag, "--batch") == 0)
        o->batch = bench_number("bench_loader", flag, value, 1, 100000);
    else if (strcmp(flag, "--workers") == 0)
        o->workers = bench_number("bench_loader", flag, value, 0, 256);
    else if (strcmp(flag, "--images") == 0)
        o->images = bench_number("bench_loader", flag, value, 1, 10000000);
    else if (strcmp(flag, "--threads") == 0)
        o->threads = bench_number("bench_loader", flag, value, 0, 1000);
    else if (strcmp(flag, "--seconds") == 0)
        o->seconds = strtod(value, NULL);
    else
        usage(flag);
}

static options parse(int argc, char **argv)
{
    options o = {.arch = "tutorial",
                 .device = "auto",
                 .dtype = RN_F32,
                 .residency = RN_RESIDENCY_AUTO,
                 .workers = 1,
                 .batch = 128,
                 .images = 50000,
                 .seconds = 1};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            usage(argv[i]);
        parse_value(&o, argv[i], argv[i + 1]);
    }
    if (!(o.seconds > 0))
        usage("--seconds");
    return o;
}

static void make_images(bench *b)
{
    const int64_t dims[4] = {b->o->images, 3, SIDE, SIDE};
    rn_device *cpu;
    rn_tensor *images, *labels;
    BENCH_CHECK(rn_context_find_device(b->ctx, "cpu", &cpu));
    BENCH_CHECK(rn_tensor_create(cpu, RN_U8, 4, dims, &images));
    BENCH_CHECK(rn_tensor_create(cpu, RN_I64, 1, dims, &labels));
    for (int64_t i = 0; i < rn_tensor_count(images); i++)
        ((uint8_t *)rn_tensor_data(images))[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
    for (int64_t i = 0; i < b->o->images; i++)
        ((int64_t *)rn_tensor_data(labels))[i] = i % CLASSES;
    BENCH_CHECK(rn_tensor_dataset_create(images, labels, &b->ds));
    rn_tensor_release(images);
    rn_tensor_release(labels);
}

static void make_transform(bench *b)
{
    static const double mean[3] = {0.4914, 0.4822, 0.4465}, deviation[3] = {0.2470, 0.2435, 0.2616};
    BENCH_CHECK(rn_transform_create(b->ctx, &b->transform));
    BENCH_CHECK(rn_transform_random_crop(b->transform, 4, 0, 0));
    BENCH_CHECK(rn_transform_random_hflip(b->transform, 0.5));
    BENCH_CHECK(rn_transform_normalize(b->transform, 3, mean, deviation));
}

static void make_plan(bench *b)
{
    const int64_t dims[4] = {b->o->batch, 3, SIDE, SIDE};
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
    rn_layer *net;
    sgd.lr = 1e-4;
    BENCH_CHECK(rn_zoo_create(b->ctx, b->o->arch, NULL, &net));
    BENCH_CHECK(rn_model_create(b->ctx, net, b->device, &b->model));
    rn_layer_release(net);
    BENCH_CHECK(rn_cross_entropy_create(b->ctx, NULL, &b->loss));
    BENCH_CHECK(rn_sgd_create(b->model, &sgd, &b->optimizer));
    o.mode = RN_PLAN_TRAIN;
    o.compute_dtype = b->o->dtype;
    o.loss = b->loss;
    o.optimizer = b->optimizer;
    memcpy(o.input_dims, dims, sizeof dims);
    BENCH_CHECK(rn_plan_create(b->model, &o, &b->plan));
}

static void make_loader(bench *b)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    o.batch = b->o->batch;
    o.workers = b->o->workers;
    o.prefetch = 2 * (o.workers > 1 ? o.workers : 1);
    o.flags = RN_LOADER_SHUFFLE;
    o.transform = b->transform;
    o.plan = b->plan;
    o.residency = b->o->residency;
    BENCH_CHECK(rn_loader_create(b->ds, &o, &b->loader));
}

static void open_bench(bench *b)
{
    rn_context_options context = RN_CONTEXT_OPTIONS_INIT;
    context.num_threads = b->o->threads;
    BENCH_CHECK(rn_context_create(&context, &b->ctx));
    BENCH_CHECK(rn_context_find_device(b->ctx, b->o->device, &b->device));
    make_images(b);
    make_transform(b);
    make_plan(b);
    make_loader(b);
}

static void close_bench(bench *b)
{
    rn_loader_release(b->loader);
    rn_plan_release(b->plan);
    rn_optimizer_release(b->optimizer);
    rn_loss_release(b->loss);
    rn_model_release(b->model);
    rn_transform_release(b->transform);
    rn_dataset_release(b->ds);
    rn_context_release(b->ctx);
}

/* The next batch, of whichever epoch. */
static void take_batch(bench *b, rn_tensor **images, rn_tensor **labels)
{
    rn_status status;
    do {
        BENCH_CHECK(status = rn_loader_next(b->loader, images, labels));
    } while (status == RN_END);
}

/* What runs again and again; returns its images. */
static int64_t turn(bench *b, int mode, rn_tensor **images, rn_tensor **labels)
{
    if (mode != STEP)
        take_batch(b, images, labels);
    if (mode != LOADER)
        BENCH_CHECK(rn_plan_train_step(b->plan, *images, *labels));
    return rn_tensor_dim(*images, 0);
}

/* Images per second; the clock stops when the device has done all of them. */
static double time_mode(bench *b, int mode)
{
    rn_tensor *images, *labels;
    int64_t count = 0;
    take_batch(b, &images, &labels);
    for (int i = 0; i < WARM; i++)
        turn(b, mode, &images, &labels);
    BENCH_CHECK(rn_device_synchronize(b->device));
    const double begin = bench_now();
    do
        count += turn(b, mode, &images, &labels);
    while (bench_now() - begin < b->o->seconds);
    BENCH_CHECK(rn_device_synchronize(b->device));
    return (double)count / (bench_now() - begin);
}

int main(int argc, char **argv)
{
    const options o = parse(argc, argv);
    bench b = {.o = &o};
    open_bench(&b);
    const double step = time_mode(&b, STEP), training = time_mode(&b, TRAINING), loader = time_mode(&b, LOADER);
    printf("{\"loader\": %.1f, \"training\": %.1f, \"step\": %.1f, \"resident_bytes\": %llu, \"batch\": %d, "
           "\"workers\": %d, "
           "\"dtype\": \"%s\", \"device\": \"%s\", \"arch\": \"%s\"}\n",
           loader, training, step, (unsigned long long)rn_loader_resident_bytes(b.loader), o.batch, o.workers,
           bench_dtype_name(o.dtype), rn_device_name(b.device), o.arch);
    close_bench(&b);
    return 0;
}
