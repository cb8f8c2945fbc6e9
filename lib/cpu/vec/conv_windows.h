/* SPDX-License-Identifier: MIT */
/*
 * The windows kernel for one level. A tile is P neighbouring output pixels of a row by V vectors of output channels,
 * held in registers; every function below is compiled for fixed P and V. Sums run over r, s, i (or r, i, s with
 * `triple`) in this order for every pixel, whatever tile it falls in, so results do not depend on how a row is cut.
 */
#ifndef RNI_CPU_VEC_CONV_WINDOWS_H
#define RNI_CPU_VEC_CONV_WINDOWS_H

#include "cpu/conv_kernels.h"
#include "cpu/vec/conv_vector.h"

typedef struct sums {
    vec a[MAX_PIXELS][MAX_VECTORS];
} sums;

/* One step of channels. */
RNI_INLINE void add_step(sums *t, const int P, const int V, const int lo, const int hi, const elem *x, int64_t pixel,
                         const elem *weight, const int last)
{
    factor w[MAX_VECTORS];
    UNROLL for (int v = 0; v < V; v++)
        w[v] = f_load(weight + v * STEP * LANES);
    UNROLL for (int p = 0; p < P; p++)
        if (p >= lo && p < hi) {
            const factor q = last ? f_set_last(x + p * pixel) : f_set(x + p * pixel);
            UNROLL for (int v = 0; v < V; v++)
                t->a[p][v] = f_mul(q, w[v], t->a[p][v]);
        }
}

/* a[p] += x[p] * weight over n channels of one tap, for the pixels lo..hi-1 of the tile. */
RNI_INLINE void add_tap(sums *t, const int P, const int V, const int lo, const int hi, const elem *x, int64_t pixel,
                        const elem *weight, int64_t n)
{
    int64_t i = 0;
    for (; i + STEP <= n; i += STEP, weight += STEP * V * LANES)
        add_step(t, P, V, lo, hi, x + i, pixel, weight, 0);
    if (STEP > 1 && i < n)
        add_step(t, P, V, lo, hi, x + i, pixel, weight, 1);
}

/* Lines that a tile asks for: its share of the weights that come next, spread over its channels. */
typedef struct next_weights {
    const char *at;
    int64_t left, step;
} next_weights;

RNI_INLINE next_weights weights_of(const rni_conv_windows *g, const int P, int64_t column)
{
    const int64_t first = g->weight_lines * column / g->out_width, last = g->weight_lines * (column + P) / g->out_width;
    const int64_t steps = (g->channels + LINE - 1) / LINE;
    return (next_weights){(const char *)g->weight_ahead + first * 64, last - first, (last - first + steps - 1) / steps};
}

/*
 * add_tap() for all pixels; a cache line of each is followed by asking for the one that lies `ahead` of it, and for some of
 * the weights that come next.
 */
RNI_INLINE void add_tap_ahead(sums *t, const int P, const int V, const elem *x, const elem *weight, const rni_conv_windows *g,
                              int64_t column)
{
    const int64_t pixel = g->in_pixel, n = g->channels;
    next_weights next = weights_of(g, P, column);
    for (int64_t i = 0; i < n; i += LINE) {
        if (g->ahead)
            UNROLL for (int p = 0; p < P; p++)
                __builtin_prefetch(x + p * pixel + i + g->ahead, 0, 2);
        for (int64_t k = 0; k < next.step && next.left > 0; k++, next.left--, next.at += 64)
            __builtin_prefetch(next.at, 0, 2);
        add_tap(t, P, V, 0, P, x + i, pixel, weight + i * V * LANES, n - i < LINE ? n - i : LINE);
    }
}

/* What a tile knows of its place. */
typedef struct place {
    const elem *x, *weight; /* of the first row of taps that lies inside, its first tap */
    int64_t rows;            /* how many do */
    int64_t column;          /* of the first pixel's first tap in x */
} place;

/* Channels that packed weights have. */
RNI_INLINE int64_t packed_channels(const rni_conv_windows *g)
{
    return (g->channels + STEP - 1) / STEP * STEP;
}

RNI_INLINE place find_place(const rni_conv_windows *g, const rni_conv_block *b, const int V, int64_t row, int64_t col)
{
    const int64_t top = row * g->step[0] + g->first[0];
    int64_t r0 = 0, r1 = g->taps[0];
    while (r0 < r1 && top + r0 * g->dilation[0] < 0)
        r0++;
    while (r1 > r0 && top + (r1 - 1) * g->dilation[0] >= g->in_height)
        r1--;
    const int64_t column = col * g->step[1] + g->first[1];
    return (place){(const elem *)b->x + ((top + r0 * g->dilation[0]) * g->in_row + column * g->in_pixel),
                   (const elem *)b->weight + r0 * g->taps[1] * packed_channels(g) * V * LANES, r1 - r0, column};
}

/* Adds tap s of the rows for those pixels whose tap lies inside. */
RNI_INLINE void add_edge_tap(sums *t, const int P, const int V, const rni_conv_windows *g, int64_t column,
                             const elem *x, const elem *weight)
{
    const int64_t pixel = g->step[1] * g->in_pixel, n = g->channels;
    int lo = 0, hi = P;
    while (lo < P && column + lo * g->step[1] < 0)
        lo++;
    while (hi > lo && column + (hi - 1) * g->step[1] >= g->in_width)
        hi--;
    if (lo == 0 && hi == P)
        add_tap(t, P, V, 0, P, x, pixel, weight, n);
    else if (lo == 1 && hi == P)
        add_tap(t, P, V, 1, P, x, pixel, weight, n);
    else if (lo == 0 && hi == P - 1)
        add_tap(t, P, V, 0, P - 1, x, pixel, weight, n);
    else if (lo < hi)
        add_tap(t, P, V, lo, hi, x, pixel, weight, n);
}

RNI_INLINE void sum_taps(sums *t, const int P, const int V, const rni_conv_windows *g, const place *at)
{
    const int64_t pixel = g->step[1] * g->in_pixel, row = g->dilation[0] * g->in_row;
    const int64_t tap = packed_channels(g) * V * LANES, last = (g->taps[1] - 1) * g->dilation[1];
    const int inside = at->column >= 0 && at->column + (P - 1) * g->step[1] + last < g->in_width;
    const int dense = inside && g->dense;
    const elem *x = at->x, *weight = at->weight;
    for (int64_t r = 0; r < at->rows; r++, x += row, weight += g->taps[1] * tap) {
        if (g->ahead || g->weight_lines)
            add_tap_ahead(t, P, V, x, weight, g, at->column);
        else if (dense)
            add_tap(t, P, V, 0, P, x, pixel, weight, g->taps[1] * g->channels);
        else
            for (int64_t s = 0; s < g->taps[1]; s++)
                add_edge_tap(t, P, V, g, at->column + s * g->dilation[1], x + s * g->dilation[1] * g->in_pixel,
                             weight + s * tap);
    }
}

#if !defined(RNI_BF16)
#include "cpu/vec/conv_triple.h"
#endif

/* The three-tap kernel is for floats. */
RNI_INLINE void sum_all(sums *t, const int P, const int V, const int triple, const rni_conv_windows *g, const place *at)
{
#if !defined(RNI_BF16)
    if (triple) {
        sum_three_taps(t, P, V, g, at);
        return;
    }
#endif
    (void)triple;
    sum_taps(t, P, V, g, at);
}

/* Bias, residual, ReLU, store. */
RNI_INLINE void finish(sums *t, const int P, const int V, const rni_conv_windows *g, const rni_conv_block *b,
                       int64_t at)
{
    const mask tail = v_first(b->tail);
    if (b->bias)
        UNROLL for (int v = 0; v < V; v++) {
            const float *const bias = b->bias + v * LANES;
            const vec add = v == V - 1 ? v_load_m(bias, tail) : v_load(bias);
            UNROLL for (int p = 0; p < P; p++)
                t->a[p][v] = v_add(t->a[p][v], add);
        }
    if (b->residual)
        UNROLL for (int p = 0; p < P; p++)
            UNROLL for (int v = 0; v < V; v++) {
                const elem *const r = (const elem *)b->residual + at + p * g->out_pixel + v * LANES;
                t->a[p][v] = v_add(t->a[p][v], v == V - 1 ? e_load_m(r, tail) : e_load(r));
            }
    if (g->relu)
        UNROLL for (int p = 0; p < P; p++)
            UNROLL for (int v = 0; v < V; v++)
                t->a[p][v] = v_relu(t->a[p][v]);
    elem *const y = (elem *)b->y + at;
    if (g->stream)
        UNROLL for (int p = 0; p < P; p++)
            UNROLL for (int v = 0; v < V; v++)
                e_stream(y + p * g->out_pixel + v * LANES, t->a[p][v]);
    else if (b->tail == LANES)
        UNROLL for (int p = 0; p < P; p++)
            UNROLL for (int v = 0; v < V; v++)
                e_store(y + p * g->out_pixel + v * LANES, t->a[p][v]);
    else
        UNROLL for (int p = 0; p < P; p++) {
            UNROLL for (int v = 0; v < V - 1; v++)
                e_store(y + p * g->out_pixel + v * LANES, t->a[p][v]);
            e_store_m(y + p * g->out_pixel + (V - 1) * LANES, t->a[p][V - 1], tail);
        }
}

/* Asks for the rows of x that the tile below needs first. */
RNI_INLINE void prefetch_below(const int P, const rni_conv_windows *g, const rni_conv_block *b, int64_t row, int64_t col)
{
    const int64_t below = row * g->step[0] + g->first[0] + (g->taps[0] - 1) * g->dilation[0] + 1;
    const int64_t bytes = P * g->step[1] * g->in_pixel * (int64_t)sizeof(elem);
    const char *x = (const char *)((const elem *)b->x + below * g->in_row + col * g->step[1] * g->in_pixel);
    for (int64_t r = 0; r < g->step[0]; r++, x += g->in_row * (int64_t)sizeof(elem))
        for (int64_t at = 0; at < bytes; at += 64)
            _mm_prefetch(x + at, _MM_HINT_T0);
}

/* With so few products a tile is done before memory answers. */
enum { FEW_PRODUCTS = 64 };

/* Asks for what the tile below reads and for the lines that this one writes, or the next one. */
RNI_INLINE void prefetch(const int P, const int V, const rni_conv_windows *g, const rni_conv_block *b, int64_t row,
                         int64_t col)
{
    if (!g->cached && !g->stream)
        prefetch_below(P, g, b, row, col);
    if (g->stream)
        return;
    const int64_t next = g->taps[0] * g->taps[1] * g->channels <= FEW_PRODUCTS ? P : 0;
    const elem *const y = (const elem *)b->y + row * g->out_row + (col + next) * g->out_pixel;
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V * LANES; v += LINE)
            __builtin_prefetch(y + p * g->out_pixel + v, 1, 3);
}

RNI_INLINE void run_tile(const int P, const int V, const int triple, const rni_conv_windows *g, const rni_conv_block *b,
                     int64_t row, int64_t col)
{
    sums t;
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V; v++)
            t.a[p][v] = v_zero();
    const place at = find_place(g, b, V, row, col);
    prefetch(P, V, g, b, row, col);
    sum_all(&t, P, V, triple, g, &at);
    finish(&t, P, V, g, b, row * g->out_row + col * g->out_pixel);
}

typedef void tile_fn(const rni_conv_windows *g, const rni_conv_block *b, int64_t row, int64_t col);

#define TILE(P, V, TRIPLE)                                                                                      \
    static void tile_##P##x##V##_##TRIPLE(const rni_conv_windows *g, const rni_conv_block *b, int64_t row,      \
                                          int64_t col)                                                          \
    {                                                                                                           \
        run_tile(P, V, TRIPLE, g, b, row, col);                                                                 \
    }

/* Tiles and their table. */
#define TILE_NAME(P, V, T) tile_##P##x##V##_##T,
#define TILES(LIST, V, T) LIST(TILE, V, T) static tile_fn *const tiles_##V##_##T[] = {NULL, LIST(TILE_NAME, V, T)};

/* Cuts each row into tiles of nearly equal width. */
RNI_INLINE void run_rows(const rni_conv_windows *g, const rni_conv_block *b, tile_fn *const *tiles, int64_t most)
{
    const int64_t count = (g->out_width + most - 1) / most, width = g->out_width / count;
    for (int64_t row = b->first_row; row < b->last_row; row++) {
        int64_t col = 0, wider = g->out_width % count;
        for (int64_t i = 0; i < count; i++, wider--) {
            const int64_t pixels = width + (wider > 0);
            tiles[pixels](g, b, row, col);
            col += pixels;
        }
    }
}

#define RUN_TILES(V, T) run_rows(g, b, tiles_##V##_##T, (int64_t)(sizeof tiles_##V##_##T / sizeof(tile_fn *)) - 1)

#endif
