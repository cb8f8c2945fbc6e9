/* SPDX-License-Identifier: MIT */
/*
 * bench_images [--workers N] [--batch N] [--size PX] [--transform train|test] [--seconds S] [--full-size]
 *              [--height PX] [--width PX] [--files N] [--quality Q] [--arch NAME] [--threads N]
 *
 * Writes JPEGs to a folder of its own and times a loader that reads them: "train" is a random resized crop, a mirror
 * and a normalisation, "test" a resized short side (256 for 224) and the middle. Prints one line of JSON. The
 * pictures are waves and noise, whose files of 500 x 375 have about the bytes of ImageNet's at the default quality.
 * They are in the page cache. --workers 0: all work is done on the calling thread.
 *
 * With --arch, training steps of that net are timed as well, on batches from the folder and from images that lie in
 * memory, in turns of five steps: `share` is the speed of the first over that of the second, by their medians.
 */
#include "bench.h"
#include <math.h>
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jpeglib.h>

enum { CLASSES = 2, MOST_FILES = 10000 };

typedef struct options {
    const char *arch;
    int test, full_size, workers, batch, size, height, width, files, quality, threads;
    double seconds;
} options;

typedef struct bench {
    const options *o;
    char dir[64];
    double bytes; /* of all files */
    rn_context *ctx;
    rn_device *cpu;
    rn_dataset *folder, *memory;
    rn_transform *transform, *plain;
    rn_plan *plan; /* with an arch */
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
} bench;

static void usage(const char *flag)
{
    fprintf(stderr, "bench_images: bad flag or value: %s\n", flag);
    exit(2);
}

static void parse_value(options *o, const char *flag, const char *value)
{
    if (strcmp(flag, "--workers") == 0)
        o->workers = bench_number("bench_images", flag, value, 0, 256);
    else if (strcmp(flag, "--batch") == 0)
        o->batch = bench_number("bench_images", flag, value, 1, 10000);
    else if (strcmp(flag, "--size") == 0)
        o->size = bench_number("bench_images", flag, value, 8, 4096);
    else if (strcmp(flag, "--height") == 0)
        o->height = bench_number("bench_images", flag, value, 1, 10000);
    else if (strcmp(flag, "--width") == 0)
        o->width = bench_number("bench_images", flag, value, 1, 10000);
    else if (strcmp(flag, "--files") == 0)
        o->files = bench_number("bench_images", flag, value, CLASSES, MOST_FILES);
    else if (strcmp(flag, "--quality") == 0)
        o->quality = bench_number("bench_images", flag, value, 1, 100);
    else if (strcmp(flag, "--threads") == 0)
        o->threads = bench_number("bench_images", flag, value, 0, 1000);
    else if (strcmp(flag, "--arch") == 0)
        o->arch = value;
    else if (strcmp(flag, "--seconds") == 0)
        o->seconds = strtod(value, NULL);
    else if (strcmp(flag, "--transform") == 0 && (strcmp(value, "test") == 0 || strcmp(value, "train") == 0))
        o->test = strcmp(value, "test") == 0;
    else
        usage(flag);
}

static options parse(int argc, char **argv)
{
    options o = {
        .workers = 1, .batch = 32, .size = 224, .height = 375, .width = 500, .files = 64, .quality = 95, .seconds = 3};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--full-size") == 0) {
            o.full_size = 1;
            continue;
        }
        if (i + 1 == argc)
            usage(argv[i]);
        parse_value(&o, argv[i], argv[i + 1]);
        i++;
    }
    if (!(o.seconds > 0))
        usage("--seconds");
    return o;
}

/* --- pictures ---------------------------------------------------------------------------------------------------- */

static uint32_t noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 24;
}

static void fill_row(JSAMPLE *row, int number, int y, int width, uint32_t *state)
{
    for (int x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) {
            const double wave =
                sin(0.03 * (x + 7 * number) + c) + sin(0.05 * y * (1 + 0.1 * number) - c) + sin(0.2 * (x + y));
            row[3 * x + c] = (JSAMPLE)(110 + 35 * wave + noise(state) / 16.0 * (1 + (x / 64 + y / 64) % 3));
        }
}

static void write_picture(bench *b, const char *path, int number)
{
    const options *const o = b->o;
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    uint32_t state = (uint32_t)number;
    JSAMPLE *row = malloc(3 * (size_t)o->width);
    FILE *const file = fopen(path, "wb");
    if (!row || !file)
        bench_die("bench_images: a picture cannot be written");
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_height = (JDIMENSION)o->height;
    jpeg.image_width = (JDIMENSION)o->width;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, o->quality, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < o->height; y++) {
        fill_row(row, number, y, o->width, &state);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    b->bytes += (double)ftell(file);
    fclose(file);
    free(row);
}

static const char *picture_path(const bench *b, int number)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%d/%d.jpg", b->dir, number % CLASSES, number);
    return path;
}

static void make_folder(bench *b)
{
    char path[200];
    strcpy(b->dir, "/tmp/bench-images-XXXXXX");
    if (!mkdtemp(b->dir))
        bench_die("bench_images: no folder can be made in /tmp");
    for (int i = 0; i < CLASSES; i++) {
        snprintf(path, sizeof path, "%s/%d", b->dir, i);
        mkdir(path, 0777);
    }
    for (int i = 0; i < b->o->files; i++)
        write_picture(b, picture_path(b, i), i);
}

static void remove_folder(const bench *b)
{
    char path[200];
    for (int i = 0; i < b->o->files; i++)
        unlink(picture_path(b, i));
    for (int i = 0; i < CLASSES; i++) {
        snprintf(path, sizeof path, "%s/%d", b->dir, i);
        rmdir(path);
    }
    rmdir(b->dir);
}

/* --- what is timed ----------------------------------------------------------------------------------------------- */

static void make_transforms(bench *b)
{
    static const double mean[3] = {0.485, 0.456, 0.406}, deviation[3] = {0.229, 0.224, 0.225};
    const int64_t size = b->o->size;
    BENCH_CHECK(rn_transform_create(b->ctx, &b->transform));
    BENCH_CHECK(rn_transform_create(b->ctx, &b->plain));
    if (b->o->test) {
        BENCH_CHECK(rn_transform_short_side(b->transform, size * 8 / 7, size * 8 / 7));
        BENCH_CHECK(rn_transform_center_crop(b->transform, size, size));
    } else {
        BENCH_CHECK(rn_transform_random_resized_crop(b->transform, size, size, NULL, NULL));
        BENCH_CHECK(rn_transform_random_hflip(b->transform, 0.5));
    }
    BENCH_CHECK(rn_transform_normalize(b->transform, 3, mean, deviation));
    BENCH_CHECK(rn_transform_normalize(b->plain, 3, mean, deviation));
}

static void make_memory_images(bench *b)
{
    const int64_t dims[4] = {b->o->batch, 3, b->o->size, b->o->size};
    rn_tensor *images, *labels;
    BENCH_CHECK(rn_tensor_create(b->cpu, RN_U8, 4, dims, &images));
    BENCH_CHECK(rn_tensor_create(b->cpu, RN_I64, 1, dims, &labels));
    for (int64_t i = 0; i < rn_tensor_count(images); i++)
        ((uint8_t *)rn_tensor_data(images))[i] = (uint8_t)(i * 2654435761u >> 24);
    BENCH_CHECK(rn_tensor_dataset_create(images, labels, &b->memory));
    rn_tensor_release(images);
    rn_tensor_release(labels);
}

static void make_plan(bench *b)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
    rn_layer *net;
    sgd.lr = 1e-4;
    BENCH_CHECK(rn_zoo_create(b->ctx, b->o->arch, NULL, &net));
    BENCH_CHECK(rn_model_create(b->ctx, net, b->cpu, &b->model));
    rn_layer_release(net);
    BENCH_CHECK(rn_cross_entropy_create(b->ctx, NULL, &b->loss));
    BENCH_CHECK(rn_sgd_create(b->model, &sgd, &b->optimizer));
    o.mode = RN_PLAN_TRAIN;
    o.loss = b->loss;
    o.optimizer = b->optimizer;
    o.input_dims[0] = b->o->batch, o.input_dims[1] = 3;
    o.input_dims[2] = o.input_dims[3] = b->o->size;
    BENCH_CHECK(rn_plan_create(b->model, &o, &b->plan));
}

static void open_bench(bench *b)
{
    rn_context_options context = RN_CONTEXT_OPTIONS_INIT;
    rn_image_folder_options folder = RN_IMAGE_FOLDER_OPTIONS_INIT;
    context.num_threads = b->o->threads;
    folder.flags = b->o->full_size ? RN_IMAGE_FOLDER_FULL_SIZE : 0;
    BENCH_CHECK(rn_context_create(&context, &b->ctx));
    BENCH_CHECK(rn_context_find_device(b->ctx, "cpu", &b->cpu));
    BENCH_CHECK(rn_image_folder_open(b->ctx, b->dir, &folder, &b->folder));
    make_transforms(b);
    if (b->o->arch) {
        make_memory_images(b);
        make_plan(b);
    }
}

static void close_bench(bench *b)
{
    rn_plan_release(b->plan);
    rn_optimizer_release(b->optimizer);
    rn_loss_release(b->loss);
    rn_model_release(b->model);
    rn_transform_release(b->transform);
    rn_transform_release(b->plain);
    rn_dataset_release(b->folder);
    rn_dataset_release(b->memory);
    rn_context_release(b->ctx);
}

static rn_loader *make_loader(bench *b, rn_dataset *ds, rn_transform *t)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *l;
    o.batch = b->o->batch;
    o.workers = b->o->workers;
    o.prefetch = 2 * (o.workers > 1 ? o.workers : 1);
    o.flags = RN_LOADER_SHUFFLE;
    o.transform = t;
    o.plan = b->plan;
    BENCH_CHECK(rn_loader_create(ds, &o, &l));
    return l;
}

/* The next batch, of whichever epoch; and a training step on it, if there is a plan. Returns its images. */
static int64_t take_batch(bench *b, rn_loader *l)
{
    rn_tensor *images, *labels;
    rn_status status;
    do {
        BENCH_CHECK(status = rn_loader_next(l, &images, &labels));
    } while (status == RN_END);
    if (b->plan)
        BENCH_CHECK(rn_plan_train_step(b->plan, images, labels));
    return rn_tensor_dim(images, 0);
}

static double images_per_second(bench *b, rn_loader *l)
{
    int64_t count = 0;
    for (int i = 0; i < 2 * b->o->workers + 1; i++)
        take_batch(b, l); /* what was made ahead before the clock began */
    const double begin = bench_now();
    while (bench_now() - begin < b->o->seconds)
        count += take_batch(b, l);
    return (double)count / (bench_now() - begin);
}

/* Seconds per image of a few steps, with no other loader at work. */
static double time_block(bench *b, rn_dataset *ds, rn_transform *t)
{
    enum { WARM = 2, TIMED = 5 };
    rn_loader *const l = make_loader(b, ds, t);
    int64_t images = 0;
    for (int i = 0; i < WARM; i++)
        take_batch(b, l);
    const double begin = bench_now();
    for (int i = 0; i < TIMED; i++)
        images += take_batch(b, l);
    const double seconds = (bench_now() - begin) / (double)images;
    rn_loader_release(l);
    return seconds;
}

/* Medians of the seconds per image of training from the folder, [0], and from memory, [1], in turns. */
static void time_training(bench *b, double out[2])
{
    enum { MOST = 1000 };
    static double times[2][MOST];
    int count = 0;
    for (const double begin = bench_now(); count < MOST && (count < 3 || bench_now() - begin < b->o->seconds);
         count++) {
        times[0][count] = time_block(b, b->folder, b->transform);
        times[1][count] = time_block(b, b->memory, b->plain);
    }
    for (int which = 0; which < 2; which++)
        out[which] = bench_spread_of(times[which], count).median;
}

int main(int argc, char **argv)
{
    const options o = parse(argc, argv);
    bench b = {.o = &o};
    make_folder(&b);
    open_bench(&b);
    printf(
        "{\"transform\": \"%s\", \"height\": %d, \"width\": %d, \"bytes_per_file\": %.0f, \"size\": %d, \"batch\": %d, "
        "\"workers\": %d, \"full_size\": %d, ",
        o.test ? "test" : "train", o.height, o.width, b.bytes / o.files, o.size, o.batch, o.workers, o.full_size);
    if (o.arch) {
        double seconds[2];
        time_training(&b, seconds);
        printf(
            "\"arch\": \"%s\", \"threads\": %d, \"images_per_second\": %.2f, \"from_memory\": %.2f, \"share\": %.4f}\n",
            o.arch, (int)rn_context_num_threads(b.ctx), 1 / seconds[0], 1 / seconds[1], seconds[1] / seconds[0]);
    } else {
        rn_loader *const l = make_loader(&b, b.folder, b.transform);
        printf("\"images_per_second\": %.2f}\n", images_per_second(&b, l));
        rn_loader_release(l);
    }
    close_bench(&b);
    remove_folder(&b);
    return 0;
}
