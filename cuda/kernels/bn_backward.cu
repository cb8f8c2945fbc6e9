/* SPDX-License-Identifier: MIT */
/*
 * Batch normalisation, backward (Ioffe, Szegedy 2015): with g the masked gradient, d = x - mean, r = 1/sqrt(var + eps),
 *   dbeta = sum g, dgamma = r sum(g d), dx = gamma r (g - sum(g)/n - d r^2 sum(g d)/n).
 * One kernel sums, one finishes the sums, one writes dx. Where mean and var are constants (frozen), dx = gamma r g.
 */
#include "kernels/bn_affine.h"
#include "kernels/activations.h"

/* What dx needs per channel, left by the second kernel: dx = a g + (b d + c); y is x scale + shift. */
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

template <class T, int V, bool FROM_X>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_bn_backward_sums(const T *dy, const T *x, const T *y, T *masked, rni_bn_sources sources, float *partial,
                                int64_t rows, int64_t channels, int64_t chunk)
{
    RN_SHARED(float, shared, BACKWARD_SUMS *V *RNI_THREADS);
    const int64_t first = blockIdx.y * chunk, left = rows - first, column = rni_column<V>();
    const int64_t at = first * channels + column;
    rni_backward_terms<T, V, FROM_X> terms;
    float sum[BACKWARD_SUMS][V];
    rni_zero(sum);
    if (FROM_X) {
        rni_bn_affine_columns<V>(sources, channels, shared, terms.scale, terms.shift);
        __syncthreads(); /* shared is about to hold sums */
    }
    if (column < channels) {
        terms.dy = dy + at;
        terms.x = x + at;
        terms.y = y ? y + at : nullptr;
        terms.out = masked ? masked + at : nullptr;
        terms.channels = channels;
        rni_load_floats<V>(terms.mean, sources.mean + column);
        rni_sum_rows<V, BACKWARD_SUMS>(terms, (int32_t)(left < chunk ? left : chunk), sum);
    }
    rni_sum_threads<V, BACKWARD_SUMS>(sum, shared);
    if (column < channels && threadIdx.y == 0) {
        float *const out = partial + blockIdx.y * BACKWARD_SUMS * channels + column;
        rni_store_floats<V>(out, sum[0]);
        rni_store_floats<V>(out + channels, sum[1]);
    }
}

/* Adds to the gradients of gamma and beta, and leaves the factors. */
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_bn_backward_finish(const float *partial, uint32_t chunks, rni_bn_sources sources, double eps,
                                  float *dgamma, float *dbeta, float *factors, int64_t rows, int64_t channels,
                                  int32_t frozen)
{
    RN_SHARED(double, shared, RNI_THREADS);
    const int64_t c = (int64_t)blockIdx.x * RNI_FINISH_CHANNELS + threadIdx.x;
    const uint32_t count = c < channels ? chunks : 0;
    double own1 = 0.0, own2 = 0.0;
    UNROLL_SOME
    for (uint32_t i = threadIdx.y; i < count; i += RNI_FINISH_LANES) {
        const float *const p = partial + (int64_t)i * BACKWARD_SUMS * channels + c;
        own1 += (double)p[0];
        own2 += (double)p[channels];
    }
    const double s1 = rni_sum_lanes(own1, shared), s2 = rni_sum_lanes(own2, shared), n = (double)rows;
    if (c >= channels || threadIdx.y != 0)
        return;
    const double r = 1.0 / sqrt((double)sources.var[c] + eps), k = (sources.gamma ? (double)sources.gamma[c] : 1.0) * r;
    if (dgamma)
        dgamma[c] = (float)((double)dgamma[c] + s2 * r);
    if (dbeta)
        dbeta[c] = (float)((double)dbeta[c] + s1);
    factors[FACTOR_A * channels + c] = (float)k;
    factors[FACTOR_B * channels + c] = frozen ? 0.0f : (float)(-k * r * r * s2 / n);
    factors[FACTOR_C * channels + c] = frozen ? 0.0f : (float)(-k * s1 / n);
    rni_bn_affine(sources, c, &factors[FACTOR_SCALE * channels + c], &factors[FACTOR_SHIFT * channels + c]);
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

static rni_bn_sources sources_of(const rni_k_bn_backward *b)
{
    return {nullptr, nullptr, b->mean, b->var, b->gamma, b->beta, (float)b->eps};
}

/* With a residual the first kernel leaves g in its place: what the third then reads instead of dy and y. */
static bool sums_write_residual(const rni_k_bn_backward *b)
{
    return needs_sums(b) && b->dres && !b->accumulate;
}

template <class T, int V, bool FROM_X>
static cudaError_t sums(cudaStream_t stream, const rni_k_bn_backward *b, uint32_t *count)
{
    const rni_columns columns = rni_columns_of(b->channels, V);
    const rni_chunks chunks = rni_chunks_of(columns, b->processors, b->rows);
    T *const masked = sums_write_residual(b) ? static_cast<T *>(b->dres) : nullptr;
    *count = chunks.count;
    return RN_LAUNCH((rni_kernel_bn_backward_sums<T, V, FROM_X>), dim3(columns.blocks, chunks.count), columns.block,
                     stream, static_cast<const T *>(b->dy), static_cast<const T *>(b->x), static_cast<const T *>(b->y),
                     masked, sources_of(b), b->workspace + FACTORS * b->channels, b->rows, b->channels, chunks.rows);
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
    uint32_t chunks = 0;
    cudaError_t error = cudaSuccess;
    if (needs_sums(b))
        error = b->from_x ? sums<T, V, true>(stream, b, &chunks) : sums<T, V, false>(stream, b, &chunks);
    if (error == cudaSuccess)
        error = RN_LAUNCH(rni_kernel_bn_backward_finish, rni_finish_grid(b->channels), rni_finish_block(), stream,
                          b->workspace + FACTORS * b->channels, chunks, sources_of(b), b->eps, b->dgamma, b->dbeta,
                          b->workspace, b->rows, b->channels, b->frozen);
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
