/* SPDX-License-Identifier: MIT */
/*
 * A block's tile of a product of matrices: sums of f32 in registers, operands through shared memory, `depth` terms at a
 * time. Operands lie there as [term][row], so that a thread reads the rows it multiplies at once.
 */
#ifndef RNI_CUDA_TILE_H
#define RNI_CUDA_TILE_H

#include "kernels/vector.h"

enum { RNI_TILE_THREADS = 256 };

/* Rows x columns, of which each thread has some neighbours. */
template <int Rows, int Columns, int ThreadRows, int ThreadColumns, int Depth> struct rni_tile {
    static constexpr int rows = Rows, columns = Columns, depth = Depth;
    static constexpr int thread_rows = ThreadRows, thread_columns = ThreadColumns;
    static constexpr int row_pitch = Rows + 4, column_pitch = Columns + 4; /* keeps 16-byte alignment, moves banks */
    static_assert(Rows / ThreadRows * (Columns / ThreadColumns) == RNI_TILE_THREADS, "one place per thread");
};

/* Square, for the many; narrow, for groups of a few channels. Vectors of 8 come from deeper tiles: all threads load. */
template <int V> using rni_square_tile = rni_tile<64, 64, 4, 4, V == 8 ? 32 : 16>;
using rni_narrow_tile = rni_tile<256, 8, 4, 2, 16>;

/* 16 aligned bytes of shared memory. */
typedef rni_vector<float, 4> rni_quad;

/* Where a thread's rows and columns begin in its tile. */
template <class Tile> __device__ __forceinline__ int rni_tile_row()
{
    return (int)threadIdx.x / (Tile::columns / Tile::thread_columns) * Tile::thread_rows;
}

template <class Tile> __device__ __forceinline__ int rni_tile_column()
{
    return (int)threadIdx.x % (Tile::columns / Tile::thread_columns) * Tile::thread_columns;
}

/*
 * Fills an operand whose terms are neighbours in memory. source.term(k) comes before source.row(r), which gives V terms
 * from k on of a row.
 */
template <class T, int V, int Rows, int Pitch, int Depth, class Source>
__device__ __forceinline__ void rni_tile_fill_by_terms(float *tile, Source &source, int32_t first_term)
{
    constexpr int per_row = Depth / V, step = RNI_TILE_THREADS / per_row;
    const int k = (int)threadIdx.x % per_row * V;
    source.term(first_term + k);
    UNROLL_SOME
    for (int i = 0; i < (Rows + step - 1) / step; i++) {
        const int row = (int)threadIdx.x / per_row + i * step;
        if (step > Rows && row >= Rows)
            return;
        const rni_vector<T, V> v = source.row(row);
        UNROLL
        for (int j = 0; j < V; j++)
            tile[(k + j) * Pitch + row] = rni_load(v.v[j]);
    }
}

/* Fills an operand whose rows are neighbours in memory: source.get(k, r) gives term k of V rows from r on. */
template <class T, int V, int Rows, int Pitch, int Depth, class Source>
__device__ __forceinline__ void rni_tile_fill_by_rows(float *tile, Source &source, int32_t first_term)
{
    constexpr int per_term = Rows / V, step = RNI_TILE_THREADS / per_term;
    const int row = (int)threadIdx.x % per_term * V;
    UNROLL_SOME
    for (int n = 0; n < (Depth + step - 1) / step; n++) {
        const int k = (int)threadIdx.x / per_term + n * step;
        if (step > Depth && k >= Depth)
            return;
        const rni_vector<T, V> v = source.get(first_term + k, row);
        if (V == 1)
            tile[k * Pitch + row] = rni_load(v.v[0]);
        UNROLL
        for (int i = 0; i + 4 <= V; i += 4) {
            rni_quad q;
            UNROLL
            for (int j = 0; j < 4; j++)
                q.v[j] = rni_load(v.v[i + j]);
            rni_store_vector<float, 4>(&tile[k * Pitch + row + i], q);
        }
    }
}

/* Adds the products of one filling of both operands. */
template <class Tile>
__device__ __forceinline__ void rni_tile_multiply(const float *rows, const float *columns,
                                                  float (&sum)[Tile::thread_rows][Tile::thread_columns])
{
    rows += rni_tile_row<Tile>();
    columns += rni_tile_column<Tile>();
    UNROLL_SOME
    for (int k = 0; k < Tile::depth; k++) {
        const auto a = rni_load_vector<float, Tile::thread_rows>(rows + k * Tile::row_pitch);
        const auto b = rni_load_vector<float, Tile::thread_columns>(columns + k * Tile::column_pitch);
        UNROLL
        for (int i = 0; i < Tile::thread_rows; i++)
            UNROLL for (int j = 0; j < Tile::thread_columns; j++)
                sum[i][j] += a.v[i] * b.v[j];
    }
}

#endif
