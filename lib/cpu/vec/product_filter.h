/* SPDX-License-Identifier: MIT */
/* Products over pixels or tiles, for filter gradients. */
#ifndef RNI_CPU_VEC_PRODUCT_FILTER_H
#define RNI_CPU_VEC_PRODUCT_FILTER_H

#include "cpu/vec/conv_filter.h"

/*
 * Sums for the filter's gradient: N input channels by V vectors, over all tiles; they start from zero, which rounds less than
 * going on with long sums; `fresh`: they are not added to. For each pixel a line of `ahead` is asked for.
 * A tile is STEP pixels of bf16: [channel][2] and [lane][2].
 */
RNI_INLINE void product_filter(const int N, const int V, const elem *x, int64_t x_tile, const elem *dy,
                               int64_t dy_tile, int64_t tiles, float *sum, int64_t channel, int fresh,
                               const elem *ahead, int64_t ahead_pixel)
{
    filter_sums t;
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int v = 0; v < V; v++)
            t.a[i][v] = v_zero();
    for (int64_t p = 0; p < tiles; p++, x += x_tile, dy += dy_tile) {
        UNROLL for (int s = 0; s < STEP; s++, ahead += ahead_pixel)
            __builtin_prefetch(ahead, 0, 2);
        factor d[MAX_VECTORS];
        UNROLL for (int v = 0; v < V; v++)
            d[v] = f_load(dy + v * STEP * LANES);
        UNROLL for (int i = 0; i < N; i++) {
            const factor e = f_set(x + i * STEP);
            UNROLL for (int v = 0; v < V; v++)
                t.a[i][v] = f_mul(e, d[v], t.a[i][v]);
        }
    }
    if (fresh)
        UNROLL for (int i = 0; i < N; i++)
            UNROLL for (int v = 0; v < V; v++)
                v_store(sum + i * channel + v * LANES, t.a[i][v]);
    else
        UNROLL for (int i = 0; i < N; i++)
            UNROLL for (int v = 0; v < V; v++)
                v_store(sum + i * channel + v * LANES, v_add(v_load(sum + i * channel + v * LANES), t.a[i][v]));
}

typedef void product_filter_fn(const elem *x, int64_t x_tile, const elem *dy, int64_t dy_tile, int64_t tiles,
                               float *sum, int64_t channel, int fresh, const elem *ahead, int64_t ahead_pixel);

#define PRODUCT_FILTER(N, V, T)                                                                                 \
    static void product_filter_##N##x##V(const elem *x, int64_t x_tile, const elem *dy, int64_t dy_tile,      \
                                         int64_t tiles, float *sum, int64_t channel, int fresh,                \
                                         const elem *ahead, int64_t ahead_pixel)                                 \
    {                                                                                                           \
        product_filter(N, V, x, x_tile, dy, dy_tile, tiles, sum, channel, fresh, ahead, ahead_pixel);            \
    }
#define PRODUCT_FILTER_NAME(N, V, T) product_filter_##N##x##V,
#define PRODUCT_FILTERS(LIST, V)                                                                                \
    LIST(PRODUCT_FILTER, V, 0)                                                                                  \
    static product_filter_fn *const product_filters_##V[] = {NULL, LIST(PRODUCT_FILTER_NAME, V, 0)};
#define MOST_FILTERS(V) ((int64_t)(sizeof product_filters_##V / sizeof(product_filter_fn *)) - 1)

/* The level's file names the tiles: LIST_1 of one vector, LIST_2 of two. */
PRODUCT_FILTERS(LIST_1, 1)
PRODUCT_FILTERS(LIST_2, 2)

#endif
