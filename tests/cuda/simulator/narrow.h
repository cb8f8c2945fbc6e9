/* SPDX-License-Identifier: MIT */
/* Elements of f32, bf16 and f16 as the stand-ins of cuDNN and cuBLAS read and write them. */
#ifndef RNI_SIMULATOR_NARROW_H
#define RNI_SIMULATOR_NARROW_H

#include "base/bf16.h"
#include "base/f16.h"
#include <resnet/base.h>
#include <stddef.h>

static inline size_t narrow_size(int32_t dtype)
{
    return dtype == RN_F32 ? 4 : 2;
}

static inline float narrow_load(const void *from, int64_t at, int32_t dtype)
{
    if (dtype == RN_F32)
        return ((const float *)from)[at];
    const uint16_t bits = ((const uint16_t *)from)[at];
    return dtype == RN_BF16 ? rni_bf16_value(bits) : rni_f16_value(bits);
}

static inline void narrow_store(void *to, int64_t at, int32_t dtype, double value)
{
    if (dtype == RN_F32)
        ((float *)to)[at] = (float)value;
    else
        ((uint16_t *)to)[at] = dtype == RN_BF16 ? rni_bf16_round((float)value) : rni_f16_round((float)value);
}

#endif
