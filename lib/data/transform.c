/* SPDX-License-Identifier: MIT */
/* Transforms as the host makes them: a list of steps. What they do is in pipeline.c. */
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
    rni_free(&ctx->allocator, t->steps);
    rni_free(&ctx->allocator, t);
    rn_context_release(ctx);
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
