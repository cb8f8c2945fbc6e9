/* SPDX-License-Identifier: MIT */
/* A transform made ready for images of one size: checks, and what bytes and zeros end as. */
#include "data/transform.h"
#include <inttypes.h>
#include <string.h>

static rn_status check_crop(const rni_step *s, size_t number, int64_t *height, int64_t *width)
{
    const int64_t h = s->height ? s->height : *height, w = s->width ? s->width : *width;
    if (h > *height + 2 * s->padding || w > *width + 2 * s->padding)
        return rni_fail(RN_E_SHAPE,
                        "transform: step %zu, random crop: expected a padded image of at least %" PRId64 " x %" PRId64
                        ", got %" PRId64 " x %" PRId64,
                        number, h, w, *height + 2 * s->padding, *width + 2 * s->padding);
    *height = h;
    *width = w;
    return RN_OK;
}

/* Sizes after all steps, and how many there are of some kinds. */
static rn_status check_steps(rni_pipeline *p)
{
    int64_t height = p->in_height, width = p->in_width;
    p->longest = height > width ? height : width;
    for (size_t i = 0; i < p->num_steps; i++) {
        const rni_step *const s = &p->steps[i];
        if (s->kind == RNI_STEP_CROP)
            RNI_TRY(check_crop(s, i, &height, &width));
        if (s->kind == RNI_STEP_NORMALIZE && s->channels != p->channels)
            return rni_fail(RN_E_SHAPE,
                            "transform: step %zu, normalize: has %d channels, but the dataset's images have %" PRId64,
                            i, (int)s->channels, p->channels);
        p->levels += s->kind == RNI_STEP_NORMALIZE;
        p->num_cutouts += s->kind == RNI_STEP_CUTOUT;
        p->longest = height > p->longest ? height : p->longest;
        p->longest = width > p->longest ? width : p->longest;
    }
    if (p->longest > INT32_MAX)
        return rni_fail(RN_E_SHAPE, "transform: images of %" PRId64 " pixels a side are too large", p->longest);
    p->out_height = height;
    p->out_width = width;
    return RN_OK;
}

/* x after the normalisations of channel c from `level` on; in f32, as torchvision's Normalize. */
static float normalize(const rni_pipeline *p, int32_t level, int64_t c, float x)
{
    for (int32_t l = level; l < p->levels; l++)
        x = (x - p->mean[l * p->channels + c]) / p->std[l * p->channels + c];
    return x;
}

static void fill_numbers(rni_pipeline *p)
{
    int32_t level = 0;
    for (size_t i = 0; i < p->num_steps; i++) {
        if (p->steps[i].kind != RNI_STEP_NORMALIZE)
            continue;
        for (int64_t c = 0; c < p->channels; c++) {
            p->mean[level * p->channels + c] = (float)p->steps[i].mean[c];
            p->std[level * p->channels + c] = (float)p->steps[i].std[c];
        }
        level++;
    }
    for (int64_t c = 0; c < p->channels; c++) {
        for (level = 0; level <= p->levels; level++)
            p->fill[level * p->channels + c] = normalize(p, level, c, 0.0f);
        for (int value = 0; value < 256; value++)
            p->table[c * 256 + value] = normalize(p, 0, c, (float)value / 255.0f);
    }
}

static rn_status allocate(rni_pipeline *p, const rn_transform *transform)
{
    const size_t channels = (size_t)p->channels, levels = p->num_steps;
    p->steps = rni_calloc(p->allocator, p->num_steps, sizeof *p->steps);
    p->mean = rni_calloc(p->allocator, levels * channels, sizeof *p->mean);
    p->std = rni_calloc(p->allocator, levels * channels, sizeof *p->std);
    p->fill = rni_calloc(p->allocator, (levels + 1) * channels, sizeof *p->fill);
    p->table = rni_calloc(p->allocator, 256 * channels, sizeof *p->table);
    if (!p->steps || !p->mean || !p->std || !p->fill || !p->table)
        return rni_nomem("transform", 256 * channels * sizeof *p->table);
    if (transform && p->num_steps)
        memcpy(p->steps, transform->steps, p->num_steps * sizeof *p->steps);
    return RN_OK;
}

rn_status rni_pipeline_create(const rn_allocator *allocator, const rn_transform *transform,
                              const rn_dataset_info *info, rni_pipeline *out)
{
    rni_pipeline p = {
        .allocator = allocator,
        .num_steps = transform ? transform->num_steps : 0,
        .dtype = info->dtype,
        .channels = info->channels,
        .in_height = info->height,
        .in_width = info->width,
    };
    rn_status status = allocate(&p, transform);
    if (status == RN_OK)
        status = check_steps(&p);
    if (status < 0) {
        rni_pipeline_free(&p);
        return status;
    }
    fill_numbers(&p);
    *out = p;
    return RN_OK;
}

void rni_pipeline_free(rni_pipeline *p)
{
    if (!p->allocator)
        return;
    rni_free(p->allocator, p->steps);
    rni_free(p->allocator, p->mean);
    rni_free(p->allocator, p->std);
    rni_free(p->allocator, p->fill);
    rni_free(p->allocator, p->table);
    memset(p, 0, sizeof *p);
}
