/* SPDX-License-Identifier: MIT */
/* IEEE 754 binary16. */
#ifndef RNI_BASE_F16_H
#define RNI_BASE_F16_H

#include <stdint.h>
#include <string.h>

/* Exact. */
static inline float rni_f16_value(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 1023u;
    uint32_t wide = sign | (exponent + 112) << 23 | fraction << 13;
    float value;
    if (exponent == 31) /* infinity, NaN */
        wide = sign | 0x7f800000u | fraction << 13;
    if (exponent == 0) { /* zero, subnormal: a multiple of 2^-24 */
        value = (float)fraction * (1.0f / 16777216.0f);
        return sign ? -value : value;
    }
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* Of a magnitude below 2^-14: the nearest multiple of 2^-24. */
static inline uint32_t rni_f16_subnormal(uint32_t magnitude)
{
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 102) /* below 2^-25 */
        return 0;
    const uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u, shift = 126 - exponent; /* 14 to 24 */
    const uint32_t units = significand >> shift, rest = significand & ((1u << shift) - 1), half = 1u << (shift - 1);
    return units + (rest > half || (rest == half && (units & 1u)));
}

/* To nearest, ties to even, also where results are subnormal; from 65520 on infinity. NaN stays NaN and becomes quiet. */
static inline uint16_t rni_f16_round(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u)
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u)
        return (uint16_t)(sign | rni_f16_subnormal(magnitude));
    return (uint16_t)(sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13);
}

#endif
