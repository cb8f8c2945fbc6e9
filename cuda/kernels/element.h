/* SPDX-License-Identifier: MIT */
/* Elements of activations: f32 and bf16 as stored, f32 while computed; vectors of 16 bytes. */
#ifndef RNI_CUDA_ELEMENT_H
#define RNI_CUDA_ELEMENT_H

#include "simt.h"

struct rni_bf16 {
    uint16_t bits;
};

union rni_float_bits {
    float value;
    uint32_t bits;
};

__device__ __forceinline__ float rni_load(float v)
{
    return v;
}

__device__ __forceinline__ float rni_load(rni_bf16 v)
{
    rni_float_bits b;
    b.bits = (uint32_t)v.bits << 16;
    return b.value;
}

__device__ __forceinline__ void rni_store(float &to, float v)
{
    to = v;
}

/* To nearest, ties to even; NaN stays NaN and becomes quiet: as base/bf16.h. */
__device__ __forceinline__ void rni_store(rni_bf16 &to, float v)
{
    rni_float_bits b;
    b.value = v;
    to.bits = (b.bits & 0x7fffffffu) > 0x7f800000u ? (uint16_t)(b.bits >> 16 | 0x40u)
                                                   : (uint16_t)((b.bits + 0x7fffu + (b.bits >> 16 & 1u)) >> 16);
}

/* V elements at once; V * sizeof(T) is at most 16. */
template <class T, int V> struct alignas(sizeof(T) * V) rni_vector {
    T v[V];
};

/* Elements in 16 bytes. */
template <class T> constexpr int rni_lanes()
{
    return 16 / (int)sizeof(T);
}

/* NaN stays: not fmaxf, which hides it. */
__device__ __forceinline__ float rni_relu(float v)
{
    return v < 0.0f ? 0.0f : v;
}

#endif
