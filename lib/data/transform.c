/* SPDX-License-Identifier: MIT */
/* Transforms as the host makes them: a list of steps. What they do is in frame.c, view.c and render.c. */
#include "data/transform.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

rn_status rn_transform_create(rn_context *ctx, rn_transform **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_transform *const t = rni_calloc(&ctx->allocator, 1, sizeof *t);
    if (!t)
        return rni_nomem("transform", sizeof *t);
    atomic_init(&t->references, 1);
    t->ctx = rn_context_retain(ctx);
    *out = t;
    return RN_OK;
}

rn_transform *rn_transform_retain(rn_transform *t)
{
    if (t)
        rni_reference(&t->references);
    return t;
}

void rn_transform_release(rn_transform *t)
{
    if (!t || !rni_unreference(&t->references))
        return;
    rn_context *const ctx = t->ctx;
    for (size_t i = 0; i < t->num_steps; i++)
        rn_tensor_release(t->steps[i].image);
    rni_free(&ctx->allocator, t->steps);
    rni_free(&ctx->allocator, t);
    rn_context_release(ctx);
}

const char *rni_step_name(const rni_step *s)
{
    static const char *const names[] = {"random crop", "random hflip",        "normalize",   "cutout",   "resize",
                                        "short side",  "random resized crop", "center crop", "ten crop", "pca color",
                                        "subtract"};
    return names[s->kind];
}

static rn_status add_step(rn_transform *t, const rni_step *step)
{
    if (t->num_steps == RNI_MAX_STEPS)
        return rni_fail(RN_E_INVALID, "t: a transform has at most %d steps", RNI_MAX_STEPS);
    if (t->num_steps == t->capacity) {
        const size_t capacity = t->capacity ? 2 * t->capacity : 4;
        rni_step *const steps = rni_realloc(&t->ctx->allocator, t->steps, capacity * sizeof *steps);
        if (!steps)
            return rni_nomem("transform", capacity * sizeof *steps);
        t->steps = steps;
        t->capacity = capacity;
    }
    t->steps[t->num_steps++] = *step;
    return RN_OK;
}

static rn_status check_range(const char *name, int64_t value, int64_t least)
{
    if (value < least || value > INT32_MAX)
        return rni_fail(RN_E_INVALID, "%s: expected %" PRId64 " or more, got %" PRId64, name, least, value);
    return RN_OK;
}

rn_status rn_transform_random_crop(rn_transform *t, int64_t padding, int64_t height, int64_t width)
{
    RNI_REQUIRE(t);
    RNI_TRY(check_range("padding", padding, 0));
    RNI_TRY(check_range("height", height, 0));
    RNI_TRY(check_range("width", width, 0));
    const rni_step step = {.kind = RNI_STEP_CROP, .padding = padding, .height = height, .width = width};
    return add_step(t, &step);
}

rn_status rn_transform_random_hflip(rn_transform *t, double p)
{
    RNI_REQUIRE(t);
    if (!(p >= 0.0 && p <= 1.0))
        return rni_fail(RN_E_INVALID, "p: expected 0 to 1, got %g", p);
    const rni_step step = {.kind = RNI_STEP_HFLIP, .p = p};
    return add_step(t, &step);
}

rn_status rn_transform_normalize(rn_transform *t, int32_t channels, const double *mean, const double *std)
{
    RNI_REQUIRE(t);
    RNI_REQUIRE(mean);
    RNI_REQUIRE(std);
    if (channels < 1 || channels > RNI_MAX_CHANNELS)
        return rni_fail(RN_E_INVALID, "channels: expected 1 to %d, got %d", RNI_MAX_CHANNELS, (int)channels);
    rni_step step = {.kind = RNI_STEP_NORMALIZE, .channels = channels};
    for (int32_t c = 0; c < channels; c++) {
        if (!isfinite(mean[c]))
            return rni_fail(RN_E_INVALID, "mean[%d]: expected a finite number, got %g", (int)c, mean[c]);
        if (!(isfinite(std[c]) && (float)std[c] > 0.0f))
            return rni_fail(RN_E_INVALID, "std[%d]: expected a number above 0, got %g", (int)c, std[c]);
        step.mean[c] = mean[c];
        step.std[c] = std[c];
    }
    return add_step(t, &step);
}

rn_status rn_transform_cutout(rn_transform *t, int64_t size)
{
    RNI_REQUIRE(t);
    RNI_TRY(check_range("size", size, 1));
    const rni_step step = {.kind = RNI_STEP_CUTOUT, .height = size};
    return add_step(t, &step);
}

static rn_status add_sized(rn_transform *t, int32_t kind, int64_t height, int64_t width)
{
    const rni_step step = {.kind = kind, .height = height, .width = width};
    RNI_TRY(check_range("height", height, 1));
    RNI_TRY(check_range("width", width, 1));
    return add_step(t, &step);
}

rn_status rn_transform_resize(rn_transform *t, int64_t height, int64_t width)
{
    RNI_REQUIRE(t);
    return add_sized(t, RNI_STEP_RESIZE, height, width);
}

rn_status rn_transform_center_crop(rn_transform *t, int64_t height, int64_t width)
{
    RNI_REQUIRE(t);
    return add_sized(t, RNI_STEP_CENTER_CROP, height, width);
}

static rn_status check_single(const rn_transform *t, int32_t kind)
{
    for (size_t i = 0; i < t->num_steps; i++)
        if (t->steps[i].kind == kind)
            return rni_fail(RN_E_INVALID, "t: expected one step %s, got a second one", rni_step_name(&t->steps[i]));
    return RN_OK;
}

rn_status rn_transform_ten_crop(rn_transform *t, int64_t height, int64_t width)
{
    RNI_REQUIRE(t);
    RNI_TRY(check_single(t, RNI_STEP_TEN_CROP));
    return add_sized(t, RNI_STEP_TEN_CROP, height, width);
}

rn_status rn_transform_short_side(rn_transform *t, int64_t shortest, int64_t longest)
{
    RNI_REQUIRE(t);
    RNI_TRY(check_range("shortest", shortest, 1));
    RNI_TRY(check_range("longest", longest, shortest));
    const rni_step step = {.kind = RNI_STEP_SHORT_SIDE, .shortest = shortest, .longest = longest};
    return add_step(t, &step);
}

/* Two numbers above 0, at most `most`, the smaller one first. */
static rn_status check_interval(const char *name, const double *given, double most, double to[2])
{
    for (int i = 0; given && i < 2; i++)
        to[i] = given[i];
    if (!(to[0] > 0.0 && to[0] <= to[1] && to[1] <= most))
        return rni_fail(RN_E_INVALID, "%s: expected two numbers, rising, above 0 and at most %g, got %g and %g", name,
                        most, to[0], to[1]);
    return RN_OK;
}

rn_status rn_transform_random_resized_crop(rn_transform *t, int64_t height, int64_t width, const double *area,
                                           const double *ratio)
{
    RNI_REQUIRE(t);
    rni_step step = {
        .kind = RNI_STEP_RESIZED_CROP,
        .height = height,
        .width = width,
        .area = {0.08, 1.0},
        .ratio = {3.0 / 4.0, 4.0 / 3.0},
    };
    RNI_TRY(check_range("height", height, 1));
    RNI_TRY(check_range("width", width, 1));
    RNI_TRY(check_interval("area", area, 1.0, step.area));
    RNI_TRY(check_interval("ratio", ratio, 1e6, step.ratio));
    return add_step(t, &step);
}

/*
 * Of the covariance of ImageNet's pixels in [0, 1], as fb.resnet.torch has them; the vectors are columns, with rows for
 * red, green and blue.
 */
static const double imagenet_values[3] = {0.2175, 0.0188, 0.0045};
static const double imagenet_vectors[9] = {
    -0.5675, 0.7192, 0.4009, -0.5808, -0.0045, -0.8140, -0.5836, -0.6948, 0.4203,
};

static rn_status copy_finite(const char *name, const double *from, size_t count, double *to)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(from[i]))
            return rni_fail(RN_E_INVALID, "%s[%zu]: expected a finite number, got %g", name, i, from[i]);
        to[i] = from[i];
    }
    return RN_OK;
}

rn_status rn_transform_pca_color(rn_transform *t, double stddev, const double *eigenvalues, const double *eigenvectors)
{
    RNI_REQUIRE(t);
    rni_step step = {.kind = RNI_STEP_PCA_COLOR, .p = stddev};
    if (!(stddev >= 0.0 && isfinite(stddev)))
        return rni_fail(RN_E_INVALID, "stddev: expected 0 or more, got %g", stddev);
    RNI_TRY(copy_finite("eigenvalues", eigenvalues ? eigenvalues : imagenet_values, 3, step.eigenvalues));
    RNI_TRY(copy_finite("eigenvectors", eigenvectors ? eigenvectors : imagenet_vectors, 9, step.eigenvectors));
    return add_step(t, &step);
}

rn_status rn_transform_subtract(rn_transform *t, rn_tensor *mean)
{
    RNI_REQUIRE(t);
    RNI_REQUIRE(mean);
    char shape[RNI_SHAPE_TEXT];
    const int32_t rank = rn_tensor_rank(mean);
    int64_t dims[RN_MAX_RANK];
    for (int32_t i = 0; i < rank; i++)
        dims[i] = rn_tensor_dim(mean, i);
    if (rn_tensor_dtype(mean) != RN_F32)
        return rni_fail(RN_E_DTYPE, "mean: expected f32, got %s", rn_dtype_name(rn_tensor_dtype(mean)));
    if (rank != 3 || rn_tensor_count(mean) == 0)
        return rni_fail(RN_E_SHAPE, "mean: expected [C, H, W], got %s", rni_shape_text(shape, rank, dims));
    RNI_TRY(check_single(t, RNI_STEP_SUBTRACT));
    const rni_step step = {.kind = RNI_STEP_SUBTRACT, .image = mean};
    RNI_TRY(add_step(t, &step));
    rn_tensor_retain(mean);
    return RN_OK;
}
