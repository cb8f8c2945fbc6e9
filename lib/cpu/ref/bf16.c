/* SPDX-License-Identifier: MIT */
/* Conversions of the portable level. */
#include "cpu/bf16.h"
#include "cpu/kernels.h"

static void widen(float *dst, const uint16_t *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = rni_bf16_value(src[i]);
}

static void narrow(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = rni_bf16_of(src[i]);
}

void rni_kernels_ref_bf16(rni_half_kernels *k)
{
    *k = (rni_half_kernels){widen, narrow};
}
