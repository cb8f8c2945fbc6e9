/* SPDX-License-Identifier: MIT */
/* Gradients of biases: sums over all but channels, added to what is there. */
#include "kernels/columns.h"
#include "kernels/activations.h"

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

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_bias_sums(const T *dy, float *partial, int64_t rows, int64_t channels, int64_t chunk)
{
    RN_SHARED(float, shared, V *RNI_THREADS);
    const int64_t first = blockIdx.y * chunk, left = rows - first, column = rni_column<V>();
    float sum[1][V];
    rni_zero(sum);
    if (column < channels) {
        const rni_bias_terms<T, V> terms = {dy + first * channels + column, channels};
        rni_sum_rows<V, 1>(terms, (int32_t)(left < chunk ? left : chunk), sum);
    }
    rni_sum_threads<V, 1>(sum, shared);
    if (column < channels && threadIdx.y == 0)
        rni_store_floats<V>(partial + blockIdx.y * channels + column, sum[0]);
}

__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_bias_finish(const float *partial, uint32_t chunks, int64_t channels, float *db)
{
    RN_SHARED(double, shared, RNI_THREADS);
    const int64_t c = (int64_t)blockIdx.x * RNI_FINISH_CHANNELS + threadIdx.x;
    double own = 0.0;
    for (uint32_t i = threadIdx.y; c < channels && i < chunks; i += RNI_FINISH_LANES)
        own += (double)partial[(int64_t)i * channels + c];
    const double sum = rni_sum_lanes(own, shared);
    if (c < channels && threadIdx.y == 0)
        db[c] = (float)((double)db[c] + sum);
}

template <class T, int V>
static cudaError_t bias(cudaStream_t stream, const void *dy, float *db, float *partial, int64_t rows, int64_t channels,
                        int32_t processors)
{
    const rni_columns columns = rni_columns_of(channels, V);
    const rni_chunks chunks = rni_chunks_of(columns, processors, rows);
    const cudaError_t error = RN_LAUNCH((rni_kernel_bias_sums<T, V>), dim3(columns.blocks, chunks.count), columns.block,
                                        stream, static_cast<const T *>(dy), partial, rows, channels, chunks.rows);
    if (error != cudaSuccess)
        return error;
    return RN_LAUNCH(rni_kernel_bias_finish, rni_finish_grid(channels), rni_finish_block(), stream, partial,
                     chunks.count, channels, db);
}

template <class T>
static cudaError_t bias_of(cudaStream_t stream, const void *dy, float *db, float *partial, int64_t rows,
                           int64_t channels, int32_t processors)
{
    const bool fits = channels % rni_lanes<T>() == 0 && rni_aligned(dy, partial);
    return RNI_BY_WIDTH(T, fits, bias, stream, dy, db, partial, rows, channels, processors);
}

cudaError_t rni_k_bias_grad(cudaStream_t stream, const void *dy, float *db, float *partial, int64_t rows,
                            int64_t channels, int32_t processors, int32_t dtype)
{
    return RNI_BY_TYPE(dtype, bias_of, stream, dy, db, partial, rows, channels, processors);
}
