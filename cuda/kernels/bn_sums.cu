/* SPDX-License-Identifier: MIT */
/* Mean and variance from the sums that a convolution left. */
#include "kernels/bn_sums.h"
#include "simt.h"

enum { THREADS = 128 };

/* In double the difference of the squares loses nothing more than the sums have lost. */
__global__ void __launch_bounds__(THREADS)
    rni_kernel_bn_from_sums(const float *totals, const float *squares, float *mean, float *var, int64_t channels,
                            double rows)
{
    const int64_t c = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (c >= channels)
        return;
    const double m = (double)totals[c] / rows, v = (double)squares[c] / rows - m * m;
    mean[c] = (float)m;
    var[c] = (float)(v < 0.0 ? 0.0 : v); /* NaN stays */
}

extern "C" cudaError_t rni_k_bn_from_sums(cudaStream_t stream, const float *totals, const float *squares, float *mean,
                                          float *var, int64_t channels, int64_t rows)
{
    return RN_LAUNCH((rni_kernel_bn_from_sums), dim3((unsigned)((channels + THREADS - 1) / THREADS)), dim3(THREADS),
                     stream, totals, squares, mean, var, channels, static_cast<double>(rows));
}
