/* SPDX-License-Identifier: MIT */
/* Launchers of pad_channels.cu: operands as cuDNN wants them. */
#ifndef RNI_CUDA_PAD_CHANNELS_H
#define RNI_CUDA_PAD_CHANNELS_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * 2-byte elements, [pixels][from_channels] to [pixels][to_channels]: zeros where `to` has more, cut where it has fewer.
 * to_channels or from_channels is a multiple of 8, and both pointers are multiples of 16 bytes.
 */
cudaError_t rni_k_pad_channels(cudaStream_t stream, const void *from, void *to, int64_t pixels, int64_t from_channels,
                               int64_t to_channels);

/* to[i] = bias[i] in `dtype` (RN_F32, RN_BF16, RN_F16); zeros when bias is NULL. */
cudaError_t rni_k_bias_cast(cudaStream_t stream, const float *bias, void *to, int64_t count, int32_t dtype);

#ifdef __cplusplus
}
#endif

#endif
