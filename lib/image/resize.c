/* SPDX-License-Identifier: MIT */
/*
 * Pillow's bilinear resize of 8-bit images (its Resample.c): first along rows, then along columns, each result rounded
 * to 8 bits. Weights are fixed-point numbers, so the result is exact and the same everywhere.
 */
#include "image/image.h"
#include <math.h>

/* Bits after the point: 32 less 8 of a pixel, a sign and one for rounding. */
enum { PRECISION = 32 - 8 - 2, HALF = 1 << (PRECISION - 1) };

/* Weights of an axis: result i is the sum of weights[i * widest + k] times pixel first[i] + k, for k below count[i]. */
typedef struct axis {
    int64_t size, widest;
    int32_t *first, *count, *weights;
    void *block;
} axis;

static double triangle(double x)
{
    const double distance = fabs(x);
    return distance < 1.0 ? 1.0 - distance : 0.0;
}

/* One result: `center`, and pixels from `lowest` up to `end`. */
static void weigh(axis *a, int64_t i, double center, double stretch, int64_t lowest, int64_t end, double *spare)
{
    int64_t first = (int64_t)floor(center - stretch + 0.5), last = (int64_t)floor(center + stretch + 0.5);
    double sum = 0.0;
    first = first < lowest ? lowest : first;
    last = last > end ? end : last;
    for (int64_t k = 0; k < last - first; k++) {
        spare[k] = triangle(((double)(k + first) - center + 0.5) * (1.0 / stretch));
        sum += spare[k];
    }
    a->first[i] = (int32_t)first;
    a->count[i] = (int32_t)(last - first);
    for (int64_t k = 0; k < last - first; k++)
        a->weights[i * a->widest + k] = (int32_t)(0.5 + spare[k] / sum * (1 << PRECISION));
}

/*
 * Results `window` to `window` + `count` of the `size` that the box from `start`, `length` long, becomes. Numbers are
 * taken from the box's first whole pixel on, as for a picture that was cut out before.
 */
static rn_status axis_create(const rn_allocator *allocator, int64_t pixels, double start, double length, int64_t size,
                             int64_t window, int64_t count, axis *a)
{
    const double scale = length / (double)size, stretch = scale < 1.0 ? 1.0 : scale;
    const int64_t lowest = (int64_t)floor(start), beyond = (int64_t)ceil(start + length - 1e-6);
    const int64_t end = (beyond > pixels ? pixels : beyond) - lowest;
    size_t entries = 0, bytes = 0;
    a->size = count;
    a->widest = 2 * (int64_t)ceil(stretch) + 1;
    if (!rni_mul_size((size_t)count, (size_t)a->widest + 2, &entries) ||
        !rni_mul_size(entries, sizeof(int32_t), &bytes) ||
        !rni_add_size(bytes, (size_t)a->widest * sizeof(double), &bytes))
        return rni_nomem("resizing", UINT64_MAX);
    a->block = rni_alloc(allocator, bytes);
    if (!a->block)
        return rni_nomem("resizing", bytes);
    double *const spare = a->block;
    a->first = (int32_t *)(spare + a->widest);
    a->count = a->first + count;
    a->weights = a->count + count;
    for (int64_t i = 0; i < count; i++)
        weigh(a, i, start - (double)lowest + ((double)(window + i) + 0.5) * scale, stretch, 0, end, spare);
    for (int64_t i = 0; i < count; i++)
        a->first[i] += (int32_t)lowest;
    return RN_OK;
}

static uint8_t rounded(int32_t sum)
{
    return (uint8_t)(sum >> PRECISION);
}

static void resize_row(const axis *a, const uint8_t *from, uint8_t *out)
{
    for (int64_t x = 0; x < a->size; x++) {
        const int32_t *const weights = a->weights + x * a->widest;
        const uint8_t *const at = from + a->first[x];
        int32_t sum = HALF;
        for (int32_t k = 0; k < a->count[x]; k++)
            sum += at[k] * weights[k];
        out[x] = rounded(sum);
    }
}

/* Red, green and blue side by side; those of the result are `plane` apart. */
static void resize_row_of_pixels(const axis *a, const uint8_t *from, size_t plane, uint8_t *out)
{
    for (int64_t x = 0; x < a->size; x++) {
        const int32_t *const weights = a->weights + x * a->widest;
        const uint8_t *at = from + 3 * (size_t)a->first[x];
        int32_t red = HALF, green = HALF, blue = HALF;
        for (int32_t k = 0; k < a->count[x]; k++, at += 3) {
            red += at[0] * weights[k];
            green += at[1] * weights[k];
            blue += at[2] * weights[k];
        }
        out[x] = rounded(red);
        out[plane + (size_t)x] = rounded(green);
        out[2 * plane + (size_t)x] = rounded(blue);
    }
}

/* The first pass, of rows first..end of the picture, to [channels][rows][width]. */
static void resize_rows(const rni_raster *from, const axis *across, int64_t first, int64_t end, uint8_t *rows)
{
    const size_t plane = (size_t)(end - first) * (size_t)across->size;
    for (int64_t y = first; y < end; y++, rows += across->size) {
        const uint8_t *const row = from->data + (size_t)y * from->row;
        if (from->pixel == 3)
            resize_row_of_pixels(across, row, plane, rows);
        for (int64_t c = 0; c < from->channels && from->pixel == 1; c++)
            resize_row(across, row + (size_t)c * from->plane, rows + (size_t)c * plane);
    }
}

/* Row y of the result, of `rows` that are `width` long and begin with picture row `first`. */
static void resize_column(const axis *a, int64_t y, const uint8_t *rows, int64_t first, int64_t width, int32_t *sums,
                          uint8_t *out)
{
    const int32_t *const weights = a->weights + y * a->widest;
    for (int64_t x = 0; x < width; x++)
        sums[x] = HALF;
    for (int32_t k = 0; k < a->count[y]; k++) {
        const uint8_t *const row = rows + (a->first[y] + k - first) * width;
        const int32_t weight = weights[k];
        for (int64_t x = 0; x < width; x++)
            sums[x] += row[x] * weight;
    }
    for (int64_t x = 0; x < width; x++)
        out[x] = rounded(sums[x]);
}

static rn_status resize_by(const rn_allocator *allocator, const rni_raster *from, const axis *down, const axis *across,
                           uint8_t *out)
{
    const int64_t first = down->first[0], end = down->first[down->size - 1] + down->count[down->size - 1];
    const size_t width = (size_t)across->size, plane = (size_t)(end - first) * width;
    const size_t bytes = width * sizeof(int32_t) + (size_t)from->channels * plane;
    int32_t *const sums = rni_alloc(allocator, bytes);
    if (!sums)
        return rni_nomem("resizing", bytes);
    uint8_t *const rows = (uint8_t *)(sums + width);
    resize_rows(from, across, first, end, rows);
    for (int64_t c = 0; c < from->channels; c++)
        for (int64_t y = 0; y < down->size; y++, out += width)
            resize_column(down, y, rows + (size_t)c * plane, first, across->size, sums, out);
    rni_free(allocator, sums);
    return RN_OK;
}

rn_status rni_resize(const rn_allocator *allocator, const rni_raster *from, const rni_frame *f, uint8_t *out)
{
    axis down = {.block = NULL}, across = {.block = NULL};
    rn_status status =
        axis_create(allocator, from->height, f->top, f->box_height, f->height, f->window_top, f->window_height, &down);
    if (status == RN_OK)
        status = axis_create(allocator, from->width, f->left, f->box_width, f->width, f->window_left, f->window_width,
                             &across);
    if (status == RN_OK)
        status = resize_by(allocator, from, &down, &across, out);
    rni_free(allocator, down.block);
    rni_free(allocator, across.block);
    return status;
}
