/* SPDX-License-Identifier: MIT */
/*
 * Mean and variance per channel, and what follows from them. A chunk of rows is shifted by the mean of a few of them, so
 * that no difference of large squares is taken.
 */
#include "kernels/activations.h"
#include "kernels/finish.h"

enum { SHIFT_ROWS = 8 }; /* whose mean is the shift: one row alone may lie far off */
enum { STATS_SUMS = 3 }; /* of a chunk: its shift, sum of x - shift, sum of (x - shift)^2 */

/* torch.nn.BatchNorm2d: r = (1 - m) r + m s with the unbiased variance. */
struct rni_running {
    float mean, var;
};

__device__ __forceinline__ rni_running rni_running_read(const rni_k_stats &s, int64_t c)
{
    return {s.running_mean[c], s.running_var[c]};
}

__device__ __forceinline__ void rni_running_update(const rni_k_stats &s, int64_t c, const rni_running &before,
                                                   float mean, float var, double m)
{
    s.running_mean[c] = (float)((1.0 - m) * (double)before.mean + m * (double)mean);
    s.running_var[c] = (float)((1.0 - m) * (double)before.var + m * ((double)var * s.unbiased));
}

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
     * The first threads of a column leave a row each, the first one again in a chunk of fewer rows; every thread takes
     * their mean. part: of one in it. All threads of the block come here. few: SHIFT_ROWS * RNI_FINISH_CHANNELS.
     */
    __device__ __forceinline__ void shift_by_few(int32_t rows, bool inside, float part, float *few)
    {
        const int32_t n = blockDim.y < SHIFT_ROWS ? (int32_t)blockDim.y : SHIFT_ROWS, y = (int32_t)threadIdx.y;
        float *const own = few + threadIdx.x * V;
        if (y < n) {
            row values = {};
            if (inside)
                values = load(y * (rows / n));
            UNROLL
            for (int v = 0; v < V; v++)
                own[y * RNI_FINISH_CHANNELS + v] = rni_load(values.v[v]) * part;
        }
        __syncthreads();
        UNROLL
        for (int v = 0; v < V; v++)
            shift[v] = 0.0f;
        UNROLL
        for (int32_t k = 0; k < SHIFT_ROWS; k++) {
            if (k >= n)
                continue;
            UNROLL
            for (int v = 0; v < V; v++)
                shift[v] += own[k * RNI_FINISH_CHANNELS + v];
        }
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

/*
 * A chunk's sums are moved from its own shift to the first chunk's. Both are means of a few rows, so that in double the
 * squares do not cancel.
 */
template <int V>
struct rni_moment_chunks {
    static constexpr int F = rni_finish_width<V>;
    const float *partial;
    int64_t channels;
    double full, rest; /* rows of a chunk, and of the last one */
    uint32_t last;
    float first[F];

    __device__ __forceinline__ void start(int64_t column)
    {
        partial += column;
        rni_load_floats<F>(first, partial);
    }

    __device__ __forceinline__ void add(uint32_t i, double (&sum)[2][F]) const
    {
        const float *const from = partial + (int64_t)i * STATS_SUMS * channels;
        const double n = i == last ? rest : full;
        float shift[F], once[F], squares[F];
        rni_load_floats<F>(shift, from);
        rni_load_floats<F>(once, from + channels);
        rni_load_floats<F>(squares, from + 2 * channels);
        UNROLL
        for (int k = 0; k < F; k++) {
            const double d = (double)shift[k] - (double)first[k], nd = n * d, s1 = (double)once[k];
            sum[0][k] += s1 + nd;
            sum[1][k] += (double)squares[k] + d * (2.0 * s1 + nd);
        }
    }
};

/* The moments of channel c, from the sums that are shifted by the first chunk's shift. */
__device__ __forceinline__ void rni_moments(const rni_k_stats &s, int64_t c, double shift, double s1, double s2,
                                            const rni_running &before)
{
    const double off = s1 * s.inverse, squares = s2 - s1 * off;
    const float mean = (float)(shift + off), var = (float)((squares < 0.0 ? 0.0 : squares) * s.inverse); /* NaN stays */
    s.mean[c] = mean;
    s.var[c] = var;
    if (s.running_mean)
        rni_running_update(s, c, before, mean, var, s.momentum);
}

template <class T, int V>
__global__ void __launch_bounds__(RNI_THREADS, RNI_SUM_BLOCKS)
    rni_kernel_bn_stats(const T *x, rni_k_stats s, int64_t chunk, float part)
{
    RN_SHARED(float, shared, (rni_sum_shared<V, 2>));
    RN_SHARED(float, few, SHIFT_ROWS * RNI_FINISH_CHANNELS);
    RN_SHARED(double, finish, (rni_finish_shared<V, 2>));
    const int64_t first = blockIdx.y * chunk, left = s.rows - first, column = rni_column<V>();
    const int32_t rows_here = (int32_t)(left < chunk ? left : chunk);
    float sum[2][V];
    rni_moment_terms<T, V> terms = {};
    const bool inside = column < s.channels;
    rni_zero(sum);
    terms.x = x + first * s.channels + column;
    terms.channels = s.channels;
    terms.shift_by_few(rows_here, inside, part, few);
    if (inside)
        rni_sum_rows<V, 2>(terms, rows_here, sum);
    rni_sum_threads<V, 2>(sum, shared);
    if (inside && threadIdx.y == 0) {
        float *const out = s.partial + blockIdx.y * STATS_SUMS * s.channels + column;
        rni_store_floats<V>(out, terms.shift);
        rni_store_floats<V>(out + s.channels, sum[0]);
        rni_store_floats<V>(out + 2 * s.channels, sum[1]);
    }
    if (!rni_last_of_column(s.counters))
        return;
    const uint32_t chunks = gridDim.y, thread = threadIdx.y * blockDim.x + threadIdx.x;
    const int64_t c = rni_finish_channel<V>(thread, s.channels);
    /* What it takes besides the sums is read before them. */
    const rni_running before = c >= 0 && s.running_mean ? rni_running_read(s, c) : rni_running{};
    const double shift = c >= 0 ? (double)s.partial[c] : 0.0;
    if (s.running_mean && blockIdx.x == 0 && thread + 1 == blockDim.x * blockDim.y)
        *s.batches += 1;
    const double rest = (double)(s.rows - (int64_t)(chunks - 1) * chunk);
    rni_moment_chunks<V> parts = {s.partial, s.channels, (double)chunk, rest, chunks - 1, {}};
    const double *const totals = rni_finish_columns<V, 2>(parts, chunks, s.channels, finish);
    if (c >= 0)
        rni_moments(s, c, shift, totals[thread], totals[RNI_FINISH_CHANNELS + thread], before);
}

template <class T, int V>
static cudaError_t stats(cudaStream_t stream, const rni_k_stats *s)
{
    const rni_columns columns = rni_sum_columns_of(s->channels, V);
    const rni_chunks chunks = rni_chunks_of(columns, s->processors, s->rows);
    rni_k_stats with = *s;
    with.inverse = 1.0 / (double)s->rows;
    const uint32_t few = columns.block.y < (uint32_t)SHIFT_ROWS ? columns.block.y : (uint32_t)SHIFT_ROWS;
    return RN_LAUNCH((rni_kernel_bn_stats<T, V>), dim3(columns.blocks, chunks.count), columns.block, stream,
                     static_cast<const T *>(s->x), with, chunks.rows, 1.0f / (float)few);
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

/* Alone: cumulative: the weight is 1/k at the k-th update. */
__global__ void __launch_bounds__(RNI_THREADS) rni_kernel_bn_running(rni_k_stats s, int32_t cumulative)
{
    const int64_t update = *s.batches + 1;
    const double m = cumulative ? 1.0 / (double)update : s.momentum;
    __syncthreads(); /* all have read the count */
    if (threadIdx.x == 0)
        *s.batches = update;
    for (int64_t c = threadIdx.x; c < s.channels; c += RNI_THREADS)
        rni_running_update(s, c, rni_running_read(s, c), s.mean[c], s.var[c], m);
}

cudaError_t rni_k_bn_running(cudaStream_t stream, const rni_k_stats *s, int32_t cumulative)
{
    return RN_LAUNCH(rni_kernel_bn_running, dim3(1), dim3(RNI_THREADS), stream, *s, cumulative);
}

/* Room for the partial results of both widths. */
static uint64_t partial_bytes(int32_t processors, int64_t rows, int64_t channels, int lanes, int32_t sums)
{
    if (channels % lanes != 0)
        return 0;
    const int64_t chunks = rni_most_chunks(rni_sum_columns_of(channels, lanes), processors, rows);
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
