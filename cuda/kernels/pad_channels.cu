/* SPDX-License-Identifier: MIT */
/* What a convolution's operands need before cuDNN takes them: channels in multiples of 8, a bias of the images' type. */
#include "kernels/pad_channels.h"
#include "kernels/vector.h"

enum { THREADS = 256, CHANNELS = 8 };

/* A thread makes all vectors of 8 channels of a pixel; with 3 channels that is one. */
__global__ void __launch_bounds__(THREADS)
    rni_kernel_pad_channels(const uint16_t *from, rni_vector<uint16_t, CHANNELS> *to, int64_t pixels,
                            int64_t from_channels, int64_t vectors)
{
    const int64_t pixel = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (pixel >= pixels)
        return;
    from += pixel * from_channels;
    to += pixel * vectors;
    for (int64_t v = 0; v < vectors; v++) {
        rni_vector<uint16_t, CHANNELS> filled;
        UNROLL
        for (int i = 0; i < CHANNELS; i++)
            filled.v[i] = v * CHANNELS + i < from_channels ? from[v * CHANNELS + i] : (uint16_t)0;
        to[v] = filled;
    }
}

__global__ void __launch_bounds__(THREADS)
    rni_kernel_cut_channels(const rni_vector<uint16_t, CHANNELS> *from, uint16_t *to, int64_t pixels, int64_t vectors,
                            int64_t to_channels)
{
    const int64_t pixel = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (pixel >= pixels)
        return;
    from += pixel * vectors;
    to += pixel * to_channels;
    for (int64_t v = 0; v * CHANNELS < to_channels; v++) {
        const rni_vector<uint16_t, CHANNELS> filled = from[v];
        UNROLL
        for (int i = 0; i < CHANNELS; i++)
            if (v * CHANNELS + i < to_channels)
                to[v * CHANNELS + i] = filled.v[i];
    }
}

__global__ void __launch_bounds__(THREADS)
    rni_kernel_bias_cast(const float *bias, void *to, int64_t count, int32_t dtype)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= count)
        return;
    const float value = bias ? bias[i] : 0.0f;
    if (dtype == RN_F32)
        static_cast<float *>(to)[i] = value;
    else if (dtype == RN_BF16)
        rni_store(static_cast<rni_bf16 *>(to)[i], value);
    else
        rni_store(static_cast<rni_f16 *>(to)[i], value);
}

static dim3 blocks(int64_t threads)
{
    return dim3((unsigned)((threads + THREADS - 1) / THREADS));
}

extern "C" cudaError_t rni_k_pad_channels(cudaStream_t stream, const void *from, void *to, int64_t pixels,
                                          int64_t from_channels, int64_t to_channels)
{
    typedef rni_vector<uint16_t, CHANNELS> vector;
    if (to_channels % CHANNELS == 0)
        return RN_LAUNCH((rni_kernel_pad_channels), blocks(pixels), dim3(THREADS), stream,
                         static_cast<const uint16_t *>(from), static_cast<vector *>(to), pixels, from_channels,
                         to_channels / CHANNELS);
    return RN_LAUNCH((rni_kernel_cut_channels), blocks(pixels), dim3(THREADS), stream,
                     static_cast<const vector *>(from), static_cast<uint16_t *>(to), pixels, from_channels / CHANNELS,
                     to_channels);
}

extern "C" cudaError_t rni_k_bias_cast(cudaStream_t stream, const float *bias, void *to, int64_t count, int32_t dtype)
{
    return RN_LAUNCH((rni_kernel_bias_cast), blocks(count), dim3(THREADS), stream, bias, to, count, dtype);
}
