/* SPDX-License-Identifier: MIT */
/* Matrix products where there is no cuBLAS, and what follows a product in a linear layer. */
#include "kernels/kernels.h"
#include "kernels/tile.h"

typedef rni_square_tile<1> rni_product_tile;

/* One operand of a product: `rows` of op(A), or columns of op(B), from the tile's first on. */
template <class T> struct rni_product_operand {
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
    const int64_t first_row = (int64_t)down * tile::rows, first_column = (int64_t)(blockIdx.x - down * across) * tile::columns;
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

extern "C" cudaError_t rni_k_product(cudaStream_t stream, int32_t dtype, int32_t c_dtype, const rni_product *product,
                                     const void *a, const void *b, void *c)
{
    if (dtype == RN_BF16 && c_dtype == RN_BF16)
        return multiply<rni_bf16, rni_bf16>(stream, *product, a, b, c);
    if (dtype == RN_BF16)
        return multiply<rni_bf16, float>(stream, *product, a, b, c);
    return multiply<float, float>(stream, *product, a, b, c);
}

/* Threads side by side along columns, so that a thread's bias is one. */
template <class S, class T>
__global__ void __launch_bounds__(RNI_TILE_THREADS)
    rni_kernel_finish_rows(const S *sums, const float *bias, const T *residual, T *y, int64_t rows, int64_t columns,
                           int32_t relu)
{
    const int64_t column = (int64_t)blockIdx.x * 32 + threadIdx.x % 32;
    if (column >= columns)
        return;
    const float shift = bias ? bias[column] : 0.0f;
    for (int64_t row = (int64_t)blockIdx.y * 8 + threadIdx.x / 32; row < rows; row += 8 * (int64_t)gridDim.y) {
        const int64_t at = row * columns + column;
        const float v = rni_load(sums[at]) + shift + (residual ? rni_load(residual[at]) : 0.0f);
        rni_store(y[at], relu ? rni_relu(v) : v);
    }
}

template <class S, class T>
static cudaError_t finish(cudaStream_t stream, const void *sums, const float *bias, const void *residual, void *y,
                          int64_t rows, int64_t columns, int32_t relu)
{
    const int64_t across = (columns + 31) / 32, down = (rows + 31) / 32; /* four rows a thread */
    const dim3 grid((unsigned)across, (unsigned)(down < 65535 ? down : 65535));
    if (across > INT32_MAX)
        return cudaErrorInvalidConfiguration;
    return RN_LAUNCH((rni_kernel_finish_rows<S, T>), grid, dim3(RNI_TILE_THREADS), stream,
                     static_cast<const S *>(sums), bias, static_cast<const T *>(residual), static_cast<T *>(y), rows,
                     columns, relu);
}

extern "C" cudaError_t rni_k_finish_rows(cudaStream_t stream, int32_t sums_dtype, int32_t dtype, const void *sums,
                                         const float *bias, const void *residual, void *y, int64_t rows,
                                         int64_t columns, int32_t relu)
{
    if (dtype != RN_BF16)
        return finish<float, float>(stream, sums, bias, residual, y, rows, columns, relu);
    if (sums_dtype == RN_BF16)
        return finish<rni_bf16, rni_bf16>(stream, sums, bias, residual, y, rows, columns, relu);
    return finish<float, rni_bf16>(stream, sums, bias, residual, y, rows, columns, relu);
}
