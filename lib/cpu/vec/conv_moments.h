/* SPDX-License-Identifier: MIT */
/*
 * Mean and sum of squared deviations per channel of rows that were just written, in one pass over data shifted by the mean
 * of the first few pixels (Chan, Golub and LeVeque, Algorithms for computing the sample variance, 1983). With m of n pixels
 * (mean of m - mean of n)^2 m / n is at most the variance, so what rounding does to it is at most 1 + n / m times what it
 * does around the mean itself; typically it is not even twice.
 */
#include "cpu/vec/conv_vector.h"

/* Pixels of the shift; sums of their own, which hide an addition's latency, as registers allow. */
enum { CENTRE_PIXELS = 16, MOMENT_CHAINS = LANES == 16 ? 4 : 2 };

typedef struct deviations {
    vec sum[MAX_VECTORS], squares[MAX_VECTORS];
} deviations;

RNI_INLINE vec load_channels(const int V, const int v, const elem *y, mask tail)
{
    return v == V - 1 ? e_load_m(y + v * LANES, tail) : e_load(y + v * LANES);
}

RNI_INLINE void add_deviations(deviations *to, const int V, const elem *y, mask tail, const vec *centre)
{
    UNROLL for (int v = 0; v < V; v++) {
        const vec d = v_sub(load_channels(V, v, y, tail), centre[v]);
        to->sum[v] = v_add(to->sum[v], d);
        to->squares[v] = v_fma(d, d, to->squares[v]);
    }
}

RNI_INLINE deviations sum_deviations(const int V, const elem *y, int64_t pixels, int64_t pixel, mask tail,
                                     const vec *centre)
{
    deviations part[MOMENT_CHAINS];
    UNROLL for (int j = 0; j < MOMENT_CHAINS; j++)
        UNROLL for (int v = 0; v < V; v++)
            part[j].sum[v] = part[j].squares[v] = v_zero();
    int64_t p = 0;
    for (; p + MOMENT_CHAINS <= pixels; p += MOMENT_CHAINS, y += MOMENT_CHAINS * pixel)
        UNROLL for (int j = 0; j < MOMENT_CHAINS; j++)
            add_deviations(&part[j], V, y + j * pixel, tail, centre);
    for (; p < pixels; p++, y += pixel)
        add_deviations(&part[0], V, y, tail, centre);
    UNROLL for (int step = MOMENT_CHAINS / 2; step > 0; step /= 2)
        UNROLL for (int j = 0; j < step; j++)
            UNROLL for (int v = 0; v < V; v++) {
                part[j].sum[v] = v_add(part[j].sum[v], part[j + step].sum[v]);
                part[j].squares[v] = v_add(part[j].squares[v], part[j + step].squares[v]);
            }
    return part[0];
}

RNI_INLINE void centre_of(const int V, const elem *y, int64_t pixels, int64_t pixel, mask tail, vec *centre)
{
    const int64_t few = pixels < CENTRE_PIXELS ? pixels : CENTRE_PIXELS;
    const vec inverse = v_set(1.0f / (float)few);
    UNROLL for (int v = 0; v < V; v++)
        centre[v] = v_zero();
    for (int64_t p = 0; p < few; p++, y += pixel)
        UNROLL for (int v = 0; v < V; v++)
            centre[v] = v_add(centre[v], load_channels(V, v, y, tail));
    UNROLL for (int v = 0; v < V; v++)
        centre[v] = v_mul(centre[v], inverse);
}

RNI_INLINE void take_moments(const int V, const elem *y, int64_t pixels, int64_t pixel, mask tail,
                             const rni_conv_moments *out)
{
    vec centre[MAX_VECTORS];
    centre_of(V, y, pixels, pixel, tail, centre);
    const deviations d = sum_deviations(V, y, pixels, pixel, tail, centre);
    const vec inverse = v_set(1.0f / (float)pixels);
    UNROLL for (int v = 0; v < V; v++) {
        const vec offset = v_mul(d.sum[v], inverse);
        v_store(out->centre + v * LANES, centre[v]);
        v_store(out->offset + v * LANES, offset);
        v_store(out->squares + v * LANES, v_sub(d.squares[v], v_mul(d.sum[v], offset)));
    }
}

static void moments(const void *y, int64_t pixels, int64_t pixel, int32_t vectors, int32_t tail,
                    const rni_conv_moments *out)
{
    if (vectors == 1)
        take_moments(1, y, pixels, pixel, v_first((size_t)tail), out);
    else
        take_moments(2, y, pixels, pixel, v_first((size_t)tail), out);
}
