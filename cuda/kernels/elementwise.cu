/* SPDX-License-Identifier: MIT */
/* Elementwise work over flat arrays. The output may be an input. */
#include "kernels/columns.h"
#include "kernels/activations.h"

enum { FLAT_VECTORS = 4 }; /* of a thread, loaded together */

/* y = op(a, b). */
template <int OP>
__device__ __forceinline__ float flat(float a, float b)
{
    if (OP == RNI_FLAT_RELU)
        return rni_relu(a);
    if (OP == RNI_FLAT_RELU_BACKWARD)
        return b > 0.0f ? a : 0.0f;
    return OP == RNI_FLAT_ADD_RELU ? rni_relu(a + b) : a + b;
}

template <class T, int V, int OP>
__device__ __forceinline__ rni_vector<T, V> flat_vector(const rni_vector<T, V> &a, const rni_vector<T, V> &b)
{
    rni_vector<T, V> y;
    UNROLL
    for (int v = 0; v < V; v++)
        rni_store(y.v[v], flat<OP>(rni_load(a.v[v]), rni_load(b.v[v])));
    return y;
}

template <class T, int V, int OP>
__global__ void __launch_bounds__(RNI_THREADS) rni_kernel_flat(const T *a, const T *b, T *y, int64_t count)
{
    const int64_t vectors = count / V, first = (int64_t)blockIdx.x * (RNI_THREADS * FLAT_VECTORS) + threadIdx.x;
    rni_vector<T, V> in[FLAT_VECTORS], other[FLAT_VECTORS];
    UNROLL
    for (int u = 0; u < FLAT_VECTORS; u++) {
        const int64_t i = first + u * RNI_THREADS;
        if (i >= vectors)
            continue;
        in[u] = rni_load_vector<T, V>(a + i * V);
        other[u] = OP == RNI_FLAT_RELU ? in[u] : rni_load_vector<T, V>(b + i * V);
    }
    UNROLL
    for (int u = 0; u < FLAT_VECTORS; u++) {
        const int64_t i = first + u * RNI_THREADS;
        if (i < vectors)
            rni_store_vector(y + i * V, flat_vector<T, V, OP>(in[u], other[u]));
    }
    const int64_t rest = vectors * V + threadIdx.x; /* less than a vector, for the first block */
    if (V > 1 && blockIdx.x == 0 && rest < count)
        rni_store(y[rest], flat<OP>(rni_load(a[rest]), OP == RNI_FLAT_RELU ? 0.0f : rni_load(b[rest])));
}

template <class T, int V>
static cudaError_t run_flat(cudaStream_t stream, int32_t op, const void *a, const void *b, void *y, int64_t count)
{
    const int64_t per_block = (int64_t)RNI_THREADS * FLAT_VECTORS * V;
    const dim3 grid((uint32_t)((count + per_block - 1) / per_block)), block(RNI_THREADS);
    const T *const ta = static_cast<const T *>(a), *const tb = static_cast<const T *>(b);
    T *const ty = static_cast<T *>(y);
    switch (op) {
    case RNI_FLAT_RELU:
        return RN_LAUNCH((rni_kernel_flat<T, V, RNI_FLAT_RELU>), grid, block, stream, ta, tb, ty, count);
    case RNI_FLAT_RELU_BACKWARD:
        return RN_LAUNCH((rni_kernel_flat<T, V, RNI_FLAT_RELU_BACKWARD>), grid, block, stream, ta, tb, ty, count);
    case RNI_FLAT_ADD:
        return RN_LAUNCH((rni_kernel_flat<T, V, RNI_FLAT_ADD>), grid, block, stream, ta, tb, ty, count);
    default:
        return RN_LAUNCH((rni_kernel_flat<T, V, RNI_FLAT_ADD_RELU>), grid, block, stream, ta, tb, ty, count);
    }
}

template <class T>
static cudaError_t flat_of(cudaStream_t stream, int32_t op, const void *a, const void *b, void *y, int64_t count)
{
    return RNI_BY_WIDTH(T, rni_aligned(a, b, y), run_flat, stream, op, a, b, y, count);
}

cudaError_t rni_k_flat(cudaStream_t stream, int32_t op, const void *a, const void *b, void *y, int64_t count,
                       int32_t dtype)
{
    return RNI_BY_TYPE(dtype, flat_of, stream, op, a, b, y, count);
}
