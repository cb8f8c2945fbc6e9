/* SPDX-License-Identifier: MIT */
/*
 * Batch normalisation, backward (Ioffe, Szegedy 2015): with g the masked gradient, d = x - mean, r = 1/sqrt(var + eps),
 *   dbeta = sum g, dgamma = r sum(g d), dx = gamma r (g - sum(g)/n - d r^2 sum(g d)/n).
 * One kernel sums, one writes dx. Where mean and var are constants (frozen), dx = gamma r g.
 */
#include "kernels/bn_affine.h"
#include "kernels/activations.h"
#include "kernels/finish.h"

/* What dx needs per channel, left by the first kernel: dx = a g + (b d + c); y is x scale + shift. */
enum { FACTOR_A, FACTOR_B, FACTOR_C, FACTOR_SCALE, FACTOR_SHIFT, FACTORS };
enum { BACKWARD_SUMS = 2 };

/* Rows of a thread at once in the last kernel: as registers allow. */
template <int V>
constexpr int dx_rows = V > 4 ? 1 : 2;

/* Gradients to mask. y, or x when FROM_X, tells where ReLU was open; y NULL: everywhere. */
template <class T, int V, bool FROM_X>
struct rni_masked_rows {
    const T *dy, *x, *y; /* from the thread's column on */
    int64_t channels;
    float mean[V], scale[V], shift[V];

    struct row {
        rni_vector<T, V> dy, x, y;
    };

    __device__ __forceinline__ row load(int64_t r) const
    {
        row k;
        k.dy = rni_load_vector<T, V>(dy + r * channels);
        k.x = rni_load_vector<T, V>(x + r * channels);
        k.y = !FROM_X && y ? rni_load_vector<T, V>(y + r * channels) : k.x;
        return k;
    }

    /* dy or nothing; as stored. */
    __device__ __forceinline__ T masked(const row &k, int v) const
    {
        const bool open =
            FROM_X ? fmaf(rni_load(k.x.v[v]), scale[v], shift[v]) > 0.0f : !y || rni_load(k.y.v[v]) > 0.0f;
        T none;
        rni_store(none, 0.0f);
        return open ? k.dy.v[v] : none;
    }
};

template <class T, int V, bool FROM_X>
struct rni_backward_terms : rni_masked_rows<T, V, FROM_X> {
    using base = rni_masked_rows<T, V, FROM_X>;
    using typename base::row;
    static constexpr int at_once = 2;
    T *out; /* g, where it is wanted */

    __device__ __forceinline__ void add(const row &k, int32_t r, float (&sum)[BACKWARD_SUMS][V]) const
    {
        rni_vector<T, V> masked;
        UNROLL
        for (int v = 0; v < V; v++) {
            masked.v[v] = base::masked(k, v);
            const float g = rni_load(masked.v[v]);
            sum[0][v] += g;
            sum[1][v] = fmaf(g, rni_load(k.x.v[v]) - base::mean[v], sum[1][v]);
        }
        if (out)
            rni_store_vector(out + r * base::channels, masked);
    }
};

/* What becomes of the sums. */
struct rni_backward_end {
    rni_bn_sources sources;
    float *dgamma, *dbeta, *factors, *partial;
    double eps, inverse; /* inverse: of the number of rows */
    int64_t rows, channels;
    int32_t *counters;
    int32_t frozen;
};

/* What a channel's factors are made of, but for the sums: read before these are known. */
struct rni_backward_channel {
    float var, gamma;
};

__device__ __forceinline__ rni_backward_channel rni_backward_read(const rni_backward_end &e, int64_t c)
{
    return {e.sources.var[c], e.sources.gamma ? e.sources.gamma[c] : 1.0f};
}

/* Adds to the gradients of gamma and beta of a channel, and leaves its factors. */
__device__ __forceinline__ void rni_backward_factors(const rni_backward_end &e, const rni_backward_channel &from,
                                                     int64_t c, double s1, double s2)
{
    const double r = 1.0 / sqrt((double)from.var + e.eps), k = (double)from.gamma * r;
    float *const factors = e.factors + c;
    if (e.dgamma)
        e.dgamma[c] = (float)((double)e.dgamma[c] + s2 * r);
    if (e.dbeta)
        e.dbeta[c] = (float)((double)e.dbeta[c] + s1);
    factors[FACTOR_A * e.channels] = (float)k;
    factors[FACTOR_B * e.channels] = e.frozen ? 0.0f : (float)(-k * r * r * s2 * e.inverse);
    factors[FACTOR_C * e.channels] = e.frozen ? 0.0f : (float)(-k * s1 * e.inverse);
    rni_bn_affine(e.sources, c, &factors[FACTOR_SCALE * e.channels], &factors[FACTOR_SHIFT * e.channels]);
}

template <int V>
struct rni_backward_chunks {
    static constexpr int F = rni_finish_width<V>;
    const float *partial;
    int64_t channels;

    __device__ __forceinline__ void start(int64_t column)
    {
        partial += column;
    }

    __device__ __forceinline__ void add(uint32_t i, double (&sum)[BACKWARD_SUMS][F]) const
    {
        const float *const from = partial + (int64_t)i * BACKWARD_SUMS * channels;
        float s1[F], s2[F];
        rni_load_floats<F>(s1, from);
        rni_load_floats<F>(s2, from + channels);
        UNROLL
        for (int k = 0; k < F; k++) {
            sum[0][k] += (double)s1[k];
            sum[1][k] += (double)s2[k];
        }
    }
};

template <class T, int V, bool FROM_X>
__global__ void __launch_bounds__(RNI_THREADS, RNI_SUM_BLOCKS)
    rni_kernel_bn_backward_sums(const T *dy, const T *x, const T *y, T *masked, rni_backward_end e, int64_t chunk)
{
    RN_SHARED(float, shared, (rni_sum_shared<V, BACKWARD_SUMS>));
    RN_SHARED(double, finish, (rni_finish_shared<V, BACKWARD_SUMS>));
    const int64_t first = blockIdx.y * chunk, left = e.rows - first, column = rni_column<V>();
    const int64_t at = first * e.channels + column;
    rni_backward_terms<T, V, FROM_X> terms;
    float sum[BACKWARD_SUMS][V];
    rni_zero(sum);
    if (FROM_X) {
        rni_bn_affine_columns<V>(e.sources, e.channels, shared, terms.scale, terms.shift);
        __syncthreads(); /* shared is about to hold sums */
    }
    if (column < e.channels) {
        terms.dy = dy + at;
        terms.x = x + at;
        terms.y = y ? y + at : nullptr;
        terms.out = masked ? masked + at : nullptr;
        terms.channels = e.channels;
        rni_load_floats<V>(terms.mean, e.sources.mean + column);
        rni_sum_rows<V, BACKWARD_SUMS>(terms, (int32_t)(left < chunk ? left : chunk), sum);
    }
    rni_sum_threads<V, BACKWARD_SUMS>(sum, shared);
    if (column < e.channels && threadIdx.y == 0) {
        float *const out = e.partial + blockIdx.y * BACKWARD_SUMS * e.channels + column;
        rni_store_floats<V>(out, sum[0]);
        rni_store_floats<V>(out + e.channels, sum[1]);
    }
    if (!rni_last_of_column(e.counters))
        return;
    const uint32_t thread = threadIdx.y * blockDim.x + threadIdx.x;
    const int64_t c = rni_finish_channel<V>(thread, e.channels);
    const rni_backward_channel from = c >= 0 ? rni_backward_read(e, c) : rni_backward_channel{};
    rni_backward_chunks<V> parts = {e.partial, e.channels};
    const double *const totals = rni_finish_columns<V, BACKWARD_SUMS>(parts, gridDim.y, e.channels, finish);
    if (c >= 0)
        rni_backward_factors(e, from, c, totals[thread], totals[RNI_FINISH_CHANNELS + thread]);
}

/* The factors where nothing else is wanted of the sums: everything is constant. */
__global__ void __launch_bounds__(RNI_THREADS) rni_kernel_bn_backward_factors(rni_backward_end e)
{
    const int64_t c = (int64_t)blockIdx.x * RNI_THREADS + threadIdx.x;
    if (c < e.channels)
        rni_backward_factors(e, rni_backward_read(e, c), c, 0.0, 0.0);
}

/* Of a row of floats per channel, those of the block's channels go to shared memory: each is read once. */
template <int V>
__device__ __forceinline__ void share_columns(const float *from, int64_t channels, float *shared)
{
    const uint32_t width = blockDim.x * V, thread = threadIdx.y * blockDim.x + threadIdx.x;
    const int64_t first = (int64_t)blockIdx.x * width;
    for (uint32_t j = thread; j < width && first + j < channels; j += blockDim.x * blockDim.y)
        shared[j] = from[first + j];
}

template <int V>
__device__ __forceinline__ void take_columns(float (&to)[V], const float *shared)
{
    UNROLL
    for (int v = 0; v < V; v++)
        to[v] = shared[threadIdx.x * V + v];
}

/* What dx does with the residual's gradient. */
enum { DRES_NONE, DRES_WRITE, DRES_ADD };

/* dx may be dy. */
template <class T, int V, bool FROM_X>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_bn_backward_dx(const T *dy, const T *x, const T *y, T *dx, T *dres, int32_t dres_mode, const float *mean,
                              const float *factors, int64_t rows, int64_t channels)
{
    constexpr int ROWS = dx_rows<V>, WIDTH = V * RNI_BLOCK_VECTORS, USED = FROM_X ? FACTORS : FACTOR_SCALE;
    RN_SHARED(float, shared, (USED + 1) * WIDTH);
    const int64_t column = rni_column<V>(), step = (int64_t)gridDim.y * blockDim.y;
    UNROLL
    for (int f = 0; f < USED; f++)
        share_columns<V>(factors + f * channels, channels, shared + f * WIDTH);
    share_columns<V>(mean, channels, shared + USED * WIDTH);
    __syncthreads();
    if (column >= channels)
        return;
    rni_masked_rows<T, V, FROM_X> in;
    float a[V], b[V], c[V];
    in.dy = dy + column;
    in.x = x + column;
    in.y = y ? y + column : nullptr;
    in.channels = channels;
    take_columns<V>(in.mean, shared + USED * WIDTH);
    take_columns<V>(a, shared + FACTOR_A * WIDTH);
    take_columns<V>(b, shared + FACTOR_B * WIDTH);
    take_columns<V>(c, shared + FACTOR_C * WIDTH);
    if (FROM_X) {
        take_columns<V>(in.scale, shared + FACTOR_SCALE * WIDTH);
        take_columns<V>(in.shift, shared + FACTOR_SHIFT * WIDTH);
    }
    ROLLED
    for (int64_t r = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; r < rows; r += ROWS * step) {
        typename rni_masked_rows<T, V, FROM_X>::row row[ROWS];
        rni_vector<T, V> before[ROWS];
        UNROLL
        for (int u = 0; u < ROWS; u++) {
            if (r + u * step >= rows)
                continue;
            row[u] = in.load(r + u * step);
            if (dres_mode == DRES_ADD)
                before[u] = rni_load_vector<T, V>(dres + (r + u * step) * channels + column);
        }
        UNROLL
        for (int u = 0; u < ROWS; u++) {
            if (r + u * step >= rows)
                continue;
            rni_vector<T, V> out, rest;
            UNROLL
            for (int v = 0; v < V; v++) {
                const T masked = in.masked(row[u], v);
                const float g = rni_load(masked), d = rni_load(row[u].x.v[v]) - in.mean[v];
                rni_store(out.v[v], fmaf(a[v], g, fmaf(b[v], d, c[v])));
                rest.v[v] = masked;
                if (dres_mode == DRES_ADD)
                    rni_store(rest.v[v], rni_load(before[u].v[v]) + g);
            }
            rni_store_vector(dx + (r + u * step) * channels + column, out);
            if (dres_mode != DRES_NONE)
                rni_store_vector(dres + (r + u * step) * channels + column, rest);
        }
    }
}

/* The sums are needed unless everything is constant. */
static bool needs_sums(const rni_k_bn_backward *b)
{
    return !b->frozen || b->dgamma || b->dbeta;
}

static rni_backward_end end_of(const rni_k_bn_backward *b)
{
    rni_backward_end e = {};
    e.sources = {nullptr, nullptr, b->mean, b->var, b->gamma, b->beta, (float)b->eps};
    e.dgamma = b->dgamma;
    e.dbeta = b->dbeta;
    e.factors = b->workspace;
    e.partial = b->workspace + FACTORS * b->channels;
    e.eps = b->eps;
    e.inverse = 1.0 / (double)b->rows;
    e.rows = b->rows;
    e.channels = b->channels;
    e.counters = b->counters;
    e.frozen = b->frozen;
    return e;
}

/* With a residual the first kernel leaves g in its place: what the second then reads instead of dy and y. */
static bool sums_write_residual(const rni_k_bn_backward *b)
{
    return needs_sums(b) && b->dres && !b->accumulate;
}

template <class T, int V, bool FROM_X>
static cudaError_t sums(cudaStream_t stream, const rni_k_bn_backward *b)
{
    const rni_columns columns = rni_sum_columns_of(b->channels, V);
    const rni_chunks chunks = rni_chunks_of(columns, b->processors, b->rows);
    T *const masked = sums_write_residual(b) ? static_cast<T *>(b->dres) : nullptr;
    return RN_LAUNCH((rni_kernel_bn_backward_sums<T, V, FROM_X>), dim3(columns.blocks, chunks.count), columns.block,
                     stream, static_cast<const T *>(b->dy), static_cast<const T *>(b->x), static_cast<const T *>(b->y),
                     masked, end_of(b), chunks.rows);
}

static cudaError_t factors(cudaStream_t stream, const rni_k_bn_backward *b)
{
    const dim3 grid((uint32_t)((b->channels + RNI_THREADS - 1) / RNI_THREADS));
    return RN_LAUNCH(rni_kernel_bn_backward_factors, grid, dim3(RNI_THREADS), stream, end_of(b));
}

template <class T, int V, bool FROM_X>
static cudaError_t dx(cudaStream_t stream, const rni_k_bn_backward *b)
{
    const rni_columns columns = rni_columns_of(b->channels, V);
    const dim3 grid(columns.blocks, rni_row_blocks(columns, b->processors, b->rows, dx_rows<V>));
    const bool ready = sums_write_residual(b);
    const int32_t mode = !b->dres || ready ? DRES_NONE : b->accumulate ? DRES_ADD : DRES_WRITE;
    return RN_LAUNCH((rni_kernel_bn_backward_dx<T, V, FROM_X>), grid, columns.block, stream,
                     static_cast<const T *>(ready ? b->dres : b->dy), static_cast<const T *>(b->x),
                     static_cast<const T *>(ready ? nullptr : b->y), static_cast<T *>(b->dx), static_cast<T *>(b->dres),
                     mode, b->mean, static_cast<const float *>(b->workspace), b->rows, b->channels);
}

template <class T, int V>
static cudaError_t backward(cudaStream_t stream, const rni_k_bn_backward *b)
{
    const cudaError_t error = !needs_sums(b) ? factors(stream, b)
                              : b->from_x    ? sums<T, V, true>(stream, b)
                                             : sums<T, V, false>(stream, b);
    if (error != cudaSuccess)
        return error;
    return b->from_x ? dx<T, V, true>(stream, b) : dx<T, V, false>(stream, b);
}

template <class T>
static cudaError_t backward_of(cudaStream_t stream, const rni_k_bn_backward *b)
{
    const bool fits =
        b->channels % rni_lanes<T>() == 0 && rni_aligned(b->dy, b->x, b->y, b->dx, b->dres, b->mean, b->workspace);
    return RNI_BY_WIDTH(T, fits, backward, stream, b);
}

cudaError_t rni_k_bn_backward_all(cudaStream_t stream, const rni_k_bn_backward *b)
{
    return RNI_BY_TYPE(b->dtype, backward_of, stream, b);
}

uint64_t rni_k_bn_backward_bytes(int32_t processors, int64_t rows, int64_t channels)
{
    return (uint64_t)(FACTORS * channels) * sizeof(float) +
           rni_k_partial_bytes(processors, rows, channels, BACKWARD_SUMS);
}
