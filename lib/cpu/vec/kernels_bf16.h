/* SPDX-License-Identifier: MIT */
/* The bf16 kernels of one level: those of activations, and conversions. */
#define RNI_BF16
#include "cpu/vec/activations.h"

static void widen(float *dst, const uint16_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        v_store_n(dst + i, e_load_n(src + i, n - i), n - i);
}

static void narrow(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        e_store_n(dst + i, v_load_n(src + i, n - i), n - i);
}

static void fill_table(struct rni_cpu_kernels *k)
{
    fill_activations(&k->bf16);
    k->convert = (rni_half_kernels){widen, narrow};
}
