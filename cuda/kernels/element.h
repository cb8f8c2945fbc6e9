/* SPDX-License-Identifier: MIT */
/* Elements of activations: f32, bf16 and f16 as stored, f32 while computed; vectors of 16 bytes. */
#ifndef RNI_CUDA_ELEMENT_H
#define RNI_CUDA_ELEMENT_H

#include "simt.h"
#ifdef __CUDACC__
#include <cuda_fp16.h>
#else
#include "base/f16.h"
#endif

struct rni_bf16 {
    uint16_t bits;
};

struct rni_f16 {
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

/* By the device's own instructions, which round to nearest, ties to even, and know subnormals: as base/f16.h. */
#ifdef __CUDACC__
__device__ __forceinline__ float rni_load(rni_f16 v)
{
    return __half2float(__ushort_as_half(v.bits));
}

__device__ __forceinline__ void rni_store(rni_f16 &to, float v)
{
    to.bits = __half_as_ushort(__float2half_rn(v));
}
#else
__device__ __forceinline__ float rni_load(rni_f16 v)
{
    return rni_f16_value(v.bits);
}

__device__ __forceinline__ void rni_store(rni_f16 &to, float v)
{
    to.bits = rni_f16_round(v);
}
#endif

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
