/* SPDX-License-Identifier: MIT */
/*
 * Mean and sum of squared deviations per channel of rows that were just written: the corrected two-pass algorithm of
 * Chan, Golub and LeVeque, Algorithms for computing the sample variance, 1983. What rounding makes the first pass miss
 * of the mean, the second finds.
 */
#include "cpu/vec/conv_vector.h"

typedef struct deviations {
    vec sum, squares;
} deviations;

RNI_INLINE void add_deviation(deviations *to, const elem *y, mask m, vec centre)
{
    const vec d = v_sub(e_load_m(y, m), centre);
    to->sum = v_add(to->sum, d);
    to->squares = v_fma(d, d, to->squares);
}

RNI_INLINE deviations sum_deviations(const elem *y, int64_t pixels, int64_t pixel, mask m, vec centre)
{
    enum { CHAINS = 4 };
    deviations part[CHAINS];
    UNROLL for (int j = 0; j < CHAINS; j++)
        part[j] = (deviations){v_zero(), v_zero()};
    int64_t p = 0;
    for (; p + CHAINS <= pixels; p += CHAINS, y += CHAINS * pixel)
        UNROLL for (int j = 0; j < CHAINS; j++)
            add_deviation(&part[j], y + j * pixel, m, centre);
    for (; p < pixels; p++, y += pixel)
        add_deviation(&part[0], y, m, centre);
    return (deviations){v_add(v_add(part[0].sum, part[1].sum), v_add(part[2].sum, part[3].sum)),
                        v_add(v_add(part[0].squares, part[1].squares), v_add(part[2].squares, part[3].squares))};
}

static void moments(const void *from, int64_t pixels, int64_t pixel, int32_t vectors, int32_t tail,
                    const rni_conv_moments *out)
{
    const elem *y = from;
    const vec inverse = v_set(1.0f / (float)pixels);
    for (int32_t v = 0; v < vectors; v++, y += LANES) {
        const mask m = v_first(v == vectors - 1 ? tail : LANES);
        const vec centre = v_mul(sum_deviations(y, pixels, pixel, m, v_zero()).sum, inverse);
        const deviations d = sum_deviations(y, pixels, pixel, m, centre);
        const vec offset = v_mul(d.sum, inverse);
        v_store(out->centre + v * LANES, centre);
        v_store(out->offset + v * LANES, offset);
        v_store(out->squares + v * LANES, v_sub(d.squares, v_mul(d.sum, offset)));
    }
}
