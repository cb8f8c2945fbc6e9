/* SPDX-License-Identifier: MIT */
/*
 * A block's tile of a product of f32 matrices: sums in registers, operands through shared memory, `depth` terms at a time
 * in one of two buffers while the other is filled. Rows lie there as [row][term] and columns as [term][column], so that
 * vectors of 16 bytes go in as they come from memory: a pixel's channels, a term's filters. Where in a row a term lies
 * depends on the row, so that neither a warp's stores nor its loads meet in a bank.
 */
#ifndef RNI_CUDA_BLOCK_H
#define RNI_CUDA_BLOCK_H

#include "kernels/vector.h"

/* 16 aligned bytes. */
typedef rni_vector<float, 4> rni_float4;

/*
 * Rows x columns, of which each thread has ThreadRows `down` apart, and ThreadColumns in quads that are 4 * `across`
 * apart. Where there are few tiles, groups of threads have the same one, and take the terms of a filling in turn.
 */
template <int Rows, int Columns, int ThreadRows, int ThreadColumns, int Depth, int Groups = 1>
struct rni_block {
    static constexpr int rows = Rows, columns = Columns, depth = Depth;
    static constexpr int thread_rows = ThreadRows, thread_columns = ThreadColumns;
    static constexpr int down = Rows / ThreadRows, across = Columns / ThreadColumns;
    static constexpr int groups = Groups, group_threads = down * across, threads = group_threads * Groups;
    static constexpr int column_pitch = Columns + 4;
    static constexpr int row_floats = Rows * Depth, buffer = row_floats + Depth * column_pitch; /* floats of one */
    static constexpr int quads = Depth / 4; /* vectors of a row */
    /* The next terms are loaded in parts, one before the products of every so many terms, whose rows are in registers. */
    static constexpr int part_terms = ThreadRows * ThreadColumns > 32 ? 2 : 4, group_terms = Depth / Groups;
    static constexpr int parts = group_terms / part_terms;
    static constexpr int row_vectors = Rows * Depth / 4 / threads;
    static constexpr int column_vectors = (Columns * Depth / 4 + threads - 1) / threads;
    static constexpr int blocks = 512 / threads; /* of a processor, with 128 registers a thread */
    static_assert(across >= 4 && down % 8 == 0,
                  "a warp reads 8 rows at most, and a thread's have their terms at the same places");
    static_assert(threads / quads % 8 == 0, "so have those that it fills");
    static_assert(Rows * Depth / 4 % threads == 0 && group_threads % 32 == 0, "every thread loads as many rows");
    static_assert(Rows * Columns <= 2 * buffer || Groups == 1, "sums of a group fit in the buffers");
};

/* A thread's group, and its number there. The compiler does not know how many threads there are. */
template <class Block>
__device__ __forceinline__ int rni_block_group()
{
    return Block::groups == 1 ? 0 : (int)threadIdx.x / Block::group_threads;
}

template <class Block>
__device__ __forceinline__ int rni_block_thread()
{
    return Block::groups == 1 ? (int)threadIdx.x : (int)threadIdx.x % Block::group_threads;
}

/* A thread's first row and column: of a wide tile a warp has 4 x 8 threads. */
template <class Block>
__device__ __forceinline__ int rni_block_row()
{
    constexpr int across = Block::across < 8 ? Block::across : 8, warps = Block::across / across;
    const int thread = rni_block_thread<Block>();
    return thread / (32 * warps) * (32 / across) + thread % 32 / across;
}

template <class Block>
__device__ __forceinline__ int rni_block_column()
{
    constexpr int across = Block::across < 8 ? Block::across : 8, warps = Block::across / across;
    return ((int)threadIdx.x / 32 % warps * across + (int)threadIdx.x % across) * 4;
}

/* Where a row's first 4 terms lie; those from k on, a multiple of 4, lie at this ^ k, also from the second buffer on. */
template <class Block>
__device__ __forceinline__ int rni_block_place(int row)
{
    static_assert(Block::buffer % Block::depth == 0, "^ leaves alone which row and buffer it is");
    return row * Block::depth + row / (32 / Block::depth) % Block::quads * 4;
}

/* A thread's vector i of the rows: which row, from which term on. */
template <class Block>
__device__ __forceinline__ int rni_block_load_row(int i)
{
    return (int)threadIdx.x / Block::quads + i * (Block::threads / Block::quads);
}

template <class Block>
__device__ __forceinline__ int rni_block_load_term()
{
    return (int)threadIdx.x % Block::quads * 4;
}

/* All vectors of a thread go to the same place in their rows. */
template <class Block>
__device__ __forceinline__ void rni_block_store_row(float *buffer, int i, const rni_float4 &v)
{
    const int place = rni_block_place<Block>(rni_block_load_row<Block>(0)) ^ rni_block_load_term<Block>();
    rni_store_vector<float, 4>(buffer + place + i * (Block::threads / Block::quads) * Block::depth, v);
}

/* Adds the products of a part's terms of the group, of the buffer at `now`. */
template <class Block>
__device__ __forceinline__ void rni_block_multiply(const float *buffers, int now, int part,
                                                   float (&sum)[Block::thread_rows][Block::thread_columns])
{
    constexpr int TR = Block::thread_rows, TC = Block::thread_columns, terms = Block::part_terms;
    const int first = rni_block_group<Block>() * Block::group_terms + part * Block::part_terms;
    const int place = now + rni_block_place<Block>(rni_block_row<Block>());
    const float *const rows = buffers + (place ^ first / 4 * 4) + first % 4;
    const float *const columns =
        buffers + now + Block::row_floats + rni_block_column<Block>() + first * Block::column_pitch;
    rni_vector<float, terms> a[TR];
    __syncwarp(); /* no operands of later terms before, or there would not be registers enough */
    UNROLL
    for (int i = 0; i < TR; i++)
        a[i] = rni_load_vector<float, terms>(rows + i * Block::down * Block::depth);
    UNROLL
    for (int k = 0; k < terms; k++) {
        rni_float4 b[TC / 4];
        UNROLL
        for (int q = 0; q < TC / 4; q++)
            b[q] = rni_load_vector<float, 4>(columns + k * Block::column_pitch + q * Block::across * 4);
        UNROLL
        for (int i = 0; i < TR; i++)
            UNROLL
        for (int j = 0; j < TC; j++)
            sum[i][j] += a[i].v[k] * b[j / 4].v[j % 4];
    }
}

/* Adds the groups' sums to the first one's, in their order. */
template <class Block>
__device__ __forceinline__ void rni_block_join(float *shared, float (&sum)[Block::thread_rows][Block::thread_columns])
{
    const int group = rni_block_group<Block>();
    float *const own = shared + rni_block_thread<Block>();
    ROLLED
    for (int g = 1; g < Block::groups; g++) {
        UNROLL
        for (int n = 0; group == g && n < Block::thread_rows * Block::thread_columns; n++)
            own[n * Block::group_threads] = sum[n / Block::thread_columns][n % Block::thread_columns];
        __syncthreads();
        UNROLL
        for (int n = 0; group == 0 && n < Block::thread_rows * Block::thread_columns; n++)
            sum[n / Block::thread_columns][n % Block::thread_columns] += own[n * Block::group_threads];
        __syncthreads();
    }
}

#endif
