/* SPDX-License-Identifier: MIT */
/*
 * What sums of products are made of: floats, or pairs of bf16 whose dot products are added. STEP elements make a factor in
 * every lane.
 */
#ifndef RNI_CPU_VEC_FACTOR_H
#define RNI_CPU_VEC_FACTOR_H

#include "cpu/vec/elem.h"
#include <string.h>

#if defined(RNI_BF16)

enum { STEP = 2 };
typedef pairs factor;
RNI_INLINE factor f_load(const elem *p) { return p_load(p); }
/* V vectors, at most two: the elements of a pixel and, beside each, that of the next one; a last pixel is beside zeros. */
RNI_INLINE void f_pixels(const elem *pixel, int64_t next, int last, const int V, factor *to)
{
    static const elem none[2 * LANES];
    const elem *const high = last ? none : pixel + next;
    if (V == 2)
        p_join_2(pixel, high, to);
    else
        to[0] = p_join(h_load(pixel), h_load(high));
}
/* The same STEP elements in every lane. */
RNI_INLINE factor f_set(const elem *x)
{
    uint32_t both;
    memcpy(&both, x, sizeof both);
    return p_set(both);
}
/* One element and zero. */
RNI_INLINE factor f_set_last(const elem *x) { return p_set(*x); }
RNI_INLINE vec f_mul(factor a, factor b, vec sum) { return p_dot(a, b, sum); }
RNI_INLINE vec e_set(const elem *x) { return v_widen(h_set(*x)); }

#else

enum { STEP = 1 };
typedef vec factor;
RNI_INLINE factor f_load(const elem *p) { return v_load(p); }
RNI_INLINE void f_pixels(const elem *pixel, int64_t next, int last, const int V, factor *to)
{
    (void)next;
    (void)last;
    to[0] = v_load(pixel);
    if (V == 2)
        to[1] = v_load(pixel + LANES);
}
RNI_INLINE factor f_set(const elem *x) { return v_set(*x); }
RNI_INLINE factor f_set_last(const elem *x) { return v_set(*x); }
RNI_INLINE vec f_mul(factor a, factor b, vec sum) { return v_fma(a, b, sum); }
RNI_INLINE vec e_set(const elem *x) { return v_set(*x); }

#endif

#endif
