/* SPDX-License-Identifier: MIT */
/* Matrix products where there is no cuBLAS, and what follows a product in a linear layer. */
#include "kernels/columns.h"
#include "kernels/kernels.h"
#include "kernels/tile.h"

typedef rni_square_tile<1> rni_product_tile;

/* One operand of a product: `rows` of op(A), or columns of op(B), from the tile's first on. */
template <class T>
struct rni_product_operand {
    const T *from;
    int64_t pitch, rows;
    int32_t terms, at;

    /* Terms are neighbours. */
    __device__ __forceinline__ void term(int32_t k)
    {
        at = k;
    }

    __device__ __forceinline__ rni_vector<T, 1> row(int r) const
    {
        return r < rows && at < terms ? rni_load_vector<T, 1>(from + r * pitch + at) : rni_vector<T, 1>{};
    }

    /* Rows are neighbours. */
    __device__ __forceinline__ rni_vector<T, 1> get(int32_t k, int r) const
    {
        return r < rows && k < terms ? rni_load_vector<T, 1>(from + k * pitch + r) : rni_vector<T, 1>{};
    }
};

template <class T>
__device__ __forceinline__ void rni_product_fill(float *tile, rni_product_operand<T> &operand, bool by_terms, int32_t k)
{
    typedef rni_product_tile tile_type;
    if (by_terms)
        rni_tile_fill_by_terms<T, 1, tile_type::rows, tile_type::row_pitch, tile_type::depth>(tile, operand, k);
    else
        rni_tile_fill_by_rows<T, 1, tile_type::rows, tile_type::row_pitch, tile_type::depth>(tile, operand, k);
}

/* A operand's place in memory moves with the tile along its rows. */
template <class T>
__device__ __forceinline__ rni_product_operand<T> rni_product_operand_at(const T *from, int64_t pitch, int64_t all,
                                                                         int64_t first, int32_t terms, bool by_terms)
{
    return {from + first * (by_terms ? pitch : 1), pitch, all - first, terms, 0};
}

template <class T, class C>
__global__ void __launch_bounds__(RNI_TILE_THREADS)
    rni_kernel_product(rni_product p, const T *__restrict__ a, const T *__restrict__ b, C *__restrict__ c)
{
    typedef rni_product_tile tile;
    RN_SHARED(rni_quad, rows_, tile::depth * tile::row_pitch / 4);
    RN_SHARED(rni_quad, columns_, tile::depth * tile::column_pitch / 4);
    float *const rows = rows_[0].v, *const columns = columns_[0].v;
    const uint32_t across = (uint32_t)((p.n + tile::columns - 1) / tile::columns), down = blockIdx.x / across;
    const int64_t first_row = (int64_t)down * tile::rows,
                  first_column = (int64_t)(blockIdx.x - down * across) * tile::columns;
    rni_product_operand<T> as = rni_product_operand_at(a, p.lda, p.m, first_row, p.k, !p.transpose_a);
    rni_product_operand<T> bs = rni_product_operand_at(b, p.ldb, p.n, first_column, p.k, p.transpose_b != 0);

    const int64_t row = first_row + rni_tile_row<tile>(), column = first_column + rni_tile_column<tile>();
    const bool used = row < p.m && column < p.n;
    float sum[tile::thread_rows][tile::thread_columns] = {};
    for (int32_t k = 0; k < p.k; k += tile::depth) {
        __syncthreads();
        rni_product_fill(rows, as, !p.transpose_a, k);
        rni_product_fill(columns, bs, p.transpose_b != 0, k);
        __syncthreads();
        if (used)
            rni_tile_multiply<tile>(rows, columns, sum);
    }
    for (int i = 0; i < tile::thread_rows; i++)
        for (int j = 0; j < tile::thread_columns; j++) {
            if (row + i >= p.m || column + j >= p.n)
                continue;
            C *const to = c + (row + i) * p.ldc + column + j;
            rni_store(*to, p.accumulate ? rni_load(*to) + sum[i][j] : sum[i][j]);
        }
}

template <class T, class C>
static cudaError_t multiply(cudaStream_t stream, const rni_product &p, const void *a, const void *b, void *c)
{
    const int64_t across = (p.n + rni_product_tile::columns - 1) / rni_product_tile::columns;
    const int64_t down = (p.m + rni_product_tile::rows - 1) / rni_product_tile::rows;
    if (down > INT32_MAX / across)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_product<T, C>), dim3((unsigned)(down * across)), dim3(RNI_TILE_THREADS), stream, p,
                     static_cast<const T *>(a), static_cast<const T *>(b), static_cast<C *>(c));
}

template <class T>
static cudaError_t multiply_same(cudaStream_t stream, const rni_product &p, const void *a, const void *b, void *c)
{
    return multiply<T, T>(stream, p, a, b, c);
}

template <class T>
static cudaError_t multiply_wide(cudaStream_t stream, const rni_product &p, const void *a, const void *b, void *c)
{
    return multiply<T, float>(stream, p, a, b, c);
}

extern "C" cudaError_t rni_k_product(cudaStream_t stream, int32_t dtype, int32_t c_dtype, const rni_product *product,
                                     const void *a, const void *b, void *c)
{
    if (dtype == c_dtype)
        return RNI_BY_TYPE(dtype, multiply_same, stream, *product, a, b, c);
    return RNI_BY_TYPE(dtype, multiply_wide, stream, *product, a, b, c);
}

enum { FINISH_ROWS = 4 }; /* of a thread */

template <int V>
__device__ __forceinline__ void load_row(float (&to)[V], const float *from)
{
    rni_load_floats<V>(to, from);
}

template <int V, class T>
__device__ __forceinline__ void load_row(float (&to)[V], const T *from)
{
    const rni_vector<T, V> values = rni_load_vector<T, V>(from);
    UNROLL
    for (int v = 0; v < V; v++)
        to[v] = rni_load(values.v[v]);
}

/* A thread keeps its columns, and so their bias. y may be sums. */
template <class S, class T, int V>
__global__ void __launch_bounds__(RNI_THREADS)
    rni_kernel_finish_rows(const S *sums, const float *bias, const T *residual, T *y, int64_t rows, int64_t columns,
                           int32_t relu)
{
    const int64_t column = rni_column<V>();
    float shift[V] = {};
    if (column >= columns)
        return;
    if (bias)
        rni_load_floats<V>(shift, bias + column);
    ROLLED
    for (int64_t row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; row < rows;
         row += (int64_t)gridDim.y * blockDim.y) {
        const int64_t at = row * columns + column;
        float sum[V], other[V] = {};
        rni_vector<T, V> out;
        load_row<V>(sum, sums + at);
        if (residual)
            load_row<V>(other, residual + at);
        UNROLL
        for (int v = 0; v < V; v++) {
            const float value = sum[v] + shift[v] + other[v];
            rni_store(out.v[v], relu ? rni_relu(value) : value);
        }
        rni_store_vector(y + at, out);
    }
}

struct rni_finish {
    const void *sums, *residual;
    const float *bias;
    void *y;
    int64_t rows, columns;
    int32_t relu;
};

template <class S, class T, int V>
static cudaError_t finish(cudaStream_t stream, const rni_finish &f)
{
    const rni_columns columns = rni_columns_of(f.columns, V);
    const int64_t blocks = rni_blocks_of(columns, f.rows, FINISH_ROWS);
    return RN_LAUNCH((rni_kernel_finish_rows<S, T, V>),
                     dim3(columns.blocks, (unsigned)(blocks < 65535 ? blocks : 65535)), columns.block, stream,
                     static_cast<const S *>(f.sums), f.bias, static_cast<const T *>(f.residual), static_cast<T *>(f.y),
                     f.rows, f.columns, f.relu);
}

template <class S, class T>
static cudaError_t finish_of(cudaStream_t stream, const rni_finish &f)
{
    constexpr int lanes = rni_lanes<T>();
    const bool fits = f.columns % lanes == 0 && rni_aligned(f.sums, f.bias, f.residual, f.y);
    return fits ? finish<S, T, lanes>(stream, f) : finish<S, T, 1>(stream, f);
}

template <class T>
static cudaError_t finish_same(cudaStream_t stream, const rni_finish &f)
{
    return finish_of<T, T>(stream, f);
}

template <class T>
static cudaError_t finish_wide(cudaStream_t stream, const rni_finish &f)
{
    return finish_of<float, T>(stream, f);
}

extern "C" cudaError_t rni_k_finish_rows(cudaStream_t stream, int32_t sums_dtype, int32_t dtype, const void *sums,
                                         const float *bias, const void *residual, void *y, int64_t rows,
                                         int64_t columns, int32_t relu)
{
    const rni_finish f = {sums, residual, bias, y, rows, columns, relu};
    return sums_dtype == dtype ? RNI_BY_TYPE(dtype, finish_same, stream, f) : RNI_BY_TYPE(dtype, finish_wide, stream, f);
}
