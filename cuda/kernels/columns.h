/* SPDX-License-Identifier: MIT */
/*
 * Threads over a matrix [rows][channels]: threadIdx.x walks vectors of channels and threadIdx.y rows, so that a thread
 * keeps its channels and divides nothing. blockIdx.x is a block of channels, blockIdx.y one of rows.
 *
 * Sums over rows are taken in two stages: each block sums a chunk of rows, in f32, and leaves a partial result; a second
 * kernel adds the chunks up in double. The chunks follow from the sizes alone: the bits do not depend on the order of
 * blocks.
 */
#ifndef RNI_CUDA_COLUMNS_H
#define RNI_CUDA_COLUMNS_H

#include "kernels/vector.h"

enum {
    RNI_THREADS = 256,
    RNI_BLOCK_VECTORS = 64, /* of channels, in a block at most */
    RNI_THREAD_ROWS = 8, /* at least, before the rows are cut into more chunks */
    RNI_LOOP_ROWS = 16, /* the same without sums: what a thread reads per channel is small beside them */
    RNI_BLOCKS_PER_PROCESSOR = 4,
    RNI_FEWEST_BLOCKS = 2, /* per processor, where there are rows for them: with fewer it waits for memory */
    RNI_SEGMENT = 64, /* a thread's rows that go into one f32 sum */
    RNI_FINISH_CHANNELS = 8, /* of a block of the second stage */
    RNI_FINISH_LANES = 32 /* threads per channel there */
};

/* The arrangement of threads for a number of channels. */
struct rni_columns {
    dim3 block;
    uint32_t blocks; /* of channels */
};

static inline rni_columns rni_columns_of(int64_t channels, int lanes)
{
    const int64_t vectors = channels / lanes, blocks = (vectors + RNI_BLOCK_VECTORS - 1) / RNI_BLOCK_VECTORS;
    const uint32_t width = (uint32_t)((vectors + blocks - 1) / blocks);
    return {dim3(width, RNI_THREADS / width), (uint32_t)blocks};
}

/* How rows are cut for a sum. */
struct rni_chunks {
    int64_t rows; /* per chunk */
    uint32_t count;
};

/* Most chunks for so many rows; grows with the rows. */
static inline int64_t rni_most_chunks(const rni_columns &c, int32_t processors, int64_t rows)
{
    const int64_t fill = (int64_t)processors * RNI_BLOCKS_PER_PROCESSOR / c.blocks, least = RNI_THREAD_ROWS * c.block.y;
    const int64_t most = fill < 1 ? 1 : fill > 65535 ? 65535 : fill, wanted = (rows + least - 1) / least;
    return wanted < most ? wanted : most;
}

static inline rni_chunks rni_chunks_of(const rni_columns &c, int32_t processors, int64_t rows)
{
    const int64_t count = rni_most_chunks(c, processors, rows);
    const int64_t even = (rows + count - 1) / count, per = (even + c.block.y - 1) / c.block.y * c.block.y;
    return {per, (uint32_t)((rows + per - 1) / per)};
}

/* Blocks of rows where a thread takes so many. */
static inline int64_t rni_blocks_of(const rni_columns &c, int64_t rows, int64_t of_thread)
{
    const int64_t step = c.block.y * of_thread;
    return (rows + step - 1) / step;
}

/*
 * Blocks of rows for work without sums, each thread taking `at_once` rows a step: whole loops of a thread, shorter ones
 * where they would leave processors idle.
 */
static inline uint32_t rni_row_blocks(const rni_columns &c, int32_t processors, int64_t rows, int at_once)
{
    const int64_t fewest = ((int64_t)processors * RNI_FEWEST_BLOCKS + c.blocks - 1) / c.blocks;
    const int64_t fill = (int64_t)processors * 2 * RNI_BLOCKS_PER_PROCESSOR / c.blocks;
    const int64_t most = fill < 1 ? 1 : fill > 65535 ? 65535 : fill;
    const int64_t loops = rni_blocks_of(c, rows, RNI_LOOP_ROWS), steps = rni_blocks_of(c, rows, at_once);
    const int64_t relaxed = fewest < steps ? fewest : steps, wanted = loops > relaxed ? loops : relaxed;
    return (uint32_t)(wanted < most ? wanted : most);
}

/* The thread's first channel. */
template <int V>
__device__ __forceinline__ int64_t rni_column()
{
    return ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * V;
}

/*
 * Adds N sums per channel over rows 0..rows-1 of a chunk. Term has a type `row`, load(r), which reads row r,
 * add(row, r, sums), and `at_once`: how many rows a thread loads together. Segments keep the f32 sums short.
 */
template <int V, int N, class Term>
__device__ __forceinline__ void rni_sum_rows(const Term &term, int32_t rows, float (&sum)[N][V])
{
    constexpr int at_once = Term::at_once;
    const int32_t step = (int32_t)blockDim.y;
    int32_t r = (int32_t)threadIdx.y;
    while (r < rows) {
        float part[N][V];
        rni_zero(part);
        for (int i = 0; i < RNI_SEGMENT / at_once && r < rows; i++, r += at_once * step) {
            typename Term::row row[at_once];
            UNROLL
            for (int u = 0; u < at_once; u++)
                if (r + u * step < rows)
                    row[u] = term.load(r + u * step);
            UNROLL
            for (int u = 0; u < at_once; u++)
                if (r + u * step < rows)
                    term.add(row[u], r + u * step, part);
        }
        UNROLL
        for (int n = 0; n < N * V; n++)
            sum[n / V][n % V] += part[n / V][n % V];
    }
}

/* The sums of all threads of a column; valid where threadIdx.y is 0. shared: N * V * RNI_THREADS. */
template <int V, int N>
__device__ __forceinline__ void rni_sum_threads(float (&sum)[N][V], float *shared)
{
    const uint32_t thread = threadIdx.y * blockDim.x + threadIdx.x;
    uint32_t half = 1;
    UNROLL
    for (int n = 0; n < N * V; n++)
        shared[n * RNI_THREADS + thread] = sum[n / V][n % V];
    while (2 * half < blockDim.y)
        half *= 2;
    for (; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half && threadIdx.y + half < blockDim.y) {
            UNROLL
            for (int n = 0; n < N * V; n++)
                shared[n * RNI_THREADS + thread] += shared[n * RNI_THREADS + thread + half * blockDim.x];
        }
    }
    if (threadIdx.y == 0) {
        UNROLL
        for (int n = 0; n < N * V; n++)
            sum[n / V][n % V] = shared[n * RNI_THREADS + thread];
    }
}

/* Second stage: the sum of a channel's lanes, for all of them. shared: RNI_THREADS. */
__device__ __forceinline__ double rni_sum_lanes(double own, double *shared)
{
    const uint32_t thread = threadIdx.y * RNI_FINISH_CHANNELS + threadIdx.x;
    __syncthreads(); /* the last sum has been read */
    shared[thread] = own;
    for (uint32_t half = RNI_FINISH_LANES / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half)
            shared[thread] += shared[thread + half * RNI_FINISH_CHANNELS];
    }
    __syncthreads();
    return shared[threadIdx.x];
}

static inline dim3 rni_finish_block()
{
    return dim3(RNI_FINISH_CHANNELS, RNI_FINISH_LANES);
}

static inline dim3 rni_finish_grid(int64_t channels)
{
    return dim3((uint32_t)((channels + RNI_FINISH_CHANNELS - 1) / RNI_FINISH_CHANNELS));
}

#endif
