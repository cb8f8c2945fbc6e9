/* SPDX-License-Identifier: MIT */
/*
 * Mean and variance per channel, and what follows from them. A chunk of rows is shifted by the mean of a few of them, so
 * that no difference of large squares is taken.
 */
#include "kernels/columns.h"
#include "kernels/activations.h"

enum { SHIFT_ROWS = 8 }; /* whose mean is the shift: one row alone may lie far off */
enum { STATS_SUMS = 3 }; /* of a chunk: its shift, sum of x - shift, sum of (x - shift)^2 */

template <class T, int V>
struct rni_moment_terms {
    const T *x; /* of the chunk, from the thread's column on */
    int64_t channels;
    float shift[V];

    using row = rni_vector<T, V>;
    static constexpr int at_once = 4;

    __device__ __forceinline__ row load(int32_t r) const
    {
        return rni_load_vector<T, V>(x + r * channels);
    }

    /*
     * The first threads of a column load a row each; in a chunk of fewer rows they load the first one. All threads of
     * the block come here. shared: V * RNI_THREADS.
     */
    __device__ __forceinline__ void shift_by_few(int32_t rows, bool inside, float *shared)
    {
        const int32_t n = blockDim.y < SHIFT_ROWS ? (int32_t)blockDim.y : SHIFT_ROWS, y = (int32_t)threadIdx.y;
        const float part = 1.0f / (float)n;
        float few[1][V];
        rni_zero(few);
        if (inside && y < n) {
            const row values = load(y * (rows / n));
            UNROLL
            for (int v = 0; v < V; v++)
                few[0][v] = rni_load(values.v[v]) * part;
        }
        rni_sum_threads<V, 1>(few, shared);
        __syncthreads();
        UNROLL
        for (int v = 0; v < V; v++)
            shift[v] = shared[v * RNI_THREADS + threadIdx.x]; /* where rni_sum_threads leaves it */
        __syncthreads(); /* shared is about to hold other sums */
    }

    __device__ __forceinline__ void add(const row &values, int32_t, float (&sum)[2][V]) const
    {
        UNROLL
        for (int v = 0; v < V; v++) {
            const float d = rni_load(values.v[v]) - shift[v];
            sum[0][v] += d;
            sum[1][v] = fmaf(d, d, sum[1][v]);
        }
    }
};

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_bn_stats(const T *x, float *partial, int64_t rows, int64_t channels, int64_t chunk)
{
    RN_SHARED(float, shared, 2 * V * RNI_THREADS);
    const int64_t first = blockIdx.y * chunk, left = rows - first, column = rni_column<V>();
    const int32_t rows_here = (int32_t)(left < chunk ? left : chunk);
    float sum[2][V];
    rni_moment_terms<T, V> terms = {};
    const bool inside = column < channels;
    rni_zero(sum);
    terms.x = x + first * channels + column;
    terms.channels = channels;
    terms.shift_by_few(rows_here, inside, shared);
    if (inside)
        rni_sum_rows<V, 2>(terms, rows_here, sum);
    rni_sum_threads<V, 2>(sum, shared);
    if (inside && threadIdx.y == 0) {
        float *const out = partial + blockIdx.y * STATS_SUMS * channels + column;
        rni_store_floats<V>(out, terms.shift);
        rni_store_floats<V>(out + channels, sum[0]);
        rni_store_floats<V>(out + 2 * channels, sum[1]);
    }
}

/*
 * A chunk's sums are moved from its own shift to the first chunk's. Both are means of a few rows, so that in double the
 * squares do not cancel.
 */
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_bn_moments(const float *partial, uint32_t chunks, int64_t chunk, int64_t rows, int64_t channels,
                          float *mean, float *var)
{
    RN_SHARED(double, shared, RNI_THREADS);
    const int64_t c = (int64_t)blockIdx.x * RNI_FINISH_CHANNELS + threadIdx.x;
    const uint32_t count = c < channels ? chunks : 0;
    const double total = (double)rows, first = count > 0 ? (double)partial[c] : 0.0;
    const double full = (double)chunk, rest = (double)(rows - (int64_t)(chunks - 1) * chunk);
    double own1 = 0.0, own2 = 0.0;
    UNROLL_SOME
    for (uint32_t i = threadIdx.y; i < count; i += RNI_FINISH_LANES) {
        const float *const p = partial + (int64_t)i * STATS_SUMS * channels + c;
        const double d = (double)p[0] - first, s1 = (double)p[channels], s2 = (double)p[2 * channels];
        const double nd = (i + 1 < chunks ? full : rest) * d;
        own1 += s1 + nd;
        own2 += s2 + d * (2.0 * s1 + nd);
    }
    const double s1 = rni_sum_lanes(own1, shared), s2 = rni_sum_lanes(own2, shared);
    if (c >= channels || threadIdx.y != 0)
        return;
    const double off = s1 / total, squares = s2 - s1 * off;
    mean[c] = (float)(first + off);
    var[c] = (float)((squares < 0.0 ? 0.0 : squares) / total); /* NaN stays */
}

template <class T, int V>
static cudaError_t stats(cudaStream_t stream, const rni_k_stats *s)
{
    const rni_columns columns = rni_columns_of(s->channels, V);
    const rni_chunks chunks = rni_chunks_of(columns, s->processors, s->rows);
    const cudaError_t error =
        RN_LAUNCH((rni_kernel_bn_stats<T, V>), dim3(columns.blocks, chunks.count), columns.block, stream,
                  static_cast<const T *>(s->x), s->partial, s->rows, s->channels, chunks.rows);
    if (error != cudaSuccess)
        return error;
    return RN_LAUNCH(rni_kernel_bn_moments, rni_finish_grid(s->channels), rni_finish_block(), stream, s->partial,
                     chunks.count, chunks.rows, s->rows, s->channels, s->mean, s->var);
}

template <class T>
static cudaError_t stats_of(cudaStream_t stream, const rni_k_stats *s)
{
    const bool fits = s->channels % rni_lanes<T>() == 0 && rni_aligned(s->x, s->partial);
    return RNI_BY_WIDTH(T, fits, stats, stream, s);
}

cudaError_t rni_k_bn_stats(cudaStream_t stream, const rni_k_stats *s)
{
    return RNI_BY_TYPE(s->dtype, stats_of, stream, s);
}

/* torch.nn.BatchNorm2d: r = (1 - m) r + m s with the unbiased variance; cumulative: m is 1/k at the k-th update. */
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_bn_running(const float *mean, const float *var, float *running_mean, float *running_var,
                          int64_t *batches, int64_t channels, double momentum, double unbiased, int32_t cumulative)
{
    const int64_t update = *batches + 1;
    const double m = cumulative ? 1.0 / (double)update : momentum;
    __syncthreads(); /* all have read the count */
    if (threadIdx.x == 0)
        *batches = update;
    for (int64_t c = threadIdx.x; c < channels; c += RNI_THREADS) {
        running_mean[c] = (float)((1.0 - m) * (double)running_mean[c] + m * (double)mean[c]);
        running_var[c] = (float)((1.0 - m) * (double)running_var[c] + m * ((double)var[c] * unbiased));
    }
}

cudaError_t rni_k_bn_running(cudaStream_t stream, const float *mean, const float *var, float *running_mean,
                             float *running_var, int64_t *batches, int64_t channels, double momentum, double unbiased,
                             int32_t cumulative)
{
    return RN_LAUNCH(rni_kernel_bn_running, dim3(1), dim3(RNI_THREADS), stream, mean, var, running_mean, running_var,
                     batches, channels, momentum, unbiased, cumulative);
}

/* Room for the partial results of both widths. */
static uint64_t partial_bytes(int32_t processors, int64_t rows, int64_t channels, int lanes, int32_t sums)
{
    if (channels % lanes != 0)
        return 0;
    const int64_t chunks = rni_most_chunks(rni_columns_of(channels, lanes), processors, rows);
    return (uint64_t)(chunks * sums * channels) * sizeof(float);
}

uint64_t rni_k_partial_bytes(int32_t processors, int64_t rows, int64_t channels, int32_t sums)
{
    uint64_t most = 0;
    for (int lanes = 1; lanes <= 8; lanes *= 2) {
        const uint64_t bytes = partial_bytes(processors, rows, channels, lanes, sums);
        most = bytes > most ? bytes : most;
    }
    return most;
}
