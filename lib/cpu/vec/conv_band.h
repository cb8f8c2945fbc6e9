/* SPDX-License-Identifier: MIT */
/* Products of a band of pixels, for a filter's gradient at one level; see rni_conv_band. */
#include "cpu/conv_kernels.h"
#include "cpu/vec/product_filter.h"

/* Pixels to read, one after the other: at the places that `at` tells, or else `pixel` apart. */
typedef struct columns {
    const elem *from;
    const void *const *at;
    int64_t offset; /* from each of these */
    int64_t pixel;
} columns;

RNI_INLINE const elem *pixel_of(const columns *c, int64_t p)
{
    return c->at ? (const elem *)c->at[p] + c->offset : c->from + p * c->pixel;
}

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

/* `width` elements of each pixel become neighbours; at most two vectors. */
RNI_INLINE void copy_columns(elem *to, const columns *c, int64_t count, int64_t width, int64_t filled)
{
    const int64_t second = width > LANES ? width - LANES : 0;
    const mask first = v_first((size_t)(width - second)), rest = v_first((size_t)second);
    for (int64_t p = 0; p < count; p += STEP, to += STEP * filled) {
        const elem *const pixel = pixel_of(c, p), *const next = p + 1 < count ? pixel_of(c, p + 1) : NULL;
        if (filled > LANES)
            copy_vector(to + STEP * LANES, pixel + LANES, next ? next + LANES : NULL, rest);
        copy_vector(to, pixel, next, first);
    }
}

/* The lines of the next band, column of lines by column: those of x, then those of dy. */
typedef struct next_columns {
    const elem *at;
    int64_t pixel, left; /* columns left */
    int x_done;
} next_columns;

RNI_INLINE next_columns columns_of(const rni_conv_band *b)
{
    const next_columns x = {b->x_ahead, b->x_pixel, (b->channels + LINE - 1) / LINE, 0};
    const next_columns dy = {b->dy_ahead, b->dy_pixel, (b->outs + LINE - 1) / LINE, 1};
    const next_columns none = {b->dy, 0, INT64_MAX, 1};
    return b->x_ahead ? x : b->dy_ahead ? dy : none;
}

RNI_INLINE void next_column(next_columns *n, const rni_conv_band *b)
{
    n->at += n->pixel ? LINE : 0;
    if (--n->left > 0)
        return;
    if (!n->x_done && b->dy_ahead)
        *n = (next_columns){b->dy_ahead, b->dy_pixel, (b->outs + LINE - 1) / LINE, 1};
    else
        *n = (next_columns){b->dy, 0, INT64_MAX, 1};
}

/* Tiles of channels of nearly equal width. */
typedef struct band_tiles {
    int64_t count, width, wider;
} band_tiles;

RNI_INLINE band_tiles cut_channels(int64_t channels, int64_t most)
{
    const int64_t count = (channels + most - 1) / most;
    return (band_tiles){count, channels / count, channels % count};
}

/* Panels of x lie one after the other, each [pixel][LANES or 2 LANES]: a copy writes whole vectors. */
RNI_INLINE int64_t panel_stride(int64_t width)
{
    return width > LANES ? 2 * LANES : LANES;
}

/* STEP pixels at a time. */
RNI_INLINE int64_t steps_of(int64_t pixels)
{
    return (pixels + STEP - 1) / STEP;
}

RNI_INLINE void copy_panels(const rni_conv_band *b, const band_tiles *cut)
{
    elem *to = b->memory;
    columns c = {.at = b->x_at};
    for (int64_t i = 0; i < cut->count; i++) {
        const int64_t n = cut->width + (i < cut->wider), stride = panel_stride(n);
        copy_columns(to, &c, b->count, n, stride);
        to += steps_of(b->count) * STEP * stride;
        c.offset += n;
    }
}

/* One block: all panels of x by its vectors of dy. */
RNI_INLINE void run_block(const rni_conv_band *b, const band_tiles *cut, product_filter_fn *const *table,
                          const elem *dy, int64_t width, float *sum, next_columns *next)
{
    const elem *x = b->memory;
    for (int64_t i = 0; i < cut->count; i++) {
        const int64_t n = cut->width + (i < cut->wider), stride = panel_stride(n);
        table[n](x, STEP * stride, dy, STEP * width, steps_of(b->count), sum, width, next->at, next->pixel);
        next_column(next, b);
        x += steps_of(b->count) * STEP * stride;
        sum += n * width;
    }
}

RNI_INLINE void run_band(const rni_conv_band *b, product_filter_fn *const *one, int64_t most_one,
                         product_filter_fn *const *two, int64_t most_two)
{
    const int64_t whole = b->max_vectors * LANES, rest = b->outs % whole;
    const int64_t most = b->outs <= LANES ? most_one : most_two;
    const band_tiles cut = cut_channels(b->channels, most);
    elem *const dy = (elem *)b->memory + steps_of(b->count) * STEP * (cut.count * panel_stride(cut.width + (cut.wider > 0)));
    float *sum = b->sum;
    next_columns next = columns_of(b);
    copy_panels(b, &cut);
    for (int64_t o = 0; o < b->outs; o += whole) {
        const int64_t outs = b->outs - o < whole ? rest : whole, width = outs > LANES ? 2 * LANES : LANES;
        const columns c = {.from = (const elem *)b->dy + o, .pixel = b->dy_pixel};
        copy_columns(dy, &c, b->count, outs, width);
        run_block(b, &cut, outs > LANES ? two : one, dy, width, sum + b->unit * width, &next);
        sum += b->weights * width;
    }
}

static void band(const rni_conv_band *b)
{
    run_band(b, product_filters_1, MOST_FILTERS(1), product_filters_2, MOST_FILTERS(2));
}
