/* SPDX-License-Identifier: MIT */
/* Winograd's products for one level, of floats or of pairs of bf16. T is the form's tile. */
#ifndef RNI_CPU_VEC_WINOGRAD_TILES_H
#define RNI_CPU_VEC_WINOGRAD_TILES_H

#include "cpu/vec/conv_windows.h"

/* Products: P tiles by V vectors of output channels in registers, over all channels. */
RNI_INLINE void product_tile(const int P, const int V, const elem *x, int64_t tile, const elem *u, int64_t channels,
                             float *m, int64_t m_tile)
{
    sums t;
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V; v++)
            t.a[p][v] = v_zero();
    add_tap(&t, P, V, 0, P, x, tile, u, channels);
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V; v++)
            v_store(m + p * m_tile + v * LANES, t.a[p][v]);
}

typedef void product_fn(const elem *x, int64_t tile, const elem *u, int64_t channels, float *m, int64_t m_tile);

#define PRODUCT(P, V, T)                                                                                        \
    static void product_##P##x##V(const elem *x, int64_t tile, const elem *u, int64_t channels, float *m,       \
                                  int64_t m_tile)                                                               \
    {                                                                                                           \
        product_tile(P, V, x, tile, u, channels, m, m_tile);                                                    \
    }
#define PRODUCT_NAME(P, V, T) product_##P##x##V,
#define PRODUCTS(LIST, V) LIST(PRODUCT, V, 0) static product_fn *const products_##V[] = {NULL, LIST(PRODUCT_NAME, V, 0)};
#define MOST_PRODUCTS(V) ((int64_t)(sizeof products_##V / sizeof(product_fn *)) - 1)

RNI_INLINE void ask_ahead(rni_winograd_ahead *ahead, const int writes)
{
    for (int64_t i = 0; i < ahead->b_lines; i++, ahead->b += 64)
        if (writes)
            __builtin_prefetch(ahead->b, 1, 2);
        else
            __builtin_prefetch(ahead->b, 0, 2);
    for (int64_t i = 0; i < ahead->a_lines; i++, ahead->a += 64)
        __builtin_prefetch(ahead->a, 0, 2);
}

/* Of channels that make one vector: a plane's weights stay in registers. */
enum { NARROW_TILES = 12 };

RNI_INLINE void narrow_tile(const int P, const factor *w, const elem *x, float *m)
{
    vec sum[NARROW_TILES];
    UNROLL for (int p = 0; p < P; p++)
        sum[p] = v_zero();
    UNROLL for (int k = 0; k < LANES / STEP; k++)
        UNROLL for (int p = 0; p < P; p++)
            sum[p] = f_mul(f_set(x + p * LANES + k * STEP), w[k], sum[p]);
    UNROLL for (int p = 0; p < P; p++)
        v_store(m + p * LANES, sum[p]);
}

RNI_INLINE void narrow_plane(const elem *x, const elem *u, int64_t tiles, float *m)
{
    factor w[LANES / STEP];
    UNROLL for (int k = 0; k < LANES / STEP; k++)
        w[k] = f_load(u + k * STEP * LANES);
    int64_t t = 0;
    for (; t + NARROW_TILES <= tiles; t += NARROW_TILES)
        narrow_tile(NARROW_TILES, w, x + t * LANES, m + t * LANES);
    for (; t + 4 <= tiles; t += 4)
        narrow_tile(4, w, x + t * LANES, m + t * LANES);
    for (; t < tiles; t++)
        narrow_tile(1, w, x + t * LANES, m + t * LANES);
}

RNI_INLINE void run_narrow(const int T, const rni_winograd_planes *v, const void *u, int64_t u_plane, int64_t tiles,
                           const rni_winograd_planes *m, rni_winograd_ahead ahead)
{
    for (int64_t p = 0; p < RNI_WINOGRAD_PLANES(T); p++) {
        ask_ahead(&ahead, 1);
        narrow_plane((const elem *)v->at + p * v->plane, (const elem *)u + p * u_plane, tiles, (float *)m->at + p * m->plane);
    }
}

RNI_INLINE void run_products(const int T, product_fn *const *table, int64_t most, const rni_winograd_planes *v, const void *u,
                             int64_t u_plane, int64_t channels, int64_t tiles, const rni_winograd_planes *m,
                             rni_winograd_ahead ahead)
{
    const int64_t count = (tiles + most - 1) / most, width = tiles / count;
    const elem *weights = u;
    for (int64_t p = 0; p < RNI_WINOGRAD_PLANES(T); p++, weights += u_plane) {
        const elem *x = (const elem *)v->at + p * v->plane;
        float *y = (float *)m->at + p * m->plane;
        int64_t wider = tiles % count;
        ask_ahead(&ahead, 1);
        for (int64_t i = 0; i < count; i++, wider--) {
            const int64_t n = width + (wider > 0);
            table[n](x, v->tile, weights, channels, y, m->tile);
            x += n * v->tile;
            y += n * m->tile;
        }
    }
}

#endif
