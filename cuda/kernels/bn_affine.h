/* SPDX-License-Identifier: MIT */
/* Batch normalisation as y = x scale + shift: one place, so that backward finds the bits of forward again. */
#ifndef RNI_CUDA_BN_AFFINE_H
#define RNI_CUDA_BN_AFFINE_H

#include "kernels/columns.h"

/* Per channel: scale and shift, or what they are made of. gamma and beta may be NULL. */
struct rni_bn_sources {
    const float *scale, *shift; /* NULL: made of the others */
    const float *mean, *var, *gamma, *beta;
    float eps;
};

__device__ __forceinline__ void rni_bn_affine(const rni_bn_sources &s, int64_t c, float *scale, float *shift)
{
    if (s.scale) {
        *scale = s.scale[c];
        *shift = s.shift[c];
        return;
    }
    *scale = (s.gamma ? s.gamma[c] : 1.0f) / sqrtf(s.var[c] + s.eps);
    *shift = fmaf(-s.mean[c], *scale, s.beta ? s.beta[c] : 0.0f); /* of the rounded scale: x near mean loses nothing */
}

/* Those of the thread's channels, made once per block. shared: 2 * V * RNI_BLOCK_VECTORS. */
template <int V>
__device__ __forceinline__ void rni_bn_affine_columns(const rni_bn_sources &s, int64_t channels, float *shared,
                                                      float (&scale)[V], float (&shift)[V])
{
    const uint32_t width = blockDim.x * V, thread = threadIdx.y * blockDim.x + threadIdx.x;
    const int64_t first = (int64_t)blockIdx.x * width;
    for (uint32_t j = thread; j < width && first + j < channels; j += blockDim.x * blockDim.y)
        rni_bn_affine(s, first + j, &shared[j], &shared[V * RNI_BLOCK_VECTORS + j]);
    __syncthreads();
    UNROLL
    for (int v = 0; v < V; v++) {
        const bool inside = first + threadIdx.x * V < channels;
        scale[v] = inside ? shared[threadIdx.x * V + v] : 0.0f;
        shift[v] = inside ? shared[V * RNI_BLOCK_VECTORS + threadIdx.x * V + v] : 0.0f;
    }
}

#endif
