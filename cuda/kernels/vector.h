/* SPDX-License-Identifier: MIT */
/* Vectors of elements in registers, and which instance of a kernel a launch takes. */
#ifndef RNI_CUDA_VECTOR_H
#define RNI_CUDA_VECTOR_H

#include "kernels/element.h"
#include <resnet/base.h>

#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#define UNROLL_SOME _Pragma("unroll 4") /* of known length: not altogether; of another: so many loads at once */
#define ROLLED _Pragma("unroll 1") /* for loops whose turns do enough, or are few */
#else
#define UNROLL
#define UNROLL_SOME
#define ROLLED
#endif

template <class T, int V>
__device__ __forceinline__ rni_vector<T, V> rni_load_vector(const T *from)
{
    return *reinterpret_cast<const rni_vector<T, V> *>(from);
}

template <class T, int V>
__device__ __forceinline__ void rni_store_vector(T *to, const rni_vector<T, V> &v)
{
    *reinterpret_cast<rni_vector<T, V> *>(to) = v;
}

/* V floats, aligned as V elements of an activation are: to 16 bytes unless V is 1. */
template <int V>
__device__ __forceinline__ void rni_load_floats(float (&to)[V], const float *from)
{
    constexpr int at_once = V < 4 ? V : 4;
    UNROLL
    for (int i = 0; i < V; i += at_once) {
        const rni_vector<float, at_once> part = rni_load_vector<float, at_once>(from + i);
        UNROLL
        for (int k = 0; k < at_once; k++)
            to[i + k] = part.v[k];
    }
}

template <int V>
__device__ __forceinline__ void rni_store_floats(float *to, const float (&from)[V])
{
    constexpr int at_once = V < 4 ? V : 4;
    UNROLL
    for (int i = 0; i < V; i += at_once) {
        rni_vector<float, at_once> part;
        UNROLL
        for (int k = 0; k < at_once; k++)
            part.v[k] = from[i + k];
        rni_store_vector<float, at_once>(to + i, part);
    }
}

template <int N, int V>
__device__ __forceinline__ void rni_zero(float (&a)[N][V])
{
    UNROLL
    for (int n = 0; n < N * V; n++)
        a[n / V][n % V] = 0.0f;
}

/* Addresses that vectors of 16 bytes may be read from; NULL is one. */
template <class... P>
static inline bool rni_aligned(P... pointers)
{
    return ((reinterpret_cast<uintptr_t>(pointers) | ... | (uintptr_t)0) & 15u) == 0;
}

/* function<T>(...) with T the element type `dtype`. */
#define RNI_BY_TYPE(dtype, function, ...)                                                                              \
    ((dtype) == RN_BF16  ? function<rni_bf16>(__VA_ARGS__)                                                             \
     : (dtype) == RN_F16 ? function<rni_f16>(__VA_ARGS__)                                                              \
                         : function<float>(__VA_ARGS__))

/* function<T, V>(...) with V the elements of 16 bytes when `fits`, else 1. */
#define RNI_BY_WIDTH(T, fits, function, ...)                                                                           \
    ((fits) ? function<T, rni_lanes<T>()>(__VA_ARGS__) : function<T, 1>(__VA_ARGS__))

#endif
