/* SPDX-License-Identifier: MIT */
/* bfloat16: the upper half of a float. */
#ifndef RNI_BASE_BF16_H
#define RNI_BASE_BF16_H

#include <stdint.h>
#include <string.h>

static inline float rni_bf16_value(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* To nearest, ties to even; NaN stays NaN and becomes quiet. */
static inline uint16_t rni_bf16_round(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
