/* SPDX-License-Identifier: MIT */
#include "kernels/conv_single.h"

template <class Block>
static cudaError_t launch(cudaStream_t stream, const rni_conv_shape &s, const float *x, const float *w,
                          const float *bias, const float *residual, float *y, int32_t relu)
{
    const dim3 grid = rni_gather_grid<Block>((int64_t)s.images * s.out[0] * s.out[1], s.out_channels, 1);
    if (!grid.x)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_conv_gather<rni_gather_forward, Block>), grid, dim3(Block::threads), stream, s, x, w,
                     bias, residual, y, relu);
}

template <class Block>
static cudaError_t launch_single(cudaStream_t stream, const rni_conv_shape &s, const float *x, const float *w,
                                 const float *bias, const float *residual, float *y, int32_t relu)
{
    const dim3 grid = rni_gather_grid<Block>((int64_t)s.images * s.out[0] * s.out[1], s.out_channels, 1);
    if (!grid.x)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_conv_single<Block>), grid, dim3(Block::threads), stream, s, x, w, bias, residual, y,
                     relu);
}

extern "C" cudaError_t rni_k_conv_forward_f32(cudaStream_t stream, int32_t block, const rni_conv_shape *shape,
                                              const float *x, const float *w, const float *bias, const float *residual,
                                              float *y, int32_t relu)
{
#define RNI_CASE(number, ...)                                                                                          \
    case number:                                                                                                       \
        return launch<__VA_ARGS__>(stream, *shape, x, w, bias, residual, y, relu);
    switch (block) {
        RNI_GATHER_BLOCKS(RNI_CASE)
    case 10:
        return launch_single<rni_block<128, 64, 8, 8, 16>>(stream, *shape, x, w, bias, residual, y, relu);
    case 11:
        return launch_single<rni_block<128, 16, 8, 4, 8>>(stream, *shape, x, w, bias, residual, y, relu);
    default:
        return cudaErrorInvalidValue;
    }
}
