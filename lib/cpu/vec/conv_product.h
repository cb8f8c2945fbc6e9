/* SPDX-License-Identifier: MIT */
/* Products over pixels for the filter's gradient at one level; see rni_conv_product. */
#ifndef RNI_CPU_VEC_CONV_PRODUCT_H
#define RNI_CPU_VEC_CONV_PRODUCT_H

#include "cpu/conv_kernels.h"
#include "cpu/vec/product_filter.h"

#if defined(RNI_BF16)

/* Two pixels become neighbours, element by element; a last one alone is followed by zeros. */
RNI_INLINE void copy_vector(elem *to, const elem *pixel, const elem *next, mask m)
{
    p_store(to, p_join(h_load_m(pixel, m), h_load_m(next ? next : pixel, next ? m : m_none())));
}

#else

RNI_INLINE void copy_vector(elem *to, const elem *pixel, const elem *next, mask m)
{
    (void)next;
    v_store(to, v_load_m(pixel, m));
}

#endif

/* STEP pixels at a time become a row; what is left of its last vector is zero. */
static void copy_rows(const void *const *at, int64_t count, int64_t width, void *memory, int64_t pitch)
{
    elem *to = memory;
    const mask all = v_first(LANES), tail = v_first((size_t)(width % LANES));
    for (int64_t p = 0; p < count; p += STEP, to += pitch) {
        const elem *const pixel = at[p], *const next = STEP > 1 && p + 1 < count ? at[p + 1] : NULL;
        int64_t i = 0;
        for (; i + LANES <= width; i += LANES)
            copy_vector(to + i * STEP, pixel + i, next ? next + i : NULL, all);
        if (i < width)
            copy_vector(to + i * STEP, pixel + i, next ? next + i : NULL, tail);
    }
}

/* What will be read next: a line of each of the pixels, then the next line of each, of x and then of dy. */
typedef struct next_lines {
    const elem *at;
    int64_t pixel, left; /* elements between pixels; lines of a pixel left */
    const elem *dy;
    int64_t dy_pixel, dy_left;
} next_lines;

RNI_INLINE void next_line(next_lines *n)
{
    if (n->left > 0) {
        n->at += LINE;
        n->left--;
    }
    if (n->left == 0)
        *n = (next_lines){n->dy, n->dy_pixel, n->dy_left, n->dy, 0, 0};
}

/* All output channels by V vectors of x's channels. */
RNI_INLINE void run_columns(const rni_conv_product *b, product_filter_fn *const *table, int64_t most, int64_t channel,
                            next_lines *next)
{
    const int64_t count = (b->outs + most - 1) / most, width = b->outs / count, steps = (b->count + STEP - 1) / STEP;
    const elem *const x = (const elem *)b->x + channel * STEP, *dy = b->dy;
    float *sum = b->sum + channel;
    int64_t wider = b->outs % count;
    for (int64_t i = 0; i < count; i++, wider--) {
        const int64_t n = width + (wider > 0), asks = next->left > 0;
        table[n](dy, b->dy_step, x, b->x_step, steps, sum, b->sum_row, b->fresh, asks ? next->at : dy,
                 asks ? next->pixel : 0);
        next_line(next);
        dy += n * STEP;
        sum += n * b->sum_row;
    }
}

static void product(const rni_conv_product *b)
{
    next_lines next = {b->x_ahead, b->x_pixel, b->x_lines, b->dy_ahead, b->dy_pixel, b->dy_lines};
    int64_t channel = 0;
    for (; channel + 2 * LANES <= b->channels; channel += 2 * LANES)
        run_columns(b, product_filters_2, MOST_FILTERS(2), channel, &next);
    if (channel < b->channels)
        run_columns(b, product_filters_1, MOST_FILTERS(1), channel, &next);
}

#endif
