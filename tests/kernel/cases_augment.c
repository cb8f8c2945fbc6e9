/* SPDX-License-Identifier: MIT */
/* Batches of stored images. All numbers are multiples of 1/8 below 32, which even bf16 holds: results are exact. */
#include "op_case.h"
#include <string.h>

/* The image that the next step sees, and zeros' levels there are. */
typedef struct progress {
    int64_t height, width;
    int32_t levels;
} progress;

static double quarter(oc_rng *rng, int64_t most)
{
    return 0.25 * (double)oc_range(rng, -4 * most, 4 * most);
}

static uint32_t add_numbers(oc_case *c, oc_rng *rng, int32_t rank, const int64_t *dims, int64_t most)
{
    const uint32_t i = oc_add(c, rng, RN_F32, RN_LAYOUT_PLAIN, rank, dims, 0, OC_GIVEN);
    for (size_t k = 0; k < c->values[i].count; k++)
        c->values[i].data[k] = quarter(rng, most);
    return i;
}

static uint32_t add_whole(oc_case *c, oc_rng *rng, int32_t dtype, int32_t rank, const int64_t *dims, int batch,
                          int64_t largest)
{
    const uint32_t i = oc_add(c, rng, dtype, RN_LAYOUT_PLAIN, rank, dims, batch, OC_GIVEN);
    for (size_t k = 0; k < c->values[i].count; k++)
        c->values[i].data[k] = (double)oc_range(rng, 0, largest);
    return i;
}

static int32_t below(oc_rng *rng, int64_t n)
{
    return (int32_t)oc_range(rng, 0, n - 1);
}

/* A crop, which may reach beyond the image on all sides; sometimes one place only. */
static void crop(oc_rng *rng, progress *at, rn_augment_step *s)
{
    s->height = 1 + below(rng, at->height + 3);
    s->width = 1 + below(rng, at->width + 3);
    s->top = -below(rng, 4);
    s->left = -below(rng, 4);
    s->down = oc_chance(rng, 25) ? 1 : 1 + below(rng, at->height + 2);
    s->across = oc_chance(rng, 25) ? 1 : 1 + below(rng, at->width + 2);
    at->height = s->height;
    at->width = s->width;
}

static void cut(oc_rng *rng, const progress *at, rn_augment_step *s)
{
    s->height = 1 + below(rng, at->height);
    s->width = 1 + below(rng, at->width);
    s->top = -s->height / 2;
    s->left = -s->width / 2;
    s->down = (int32_t)at->height;
    s->across = (int32_t)at->width;
}

static void add_step(oc_case *c, oc_rng *rng, int32_t kind, progress *at)
{
    rn_augment_params *const p = &c->params.augment;
    rn_augment_step *const s = &c->augment[p->num_steps++];
    *s = (rn_augment_step){.kind = kind, .lane = (uint32_t)below(rng, 64), .level = below(rng, at->levels)};
    s->in_height = (int32_t)at->height;
    s->in_width = (int32_t)at->width;
    if (kind == RN_AUGMENT_CROP)
        crop(rng, at, s);
    else if (kind == RN_AUGMENT_CUT)
        cut(rng, at, s);
    else if (kind == RN_AUGMENT_FLIP)
        s->threshold = oc_chance(rng, 20) ? 1u << 24 : 1u << 23;
}

/* Up to eight steps, one of which may subtract a mean; `mean` is as large as the image there, or of no rows. */
static void add_steps(oc_case *c, oc_rng *rng, progress *at, int64_t mean[2])
{
    static const int32_t kinds[] = {RN_AUGMENT_CROP, RN_AUGMENT_FLIP, RN_AUGMENT_CUT};
    const int64_t steps = oc_range(rng, 0, 8), subtract = oc_range(rng, 0, 11);
    mean[0] = mean[1] = 0;
    c->params.augment = (rn_augment_params){0, c->augment};
    for (int64_t i = 0; i < steps; i++) {
        if (i == subtract)
            mean[0] = at->height, mean[1] = at->width;
        add_step(c, rng, i == subtract ? RN_AUGMENT_SUBTRACT : kinds[below(rng, 3)], at);
    }
}

/* Deviations are powers of two; two normalisations have them 1. */
static uint32_t add_after(oc_case *c, oc_rng *rng, int64_t channels, int64_t count)
{
    static const double deviations[] = {0.5, 1, 2};
    const int64_t dims[3] = {count, 2, channels};
    const uint32_t i = add_numbers(c, rng, 3, dims, 2);
    for (int64_t k = 0; k < count * channels; k++)
        c->values[i].data[(2 * (k / channels) + 1) * channels + k % channels] =
            count == 1 ? deviations[below(rng, 3)] : 1.0;
    return i;
}

static void augment_of(oc_case *c, oc_rng *rng, const int64_t stored[4], int64_t rows, progress *at,
                       const int64_t mean[2], int nhwc)
{
    const int64_t table[2] = {stored[1], 256}, fill[2] = {at->levels, stored[1]}, key = 2, count = rows;
    const int64_t mean_dims[3] = {stored[1], mean[0], mean[1]}, x[4] = {rows, stored[1], at->height, at->width};
    oc_op(c, RN_OP_AUGMENT, 0, sizeof(rn_augment_params));
    oc_in(c, add_whole(c, rng, RN_U8, 4, stored, 0, 255));
    oc_in(c, add_whole(c, rng, RN_I64, 1, stored, 0, 999));
    oc_in(c, add_whole(c, rng, RN_I64, 1, &count, 1, stored[0] - 1));
    oc_in(c, add_whole(c, rng, RN_I64, 1, &key, 0, 1 << 30));
    oc_in(c, add_numbers(c, rng, 2, table, 8));
    oc_in(c, add_numbers(c, rng, 2, fill, 8));
    if (mean[0])
        oc_in(c, add_numbers(c, rng, 3, mean_dims, 4));
    if (mean[0] && oc_chance(rng, 70))
        oc_in(c, add_after(c, rng, stored[1], oc_range(rng, 1, 2)));
    oc_out(c, oc_add(c, rng, OC_T, nhwc ? OC_IMAGE : RN_LAYOUT_PLAIN, 4, x, 1, OC_UNSET), OC_EXACT);
    oc_out(c, oc_add(c, rng, RN_I64, RN_LAYOUT_PLAIN, 1, &count, 1, OC_GIVEN), OC_EXACT);
    c->per_image = 1;
    c->bytes = (double)(rows * stored[1]) * (double)(stored[2] * stored[3] + 4 * at->height * at->width);
}

static void make_augment(oc_case *c, oc_rng *rng, int index)
{
    static const int64_t channels[] = {1, 2, 3, 4, 5, 8};
    const int64_t stored[4] = {oc_range(rng, 1, 6), oc_pick(rng, channels, 6), oc_range(rng, 1, 9),
                               oc_range(rng, 1, 9)};
    progress at = {index % 8 == 7 ? 21 : stored[2], stored[3], (int32_t)oc_range(rng, 1, 3)};
    int64_t mean[2];
    oc_begin(c, "augment");
    add_steps(c, rng, &at, mean);
    const int64_t taller[4] = {stored[0], stored[1], index % 8 == 7 ? 21 : stored[2], stored[3]};
    const int64_t rows = oc_range(rng, 1, 5);
    augment_of(c, rng, taller, rows, &at, mean, index % 3 != 0);
    c->run.batch = oc_range(rng, 1, rows);
}

/* CIFAR's usual augmentation. */
static int bench_augment(oc_case *c, oc_rng *rng, int index)
{
    const int64_t stored[4] = {1024, 3, 32, 32}, none[2] = {0, 0};
    progress at = {32, 32, 1};
    if (index > 0)
        return 0;
    oc_begin(c, "augment");
    c->augment[0] = (rn_augment_step){.kind = RN_AUGMENT_CROP,
                                      .in_height = 32,
                                      .in_width = 32,
                                      .top = -4,
                                      .left = -4,
                                      .down = 9,
                                      .across = 9,
                                      .height = 32,
                                      .width = 32};
    c->augment[1] =
        (rn_augment_step){.kind = RN_AUGMENT_FLIP, .lane = 1, .in_height = 32, .in_width = 32, .threshold = 1u << 23};
    c->params.augment = (rn_augment_params){2, c->augment};
    augment_of(c, rng, stored, 512, &at, none, 1);
    c->run.batch = 512;
    return 1;
}

const oc_family oc_augment_families[] = {
    {"augment", make_augment, bench_augment},
    {NULL, NULL, NULL},
};
