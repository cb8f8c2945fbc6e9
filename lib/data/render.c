/* SPDX-License-Identifier: MIT */
/* Runs a pipeline on one image: where each pixel comes from, then one pass that writes them all. */
#include "base/rng.h"
#include "data/transform.h"
#include <string.h>

/* Part of the result that cutout set to zero. */
typedef struct rect {
    int64_t top, bottom, left, right; /* bottom and right are beyond it */
    int32_t level;
} rect;

/* Where the rows or columns of the result come from: an index of the stored image, or -1 - level for zeros. */
typedef struct axis {
    int32_t *from, *spare;
    int64_t size;
} axis;

typedef struct view {
    axis rows, cols;
    rect *rects;
    size_t num_rects;
    int32_t level; /* normalisations so far */
} view;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

size_t rni_pipeline_scratch(const rni_pipeline *p)
{
    return 4 * (size_t)p->longest * sizeof(int32_t) + 8 + p->num_cutouts * sizeof(rect);
}

static void view_init(const rni_pipeline *p, void *scratch, view *v)
{
    int32_t *const lists = scratch;
    size_t used = 4 * (size_t)p->longest * sizeof(int32_t);
    used = (used + 7) / 8 * 8;
    v->rows = (axis){lists, lists + p->longest, p->in_height};
    v->cols = (axis){lists + 2 * p->longest, lists + 3 * p->longest, p->in_width};
    v->rects = (rect *)((char *)scratch + used);
    v->num_rects = 0;
    v->level = 0;
    for (int64_t y = 0; y < p->in_height; y++)
        v->rows.from[y] = (int32_t)y;
    for (int64_t x = 0; x < p->in_width; x++)
        v->cols.from[x] = (int32_t)x;
}

/* Keeps `size` entries beginning with `first`, which may be outside: zeros then. */
static void axis_crop(axis *a, int64_t first, int64_t size, int32_t level)
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

static void crop(view *v, const rni_step *s, const uint32_t random[4])
{
    const int64_t height = s->height ? s->height : v->rows.size, width = s->width ? s->width : v->cols.size;
    const int64_t down = v->rows.size + 2 * s->padding - height + 1, across = v->cols.size + 2 * s->padding - width + 1;
    const int64_t top = (int64_t)rni_below(random[0], random[1], (uint64_t)down) - s->padding;
    const int64_t left = (int64_t)rni_below(random[2], random[3], (uint64_t)across) - s->padding;
    axis_crop(&v->rows, top, height, v->level);
    axis_crop(&v->cols, left, width, v->level);
    for (size_t i = 0; i < v->num_rects; i++) {
        rect *const r = &v->rects[i];
        r->top = larger(r->top - top, 0);
        r->bottom = smaller(r->bottom - top, height);
        r->left = larger(r->left - left, 0);
        r->right = smaller(r->right - left, width);
    }
}

static void flip(view *v)
{
    axis *const a = &v->cols;
    for (int64_t i = 0, j = a->size - 1; i < j; i++, j--) {
        const int32_t from = a->from[i];
        a->from[i] = a->from[j];
        a->from[j] = from;
    }
    for (size_t i = 0; i < v->num_rects; i++) {
        const int64_t left = v->rects[i].left;
        v->rects[i].left = a->size - v->rects[i].right;
        v->rects[i].right = a->size - left;
    }
}

/* A square around a random pixel, cut at the border (DeVries and Taylor 2017). */
static void cutout(view *v, int64_t size, const uint32_t random[4])
{
    const int64_t top = (int64_t)rni_below(random[0], random[1], (uint64_t)v->rows.size) - size / 2;
    const int64_t left = (int64_t)rni_below(random[2], random[3], (uint64_t)v->cols.size) - size / 2;
    v->rects[v->num_rects++] = (rect){
        larger(top, 0), smaller(top + size, v->rows.size), larger(left, 0), smaller(left + size, v->cols.size),
        v->level,
    };
}

static void apply_step(view *v, const rni_step *s, const uint32_t random[4])
{
    switch (s->kind) {
    case RNI_STEP_CROP:
        crop(v, s, random);
        break;
    case RNI_STEP_HFLIP:
        if ((double)rni_uniform(random[0]) < s->p)
            flip(v);
        break;
    case RNI_STEP_CUTOUT:
        cutout(v, s->height, random);
        break;
    default:
        v->level++;
        break;
    }
}

/* Distances in the result, in elements. */
typedef struct target {
    float *out;
    int64_t channel, row, pixel;
} target;

/* The columns that are not padding lie side by side: [first, end). */
static void inner_columns(const axis *cols, int64_t *first, int64_t *end)
{
    int64_t a = 0, b = cols->size;
    while (a < b && cols->from[a] < 0)
        a++;
    while (b > a && cols->from[b - 1] < 0)
        b--;
    *first = a;
    *end = b;
}

/* Zeros of one row from column `first` to `end`; where row and column are padding, the later one counts. */
static void write_zeros(const rni_pipeline *p, const view *v, int32_t row_from, int64_t c, int64_t first, int64_t end,
                        const target *t, float *row)
{
    for (int64_t x = first; x < end; x++) {
        const int32_t from = (int32_t)smaller(v->cols.from[x], row_from);
        row[x * t->pixel] = p->fill[(-1 - from) * p->channels + c];
    }
}

static void write_bytes(const uint8_t *from, const int32_t *cols, int64_t count, const float *table, float *row,
                        int64_t pixel)
{
    for (int64_t x = 0; x < count; x++)
        row[x * pixel] = table[from[cols[x]]];
}

static void write_floats(const rni_pipeline *p, const float *from, const int32_t *cols, int64_t count, int64_t c,
                         float *row, int64_t pixel)
{
    for (int64_t x = 0; x < count; x++)
        row[x * pixel] = from[cols[x]];
    for (int32_t level = 0; level < p->levels; level++) {
        const float mean = p->mean[level * p->channels + c], std = p->std[level * p->channels + c];
        for (int64_t x = 0; x < count; x++)
            row[x * pixel] = (row[x * pixel] - mean) / std;
    }
}

static void write_channel(const rni_pipeline *p, const view *v, const void *image, int64_t c, const target *t)
{
    int64_t first, end;
    inner_columns(&v->cols, &first, &end);
    for (int64_t y = 0; y < v->rows.size; y++) {
        const int32_t from = v->rows.from[y];
        float *const row = t->out + c * t->channel + y * t->row;
        if (from < 0) {
            write_zeros(p, v, from, c, 0, v->cols.size, t, row);
            continue;
        }
        const int64_t offset = (c * p->in_height + from) * p->in_width;
        write_zeros(p, v, 0, c, 0, first, t, row);
        if (p->dtype == RN_U8)
            write_bytes((const uint8_t *)image + offset, v->cols.from + first, end - first, p->table + 256 * c,
                        row + first * t->pixel, t->pixel);
        else
            write_floats(p, (const float *)image + offset, v->cols.from + first, end - first, c,
                         row + first * t->pixel, t->pixel);
        write_zeros(p, v, 0, c, end, v->cols.size, t, row);
    }
}

static void write_rects(const rni_pipeline *p, const view *v, int64_t c, const target *t)
{
    for (size_t i = 0; i < v->num_rects; i++) {
        const rect *const r = &v->rects[i];
        for (int64_t y = r->top; y < r->bottom; y++)
            for (int64_t x = r->left; x < r->right; x++)
                t->out[c * t->channel + y * t->row + x * t->pixel] = p->fill[r->level * p->channels + c];
    }
}

void rni_pipeline_run(const rni_pipeline *p, void *scratch, const void *image, const rni_draw *draw, int nhwc,
                      float *out)
{
    const int64_t h = p->out_height, w = p->out_width;
    const target t = nhwc ? (target){out, 1, w * p->channels, p->channels} : (target){out, h * w, w, 1};
    view v;
    view_init(p, scratch, &v);
    for (size_t i = 0; i < p->num_steps; i++) {
        uint32_t random[4];
        rni_philox(draw->seed, RNI_STREAM_TRANSFORM, draw->epoch, draw->index, (uint32_t)i, random);
        apply_step(&v, &p->steps[i], random);
    }
    for (int64_t c = 0; c < p->channels; c++) {
        write_channel(p, &v, image, c, &t);
        write_rects(p, &v, c, &t);
    }
}
