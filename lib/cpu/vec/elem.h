/* SPDX-License-Identifier: MIT */
/* Elements of activations: float, or bf16 where the including file defines RNI_BF16. Arithmetic is on vectors of floats. */
#ifndef RNI_CPU_VEC_ELEM_H
#define RNI_CPU_VEC_ELEM_H

#include "cpu/vec/vec.h"

#if defined(RNI_BF16)

typedef uint16_t elem;
RNI_INLINE vec e_load(const elem *p) { return v_widen(h_load(p)); }
RNI_INLINE vec e_load_m(const elem *p, mask m) { return v_widen(h_load_m(p, m)); }
RNI_INLINE void e_store(elem *p, vec v) { h_store(p, v_narrow(v)); }
RNI_INLINE void e_store_m(elem *p, vec v, mask m) { h_store_m(p, v_narrow(v), m); }
RNI_INLINE void e_stream(elem *p, vec v) { h_stream(p, v_narrow(v)); }

#else

typedef float elem;
RNI_INLINE vec e_load(const elem *p) { return v_load(p); }
RNI_INLINE vec e_load_m(const elem *p, mask m) { return v_load_m(p, m); }
RNI_INLINE void e_store(elem *p, vec v) { v_store(p, v); }
RNI_INLINE void e_store_m(elem *p, vec v, mask m) { v_store_m(p, v, m); }
RNI_INLINE void e_stream(elem *p, vec v) { v_stream(p, v); }

#endif

enum { LINE = 64 / sizeof(elem) }; /* elements in a cache line */

RNI_INLINE vec e_load_n(const elem *p, size_t n)
{
    return n >= LANES ? e_load(p) : e_load_m(p, v_first(n));
}

RNI_INLINE void e_store_n(elem *p, vec v, size_t n)
{
    if (n >= LANES)
        e_store(p, v);
    else
        e_store_m(p, v, v_first(n));
}

#endif
