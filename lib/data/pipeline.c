/* SPDX-License-Identifier: MIT */
/* A transform made ready for the images of a dataset: checks, and what bytes and zeros end as. */
#include "data/transform.h"
#include <inttypes.h>
#include <string.h>

static int changes_numbers(const rni_step *s)
{
    return s->kind == RNI_STEP_NORMALIZE || s->kind == RNI_STEP_PCA_COLOR || s->kind == RNI_STEP_SUBTRACT;
}

static rn_status check_crop(const rni_step *s, size_t number, int64_t *height, int64_t *width)
{
    const int64_t h = s->height ? s->height : *height, w = s->width ? s->width : *width;
    if (h > *height + 2 * s->padding || w > *width + 2 * s->padding)
        return rni_fail(RN_E_SHAPE,
                        "transform: step %zu, %s: expected a padded image of at least %" PRId64 " x %" PRId64
                        ", got %" PRId64 " x %" PRId64,
                        number, rni_step_name(s), h, w, *height + 2 * s->padding, *width + 2 * s->padding);
    *height = h;
    *width = w;
    return RN_OK;
}

static rn_status check_channels(const rni_pipeline *p, const rni_step *s, size_t number, int64_t channels)
{
    if (channels == p->channels)
        return RN_OK;
    return rni_fail(RN_E_SHAPE,
                    "transform: step %zu, %s: has %" PRId64 " channels, but the dataset's images have %" PRId64, number,
                    rni_step_name(s), channels, p->channels);
}

static rn_status check_subtract(const rni_pipeline *p, const rni_step *s, size_t number, int64_t height, int64_t width)
{
    const int64_t here[3] = {p->channels, height, width};
    char shape[2][RNI_SHAPE_TEXT];
    if (rn_tensor_dim(s->image, 0) == here[0] && rn_tensor_dim(s->image, 1) == height &&
        rn_tensor_dim(s->image, 2) == width)
        return RN_OK;
    const int64_t dims[3] = {rn_tensor_dim(s->image, 0), rn_tensor_dim(s->image, 1), rn_tensor_dim(s->image, 2)};
    return rni_fail(RN_E_SHAPE, "transform: step %zu, subtract: the mean is %s, but images are %s here", number,
                    rni_shape_text(shape[0], 3, dims), rni_shape_text(shape[1], 3, here));
}

/* One step behind the frame, in an image of height x width. */
static rn_status check_step(const rni_pipeline *p, size_t number, int64_t *height, int64_t *width)
{
    const rni_step *const s = &p->steps[number];
    switch (s->kind) {
    case RNI_STEP_CROP:
    case RNI_STEP_CENTER_CROP:
    case RNI_STEP_TEN_CROP:
        return check_crop(s, number, height, width);
    case RNI_STEP_NORMALIZE:
        return check_channels(p, s, number, s->channels);
    case RNI_STEP_PCA_COLOR:
        return check_channels(p, s, number, 3);
    case RNI_STEP_SUBTRACT:
        return check_subtract(p, s, number, *height, *width);
    case RNI_STEP_RESIZE:
    case RNI_STEP_SHORT_SIDE:
    case RNI_STEP_RESIZED_CROP:
        return rni_fail(RN_E_INVALID, "transform: step %zu, %s: expected at the beginning only", number,
                        rni_step_name(s));
    default:
        return RN_OK;
    }
}

/* Sizes after all steps, and how many there are of some kinds. */
static rn_status check_steps(rni_pipeline *p)
{
    int64_t height = p->in_height, width = p->in_width;
    p->longest = height > width ? height : width;
    p->mean_level = -1;
    for (size_t i = 0; i < p->num_steps; i++) {
        const rni_step *const s = &p->steps[i];
        if (i >= p->frame_steps)
            RNI_TRY(check_step(p, i, &height, &width));
        if (s->kind == RNI_STEP_TEN_CROP)
            p->views = RNI_TEN_CROP_VIEWS;
        if (s->kind == RNI_STEP_SUBTRACT)
            p->mean_level = p->levels;
        p->colours += s->kind == RNI_STEP_PCA_COLOR;
        p->levels += changes_numbers(s);
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
static float normalize(const rni_pipeline *p, const rni_numbers *n, int32_t level, int64_t c, float x)
{
    for (int32_t l = level; l < p->levels; l++)
        x = (x - n->mean[l * p->channels + c]) / n->std[l * p->channels + c];
    return x;
}

void rni_numbers_fill(const rni_pipeline *p, rni_numbers *n)
{
    for (int64_t c = 0; c < p->channels; c++) {
        for (int32_t level = 0; level <= p->levels; level++)
            n->fill[level * p->channels + c] = normalize(p, n, level, c, 0.0f);
        for (int value = 0; value < 256; value++)
            n->table[c * 256 + value] = normalize(p, n, 0, c, (float)value / 255.0f);
    }
}

/* A level that is not a normalisation does nothing here: what it does is not the same for all images or pixels. */
static void fill_numbers(rni_pipeline *p)
{
    int32_t level = 0;
    for (size_t i = 0; i < p->num_steps; i++) {
        const rni_step *const s = &p->steps[i];
        if (!changes_numbers(s))
            continue;
        for (int64_t c = 0; c < p->channels; c++) {
            p->numbers.mean[level * p->channels + c] = s->kind == RNI_STEP_NORMALIZE ? (float)s->mean[c] : 0.0f;
            p->numbers.std[level * p->channels + c] = s->kind == RNI_STEP_NORMALIZE ? (float)s->std[c] : 1.0f;
        }
        level++;
    }
    rni_numbers_fill(p, &p->numbers);
}

static rn_status copy_mean(rni_pipeline *p)
{
    const rn_tensor *image = NULL;
    for (size_t i = 0; i < p->num_steps; i++)
        if (p->steps[i].kind == RNI_STEP_SUBTRACT)
            image = p->steps[i].image;
    if (!image)
        return RN_OK;
    p->mean_image = rni_alloc(p->allocator, rn_tensor_nbytes(image));
    if (!p->mean_image)
        return rni_nomem("transform", rn_tensor_nbytes(image));
    p->mean_height = rn_tensor_dim(image, 1);
    p->mean_width = rn_tensor_dim(image, 2);
    return rn_tensor_read(image, p->mean_image, rn_tensor_nbytes(image));
}

static rn_status allocate(rni_pipeline *p, const rn_transform *transform)
{
    const size_t channels = (size_t)p->channels, levels = p->num_steps;
    rni_numbers *const n = &p->numbers;
    p->steps = rni_calloc(p->allocator, p->num_steps, sizeof *p->steps);
    n->mean = rni_calloc(p->allocator, levels * channels, sizeof *n->mean);
    n->std = rni_calloc(p->allocator, levels * channels, sizeof *n->std);
    n->fill = rni_calloc(p->allocator, (levels + 1) * channels, sizeof *n->fill);
    n->table = rni_calloc(p->allocator, 256 * channels, sizeof *n->table);
    if (!p->steps || !n->mean || !n->std || !n->fill || !n->table)
        return rni_nomem("transform", 256 * channels * sizeof *n->table);
    if (transform && p->num_steps)
        memcpy(p->steps, transform->steps, p->num_steps * sizeof *p->steps);
    return RN_OK;
}

rn_status rni_pipeline_create(const rn_allocator *allocator, const rn_transform *transform, const rn_dataset_info *info,
                              rni_pipeline *out)
{
    rni_pipeline p = {
        .allocator = allocator,
        .num_steps = transform ? transform->num_steps : 0,
        .views = 1,
        .dtype = info->dtype,
        .channels = info->channels,
        .in_height = info->height,
        .in_width = info->width,
    };
    rn_status status = allocate(&p, transform);
    if (status == RN_OK)
        status = rni_pipeline_plan_frame(&p);
    if (status == RN_OK)
        status = check_steps(&p);
    if (status == RN_OK)
        status = copy_mean(&p);
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
    rni_free(p->allocator, p->numbers.mean);
    rni_free(p->allocator, p->numbers.std);
    rni_free(p->allocator, p->numbers.fill);
    rni_free(p->allocator, p->numbers.table);
    rni_free(p->allocator, p->mean_image);
    memset(p, 0, sizeof *p);
}
