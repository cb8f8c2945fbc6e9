/* SPDX-License-Identifier: MIT */
/*
 * Launchers of the module's kernels. Pointers are addresses on the device; a launcher enqueues and returns the launch's
 * error. `dtype` is an rn_dtype: RN_F32, RN_BF16 or RN_F16.
 */
#ifndef RNI_CUDA_KERNELS_H
#define RNI_CUDA_KERNELS_H

#include "cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A convolution's sizes, as kernels take them. Channels are those of one group. Either side has less than 2^31 pixels. */
typedef struct rni_conv_shape {
    int32_t images, groups, in_channels, out_channels;
    int32_t in[2], out[2], kernel[2], stride[2], padding[2], dilation[2];
} rni_conv_shape;

/* conv_forward.cu: y = x * w [+ bias] [+ residual], then ReLU. Images NHWC, w O,H,W,I. bias, residual: NULL for none. */
cudaError_t rni_k_conv_forward(cudaStream_t stream, int32_t dtype, const rni_conv_shape *shape, const void *x,
                               const void *w, const float *bias, const void *residual, void *y, int32_t relu);

/* conv_backward_data.cu: dx = or += what of it went into dy. */
cudaError_t rni_k_conv_backward_data(cudaStream_t stream, int32_t dtype, const rni_conv_shape *shape, const void *dy,
                                     const void *w, void *dx, int32_t accumulate);

/*
 * conv_backward_filter.cu: sums over every `pixels` output pixels of the batch, f32 O,H,W,I each, one after the other in
 * `sums`; rni_k_filter_add() adds them up. `pixels` is a multiple of 32.
 */
cudaError_t rni_k_conv_backward_filter(cudaStream_t stream, int32_t dtype, const rni_conv_shape *shape, const void *x,
                                       const void *dy, int32_t pixels, float *sums);

/*
 * The same for f32 and one group, by number of the tile (rni_f32_tiles in ops/conv_f32.h). Pointers but the bias are
 * multiples of 16 bytes, channels of 4, and less than 2^31 elements are in an image batch or a filter, 64 taps at most.
 */
cudaError_t rni_k_conv_forward_f32(cudaStream_t stream, int32_t block, const rni_conv_shape *shape, const float *x,
                                   const float *w, const float *bias, const float *residual, float *y, int32_t relu);
/* Strides of 1 or dilations of 1, on each axis. */
cudaError_t rni_k_conv_backward_data_f32(cudaStream_t stream, int32_t block, const rni_conv_shape *shape,
                                         const float *dy, const float *w, float *dx, int32_t accumulate);
/*
 * conv_filter.cu: as rni_k_conv_backward_filter. Channels are multiples of what 16 bytes hold, those of x may be any where the
 * tile reads single terms. `pixels` is a multiple of 16.
 */
cudaError_t rni_k_conv_filter(cudaStream_t stream, int32_t dtype, int32_t block, const rni_conv_shape *shape,
                              const void *x, const void *dy, int32_t pixels, float *sums);

/* filter.cu: O,I,taps in f32 to O,taps,I of `dtype`, times scale[o] unless NULL. */
cudaError_t rni_k_filter_pack(cudaStream_t stream, int32_t dtype, const float *w, const float *scale, void *packed,
                              int64_t out_channels, int32_t in_channels, int32_t taps);
/* dw (O,I,taps in f32) += `count` filters O,taps,I of `dtype`, one after the other. */
cudaError_t rni_k_filter_add(cudaStream_t stream, int32_t dtype, const void *filters, int32_t count, float *dw,
                             int64_t out_channels, int32_t in_channels, int32_t taps);

/*
 * filters.cu: many filters at once, from a list on the device. One part is what one op has: `filters` of so many channels and
 * taps. A block takes block_filters of them, or block_channels of one; no more than RNI_FILTERS_ELEMENTS. Behind the
 * last part is one with the number of all blocks.
 */
enum { RNI_FILTERS_ELEMENTS = 4096 };
#define RNI_FILTERS_NO_SCALE UINT64_MAX
typedef struct rni_filters_part {
    uint64_t plain, packed, scale; /* bytes from the arrays' beginnings; scale: NO_SCALE for none */
    uint32_t filters, channels, taps;
    uint32_t block_filters, block_channels;
    uint32_t first_block;
} rni_filters_part;

/* Some blocks of a list. */
typedef struct rni_filters_run {
    const rni_filters_part *parts;
    uint32_t count; /* of parts, without the one behind the last */
    uint32_t first_block, blocks;
} rni_filters_run;

/* O,I,taps in f32 to O,taps,I of `dtype`, times scale[o] where there is one. */
cudaError_t rni_k_filters_pack(cudaStream_t stream, int32_t dtype, const rni_filters_run *run, const void *plain,
                               const void *scales, void *packed);
/* O,I,taps in f32 += O,taps,I of `dtype`. */
cudaError_t rni_k_filters_add(cudaStream_t stream, int32_t dtype, const rni_filters_run *run, const void *packed,
                              void *plain);

/* A row-major product C[m, n] = or += op(A) op(B): see rni_blas_product. A and B of one type, C f32 or that. */
typedef struct rni_product {
    int64_t m, n, lda, ldb, ldc;
    int32_t k, transpose_a, transpose_b, accumulate;
} rni_product;

/* product.cu */
cudaError_t rni_k_product(cudaStream_t stream, int32_t dtype, int32_t c_dtype, const rni_product *product, const void *a,
                          const void *b, void *c);
/* y[rows, columns] = sums + bias + residual, then ReLU; bias, residual: NULL for none. Sums are f32 or y's; y may be either. */
cudaError_t rni_k_finish_rows(cudaStream_t stream, int32_t sums_dtype, int32_t dtype, const void *sums,
                              const float *bias, const void *residual, void *y, int64_t rows, int64_t columns,
                              int32_t relu);

/* convert.cu: to[i] = or += from[i]. The types are equal, or one is f32. */
cudaError_t rni_k_convert(cudaStream_t stream, int32_t from_dtype, int32_t to_dtype, const void *from, void *to,
                          int64_t count, int32_t accumulate);
/* Images of [channels][pixels] to [pixels][channels] (to_nhwc) or back. */
cudaError_t rni_k_convert_layout(cudaStream_t stream, int32_t from_dtype, int32_t to_dtype, const void *from, void *to,
                                 int64_t images, int64_t channels, int64_t pixels, int32_t to_nhwc,
                                 int32_t accumulate);

/* A run of at most RNI_UPDATE_ELEMENTS parameters with common settings: what one block takes. */
enum { RNI_UPDATE_ELEMENTS = 4096 };
typedef struct rni_update_part {
    uint64_t offset;
    uint32_t count, group;
    double weight_decay;
} rni_update_part;

/* update.cu: `parts` is on the device. */
cudaError_t rni_k_grad_norm(cudaStream_t stream, const rni_update_part *parts, int64_t count, const float *grads,
                            double *partial, rn_step_metrics *metrics);
cudaError_t rni_k_grad_clip(cudaStream_t stream, const rni_update_part *parts, int64_t count, double clip_norm,
                            const rn_step_metrics *metrics, float *grads);
/* momentum: NULL for none. */
cudaError_t rni_k_sgd(cudaStream_t stream, const rni_update_part *parts, int64_t count, const rn_sgd_params *sgd,
                      const rni_cuda_scalars *scalars, const rn_step_metrics *metrics, const float *grads,
                      float *params, float *momentum);
cudaError_t rni_k_adam(cudaStream_t stream, const rni_update_part *parts, int64_t count, const rn_adam_params *adam,
                       const rni_cuda_scalars *scalars, const rn_step_metrics *metrics, const float *grads,
                       float *params, float *moments);
/* loss_scale.cu: grads /= metrics.loss_scale, and whether all are finite then. count > 0. */
cudaError_t rni_k_grad_unscale(cudaStream_t stream, const rni_update_part *parts, int64_t count, float *grads,
                               double *partial, rn_step_metrics *metrics);
cudaError_t rni_k_loss_scale(cudaStream_t stream, const rn_loss_scale_params *params, rn_step_metrics *metrics);
/* a += lr[0] (b - a). */
cudaError_t rni_k_lerp(cudaStream_t stream, const rni_cuda_scalars *scalars, const float *b, float *a, int64_t count);

#ifdef __cplusplus
}
#endif

#endif
