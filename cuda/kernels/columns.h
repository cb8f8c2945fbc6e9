/* SPDX-License-Identifier: MIT */
/*
 * Threads over a matrix [rows][channels]: threadIdx.x walks vectors of channels and threadIdx.y rows, so that a thread
 * keeps its channels and divides nothing. blockIdx.x is a block of channels, blockIdx.y one of rows.
 *
 * Sums over rows are taken in two stages: each block sums a chunk of rows, in f32, and leaves a partial result; the chunks
 * are then added up in double (finish.h). The chunks follow from the sizes alone: the bits do not depend on the order of
 * blocks.
 */
#ifndef RNI_CUDA_COLUMNS_H
#define RNI_CUDA_COLUMNS_H

#include "kernels/vector.h"

enum {
    RNI_THREADS = 256,
    RNI_BLOCK_VECTORS = 64, /* of channels, in a block at most */
    RNI_THREAD_ROWS = 8, /* at least, before the rows are cut into more chunks */
    RNI_LEAST_ROWS = 2, /* the same where there are few blocks */
    RNI_LOOP_ROWS = 16, /* the same without sums: what a thread reads per channel is small beside them */
    RNI_BLOCKS_PER_PROCESSOR = 4,
    RNI_FEWEST_BLOCKS = 2, /* per processor, where there are rows for them: with fewer it waits for memory */
    RNI_SEGMENT = 64 /* a thread's rows that go into one f32 sum */
};

/* The arrangement of threads for a number of channels. */
struct rni_columns {
    dim3 block;
    uint32_t blocks; /* of channels */
};

static inline rni_columns rni_columns_of_at_most(int64_t channels, int lanes, int64_t most)
{
    const int64_t vectors = channels / lanes, blocks = (vectors + most - 1) / most;
    const uint32_t width = (uint32_t)((vectors + blocks - 1) / blocks);
    return {dim3(width, RNI_THREADS / width), (uint32_t)blocks};
}

static inline rni_columns rni_columns_of(int64_t channels, int lanes)
{
    return rni_columns_of_at_most(channels, lanes, RNI_BLOCK_VECTORS);
}

/* How rows are cut for a sum. */
struct rni_chunks {
    int64_t rows; /* per chunk */
    uint32_t count;
};

/* Blocks of rows where a thread takes so many. */
static inline int64_t rni_blocks_of(const rni_columns &c, int64_t rows, int64_t of_thread)
{
    const int64_t step = c.block.y * of_thread;
    return (rows + step - 1) / step;
}

/*
 * Most chunks for so many rows; grows with the rows. Threads take RNI_THREAD_ROWS, fewer where that would leave processors
 * idle.
 */
static inline int64_t rni_most_chunks(const rni_columns &c, int32_t processors, int64_t rows)
{
    const int64_t fill = (int64_t)processors * RNI_BLOCKS_PER_PROCESSOR / c.blocks;
    const int64_t fewest = ((int64_t)processors * RNI_FEWEST_BLOCKS + c.blocks - 1) / c.blocks;
    const int64_t most = fill < 1 ? 1 : fill > 65535 ? 65535 : fill;
    const int64_t loops = rni_blocks_of(c, rows, RNI_THREAD_ROWS), steps = rni_blocks_of(c, rows, RNI_LEAST_ROWS);
    const int64_t relaxed = fewest < steps ? fewest : steps, wanted = loops > relaxed ? loops : relaxed;
    return wanted < most ? wanted : most;
}

static inline rni_chunks rni_chunks_of(const rni_columns &c, int32_t processors, int64_t rows)
{
    const int64_t count = rni_most_chunks(c, processors, rows);
    const int64_t even = (rows + count - 1) / count, per = (even + c.block.y - 1) / c.block.y * c.block.y;
    return {per, (uint32_t)((rows + per - 1) / per)};
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

/* Floats that rni_sum_threads() shares. */
template <int V, int N>
constexpr int rni_sum_shared = N *V *(RNI_THREADS + RNI_BLOCK_VECTORS) + RNI_THREADS;

/*
 * The sums of all threads of a column; valid where threadIdx.y is 0. Every thread leaves its own; then each adds up some
 * rows of one sum, and the first ones what that makes. All threads of the block come here.
 */
template <int V, int N>
__device__ __forceinline__ void rni_sum_threads(float (&sum)[N][V], float *shared)
{
    const uint32_t width = blockDim.x, threads = width * blockDim.y, thread = threadIdx.y * width + threadIdx.x;
    const uint32_t pitch = RNI_THREADS + width; /* neighbours in one step are neighbours modulo 32 */
    const uint32_t sums = N * V * width, parts = threads < 2 * sums ? 1 : threads / sums;
    float *const part = shared + N * V * (RNI_THREADS + RNI_BLOCK_VECTORS);
    UNROLL
    for (int n = 0; n < N * V; n++)
        shared[n * pitch + thread] = sum[n / V][n % V];
    __syncthreads();
    if (parts == 1) {
        for (uint32_t y = 1; y < blockDim.y && threadIdx.y == 0; y++) {
            UNROLL
            for (int n = 0; n < N * V; n++)
                sum[n / V][n % V] += shared[n * pitch + y * width + threadIdx.x];
        }
        return;
    }
    const uint32_t own = thread % sums;
    const float *const from = shared + own / width * pitch + own % width;
    float total = 0.0f;
    UNROLL_SOME
    for (uint32_t y = thread / sums; y < blockDim.y && thread < parts * sums; y += parts)
        total += from[y * width];
    part[thread] = total;
    __syncthreads();
    if (thread < sums) {
        UNROLL_SOME
        for (uint32_t k = 1; k < parts; k++)
            total += part[k * sums + thread];
        part[thread] = total; /* nobody else reads it before */
    }
    __syncthreads();
    if (threadIdx.y == 0) {
        UNROLL
        for (int n = 0; n < N * V; n++)
            sum[n / V][n % V] = part[n * width + threadIdx.x];
    }
}

#endif
