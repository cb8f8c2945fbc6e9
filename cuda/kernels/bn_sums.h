/* SPDX-License-Identifier: MIT */
/* Launcher of bn_sums.cu. */
#ifndef RNI_CUDA_BN_SUMS_H
#define RNI_CUDA_BN_SUMS_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * mean = totals / rows and var = squares / rows - mean^2, at least 0, per channel: sums over `rows` values and over their
 * squares, taken in f32. Where those are off by a share g of what they would be without signs, var is off by up to
 * 3 g (var + mean^2): rni_k_bn_stats(), which subtracts a value near the mean first, knows no mean^2.
 */
cudaError_t rni_k_bn_from_sums(cudaStream_t stream, const float *totals, const float *squares, float *mean, float *var,
                               int64_t channels, int64_t rows);

#ifdef __cplusplus
}
#endif

#endif
