/* SPDX-License-Identifier: MIT */
/* y = x scale + shift (+ residual) (ReLU), with scale and shift given or made from batch normalisation's operands. */
#include "kernels/bn_affine.h"
#include "kernels/activations.h"

enum { APPLY_ROWS = 2 }; /* of a thread at once */

template <class T, int V>
__device__ __forceinline__ rni_vector<T, V> affine(const rni_vector<T, V> &x, const rni_vector<T, V> &residual,
                                                   const float (&scale)[V], const float (&shift)[V], bool adds,
                                                   bool relu)
{
    rni_vector<T, V> y;
    UNROLL
    for (int v = 0; v < V; v++) {
        float value = fmaf(rni_load(x.v[v]), scale[v], shift[v]);
        if (adds)
            value += rni_load(residual.v[v]);
        rni_store(y.v[v], relu ? rni_relu(value) : value);
    }
    return y;
}

/* y may be x. */
template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS, 2)
    rni_kernel_bn_apply(const T *x, const T *residual, T *y, rni_bn_sources sources, int64_t rows, int64_t channels,
                        int32_t relu)
{
    RN_SHARED(float, shared, 2 * V * RNI_BLOCK_VECTORS);
    const int64_t column = rni_column<V>(), step = (int64_t)gridDim.y * blockDim.y;
    float scale[V], shift[V];
    rni_bn_affine_columns<V>(sources, channels, shared, scale, shift);
    if (column >= channels)
        return;
    ROLLED
    for (int64_t r = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; r < rows; r += APPLY_ROWS * step) {
        rni_vector<T, V> in[APPLY_ROWS], other[APPLY_ROWS];
        UNROLL
        for (int u = 0; u < APPLY_ROWS; u++) {
            if (r + u * step >= rows)
                continue;
            in[u] = rni_load_vector<T, V>(x + (r + u * step) * channels + column);
            other[u] = residual ? rni_load_vector<T, V>(residual + (r + u * step) * channels + column) : in[u];
        }
        UNROLL
        for (int u = 0; u < APPLY_ROWS; u++)
            if (r + u * step < rows)
                rni_store_vector(y + (r + u * step) * channels + column,
                                 affine<T, V>(in[u], other[u], scale, shift, residual != nullptr, relu != 0));
    }
}

template <class T, int V>
static cudaError_t apply(cudaStream_t stream, const rni_k_affine *a)
{
    const rni_columns columns = rni_columns_of(a->channels, V);
    const dim3 grid(columns.blocks, rni_row_blocks(columns, a->processors, a->rows, APPLY_ROWS));
    const rni_bn_sources sources = {a->scale, a->shift, a->mean, a->var, a->gamma, a->beta, (float)a->eps};
    return RN_LAUNCH((rni_kernel_bn_apply<T, V>), grid, columns.block, stream, static_cast<const T *>(a->x),
                     static_cast<const T *>(a->residual), static_cast<T *>(a->y), sources, a->rows, a->channels,
                     a->relu);
}

template <class T>
static cudaError_t apply_of(cudaStream_t stream, const rni_k_affine *a)
{
    const bool fits = a->channels % rni_lanes<T>() == 0 && rni_aligned(a->x, a->residual, a->y);
    return RNI_BY_WIDTH(T, fits, apply, stream, a);
}

cudaError_t rni_k_affine_rows(cudaStream_t stream, const rni_k_affine *a)
{
    return RNI_BY_TYPE(a->dtype, apply_of, stream, a);
}

/* What the kernel above makes for itself, rounded to the type of a convolution that normalises what it reads. */
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_bn_factors(rni_bn_sources sources, rni_f16 *factors, int64_t channels)
{
    const int64_t c = (int64_t)blockIdx.x * RNI_THREADS + threadIdx.x;
    if (c >= channels)
        return;
    float scale, shift;
    rni_bn_affine(sources, c, &scale, &shift);
    rni_store(factors[c], scale);
    rni_store(factors[channels + c], shift);
}

cudaError_t rni_k_bn_factors(cudaStream_t stream, const rni_k_affine *a)
{
    const rni_bn_sources sources = {nullptr, nullptr, a->mean, a->var, a->gamma, a->beta, (float)a->eps};
    return RN_LAUNCH(rni_kernel_bn_factors, dim3((uint32_t)((a->channels + RNI_THREADS - 1) / RNI_THREADS)),
                     dim3(RNI_THREADS), stream, sources, static_cast<rni_f16 *>(a->y), a->channels);
}

/* Batch normalisation of inference as scale and shift: of the running statistics, and of a convolution's bias. */
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_bn_fold(const float *gamma, const float *beta, const float *mean, const float *var, const float *bias,
                       float *scale, float *shift, int64_t channels, double eps)
{
    const int64_t c = (int64_t)blockIdx.x * RNI_THREADS + threadIdx.x;
    if (c >= channels)
        return;
    const double s = (gamma ? (double)gamma[c] : 1.0) / sqrt((double)var[c] + eps);
    const double centred = (bias ? (double)bias[c] : 0.0) - (double)mean[c];
    scale[c] = (float)s;
    shift[c] = (float)((beta ? (double)beta[c] : 0.0) + centred * s);
}

cudaError_t rni_k_bn_fold(cudaStream_t stream, const float *gamma, const float *beta, const float *mean,
                          const float *var, const float *bias, float *scale, float *shift, int64_t channels, double eps)
{
    return RN_LAUNCH(rni_kernel_bn_fold, dim3((uint32_t)((channels + RNI_THREADS - 1) / RNI_THREADS)),
                     dim3(RNI_THREADS), stream, gamma, beta, mean, var, bias, scale, shift, channels, eps);
}
