/* SPDX-License-Identifier: MIT */
/* A pipeline in the terms of RN_OP_AUGMENT: its steps, and what bytes and zeros end as. */
#include "data/resident.h"
#include <inttypes.h>
#include <math.h>

/* Sizes and offsets that the op takes. */
static const int64_t most = INT64_C(1) << 30;

/* Where translation stands. */
typedef struct progress {
    int64_t height, width;
    int32_t level;
} progress;

static rn_status refuse(const rni_step *s, size_t number)
{
    return rni_fail(RN_E_UNSUPPORTED, "transform: step %zu, %s: is done on the host only", number, rni_step_name(s));
}

/* A crop or a cutout: how far its first row and column may be beyond `top` and `left`. */
static rn_status add_window(const rni_step *s, size_t number, int64_t top, int64_t left, int64_t down, int64_t across,
                            rn_augment_step *out)
{
    if (-top > most || -left > most || down > most || across > most || out->height > most || out->width > most)
        return refuse(s, number);
    out->top = (int32_t)top;
    out->left = (int32_t)left;
    out->down = (int32_t)down;
    out->across = (int32_t)across;
    return RN_OK;
}

static rn_status add_crop(const rni_step *s, size_t number, progress *at, rn_augment_step *out)
{
    const int64_t height = s->height ? s->height : at->height, width = s->width ? s->width : at->width;
    const int64_t spare[2] = {at->height + 2 * s->padding - height, at->width + 2 * s->padding - width};
    out->kind = RN_AUGMENT_CROP;
    out->height = (int32_t)height;
    out->width = (int32_t)width;
    if (s->kind == RNI_STEP_CENTER_CROP)
        RNI_TRY(
            add_window(s, number, rni_center_first(at->height, height), rni_center_first(at->width, width), 1, 1, out));
    else
        RNI_TRY(add_window(s, number, -s->padding, -s->padding, spare[0] + 1, spare[1] + 1, out));
    at->height = height;
    at->width = width;
    return RN_OK;
}

static rn_status add_cutout(const rni_step *s, size_t number, const progress *at, rn_augment_step *out)
{
    out->kind = RN_AUGMENT_CUT;
    out->height = out->width = (int32_t)s->height;
    return add_window(s, number, -(s->height / 2), -(s->height / 2), at->height, at->width, out);
}

/* out->kind stays 0 for a step that moves nothing. */
static rn_status translate(const rni_step *s, size_t number, progress *at, rn_augment_step *out)
{
    switch (s->kind) {
    case RNI_STEP_CROP:
    case RNI_STEP_CENTER_CROP:
        return add_crop(s, number, at, out);
    case RNI_STEP_CUTOUT:
        return add_cutout(s, number, at, out);
    case RNI_STEP_HFLIP:
        out->kind = RN_AUGMENT_FLIP;
        out->threshold = (uint32_t)ceil(s->p * 16777216.0); /* k / 2^24 < p just where k is less than that */
        return RN_OK;
    case RNI_STEP_SUBTRACT:
        out->kind = RN_AUGMENT_SUBTRACT;
        at->level++;
        return RN_OK;
    case RNI_STEP_NORMALIZE:
        at->level++;
        return RN_OK;
    default:
        return refuse(s, number);
    }
}

rn_status rni_resident_steps(const rni_pipeline *p, rn_augment_step *steps, uint32_t *count)
{
    progress at = {p->in_height, p->in_width, 0};
    *count = 0;
    if (p->longest > most)
        return rni_fail(RN_E_UNSUPPORTED, "transform: images of %" PRId64 " pixels a side are made on the host only",
                        p->longest);
    if (p->frame_steps)
        return refuse(&p->steps[0], 0);
    for (size_t i = 0; i < p->num_steps; i++) {
        rn_augment_step step = {
            .lane = (uint32_t)i,
            .level = at.level,
            .in_height = (int32_t)at.height,
            .in_width = (int32_t)at.width,
        };
        RNI_TRY(translate(&p->steps[i], i, &at, &step));
        if (step.kind)
            steps[(*count)++] = step;
    }
    return RN_OK;
}

/* The level at which table and fill end: the one that subtracts an image, or behind the last. */
static int32_t last_level(const rni_pipeline *p)
{
    return p->mean_level >= 0 ? p->mean_level : p->levels;
}

int64_t rni_resident_after(const rni_pipeline *p)
{
    return p->mean_level >= 0 ? p->levels - p->mean_level - 1 : 0;
}

/* x of channel c through levels from `level` to `end`, as on the host. */
static float through(const rni_pipeline *p, int32_t level, int32_t end, int64_t c, float x)
{
    for (int32_t l = level; l < end; l++)
        x = (x - p->numbers.mean[l * p->channels + c]) / p->numbers.std[l * p->channels + c];
    return x;
}

void rni_resident_numbers(const rni_pipeline *p, float *table, float *fill, float *after)
{
    const int32_t last = last_level(p);
    for (int64_t c = 0; c < p->channels; c++) {
        for (int value = 0; value < 256; value++)
            table[c * 256 + value] = through(p, 0, last, c, (float)value / 255.0f);
        for (int32_t level = 0; level <= p->levels; level++)
            fill[level * p->channels + c] = through(p, level, level <= last ? last : p->levels, c, 0.0f);
        for (int64_t a = 0; a < rni_resident_after(p); a++) {
            after[2 * a * p->channels + c] = p->numbers.mean[(last + 1 + a) * p->channels + c];
            after[(2 * a + 1) * p->channels + c] = p->numbers.std[(last + 1 + a) * p->channels + c];
        }
    }
}
