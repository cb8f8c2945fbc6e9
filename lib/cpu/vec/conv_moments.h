/* SPDX-License-Identifier: MIT */
/* Mean and sum of squared deviations per channel, in two passes over rows that were just written. */
#include "cpu/vec/conv_vector.h"

RNI_INLINE vec sum_deviations(const float *y, int64_t pixels, int64_t pixel, mask m, vec centre, const int squared)
{
    vec sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int64_t p = 0;
    for (; p + 4 <= pixels; p += 4, y += 4 * pixel)
        UNROLL for (int j = 0; j < 4; j++) {
            const vec d = v_sub(v_load_m(y + j * pixel, m), centre);
            sum[j] = squared ? v_fma(d, d, sum[j]) : v_add(sum[j], d);
        }
    for (; p < pixels; p++, y += pixel) {
        const vec d = v_sub(v_load_m(y, m), centre);
        sum[0] = squared ? v_fma(d, d, sum[0]) : v_add(sum[0], d);
    }
    return v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3]));
}

/* The first pixel is taken off first and kept apart, so that a mean far from 0 costs no digits. */
static void moments(const float *y, int64_t pixels, int64_t pixel, int32_t vectors, int32_t tail,
                    const rni_conv_moments *out)
{
    const vec inverse = v_set(1.0f / (float)pixels);
    for (int32_t v = 0; v < vectors; v++, y += LANES) {
        const mask m = v_first(v == vectors - 1 ? tail : LANES);
        const vec first = v_load_m(y, m);
        const vec offset = v_mul(sum_deviations(y, pixels, pixel, m, first, 0), inverse);
        v_store(out->first + v * LANES, first);
        v_store(out->offset + v * LANES, offset);
        v_store(out->squares + v * LANES, sum_deviations(y, pixels, pixel, m, v_add(first, offset), 1));
    }
}
