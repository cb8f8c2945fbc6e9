/* SPDX-License-Identifier: MIT */
/* Products over pixels for the filter's gradient at one level; see rni_conv_product. */
#ifndef RNI_CPU_VEC_CONV_PRODUCT_H
#define RNI_CPU_VEC_CONV_PRODUCT_H

#include "cpu/conv_kernels.h"
#include "cpu/vec/product_filter.h"

/* Channels of a slab of x. */
enum { SLAB = 2 * LANES };

/* Two pixels become neighbours, element by element; one alone is followed by zeros. Of floats there is one. */
RNI_INLINE void copy_vector(elem *to, const elem *pixel, const elem *next, mask m)
{
#if defined(RNI_BF16)
    p_store(to, p_join(h_load_m(pixel, m), next ? h_load_m(next, m) : h_set(0)));
#else
    (void)next;
    v_store(to, v_load_m(pixel, m));
#endif
}

/* The two vectors of a slab of x, or one each of two slabs of dy. */
RNI_INLINE void copy_two(elem *to, elem *second, const elem *pixel, const elem *next)
{
#if defined(RNI_BF16)
    p_join_two(to, second, pixel, next);
#else
    (void)next;
    v_store(to, v_load(pixel));
    v_store(second, v_load(pixel + LANES));
#endif
}

RNI_INLINE void copy_pixels(const int V, const elem *pixel, const elem *next, int64_t width, elem *to, int64_t pitch)
{
    elem *second = V == 2 ? to + LANES * STEP : to + pitch;
    const int64_t twice = V == 2 ? pitch : 2 * pitch;
    int64_t i = 0;
    for (; (next || STEP == 1) && i + SLAB <= width; i += SLAB, to += twice, second += twice)
        copy_two(to, second, pixel + i, next ? next + i : NULL);
    for (int64_t v = 0; i < width; i += LANES, v = !v) {
        const mask m = v_first((size_t)(width - i < LANES ? width - i : LANES));
        copy_vector(v ? second : to, pixel + i, next ? next + i : NULL, m);
        to += v ? twice : 0;
        second += v ? twice : 0;
    }
}

static void slabs(const void *const *at, int64_t count, int64_t width, int64_t vectors, void *memory, int64_t pitch)
{
    elem *to = memory;
    for (int64_t p = 0; p < count; p += STEP, to += vectors * LANES * STEP) {
        const elem *const next = STEP > 1 && p + 1 < count ? at[p + 1] : NULL;
        if (vectors == 2)
            copy_pixels(2, at[p], next, width, to, pitch);
        else
            copy_pixels(1, at[p], next, width, to, pitch);
    }
}

/* What will be read next: a line of each of the pixels, then the next line of each, of x and then of dy. */
typedef struct next_lines {
    const elem *at;
    int64_t pixel, left; /* elements between pixels; lines of a pixel left */
    const elem *dy;
    int64_t dy_pixel, dy_left;
} next_lines;

RNI_INLINE int64_t lines_of(int64_t elements)
{
    return (elements + LINE - 1) / LINE;
}

RNI_INLINE void next_line(next_lines *n)
{
    if (n->left > 0) {
        n->at += LINE;
        n->left--;
    }
    if (n->left == 0 && n->dy_left > 0)
        *n = (next_lines){n->dy, n->dy_pixel, n->dy_left, n->dy, 0, 0};
}

/* Copied pixels that will be read next: each tile asks for a few, which spares the memory bursts. */
typedef struct next_pixels {
    const elem *at;
    int64_t pixel, width, left, some;
} next_pixels;

RNI_INLINE next_pixels pixels_of(const void *at, int64_t pixel, int64_t width, int64_t count, int64_t tiles)
{
    return (next_pixels){at, pixel, width, at ? count : 0, (count + tiles - 1) / tiles};
}

RNI_INLINE void ask_for_some(next_pixels *n)
{
    for (int64_t i = 0; i < n->some && n->left > 0; i++, n->left--, n->at += n->pixel)
        for (int64_t e = 0; e < n->width; e += LINE)
            __builtin_prefetch(n->at + e, 0, 2);
}

typedef struct next_reads {
    next_lines lines;    /* which a tile asks for while it multiplies */
    next_pixels x, dy;   /* or before */
} next_reads;

RNI_INLINE next_reads reads_of(const rni_conv_product *b, int64_t tiles)
{
    next_reads n = {.lines = {.at = b->x_ahead}};
    if (STEP == 1) {
        n.lines = (next_lines){b->x_ahead, b->x_pixel, b->x_ahead ? lines_of(b->channels) : 0,
                               b->dy_ahead, b->dy_pixel, b->dy_ahead ? lines_of(b->outs) : 0};
    } else {
        n.x = pixels_of(b->x_ahead, b->x_pixel, b->channels, b->count, tiles);
        n.dy = pixels_of(b->dy_ahead, b->dy_pixel, b->outs, b->count, tiles);
    }
    return n;
}

/* Output channels of a tile: copied ones are cut where vectors are. */
enum {
    COPIED_1 = MOST_FILTERS(1) < LANES ? LANES / 2 : LANES,
    COPIED_2 = MOST_FILTERS(2) < LANES / 2 ? LANES / 4 : LANES / 2
};

/* Tiles of nearly equal size. */
typedef struct cut {
    int64_t count, width, wider; /* tiles; their size, but for the first ones, which have one more */
} cut;

RNI_INLINE cut cut_outs(const rni_conv_product *b)
{
    const int64_t copied = b->channels < SLAB ? COPIED_1 : COPIED_2,
                  most = b->channels < SLAB ? MOST_FILTERS(1) : MOST_FILTERS(2);
    const int64_t count = (b->outs + most - 1) / most;
    if (b->dy_slab != LANES * STEP)
        return (cut){(b->outs + copied - 1) / copied, copied, 0};
    return (cut){count, b->outs / count, b->outs % count};
}

/* All output channels by V vectors of a slab. */
RNI_INLINE void run_slab(const rni_conv_product *b, product_filter_fn *const *table, const cut *c, int64_t channel,
                         next_reads *next)
{
    const int64_t steps = (b->count + STEP - 1) / STEP;
    const elem *const x = (const elem *)b->x + channel / SLAB * b->x_slab, *const dy = b->dy;
    int64_t o = 0;
    for (int64_t i = 0; i < c->count; i++) {
        const int64_t most = c->width + (i < c->wider), n = b->outs - o < most ? b->outs - o : most;
        const elem *const at = dy + o / LANES * b->dy_slab + o % LANES * STEP;
        const int64_t asks = next->lines.left > 0;
        ask_for_some(&next->x);
        ask_for_some(&next->dy);
        table[n](at, b->dy_step, x, b->x_step, steps, b->sum + channel + o * b->sum_row, b->sum_row, b->fresh,
                 asks ? next->lines.at : at, asks ? next->lines.pixel : 0);
        next_line(&next->lines);
        o += n;
    }
}

static void product(const rni_conv_product *b)
{
    const cut c = cut_outs(b);
    next_reads next = reads_of(b, c.count * ((b->channels + SLAB - 1) / SLAB));
    int64_t channel = 0;
    for (; channel + SLAB <= b->channels; channel += SLAB)
        run_slab(b, product_filters_2, &c, channel, &next);
    if (channel < b->channels)
        run_slab(b, product_filters_1, &c, channel, &next);
}

#endif
