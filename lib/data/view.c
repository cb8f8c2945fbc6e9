/* SPDX-License-Identifier: MIT */
/* The steps of a pipeline, composed into lists of rows and columns. */
#include "data/view.h"
#include "base/rng.h"
#include <string.h>

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Scratch memory: the lists, the rectangles, and numbers where each image has its own. */
typedef struct layout {
    size_t rects, numbers, total;
} layout;

enum { LISTS = 8 };

static size_t aligned(size_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

static layout scratch_layout(const rni_pipeline *p)
{
    const size_t own = p->colours ? (size_t)p->channels * ((size_t)(2 * p->levels + p->levels + 1) + 256) : 0;
    layout l;
    l.rects = aligned(LISTS * (size_t)p->longest * sizeof(int32_t));
    l.numbers = l.rects + aligned(p->num_cutouts * sizeof(rni_rect));
    l.total = l.numbers + own * sizeof(float);
    return l;
}

size_t rni_pipeline_scratch(const rni_pipeline *p)
{
    return scratch_layout(p).total;
}

/* The pipeline's numbers, or a copy that the image's colours may change. */
static rni_numbers numbers_of(const rni_pipeline *p, float *own)
{
    const size_t channels = (size_t)p->channels, count = (size_t)p->levels * channels;
    if (!p->colours)
        return p->numbers;
    const rni_numbers n = {own, own + count, own + 2 * count, own + 3 * count + channels};
    memcpy(n.mean, p->numbers.mean, count * sizeof(float));
    memcpy(n.std, p->numbers.std, count * sizeof(float));
    return n;
}

static void axis_begin(rni_axis *a, int64_t size)
{
    a->size = size;
    for (int64_t i = 0; i < size; i++)
        a->from[i] = (int32_t)i;
}

static void view_begin(const rni_pipeline *p, void *scratch, rni_view *v)
{
    const layout at = scratch_layout(p);
    rni_axis *const axes[LISTS / 2] = {&v->rows, &v->cols, &v->mean_rows, &v->mean_cols};
    for (size_t i = 0; i < LISTS / 2; i++) {
        int32_t *const lists = (int32_t *)scratch + 2 * i * (size_t)p->longest;
        *axes[i] = (rni_axis){lists, lists + p->longest, 0};
    }
    axis_begin(&v->rows, p->in_height);
    axis_begin(&v->cols, p->in_width);
    v->rects = (rni_rect *)(void *)((char *)scratch + at.rects);
    v->num_rects = 0;
    v->level = 0;
    v->numbers = numbers_of(p, (float *)(void *)((char *)scratch + at.numbers));
}

/* Keeps `size` entries beginning with `first`, which may be outside: zeros then. */
static void axis_crop(rni_axis *a, int64_t first, int64_t size, int32_t level)
{
    for (int64_t i = 0; i < size; i++) {
        const int64_t at = first + i;
        a->spare[i] = at >= 0 && at < a->size ? a->from[at] : -1 - level;
    }
    int32_t *const old = a->from;
    a->from = a->spare;
    a->spare = old;
    a->size = size;
}

static void crop_to(rni_view *v, int64_t top, int64_t left, int64_t height, int64_t width)
{
    axis_crop(&v->rows, top, height, v->level);
    axis_crop(&v->cols, left, width, v->level);
    if (v->mean_rows.size) {
        axis_crop(&v->mean_rows, top, height, 0);
        axis_crop(&v->mean_cols, left, width, 0);
    }
    for (size_t i = 0; i < v->num_rects; i++) {
        rni_rect *const r = &v->rects[i];
        r->top = larger(r->top - top, 0);
        r->bottom = smaller(r->bottom - top, height);
        r->left = larger(r->left - left, 0);
        r->right = smaller(r->right - left, width);
    }
}

static void crop(rni_view *v, const rni_step *s, const uint32_t random[4])
{
    const int64_t height = s->height ? s->height : v->rows.size, width = s->width ? s->width : v->cols.size;
    const int64_t down = v->rows.size + 2 * s->padding - height + 1, across = v->cols.size + 2 * s->padding - width + 1;
    const int64_t top = (int64_t)rni_below(random[0], random[1], (uint64_t)down) - s->padding;
    const int64_t left = (int64_t)rni_below(random[2], random[3], (uint64_t)across) - s->padding;
    crop_to(v, top, left, height, width);
}

static void axis_flip(rni_axis *a)
{
    for (int64_t i = 0, j = a->size - 1; i < j; i++, j--) {
        const int32_t from = a->from[i];
        a->from[i] = a->from[j];
        a->from[j] = from;
    }
}

static void flip(rni_view *v)
{
    axis_flip(&v->cols);
    axis_flip(&v->mean_cols);
    for (size_t i = 0; i < v->num_rects; i++) {
        const int64_t left = v->rects[i].left;
        v->rects[i].left = v->cols.size - v->rects[i].right;
        v->rects[i].right = v->cols.size - left;
    }
}

/* One of ten views: the mirrored picture's are the later half. */
static void ten_crop(rni_view *v, const rni_step *s, int64_t which)
{
    int64_t top, left;
    if (which >= RNI_TEN_CROP_VIEWS / 2)
        flip(v);
    rni_ten_crop_first(which, v->rows.size - s->height, v->cols.size - s->width, &top, &left);
    crop_to(v, top, left, s->height, s->width);
}

/* A square around a random pixel, cut at the border (DeVries and Taylor 2017). */
static void cutout(rni_view *v, int64_t size, const uint32_t random[4])
{
    const int64_t top = (int64_t)rni_below(random[0], random[1], (uint64_t)v->rows.size) - size / 2;
    const int64_t left = (int64_t)rni_below(random[2], random[3], (uint64_t)v->cols.size) - size / 2;
    v->rects[v->num_rects++] = (rni_rect){
        larger(top, 0), smaller(top + size, v->rows.size), larger(left, 0), smaller(left + size, v->cols.size),
        v->level,
    };
}

/*
 * Shifts all pixels along the main axes of how colours vary (Krizhevsky et al. 2012, 4.1): a normalisation whose mean
 * is the shift, negative.
 */
static void shift_colours(const rni_pipeline *p, rni_view *v, const rni_step *s, const uint32_t random[4])
{
    double draws[4];
    rni_normal(random[0], random[1], draws);
    rni_normal(random[2], random[3], draws + 2);
    for (int64_t c = 0; c < 3; c++) {
        double shift = 0.0;
        for (int k = 0; k < 3; k++)
            shift += s->eigenvectors[3 * c + k] * s->eigenvalues[k] * s->p * draws[k];
        v->numbers.mean[v->level * p->channels + c] = (float)-shift;
    }
}

static void begin_mean(rni_view *v)
{
    axis_begin(&v->mean_rows, v->rows.size);
    axis_begin(&v->mean_cols, v->cols.size);
}

static void apply_step(const rni_pipeline *p, rni_view *v, const rni_step *s, int64_t which, const uint32_t random[4])
{
    switch (s->kind) {
    case RNI_STEP_CROP:
        crop(v, s, random);
        break;
    case RNI_STEP_CENTER_CROP:
        crop_to(v, rni_center_first(v->rows.size, s->height), rni_center_first(v->cols.size, s->width), s->height,
                s->width);
        break;
    case RNI_STEP_TEN_CROP:
        ten_crop(v, s, which);
        break;
    case RNI_STEP_HFLIP:
        if ((double)rni_uniform(random[0]) < s->p)
            flip(v);
        break;
    case RNI_STEP_CUTOUT:
        cutout(v, s->height, random);
        break;
    case RNI_STEP_PCA_COLOR:
        shift_colours(p, v, s, random);
        v->level++;
        break;
    case RNI_STEP_SUBTRACT:
        begin_mean(v);
        v->level++;
        break;
    default:
        v->level++;
        break;
    }
}

/* A ten-crop that is part of it has left the mirroring to do. */
void rni_view_make(const rni_pipeline *p, void *scratch, const rni_draw *draw, rni_view *v)
{
    view_begin(p, scratch, v);
    if (p->frame_steps == 2 && p->steps[1].kind == RNI_STEP_TEN_CROP && draw->view >= RNI_TEN_CROP_VIEWS / 2)
        flip(v);
    for (size_t i = p->frame_steps; i < p->num_steps; i++) {
        uint32_t random[4];
        rni_draw_words(draw, i, 0, random);
        apply_step(p, v, &p->steps[i], draw->view, random);
    }
    if (p->colours)
        rni_numbers_fill(p, &v->numbers);
}
