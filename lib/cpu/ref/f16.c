/* SPDX-License-Identifier: MIT */
/* Conversions of the portable level. */
#include "base/f16.h"
#include "cpu/kernels.h"

static void widen(float *dst, const uint16_t *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = rni_f16_value(src[i]);
}

static void narrow(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = rni_f16_round(src[i]);
}

void rni_kernels_ref_f16(rni_half_kernels *k)
{
    *k = (rni_half_kernels){widen, narrow};
}
