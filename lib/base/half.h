/* SPDX-License-Identifier: MIT */
/* The element types of two bytes, beside which sums, per-channel values and the caller's tensors are f32. */
#ifndef RNI_BASE_HALF_H
#define RNI_BASE_HALF_H

#include <resnet/base.h>

static inline int rni_is_half(rn_dtype dtype)
{
    return dtype == RN_BF16 || dtype == RN_F16;
}

/* The types a program can compute in. */
static inline int rni_is_compute_dtype(rn_dtype dtype)
{
    return dtype == RN_F32 || dtype == RN_F64 || rni_is_half(dtype);
}

/* The type of per-channel values beside activations of a type, and of the caller's tensors. */
static inline rn_dtype rni_wide_dtype(rn_dtype dtype)
{
    return rni_is_half(dtype) ? RN_F32 : dtype;
}

#endif
