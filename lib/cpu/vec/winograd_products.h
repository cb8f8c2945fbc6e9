/* SPDX-License-Identifier: MIT */
/* Winograd's weights and products for one level, all of floats; see winograd_images.h for the transforms. */
#include "cpu/vec/product_filter.h"
#include "cpu/vec/winograd_points.h"
#include "cpu/vec/winograd_tiles.h"

/* The factors of the points: the product of the differences to the other points. */
#define FACTOR_A (1.0f / (2.0f * POINT_A2 * (POINT_A2 - POINT_B2)))
#define FACTOR_B (1.0f / (2.0f * POINT_B2 * (POINT_B2 - POINT_A2)))

RNI_INLINE void weight_axis(const vec g[3], vec r[6])
{
    const vec even_a = v_fma(v_set(POINT_A2), g[2], g[0]), odd_a = v_mul(v_set(POINT_A), g[1]);
    const vec even_b = v_fma(v_set(POINT_B2), g[2], g[0]), odd_b = v_mul(v_set(POINT_B), g[1]);
    r[0] = g[0];
    r[1] = v_mul(v_set(FACTOR_A), v_add(even_a, odd_a));
    r[2] = v_mul(v_set(FACTOR_A), v_sub(even_a, odd_a));
    r[3] = v_mul(v_set(FACTOR_B), v_add(even_b, odd_b));
    r[4] = v_mul(v_set(FACTOR_B), v_sub(even_b, odd_b));
    r[5] = g[2];
}

/* Three taps of a filter's gradient from the sums, with the points' factors. */
RNI_INLINE void taps_axis(const vec m[6], vec g[3])
{
    const vec even_a = v_mul(v_set(FACTOR_A), v_add(m[1], m[2])), odd_a = v_mul(v_set(FACTOR_A), v_sub(m[1], m[2]));
    const vec even_b = v_mul(v_set(FACTOR_B), v_add(m[3], m[4])), odd_b = v_mul(v_set(FACTOR_B), v_sub(m[3], m[4]));
    g[0] = v_add(m[0], v_add(even_a, even_b));
    g[1] = v_fma(v_set(POINT_A), odd_a, v_mul(v_set(POINT_B), odd_b));
    g[2] = v_add(m[5], v_fma(v_set(POINT_A2), even_a, v_mul(v_set(POINT_B2), even_b)));
}

static void winograd_weights(const float *taps, const float *second, int64_t tap, void *weights, int64_t plane)
{
    float *const u = weights;
    (void)second;
    vec t[6][3];
    UNROLL for (int j = 0; j < 3; j++) {
        const vec g[3] = {v_load(taps + j * tap), v_load(taps + (3 + j) * tap), v_load(taps + (6 + j) * tap)};
        vec r[6];
        weight_axis(g, r);
        UNROLL for (int i = 0; i < 6; i++)
            t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vec r[6];
        weight_axis(t[i], r);
        UNROLL for (int j = 0; j < 6; j++)
            v_store(u + (i * 6 + j) * plane, r[j]);
    }
}

static void winograd_taps(const float *sum, int64_t plane, float *taps, int64_t tap)
{
    vec t[3][6];
    UNROLL for (int j = 0; j < 6; j++) {
        vec m[6], r[3];
        UNROLL for (int i = 0; i < 6; i++)
            m[i] = v_load(sum + (i * 6 + j) * plane);
        taps_axis(m, r);
        UNROLL for (int i = 0; i < 3; i++)
            t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < 3; i++) {
        vec r[3];
        taps_axis(t[i], r);
        UNROLL for (int j = 0; j < 3; j++)
            v_store(taps + (i * 3 + j) * tap, r[j]);
    }
}

RNI_INLINE void run_filters(product_filter_fn *const *table, int64_t most, const rni_winograd_planes *x,
                            const rni_winograd_planes *dy, int64_t channels, int64_t tiles,
                            const rni_winograd_planes *sum, int fresh, rni_winograd_ahead ahead)
{
    const int64_t count = (channels + most - 1) / most, width = channels / count;
    for (int64_t p = 0; p < RNI_WINOGRAD_PLANES(4); p++) {
        const float *from = (const float *)x->at + p * x->plane, *const d = (const float *)dy->at + p * dy->plane;
        float *to = (float *)sum->at + p * sum->plane;
        int64_t wider = channels % count;
        ask_ahead(&ahead, 0);
        for (int64_t i = 0; i < count; i++, wider--) {
            const int64_t n = width + (wider > 0);
            table[n](from, x->tile, d, dy->tile, tiles, to, sum->tile, fresh, from, 0);
            from += n;
            to += n * sum->tile;
        }
    }
}

/* The level's file names the tiles: LIST_1 of one vector, LIST_2 of two. */
PRODUCTS(LIST_1, 1)
PRODUCTS(LIST_2, 2)

static void winograd_product(const rni_winograd_planes *v, const void *u, int64_t u_plane, int64_t channels,
                             int64_t tiles, int32_t vectors, const rni_winograd_planes *m, const rni_winograd_ahead *ahead)
{
    if (LANES == 16 && vectors == 1 && channels == LANES)
        run_narrow(4, v, u, u_plane, tiles, m, *ahead);
    else if (vectors == 1)
        run_products(4, products_1, MOST_PRODUCTS(1), v, u, u_plane, channels, tiles, m, *ahead);
    else
        run_products(4, products_2, MOST_PRODUCTS(2), v, u, u_plane, channels, tiles, m, *ahead);
}

static void winograd_filter(const rni_winograd_planes *x, const rni_winograd_planes *dy, int64_t channels,
                            int64_t tiles, int32_t vectors, const rni_winograd_planes *sum, int32_t fresh,
                            const rni_winograd_ahead *ahead)
{
    if (vectors == 1)
        run_filters(product_filters_1, MOST_FILTERS(1), x, dy, channels, tiles, sum, fresh, *ahead);
    else
        run_filters(product_filters_2, MOST_FILTERS(2), x, dy, channels, tiles, sum, fresh, *ahead);
}
