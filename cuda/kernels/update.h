/* SPDX-License-Identifier: MIT */
/* What kernels over parts of the flat buffers share: a block per part. */
#ifndef RNI_CUDA_UPDATE_H
#define RNI_CUDA_UPDATE_H

#include "kernels/vector.h"

enum { RNI_UPDATE_THREADS = 256 };

/* step.template at<V>(i) for all elements of a part, V at a time where all arrays are aligned. */
template <class Step> __device__ __forceinline__ void rni_update_each(const Step &step, int64_t first, uint32_t count)
{
    uint32_t done = 0;
    if (step.aligned(first)) {
        done = count / 4 * 4;
        for (uint32_t i = 4 * threadIdx.x; i < done; i += 4 * RNI_UPDATE_THREADS)
            step.template at<4>(first + i);
    }
    for (uint32_t i = done + threadIdx.x; i < count; i += RNI_UPDATE_THREADS)
        step.template at<1>(first + i);
}

__device__ __forceinline__ bool rni_update_aligned(const float *p)
{
    return (uintptr_t)p % 16 == 0;
}

/* The block's sum, in a fixed order, in thread 0; the others have parts of it. */
__device__ __forceinline__ double rni_update_sum(double value, double *room)
{
    room[threadIdx.x] = value;
    for (unsigned half = RNI_UPDATE_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            room[threadIdx.x] = value += room[threadIdx.x + half];
    }
    return value;
}

#endif
