/* SPDX-License-Identifier: MIT */
/* Sizes that the drivers of activations' ops share. */
#ifndef RNI_CUDA_SHAPE_H
#define RNI_CUDA_SHAPE_H

#include "cuda.h"
#include "kernels/activations.h"
#include "ops/rules.h"

/* Elements of a value at its largest. */
static inline int64_t rni_cuda_capacity(const rn_value *v)
{
    int64_t n = 1;
    for (int32_t i = 0; i < v->rank; i++)
        n *= v->dims[i];
    return n;
}

/* An activation is a matrix [rows][channels]: rows of this run, and at its largest. */
static inline int64_t rni_cuda_rows(const rni_cuda_call *c, const rn_value *v)
{
    return rni_cuda_count(c, v) / v->dims[1];
}

static inline int64_t rni_cuda_most_rows(const rn_value *v)
{
    return rni_cuda_capacity(v) / v->dims[1];
}

/* Kernels that count the pixels of an image do so in 32 bits. `side`: "in" or "out". */
static inline rn_status rni_cuda_check_image(const rn_op *op, const char *side, const rn_value *v)
{
    if (v->dims[2] > INT32_MAX || v->dims[3] > INT32_MAX || v->dims[2] * v->dims[3] > INT32_MAX / 2)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "%s 0: images of more than 2^30 pixels", side);
    return RN_OK;
}

/* Sums per channel count their columns of blocks. */
static inline rn_status rni_cuda_check_sums(const rn_op *op, const rn_value *v)
{
    if (v->dims[1] > RNI_K_MOST_CHANNELS)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "at most %d channels expected, got %lld", (int)RNI_K_MOST_CHANNELS,
                              (long long)v->dims[1]);
    return RN_OK;
}

#endif
