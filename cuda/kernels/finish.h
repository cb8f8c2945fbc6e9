/* SPDX-License-Identifier: MIT */
/*
 * The second stage of sums over rows without a launch of its own: the block that comes last in a column of blocks adds up
 * what all of them left, in double and in an order that follows from the sizes. So the bits do not depend on which one
 * is last.
 */
#ifndef RNI_CUDA_FINISH_H
#define RNI_CUDA_FINISH_H

#include "kernels/columns.h"

/* Columns of blocks for sums: 128 bytes of a row where vectors are read, as all of a column is added up by one block. */
constexpr int rni_sum_vectors(int lanes)
{
    return lanes > 1 ? 8 : RNI_BLOCK_VECTORS;
}

static inline rni_columns rni_sum_columns_of(int64_t channels, int lanes)
{
    return rni_columns_of_at_most(channels, lanes, rni_sum_vectors(lanes));
}

/* Blocks of such kernels that a processor must have room for: left to itself the compiler spills registers for a third one. */
enum { RNI_SUM_BLOCKS = 2 };

/* Channels of such a block at most. */
enum { RNI_FINISH_CHANNELS = 64 };

/*
 * Whether this block is the last of its column to come here, for all its threads; what the others wrote before is then
 * visible. counters: one a column, zero before and after the launch.
 */
__device__ __forceinline__ bool rni_last_of_column(int32_t *counters)
{
    RN_SHARED(int32_t, last, 1);
    __syncthreads(); /* the writes of all threads come before it counts */
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        last[0] = rni_add_ordered(&counters[blockIdx.x], 1) == (int32_t)gridDim.y - 1;
        if (last[0])
            counters[blockIdx.x] = 0;
    }
    __syncthreads();
    return last[0] != 0;
}

/* Elements of a partial result that a thread reads at once. */
template <int V>
constexpr int rni_finish_width = V > 1 ? 4 : 1;

/* Doubles that rni_finish_columns() shares: what threads leave, parts of sums, totals. */
template <int V>
constexpr int rni_finish_pitch = RNI_THREADS + RNI_FINISH_CHANNELS / rni_finish_width<V>;
template <int V, int N>
constexpr int rni_finish_shared = N *rni_finish_width<V> *rni_finish_pitch<V> + RNI_THREADS + N * RNI_FINISH_CHANNELS;

/*
 * N sums per channel of the block over all chunks: term.start(column) comes first, then term.add(i, sums), which adds chunk
 * i of the rni_finish_width<V> channels from there on. Returns where, for all threads, total n of the block's channel t is:
 * [n * RNI_FINISH_CHANNELS + t]. As in rni_sum_threads() each thread leaves its sums, and adds up some threads' of one.
 */
template <int V, int N, class Term>
__device__ __forceinline__ const double *rni_finish_columns(Term &term, uint32_t chunks, int64_t channels,
                                                            double *shared)
{
    constexpr int F = rni_finish_width<V>;
    const uint32_t groups = blockDim.x * V / F, threads = blockDim.x * blockDim.y, pitch = RNI_THREADS + groups;
    const uint32_t thread = threadIdx.y * blockDim.x + threadIdx.x, group = thread % groups, lane = thread / groups;
    const uint32_t room = threads / groups, useful = (chunks + 3) / 4, lanes = room < useful ? room : useful;
    double *const part = shared + N * F * rni_finish_pitch<V>, *const totals = part + RNI_THREADS;
    double sum[N][F];
    UNROLL
    for (int k = 0; k < N * F; k++)
        sum[k / F][k % F] = 0.0;
    const int64_t column = (int64_t)blockIdx.x * blockDim.x * V + group * F;
    if (lane < lanes && column < channels) {
        term.start(column);
        UNROLL_SOME
        for (uint32_t i = lane; i < chunks; i += lanes)
            term.add(i, sum);
    }
    UNROLL
    for (int k = 0; k < N * F; k++)
        shared[k * pitch + thread] = sum[k / F][k % F];
    __syncthreads();
    /* There are no more sums than threads: a block has RNI_FINISH_CHANNELS at most. */
    const uint32_t sums = N * F * groups, parts = threads / sums, own = thread % sums;
    const double *const from = shared + own / groups * pitch + own % groups;
    double total = 0.0;
    UNROLL_SOME
    for (uint32_t i = thread / sums; i < lanes && thread < parts * sums; i += parts)
        total += from[i * groups];
    part[thread] = total;
    __syncthreads();
    if (thread < sums) {
        UNROLL_SOME
        for (uint32_t k = 1; k < parts; k++)
            total += part[k * sums + thread];
        totals[own / groups / F * RNI_FINISH_CHANNELS + own % groups * F + own / groups % F] = total;
    }
    __syncthreads();
    return totals;
}

/* The channel that a thread takes of the totals, or -1. */
template <int V>
__device__ __forceinline__ int64_t rni_finish_channel(uint32_t thread, int64_t channels)
{
    const uint32_t width = blockDim.x * V;
    const int64_t c = (int64_t)blockIdx.x * width + thread;
    return thread < width && c < channels ? c : -1;
}

#endif
