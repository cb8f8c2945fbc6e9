/* SPDX-License-Identifier: MIT */
/*
 * Mean and sum of squared deviations per channel of rows that were just written: the corrected two-pass algorithm of
 * Chan, Golub and LeVeque, Algorithms for computing the sample variance, 1983. What rounding makes the first pass miss
 * of the mean, the second finds.
 */
#include "cpu/vec/conv_vector.h"

/* Sums of their own, which hide an addition's latency; vectors at once, as registers allow: two of bf16 are a cache line. */
enum { MOMENT_CHAINS = 4, MOMENT_VECTORS = LANES == 16 ? 2 : 1 };

typedef struct deviations {
    vec sum[MOMENT_VECTORS], squares[MOMENT_VECTORS];
} deviations;

RNI_INLINE void add_deviations(deviations *to, const int V, const elem *y, mask tail, const vec *centre)
{
    UNROLL for (int v = 0; v < V; v++) {
        const vec d = v_sub(v == V - 1 ? e_load_m(y + v * LANES, tail) : e_load(y + v * LANES), centre[v]);
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
    UNROLL for (int j = 0; j < MOMENT_CHAINS; j += 2)
        UNROLL for (int v = 0; v < V; v++) {
            part[j].sum[v] = v_add(part[j].sum[v], part[j + 1].sum[v]);
            part[j].squares[v] = v_add(part[j].squares[v], part[j + 1].squares[v]);
        }
    UNROLL for (int v = 0; v < V; v++) {
        part[0].sum[v] = v_add(part[0].sum[v], part[2].sum[v]);
        part[0].squares[v] = v_add(part[0].squares[v], part[2].squares[v]);
    }
    return part[0];
}

RNI_INLINE void take_moments(const int V, const elem *y, int64_t pixels, int64_t pixel, mask tail, int64_t lane,
                             const rni_conv_moments *out)
{
    const vec inverse = v_set(1.0f / (float)pixels);
    vec centre[MOMENT_VECTORS];
    UNROLL for (int v = 0; v < V; v++)
        centre[v] = v_zero();
    const deviations all = sum_deviations(V, y, pixels, pixel, tail, centre);
    UNROLL for (int v = 0; v < V; v++)
        centre[v] = v_mul(all.sum[v], inverse);
    const deviations d = sum_deviations(V, y, pixels, pixel, tail, centre);
    UNROLL for (int v = 0; v < V; v++) {
        const vec offset = v_mul(d.sum[v], inverse);
        v_store(out->centre + lane + v * LANES, centre[v]);
        v_store(out->offset + lane + v * LANES, offset);
        v_store(out->squares + lane + v * LANES, v_sub(d.squares[v], v_mul(d.sum[v], offset)));
    }
}

static void moments(const void *from, int64_t pixels, int64_t pixel, int32_t vectors, int32_t tail,
                    const rni_conv_moments *out)
{
    const elem *const y = from;
    int64_t v = 0;
    for (; v + MOMENT_VECTORS <= vectors; v += MOMENT_VECTORS)
        take_moments(MOMENT_VECTORS, y + v * LANES, pixels, pixel,
                     v_first((size_t)(v + MOMENT_VECTORS == vectors ? tail : LANES)), v * LANES, out);
    if (v < vectors)
        take_moments(1, y + v * LANES, pixels, pixel, v_first((size_t)tail), v * LANES, out);
}
