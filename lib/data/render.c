/* SPDX-License-Identifier: MIT */
/* Runs a pipeline on one image: one pass that writes all pixels of a view. */
#include "data/view.h"

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Distances in the result, in elements. */
typedef struct target {
    float *out;
    int64_t channel, row, pixel;
} target;

/* The columns that are not padding lie side by side: [first, end). */
static void inner_columns(const rni_axis *cols, int64_t *first, int64_t *end)
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
static void write_zeros(const rni_pipeline *p, const rni_view *v, int32_t row_from, int64_t c, int64_t first,
                        int64_t end, const target *t, float *row)
{
    for (int64_t x = first; x < end; x++) {
        const int32_t from = (int32_t)smaller(v->cols.from[x], row_from);
        row[x * t->pixel] = v->numbers.fill[(-1 - from) * p->channels + c];
    }
}

static void write_bytes(const uint8_t *from, const int32_t *cols, int64_t count, const float *table, float *row,
                        int64_t pixel)
{
    for (int64_t x = 0; x < count; x++)
        row[x * pixel] = table[from[cols[x]]];
}

static void write_floats(const rni_pipeline *p, const rni_view *v, const float *from, const int32_t *cols,
                         int64_t count, int64_t c, float *row, int64_t pixel)
{
    for (int64_t x = 0; x < count; x++)
        row[x * pixel] = from[cols[x]];
    for (int32_t level = 0; level < p->levels; level++) {
        const float mean = v->numbers.mean[level * p->channels + c], std = v->numbers.std[level * p->channels + c];
        for (int64_t x = 0; x < count; x++)
            row[x * pixel] = (row[x * pixel] - mean) / std;
    }
}

static void write_channel(const rni_pipeline *p, const rni_view *v, const void *image, int64_t c, const target *t)
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
            write_bytes((const uint8_t *)image + offset, v->cols.from + first, end - first, v->numbers.table + 256 * c,
                        row + first * t->pixel, t->pixel);
        else
            write_floats(p, v, (const float *)image + offset, v->cols.from + first, end - first, c,
                         row + first * t->pixel, t->pixel);
        write_zeros(p, v, 0, c, end, v->cols.size, t, row);
    }
}

static void write_rects(const rni_pipeline *p, const rni_view *v, int64_t c, const target *t)
{
    for (size_t i = 0; i < v->num_rects; i++) {
        const rni_rect *const r = &v->rects[i];
        for (int64_t y = r->top; y < r->bottom; y++)
            for (int64_t x = r->left; x < r->right; x++)
                t->out[c * t->channel + y * t->row + x * t->pixel] = v->numbers.fill[r->level * p->channels + c];
    }
}

/* The pixel `x` that came in before `level`, through this and the later ones; (row, col) is in the mean image. */
static float through_levels(const rni_pipeline *p, const rni_view *v, int32_t level, int64_t c, int32_t row,
                            int32_t col, float x)
{
    for (int32_t l = level; l < p->levels; l++) {
        if (l == p->mean_level)
            x -= p->mean_image[(c * p->mean_height + row) * p->mean_width + col];
        else
            x = (x - v->numbers.mean[l * p->channels + c]) / v->numbers.std[l * p->channels + c];
    }
    return x;
}

static float stored_pixel(const rni_pipeline *p, const void *image, int64_t c, int32_t row, int32_t col)
{
    const int64_t at = (c * p->in_height + row) * p->in_width + col;
    return p->dtype == RN_U8 ? (float)((const uint8_t *)image)[at] / 255.0f : ((const float *)image)[at];
}

/* With a mean image, pixels at different places become different numbers. */
static void write_channel_less_mean(const rni_pipeline *p, const rni_view *v, const void *image, int64_t c,
                                    const target *t)
{
    for (int64_t y = 0; y < v->rows.size; y++) {
        for (int64_t x = 0; x < v->cols.size; x++) {
            const int32_t row = v->rows.from[y], col = v->cols.from[x], nothing = row < col ? row : col;
            const float pixel = nothing < 0 ? 0.0f : stored_pixel(p, image, c, row, col);
            t->out[c * t->channel + y * t->row + x * t->pixel] = through_levels(
                p, v, nothing < 0 ? -1 - nothing : 0, c, v->mean_rows.from[y], v->mean_cols.from[x], pixel);
        }
    }
    for (size_t i = 0; i < v->num_rects; i++) {
        const rni_rect *const r = &v->rects[i];
        for (int64_t y = r->top; y < r->bottom; y++)
            for (int64_t x = r->left; x < r->right; x++)
                t->out[c * t->channel + y * t->row + x * t->pixel] =
                    through_levels(p, v, r->level, c, v->mean_rows.from[y], v->mean_cols.from[x], 0.0f);
    }
}

void rni_pipeline_run(const rni_pipeline *p, void *scratch, const void *image, const rni_draw *draw, int nhwc,
                      float *out)
{
    const int64_t h = p->out_height, w = p->out_width;
    const target t = nhwc ? (target){out, 1, w * p->channels, p->channels} : (target){out, h * w, w, 1};
    rni_view v;
    rni_view_make(p, scratch, draw, &v);
    for (int64_t c = 0; c < p->channels; c++) {
        if (p->mean_level >= 0) {
            write_channel_less_mean(p, &v, image, c, &t);
            continue;
        }
        write_channel(p, &v, image, c, &t);
        write_rects(p, &v, c, &t);
    }
}
