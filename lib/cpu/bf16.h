/* SPDX-License-Identifier: MIT */
/* How the CPU backend rounds to bf16, at every level: as the AVX512_BF16 instruction does. */
#ifndef RNI_CPU_BF16_H
#define RNI_CPU_BF16_H

#include "base/bf16.h"

/* To nearest, ties to even; NaN stays NaN and becomes quiet; what is below the smallest normal number becomes zero. */
static inline uint16_t rni_bf16_of(float value)
{
    const uint16_t upper = rni_bf16_round(value);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x7f800000u ? upper : (uint16_t)(bits >> 16 & 0x8000u);
}

#endif
