/* SPDX-License-Identifier: MIT */
/* A warp per row of logits. Exponentials and sums are double, as on the CPU: rows are few beside everything else. */
#ifndef RNI_CUDA_ROWS_H
#define RNI_CUDA_ROWS_H

#include "kernels/columns.h"
#include <math.h>

enum { RNI_WARP = 32, RNI_BLOCK_ROWS = RNI_THREADS / RNI_WARP };
#define RNI_ALL_LANES 0xffffffffu

__device__ __forceinline__ int64_t rni_lane()
{
    return threadIdx.x % RNI_WARP;
}

__device__ __forceinline__ int64_t rni_first_row()
{
    return (int64_t)blockIdx.x * RNI_BLOCK_ROWS + threadIdx.x / RNI_WARP;
}

__device__ __forceinline__ int64_t rni_row_step()
{
    return (int64_t)gridDim.x * RNI_BLOCK_ROWS;
}

static inline dim3 rni_row_grid(int64_t rows)
{
    const int64_t blocks = (rows + RNI_BLOCK_ROWS - 1) / RNI_BLOCK_ROWS;
    return dim3((uint32_t)(blocks < 65535 ? blocks : 65535));
}

/* The same bits in every lane. */
__device__ __forceinline__ double rni_warp_sum(double v)
{
    for (int apart = RNI_WARP / 2; apart > 0; apart /= 2)
        v += __shfl_xor_sync(RNI_ALL_LANES, v, apart);
    return v;
}

struct rni_largest {
    float value;
    int64_t index;
};

/*
 * The largest of a row and the first place it has, as a scan from the left finds it: NaN is never larger, and a NaN in
 * front stays.
 */
template <class T>
__device__ __forceinline__ rni_largest rni_row_largest(const T *x, int64_t k)
{
    rni_largest best = {-INFINITY, k};
    ROLLED
    for (int64_t j = rni_lane(); j < k; j += RNI_WARP) {
        const float v = rni_load(x[j]);
        if (v > best.value || (v == best.value && j < best.index))
            best = {v, j};
    }
    for (int apart = RNI_WARP / 2; apart > 0; apart /= 2) {
        const float v = __shfl_xor_sync(RNI_ALL_LANES, best.value, apart);
        const int64_t j = (int64_t)__shfl_xor_sync(RNI_ALL_LANES, (long long)best.index, apart);
        if (v > best.value || (v == best.value && j < best.index))
            best = {v, j};
    }
    const float front = rni_load(x[0]);
    if (front != front)
        return {front, 0};
    return best;
}

template <class T>
__device__ __forceinline__ double rni_row_exp_sum(const T *x, int64_t k, double largest)
{
    double sum = 0.0;
    ROLLED
    for (int64_t j = rni_lane(); j < k; j += RNI_WARP)
        sum += exp((double)rni_load(x[j]) - largest);
    return rni_warp_sum(sum);
}

#endif
