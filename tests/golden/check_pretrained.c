/* SPDX-License-Identifier: MIT */
/*
 * A published CIFAR-10 ResNet-20 (option A, zeros on both sides), trained by others with PyTorch, on a thousand test
 * images: every logit within 1e-4 of PyTorch's, as many images right. The weights come from the file as it was published,
 * in torch.save()'s older form, and from a safetensors file.
 *
 * check_pretrained DIR: holds pretrained/resnet20-12fca82f.th, pretrained/resnet20.safetensors,
 * pretrained/resnet20_logits_exact1000.safetensors and cifar-10-batches-bin/test_exact_1000.bin.
 */
#include "golden_net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 1000, CLASSES = 10, RIGHT = 915 };

typedef struct way {
    const char *name;
    rn_dtype dtype;
    uint64_t flags;
    int64_t batch; /* 77: the last batch is not full */
    const char *weights;
} way;

#define PUBLISHED "pretrained/resnet20-12fca82f.th"
#define SAFETENSORS "pretrained/resnet20.safetensors"

static const way ways[] = {
    {"f32", RN_F32, 0, 100, PUBLISHED},
    {"f32, safetensors", RN_F32, 0, 100, SAFETENSORS},
    {"f32, unfused", RN_F32, RN_PLAN_NO_FUSION, 77, PUBLISHED},
    {"f32, direct", RN_F32, RN_PLAN_NO_WINOGRAD, 100, SAFETENSORS},
    {"f64", RN_F64, 0, 250, PUBLISHED},
};

typedef struct fixture {
    const char *dir;
    const float *expected; /* PyTorch's logits */
    rn_context *ctx;
    rn_model *model;
    rn_plan *plan;
    rn_loader *loader;
    rn_tensor *logits, *labels;
} fixture;

static void join(char *path, size_t size, const char *dir, const char *name)
{
    snprintf(path, size, "%s/%s", dir, name);
}

static rn_status load_model(fixture *f, const char *weights)
{
    char path[4096];
    rn_layer *layer = NULL;
    rn_load_options o = RN_LOAD_OPTIONS_INIT;
    o.strip_prefix = "module.";
    TRY(rn_zoo_renames("akamaster", &o.renames, &o.num_renames));
    join(path, sizeof path, f->dir, weights);
    TRY(rn_zoo_create(f->ctx, "cifar_resnet20", NULL, &layer));
    rn_status status = rn_model_create(f->ctx, layer, rn_context_device(f->ctx, 0), &f->model);
    rn_layer_release(layer);
    TRY(status);
    status = rn_model_load(f->model, path, &o);
    rn_load_report_release(&o);
    return status;
}

static rn_status open_images(fixture *f, int64_t batch)
{
    /* The means and deviations that the net was trained with. */
    const double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
    char path[4096];
    const char *paths[] = {path};
    rn_dataset *images = NULL;
    rn_transform *transform = NULL;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    join(path, sizeof path, f->dir, "cifar-10-batches-bin/test_exact_1000.bin");
    rn_status status = rn_cifar_files_open(f->ctx, paths, 1, CLASSES, &images);
    if (status == RN_OK)
        status = rn_transform_create(f->ctx, &transform);
    if (status == RN_OK)
        status = rn_transform_normalize(transform, 3, mean, deviation);
    o.batch = batch;
    o.transform = transform;
    if (status == RN_OK)
        status = rn_loader_create(images, &o, &f->loader);
    rn_transform_release(transform);
    rn_dataset_release(images);
    return status;
}

static rn_status set_up(fixture *f, const way *w)
{
    const int64_t all[] = {IMAGES, CLASSES};
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    TRY(rn_context_create(NULL, &f->ctx));
    TRY(load_model(f, w->weights));
    TRY(open_images(f, w->batch));
    TRY(rn_tensor_create(rn_context_device(f->ctx, 0), RN_F32, 2, all, &f->logits));
    TRY(rn_tensor_create(rn_context_device(f->ctx, 0), RN_I64, 1, all, &f->labels));
    const int64_t dims[] = {w->batch, 3, 32, 32};
    memcpy(o.input_dims, dims, sizeof dims);
    o.flags = w->flags;
    o.compute_dtype = w->dtype;
    return rn_plan_create(f->model, &o, &f->plan);
}

static void tear_down(fixture *f)
{
    rn_tensor_release(f->logits);
    rn_tensor_release(f->labels);
    rn_loader_release(f->loader);
    rn_plan_release(f->plan);
    rn_model_release(f->model);
    rn_context_release(f->ctx);
}

/* The plan takes and gives its compute type; images and collected logits are f32. */
static rn_status forward(fixture *f, const way *w, const rn_tensor *images, rn_tensor *part)
{
    int64_t n = rn_tensor_dim(images, 0);
    const int64_t in[] = {n, 3, 32, 32}, out[] = {n, CLASSES};
    rn_device *dev = rn_context_device(f->ctx, 0);
    rn_tensor *x = NULL, *y = NULL;
    if (w->dtype == RN_F32)
        return rn_plan_forward(f->plan, images, part);
    rn_status status = rn_tensor_create(dev, w->dtype, 4, in, &x);
    if (status == RN_OK)
        status = rn_tensor_create(dev, w->dtype, 2, out, &y);
    if (status == RN_OK)
        status = rn_tensor_copy(images, x);
    if (status == RN_OK)
        status = rn_plan_forward(f->plan, x, y);
    if (status == RN_OK)
        status = rn_tensor_copy(y, part);
    rn_tensor_release(x);
    rn_tensor_release(y);
    return status;
}

static rn_status collect(fixture *f, const way *w, int64_t done, const rn_tensor *images, const rn_tensor *labels)
{
    rn_tensor *part = NULL, *part_labels = NULL;
    int64_t n = rn_tensor_dim(images, 0);
    TRY(rn_tensor_slice(f->logits, done, n, &part));
    rn_status status = forward(f, w, images, part);
    rn_tensor_release(part);
    TRY(status);
    TRY(rn_tensor_slice(f->labels, done, n, &part_labels));
    status = rn_tensor_copy(labels, part_labels);
    rn_tensor_release(part_labels);
    return status;
}

static rn_status run(fixture *f, const way *w)
{
    rn_tensor *images = NULL, *labels = NULL;
    int64_t done = 0;
    rn_status status;
    TRY(set_up(f, w));
    while ((status = rn_loader_next(f->loader, &images, &labels)) == RN_OK) {
        TRY(collect(f, w, done, images, labels));
        done += rn_tensor_dim(images, 0);
    }
    return status != RN_END ? status : done == IMAGES ? RN_OK : RN_E_USER;
}

static double largest_error(const fixture *f)
{
    const float *ours = rn_tensor_data(f->logits);
    double largest = 0;
    for (int i = 0; i < IMAGES * CLASSES; i++) {
        double error = fabs((double)ours[i] - (double)f->expected[i]);
        largest = error > largest || isnan(error) ? error : largest;
    }
    return largest;
}

/* The number of right answers grows with k up to all of them. */
static rn_status look_at_topk(const fixture *f, int64_t *first, int *ordered)
{
    int64_t before = 0;
    *ordered = 1;
    for (int32_t k = 1; k <= CLASSES; k++) {
        int64_t correct = 0;
        TRY(rn_topk(f->logits, f->labels, k, &correct));
        *first = k == 1 ? correct : *first;
        *ordered = *ordered && correct >= before;
        before = correct;
    }
    *ordered = *ordered && before == IMAGES;
    return RN_OK;
}

static int check(const char *dir, const float *expected, const way *w)
{
    fixture f = {.dir = dir, .expected = expected};
    int64_t right = 0;
    int ordered = 0;
    rn_status status = run(&f, w);
    if (status == RN_OK)
        status = look_at_topk(&f, &right, &ordered);
    double error = status == RN_OK ? largest_error(&f) : INFINITY;
    if (status != RN_OK)
        printf("FAIL pretrained (%s): %s\n", w->name, rn_error_message());
    int failed = status != RN_OK || !(error <= 1e-4) || right != RIGHT || !ordered;
    printf("%s pretrained (%s): largest error of a logit %.2e, %d of %d right\n", failed ? "FAIL" : "ok", w->name, error,
           (int)right, IMAGES);
    tear_down(&f);
    return failed;
}

int main(int argc, char **argv)
{
    char path[4096];
    golden g;
    size_t nbytes = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    join(path, sizeof path, argv[1], "pretrained/resnet20_logits_exact1000.safetensors");
    if (golden_open_plain(&g, path) != 0)
        return 1;
    const float *expected = golden_bytes(&g, "logits", &nbytes);
    int failed = nbytes != sizeof(float) * IMAGES * CLASSES;
    for (size_t i = 0; !failed && i < sizeof ways / sizeof *ways; i++)
        failed |= check(argv[1], expected, &ways[i]);
    golden_close(&g);
    return failed;
}
