/* SPDX-License-Identifier: MIT */
/* Gradients of biases: sums over all but channels, added to what is there. */
#include "kernels/activations.h"
#include "kernels/finish.h"

template <class T, int V>
struct rni_bias_terms {
    const T *dy; /* of the chunk, from the thread's column on */
    int64_t channels;

    using row = rni_vector<T, V>;
    static constexpr int at_once = 4;

    __device__ __forceinline__ row load(int32_t r) const
    {
        return rni_load_vector<T, V>(dy + r * channels);
    }

    __device__ __forceinline__ void add(const row &values, int32_t, float (&sum)[1][V]) const
    {
        UNROLL
        for (int v = 0; v < V; v++)
            sum[0][v] += rni_load(values.v[v]);
    }
};

template <int V>
struct rni_bias_chunks {
    static constexpr int F = rni_finish_width<V>;
    const float *partial;
    int64_t channels;

    __device__ __forceinline__ void start(int64_t column)
    {
        partial += column;
    }

    __device__ __forceinline__ void add(uint32_t i, double (&sum)[1][F]) const
    {
        float part[F];
        rni_load_floats<F>(part, partial + (int64_t)i * channels);
        UNROLL
        for (int k = 0; k < F; k++)
            sum[0][k] += (double)part[k];
    }
};

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS) rni_kernel_bias_sums(const T *dy, rni_k_bias b, int64_t chunk)
{
    RN_SHARED(float, shared, (rni_sum_shared<V, 1>));
    RN_SHARED(double, finish, (rni_finish_shared<V, 1>));
    const int64_t first = blockIdx.y * chunk, left = b.rows - first, column = rni_column<V>();
    float sum[1][V];
    rni_zero(sum);
    if (column < b.channels) {
        const rni_bias_terms<T, V> terms = {dy + first * b.channels + column, b.channels};
        rni_sum_rows<V, 1>(terms, (int32_t)(left < chunk ? left : chunk), sum);
    }
    rni_sum_threads<V, 1>(sum, shared);
    if (column < b.channels && threadIdx.y == 0)
        rni_store_floats<V>(b.partial + blockIdx.y * b.channels + column, sum[0]);
    if (!rni_last_of_column(b.counters))
        return;
    const uint32_t thread = threadIdx.y * blockDim.x + threadIdx.x;
    const int64_t c = rni_finish_channel<V>(thread, b.channels);
    const float before = c >= 0 ? b.db[c] : 0.0f;
    rni_bias_chunks<V> parts = {b.partial, b.channels};
    const double *const totals = rni_finish_columns<V, 1>(parts, gridDim.y, b.channels, finish);
    if (c >= 0)
        b.db[c] = (float)((double)before + totals[thread]);
}

template <class T, int V>
static cudaError_t bias(cudaStream_t stream, const rni_k_bias *b)
{
    const rni_columns columns = rni_sum_columns_of(b->channels, V);
    const rni_chunks chunks = rni_chunks_of(columns, b->processors, b->rows);
    return RN_LAUNCH((rni_kernel_bias_sums<T, V>), dim3(columns.blocks, chunks.count), columns.block, stream,
                     static_cast<const T *>(b->dy), *b, chunks.rows);
}

template <class T>
static cudaError_t bias_of(cudaStream_t stream, const rni_k_bias *b)
{
    const bool fits = b->channels % rni_lanes<T>() == 0 && rni_aligned(b->dy, b->partial);
    return RNI_BY_WIDTH(T, fits, bias, stream, b);
}

cudaError_t rni_k_bias_grad(cudaStream_t stream, const rni_k_bias *b)
{
    return RNI_BY_TYPE(b->dtype, bias_of, stream, b);
}
