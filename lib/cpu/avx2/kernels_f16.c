/* SPDX-License-Identifier: MIT */
/* Conversions by the instructions of F16C, which every processor with AVX2 has; also for the levels above. */
#include "cpu/kernels.h"
#include <immintrin.h>
#include <string.h>

enum { LANES = 8 };

static void widen(float *dst, const uint16_t *src, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(src + i))));
    if (i == n)
        return;
    uint16_t rest[LANES] = {0};
    float wide[LANES];
    memcpy(rest, src + i, (n - i) * sizeof *src);
    _mm256_storeu_ps(wide, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)rest)));
    memcpy(dst + i, wide, (n - i) * sizeof *dst);
}

static void narrow(uint16_t *dst, const float *src, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm_storeu_si128((__m128i *)(dst + i), _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
    if (i == n)
        return;
    float rest[LANES] = {0};
    uint16_t narrow[LANES];
    memcpy(rest, src + i, (n - i) * sizeof *src);
    _mm_storeu_si128((__m128i *)narrow, _mm256_cvtps_ph(_mm256_loadu_ps(rest), _MM_FROUND_TO_NEAREST_INT));
    memcpy(dst + i, narrow, (n - i) * sizeof *dst);
}

void rni_kernels_avx2_f16(struct rni_cpu_kernels *k)
{
    k->convert_f16 = (rni_half_kernels){widen, narrow};
}
