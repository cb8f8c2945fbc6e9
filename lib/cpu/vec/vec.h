/* SPDX-License-Identifier: MIT */
/*
 * Vectors of floats for the level this file is compiled for: 16 lanes with AVX-512, 8 with AVX2. Everything is static,
 * so that no other level's code can be taken for this one's by the linker.
 */
#ifndef RNI_CPU_VEC_H
#define RNI_CPU_VEC_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define RNI_INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__)

enum { LANES = 16 };
typedef __m512 vec;
typedef __mmask16 mask; /* lanes */

RNI_INLINE vec v_zero(void) { return _mm512_setzero_ps(); }
RNI_INLINE vec v_set(float x) { return _mm512_set1_ps(x); }
RNI_INLINE vec v_load(const float *p) { return _mm512_loadu_ps(p); }
RNI_INLINE void v_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
/* Past the caches, to a multiple of the vector's size. */
RNI_INLINE void v_stream(float *p, vec v) { _mm512_stream_ps(p, v); }
/* The first n lanes, n <= LANES. */
RNI_INLINE mask v_first(size_t n) { return (mask)((1u << n) - 1); }
RNI_INLINE vec v_load_m(const float *p, mask m) { return _mm512_maskz_loadu_ps(m, p); }
RNI_INLINE void v_store_m(float *p, vec v, mask m) { _mm512_mask_storeu_ps(p, m, v); }
RNI_INLINE vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
RNI_INLINE vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
RNI_INLINE vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
RNI_INLINE vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
RNI_INLINE vec v_sqrt(vec a) { return _mm512_sqrt_ps(a); }
/* a b + c */
RNI_INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
/* c - a b */
RNI_INLINE vec v_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
/* max(x, 0); NaN stays. */
RNI_INLINE vec v_relu(vec x) { return _mm512_max_ps(_mm512_setzero_ps(), x); }
/* x where y > 0, else 0. */
RNI_INLINE vec v_where_positive(vec y, vec x)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_GT_OQ), x);
}
/* The larger; a NaN of either wins. `best` comes first. */
RNI_INLINE vec v_max_nan(vec best, vec v)
{
    const mask m = _mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(best, m, v);
}
/* Lanes where a is b or both are NaN. */
RNI_INLINE mask v_same(vec a, vec b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ) |
           (mask)(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q) & _mm512_cmp_ps_mask(b, b, _CMP_UNORD_Q));
}
RNI_INLINE vec v_where(mask m, vec x) { return _mm512_maskz_mov_ps(m, x); }
RNI_INLINE mask m_none(void) { return 0; }
RNI_INLINE mask m_or(mask a, mask b) { return a | b; }
RNI_INLINE mask m_and_not(mask a, mask b) { return (mask)(a & ~b); } /* a without b */
RNI_INLINE float v_sum(vec v) { return _mm512_reduce_add_ps(v); }

/* dst[0..LANES-1] += v, as doubles. */
RNI_INLINE void v_add_to_double(double *dst, vec v)
{
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
    _mm512_storeu_pd(dst, _mm512_add_pd(_mm512_loadu_pd(dst), low));
    _mm512_storeu_pd(dst + 8, _mm512_add_pd(_mm512_loadu_pd(dst + 8), high));
}

/* Sums of squares in double. */
typedef struct dvec {
    __m512d a, b;
} dvec;
RNI_INLINE dvec d_zero(void) { return (dvec){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
RNI_INLINE dvec d_add_square(dvec s, vec v)
{
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
    return (dvec){_mm512_fmadd_pd(low, low, s.a), _mm512_fmadd_pd(high, high, s.b)};
}
RNI_INLINE double d_sum(dvec s) { return _mm512_reduce_add_pd(_mm512_add_pd(s.a, s.b)); }

/* As many bf16 as lanes; see cpu/bf16.h. */
typedef __m256i half;
RNI_INLINE half h_load(const uint16_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
RNI_INLINE half h_set(uint16_t x) { return _mm256_set1_epi16((short)x); }
RNI_INLINE half h_load_m(const uint16_t *p, mask m) { return _mm256_maskz_loadu_epi16(m, p); }
RNI_INLINE void h_store(uint16_t *p, half h) { _mm256_storeu_si256((__m256i *)p, h); }
RNI_INLINE void h_store_m(uint16_t *p, half h, mask m) { _mm256_mask_storeu_epi16(p, m, h); }
RNI_INLINE void h_stream(uint16_t *p, half h) { _mm256_stream_si256((__m256i *)p, h); }
RNI_INLINE vec v_widen(half h) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)); }
RNI_INLINE half v_narrow(vec v)
{
#if defined(__AVX512BF16__)
    return (__m256i)_mm512_cvtneps_pbh(v);
#else
    const __m512i bits = _mm512_castps_si512(v), upper = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
    __m512i r = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
    r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), upper, _mm512_set1_epi32(0x40));
    const mask small = _mm512_testn_epi32_mask(bits, _mm512_set1_epi32(0x7f800000));
    return _mm512_cvtepi32_epi16(_mm512_mask_and_epi32(r, small, upper, _mm512_set1_epi32(0x8000)));
#endif
}

/* A pair of bf16 in every lane: the lower and the upper half. */
typedef __m512i pairs;
RNI_INLINE pairs p_load(const uint16_t *p) { return _mm512_loadu_si512(p); }
RNI_INLINE void p_store(uint16_t *p, pairs v) { _mm512_storeu_si512(p, v); }
RNI_INLINE pairs p_set(uint32_t both) { return _mm512_set1_epi32((int)both); }
/* low and high become neighbours. */
RNI_INLINE pairs p_join(half low, half high)
{
    return _mm512_or_si512(_mm512_cvtepu16_epi32(low), _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}
#if defined(__AVX512BF16__)
/* The lower and the upper halves, and back. */
RNI_INLINE vec p_low(pairs p) { return _mm512_castsi512_ps(_mm512_slli_epi32(p, 16)); }
RNI_INLINE vec p_high(pairs p) { return _mm512_castsi512_ps(_mm512_and_si512(p, _mm512_set1_epi32((int)0xffff0000))); }
RNI_INLINE pairs p_narrow(vec low, vec high)
{
    const uint16_t order[32] = {0,  16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                8,  24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(order), (__m512i)_mm512_cvtne2ps_pbh(high, low));
}
#endif
/* c + the dot products of the pairs. */
RNI_INLINE vec p_dot(pairs a, pairs b, vec c)
{
#if defined(__AVX512BF16__)
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
#else
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
    const vec low = v_fma(_mm512_castsi512_ps(_mm512_slli_epi32(a, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(b, 16)), c);
    return v_fma(_mm512_castsi512_ps(_mm512_and_si512(a, upper)), _mm512_castsi512_ps(_mm512_and_si512(b, upper)), low);
#endif
}

#else

enum { LANES = 8 };
typedef __m256 vec;
typedef __m256i mask; /* all bits of a lane */

RNI_INLINE vec v_zero(void) { return _mm256_setzero_ps(); }
RNI_INLINE vec v_set(float x) { return _mm256_set1_ps(x); }
RNI_INLINE vec v_load(const float *p) { return _mm256_loadu_ps(p); }
RNI_INLINE void v_store(float *p, vec v) { _mm256_storeu_ps(p, v); }
RNI_INLINE void v_stream(float *p, vec v) { _mm256_stream_ps(p, v); }
RNI_INLINE mask v_first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
RNI_INLINE vec v_load_m(const float *p, mask m) { return _mm256_maskload_ps(p, m); }
RNI_INLINE void v_store_m(float *p, vec v, mask m) { _mm256_maskstore_ps(p, m, v); }
RNI_INLINE vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
RNI_INLINE vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
RNI_INLINE vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
RNI_INLINE vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
RNI_INLINE vec v_sqrt(vec a) { return _mm256_sqrt_ps(a); }
RNI_INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
RNI_INLINE vec v_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
RNI_INLINE vec v_relu(vec x) { return _mm256_max_ps(_mm256_setzero_ps(), x); }
RNI_INLINE vec v_where_positive(vec y, vec x)
{
    return _mm256_and_ps(_mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_GT_OQ), x);
}
RNI_INLINE vec v_max_nan(vec best, vec v)
{
    const vec m = _mm256_or_ps(_mm256_cmp_ps(v, best, _CMP_GT_OQ), _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    return _mm256_blendv_ps(best, v, m);
}
RNI_INLINE mask v_same(vec a, vec b)
{
    const vec nan = _mm256_and_ps(_mm256_cmp_ps(a, a, _CMP_UNORD_Q), _mm256_cmp_ps(b, b, _CMP_UNORD_Q));
    return _mm256_castps_si256(_mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ), nan));
}
RNI_INLINE vec v_where(mask m, vec x) { return _mm256_and_ps(_mm256_castsi256_ps(m), x); }
RNI_INLINE mask m_none(void) { return _mm256_setzero_si256(); }
RNI_INLINE mask m_or(mask a, mask b) { return _mm256_or_si256(a, b); }
RNI_INLINE mask m_and_not(mask a, mask b) { return _mm256_andnot_si256(b, a); }
RNI_INLINE float v_sum(vec v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
RNI_INLINE void v_add_to_double(double *dst, vec v)
{
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
    _mm256_storeu_pd(dst, _mm256_add_pd(_mm256_loadu_pd(dst), low));
    _mm256_storeu_pd(dst + 4, _mm256_add_pd(_mm256_loadu_pd(dst + 4), high));
}

typedef struct dvec {
    __m256d a, b;
} dvec;
RNI_INLINE dvec d_zero(void) { return (dvec){_mm256_setzero_pd(), _mm256_setzero_pd()}; }
RNI_INLINE dvec d_add_square(dvec s, vec v)
{
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
    return (dvec){_mm256_fmadd_pd(low, low, s.a), _mm256_fmadd_pd(high, high, s.b)};
}
RNI_INLINE double d_sum(dvec s)
{
    double lanes[4];
    _mm256_storeu_pd(lanes, _mm256_add_pd(s.a, s.b));
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

typedef __m128i half;
RNI_INLINE half h_load(const uint16_t *p) { return _mm_loadu_si128((const __m128i *)p); }
RNI_INLINE half h_set(uint16_t x) { return _mm_set1_epi16((short)x); }
RNI_INLINE void h_store(uint16_t *p, half h) { _mm_storeu_si128((__m128i *)p, h); }
RNI_INLINE void h_stream(uint16_t *p, half h) { _mm_stream_si128((__m128i *)p, h); }
/* There are no masks for 16 bits. */
RNI_INLINE half h_load_m(const uint16_t *p, mask m)
{
    const int lanes = _mm256_movemask_ps(_mm256_castsi256_ps(m));
    uint16_t some[LANES] = {0};
    if (lanes == 0xff)
        return h_load(p);
    for (int i = 0; i < LANES; i++)
        if (lanes >> i & 1)
            some[i] = p[i];
    return h_load(some);
}
RNI_INLINE void h_store_m(uint16_t *p, half h, mask m)
{
    const int lanes = _mm256_movemask_ps(_mm256_castsi256_ps(m));
    uint16_t all[LANES];
    if (lanes == 0xff) {
        h_store(p, h);
        return;
    }
    h_store(all, h);
    for (int i = 0; i < LANES; i++)
        if (lanes >> i & 1)
            p[i] = all[i];
}
RNI_INLINE vec v_widen(half h) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16)); }
RNI_INLINE half v_narrow(vec v)
{
    const __m256i bits = _mm256_castps_si256(v), upper = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i exponent = _mm256_and_si256(bits, _mm256_set1_epi32(0x7f800000));
    const __m256i small = _mm256_cmpeq_epi32(exponent, _mm256_setzero_si256());
    __m256i r = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
    r = _mm256_blendv_epi8(r, _mm256_or_si256(upper, _mm256_set1_epi32(0x40)), nan);
    r = _mm256_blendv_epi8(r, _mm256_and_si256(upper, _mm256_set1_epi32(0x8000)), small);
    return _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
}

typedef __m256i pairs;
RNI_INLINE pairs p_load(const uint16_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
RNI_INLINE void p_store(uint16_t *p, pairs v) { _mm256_storeu_si256((__m256i *)p, v); }
RNI_INLINE pairs p_set(uint32_t both) { return _mm256_set1_epi32((int)both); }
RNI_INLINE pairs p_join(half low, half high)
{
    return _mm256_or_si256(_mm256_cvtepu16_epi32(low), _mm256_slli_epi32(_mm256_cvtepu16_epi32(high), 16));
}
RNI_INLINE vec p_dot(pairs a, pairs b, vec c)
{
    const __m256i upper = _mm256_set1_epi32((int)0xffff0000);
    const vec low = v_fma(_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(b, 16)), c);
    return v_fma(_mm256_castsi256_ps(_mm256_and_si256(a, upper)), _mm256_castsi256_ps(_mm256_and_si256(b, upper)), low);
}

#endif

/* n >= LANES lanes: a whole vector; fewer: the first n. */
RNI_INLINE vec v_load_n(const float *p, size_t n)
{
    return n >= LANES ? v_load(p) : v_load_m(p, v_first(n));
}

RNI_INLINE void v_store_n(float *p, vec v, size_t n)
{
    if (n >= LANES)
        v_store(p, v);
    else
        v_store_m(p, v, v_first(n));
}

/* dst += the first n lanes of v. */
RNI_INLINE void v_add_to_double_n(double *dst, vec v, size_t n)
{
    float lanes[LANES];
    if (n >= LANES) {
        v_add_to_double(dst, v);
        return;
    }
    v_store(lanes, v);
    for (size_t i = 0; i < n; i++)
        dst[i] += (double)lanes[i];
}

#endif
