/* SPDX-License-Identifier: MIT */
/* The bf16 kernels of one level: those of activations, and conversions. */
#define RNI_BF16
#include "cpu/kernels.h"
#include "cpu/pool_window.h"
#include "cpu/vec/elem.h"
#include <math.h>
#include <string.h>

#include "cpu/vec/elementwise.h"
#include "cpu/vec/norm.h"
#include "cpu/vec/pool.h"

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
    rni_typed_kernels *const h = &k->bf16;
    h->sum = sum;
    h->moments = moments;
    h->affine = affine;
    h->bn_reduce = bn_reduce;
    h->bn_dx = bn_dx;
    h->relu = relu;
    h->relu_backward = relu_backward;
    h->add = add;
    h->maxpool = maxpool;
    h->avgpool = avgpool;
    h->maxpool_backward = maxpool_backward;
    h->avgpool_backward = avgpool_backward;
    k->convert = (rni_bf16_kernels){widen, narrow};
}
