/* SPDX-License-Identifier: MIT */
/* Sizes that the drivers of activations' ops share. */
#ifndef RNI_CUDA_SHAPE_H
#define RNI_CUDA_SHAPE_H

#include "cuda.h"

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

#endif
