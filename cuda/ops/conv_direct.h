/* SPDX-License-Identifier: MIT */
/* Convolutions by the module's own kernels: where cuDNN has no plan, and to check those it has. */
#ifndef RNI_CUDA_OPS_CONV_DIRECT_H
#define RNI_CUDA_OPS_CONV_DIRECT_H

#include "cuda.h"

/* A convolution of so many images. */
enum { RNI_DIRECT_GENERAL = 1, RNI_DIRECT_TILE = 2 };
typedef struct rni_direct {
    const rn_conv_params *params;
    int32_t dtype, processors;
    int64_t images;
    uint64_t workspace_limit; /* more only where less is impossible */
    int32_t tile; /* 0: chosen by size; RNI_DIRECT_GENERAL; RNI_DIRECT_TILE + the number of an f32 tile that serves */
} rni_direct;

/* What 0 stands for: RNI_DIRECT_GENERAL, or a tile. kind: the op's. */
int32_t rni_direct_tile(const rni_direct *d, int32_t kind);

/* 0: sizes are beyond what the kernels count with. */
int rni_direct_serves(const rn_conv_params *params);

/* RN_E_UNSUPPORTED with the limits for an op that they are too large for. */
rn_status rni_direct_check(const rn_op *op);

static inline int32_t rni_filter_taps(const rn_conv_params *p)
{
    return (int32_t)(p->kernel[0] * p->kernel[1]);
}

/* All filters, in either order. */
static inline uint64_t rni_filter_bytes(const rn_conv_params *p, int32_t dtype)
{
    return (uint64_t)(p->out_channels * (p->in_channels / p->groups) * p->kernel[0] * p->kernel[1]) *
           rn_dtype_size((rn_dtype)dtype);
}

/* relu: as well. bias, residual: NULL for none. y may be the residual. */
cudaError_t rni_direct_forward(const rni_direct *d, cudaStream_t stream, const void *x, const void *w,
                               const float *bias, const void *residual, void *y, int32_t relu);
cudaError_t rni_direct_backward_data(const rni_direct *d, cudaStream_t stream, const void *dy, const void *w, void *dx,
                                     int32_t accumulate);

/* dw (OIHW f32) += . The order of sums follows from `most`, the largest batch, so that it is one for all batches. */
uint64_t rni_direct_filter_workspace(const rni_direct *most);
cudaError_t rni_direct_backward_filter(const rni_direct *d, const rni_direct *most, cudaStream_t stream, const void *x,
                                       const void *dy, float *dw, void *workspace);

#endif
