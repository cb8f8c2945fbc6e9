/* SPDX-License-Identifier: MIT */
/* Softmax: a warp takes a row. */
#include "kernels/rows.h"
#include "kernels/activations.h"

template <class T>
__global__ void __launch_bounds__(RNI_THREADS, 2) rni_kernel_softmax(const T *x, T *y, int64_t rows, int64_t k)
{
    for (int64_t r = rni_first_row(); r < rows; r += rni_row_step()) {
        const T *const in = x + r * k;
        T *const out = y + r * k;
        const double largest = (double)rni_row_largest(in, k).value;
        const double factor = 1.0 / rni_row_exp_sum(in, k, largest);
        ROLLED
        for (int64_t j = rni_lane(); j < k; j += RNI_WARP)
            rni_store(out[j], (float)(exp((double)rni_load(in[j]) - largest) * factor));
    }
}

/* dx = y (dy - sum(dy y)) */
template <class T>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_softmax_backward(const T *dy, const T *y, T *dx, int64_t rows, int64_t k)
{
    for (int64_t r = rni_first_row(); r < rows; r += rni_row_step()) {
        double sum = 0.0;
        ROLLED
        for (int64_t j = rni_lane(); j < k; j += RNI_WARP)
            sum += (double)rni_load(dy[r * k + j]) * (double)rni_load(y[r * k + j]);
        sum = rni_warp_sum(sum);
        ROLLED
        for (int64_t j = rni_lane(); j < k; j += RNI_WARP)
            rni_store(dx[r * k + j], (float)((double)rni_load(y[r * k + j]) * ((double)rni_load(dy[r * k + j]) - sum)));
    }
}

template <class T>
static cudaError_t softmax(cudaStream_t stream, const void *x, void *y, int64_t rows, int64_t k)
{
    return RN_LAUNCH((rni_kernel_softmax<T>), rni_row_grid(rows), dim3(RNI_THREADS), stream, static_cast<const T *>(x),
                     static_cast<T *>(y), rows, k);
}

cudaError_t rni_k_softmax(cudaStream_t stream, const void *x, void *y, int64_t rows, int64_t k, int32_t dtype)
{
    return RNI_BY_TYPE(dtype, softmax, stream, x, y, rows, k);
}

template <class T>
static cudaError_t softmax_backward(cudaStream_t stream, const void *dy, const void *y, void *dx, int64_t rows,
                                    int64_t k)
{
    return RN_LAUNCH((rni_kernel_softmax_backward<T>), rni_row_grid(rows), dim3(RNI_THREADS), stream,
                     static_cast<const T *>(dy), static_cast<const T *>(y), static_cast<T *>(dx), rows, k);
}

cudaError_t rni_k_softmax_backward(cudaStream_t stream, const void *dy, const void *y, void *dx, int64_t rows,
                                   int64_t k, int32_t dtype)
{
    return RNI_BY_TYPE(dtype, softmax_backward, stream, dy, y, dx, rows, k);
}
