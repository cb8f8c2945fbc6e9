/* SPDX-License-Identifier: MIT */
/*
 * bfloat16: the upper half of a float. Rounding is to nearest, ties to even; NaN stays NaN and becomes quiet; what is below
 * the smallest normal number becomes zero. That is what the AVX512-BF16 instruction does, and what all levels do alike.
 */
#ifndef RNI_CPU_BF16_H
#define RNI_CPU_BF16_H

#include <stdint.h>
#include <string.h>

static inline float rni_bf16_value(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static inline uint16_t rni_bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t exponent = bits & 0x7f800000u;
    if (exponent == 0)
        return (uint16_t)(bits >> 16 & 0x8000u);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
