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
RNI_INLINE factor f_set(const elem *x) { return v_set(*x); }
RNI_INLINE factor f_set_last(const elem *x) { return v_set(*x); }
RNI_INLINE vec f_mul(factor a, factor b, vec sum) { return v_fma(a, b, sum); }
RNI_INLINE vec e_set(const elem *x) { return v_set(*x); }

#endif

#endif
