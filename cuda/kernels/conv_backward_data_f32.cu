/* SPDX-License-Identifier: MIT */
#include "kernels/conv_gather.h"

template <class Block>
static cudaError_t launch(cudaStream_t stream, const rni_conv_shape &s, const float *dy, const float *w, float *dx,
                          int32_t accumulate)
{
    const int64_t height = (s.in[0] - 1) / s.stride[0] + 1, width = (s.in[1] - 1) / s.stride[1] + 1;
    const dim3 grid =
        rni_gather_grid<Block>(s.images * height * width, s.in_channels, (int64_t)s.stride[0] * s.stride[1]);
    if (!grid.x)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_conv_gather<rni_gather_backward, Block>), grid, dim3(Block::threads), stream, s, dy, w,
                     nullptr, accumulate ? dx : nullptr, dx, 0);
}

extern "C" cudaError_t rni_k_conv_backward_data_f32(cudaStream_t stream, int32_t block, const rni_conv_shape *shape,
                                                    const float *dy, const float *w, float *dx, int32_t accumulate)
{
#define RNI_CASE(number, ...)                                                                                          \
    case number:                                                                                                       \
        return launch<__VA_ARGS__>(stream, *shape, dy, w, dx, accumulate);
    switch (block) {
        RNI_GATHER_BLOCKS(RNI_CASE)
    default:
        return cudaErrorInvalidValue;
    }
}
