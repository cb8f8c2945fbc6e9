/* SPDX-License-Identifier: MIT */
/* Elements of f32, bf16 and f16 as the stand-ins of cuDNN and cuBLAS read and write them. */
#ifndef RNI_SIMULATOR_NARROW_H
#define RNI_SIMULATOR_NARROW_H

#include "base/bf16.h"
#include <math.h>
#include <resnet/base.h>
#include <stddef.h>

static inline size_t narrow_size(int32_t dtype)
{
    return dtype == RN_F32 ? 4 : 2;
}

static inline float narrow_f16_value(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const float magnitude = exponent == 31  ? (mantissa ? NAN : INFINITY)
                            : exponent == 0 ? ldexpf((float)mantissa, -24)
                                            : ldexpf((float)(mantissa + 1024), exponent - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
}

/* To nearest, ties to even: units of the last place by the double of the value, which is exact. */
static inline uint16_t narrow_f16_round(float value)
{
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    if (isnan(value))
        return (uint16_t)(sign | 0x7e00);
    const double magnitude = fabs((double)value);
    if (magnitude >= 65520.0)
        return (uint16_t)(sign | 0x7c00);
    int exponent;
    frexp(magnitude, &exponent); /* magnitude = [0.5, 1) * 2^exponent */
    if (exponent < -13)
        return (uint16_t)(sign | (uint16_t)nearbyint(ldexp(magnitude, 24)));
    return (uint16_t)(sign | (uint16_t)(nearbyint(ldexp(magnitude, 11 - exponent)) + (exponent + 13) * 1024));
}

static inline float narrow_load(const void *from, int64_t at, int32_t dtype)
{
    if (dtype == RN_F32)
        return ((const float *)from)[at];
    const uint16_t bits = ((const uint16_t *)from)[at];
    return dtype == RN_BF16 ? rni_bf16_value(bits) : narrow_f16_value(bits);
}

static inline void narrow_store(void *to, int64_t at, int32_t dtype, double value)
{
    if (dtype == RN_F32)
        ((float *)to)[at] = (float)value;
    else
        ((uint16_t *)to)[at] = dtype == RN_BF16 ? rni_bf16_round((float)value) : narrow_f16_round((float)value);
}

#endif
