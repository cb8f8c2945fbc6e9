/* SPDX-License-Identifier: MIT */
/* What blocks of the filter gradient load: windows of x and channels of dy, from memory to shared memory. */
#ifndef RNI_CUDA_CONV_FILTER_H
#define RNI_CUDA_CONV_FILTER_H

#include "kernels/block.h"
#include "kernels/conv.h"

/* Outputs x terms. A thread has its outputs in quads, terms in quads and then, if any, single ones. */
template <int Rows, int Columns, int ThreadRows, int ThreadColumns, int Groups>
struct rni_filter_block {
    static constexpr int rows = Rows, columns = Columns, depth = 16, groups = Groups;
    static constexpr int thread_rows = ThreadRows, thread_columns = ThreadColumns;
    static constexpr int down = Rows / ThreadRows, across = Columns / ThreadColumns;
    static constexpr int group_threads = down * across, threads = group_threads * Groups;
    static constexpr int quads = ThreadColumns / 4, singles = ThreadColumns % 4;
    static constexpr int row_pitch = Rows + 4, column_pitch = Columns + 4;
    static constexpr int row_floats = depth * row_pitch, buffer = row_floats + depth * column_pitch;
    static constexpr int part_pixels = 1, group_pixels = depth / Groups, parts = group_pixels / part_pixels;
    static constexpr int blocks = 512 / threads;
    static_assert(Rows * Columns <= 2 * buffer || Groups == 1, "sums of a group fit in the buffers");
};

/* `depth` pixels on, which are as many images, rows and pixels as step says. */
__device__ __forceinline__ void rni_filter_walk(const rni_conv_shape &s, const rni_spot &step, rni_spot &at)
{
    at.x += step.x;
    at.y += step.y + (at.x >= s.out[1] ? 1 : 0);
    at.x -= at.x >= s.out[1] ? s.out[1] : 0;
    at.image += step.image + (at.y >= s.out[0] ? 1 : 0);
    at.y -= at.y >= s.out[0] ? s.out[0] : 0;
}

/* Where a pixel's window begins in x; `at` may lie outside, and is in elements. */
struct alignas(16) rni_filter_window {
    int32_t at, y, x, unused;
};

__device__ __forceinline__ rni_filter_window rni_filter_window_of(const rni_conv_shape &s, const rni_spot &spot,
                                                                  bool some)
{
    rni_filter_window w;
    w.y = some ? spot.y * s.stride[0] - s.padding[0] : RNI_PIXEL_NOWHERE;
    w.x = spot.x * s.stride[1] - s.padding[1];
    w.at = some ? ((spot.image * s.in[0] + w.y) * s.in[1] + w.x) * s.in_channels : 0;
    w.unused = 0;
    return w;
}

/* Neighbours on their way into shared memory. */
template <class T, int V>
__device__ __forceinline__ void rni_filter_store(float *to, const rni_vector<T, V> &v)
{
    if constexpr (V == 1)
        *to = rni_load(v.v[0]);
    else
        UNROLL
    for (int i = 0; i < V; i += 4) {
        rni_float4 four;
        UNROLL
        for (int j = 0; j < 4; j++)
            four.v[j] = rni_load(v.v[i + j]);
        rni_store_vector<float, 4>(to + i, four);
    }
}

/* What a thread loads: V terms of the windows, always the same, of pixels some apart; 16 bytes of dy. */
template <class T, class Block, int V>
struct rni_filter_source {
    static constexpr int lanes = rni_lanes<T>();
    static constexpr int vectors = Block::columns / V, together = Block::threads / vectors; /* pixels at once */
    static constexpr int column_vectors = (Block::depth + together - 1) / together;
    static constexpr int row_all = Block::depth * Block::rows / lanes;
    static constexpr int row_vectors = (row_all + Block::threads - 1) / Block::threads;

    const rni_conv_shape &s;
    const T *x, *dy;
    int32_t pixels; /* of the share, from the filling's first on */
    int32_t row; /* the filling's first pixel of dy, in elements, from the tile's first channel on */
    int32_t rows; /* channels from there on */
    rni_tap tap; /* of the thread's terms */
    int32_t tap_at; /* the same in elements */
    bool some; /* the thread has terms */

    __device__ __forceinline__ void begin(int32_t first_term)
    {
        const int32_t term = first_term + (int)threadIdx.x % vectors * V;
        some = (int)threadIdx.x < together * vectors && term < s.in_channels * s.kernel[0] * s.kernel[1];
        tap = rni_tap_of(s, term, s.in_channels);
        tap_at = (tap.y * s.in[1] + tap.x) * s.in_channels + tap.channel;
    }

    __device__ __forceinline__ rni_vector<T, V> load_column(int i, const rni_filter_window *windows) const
    {
        const int k = (int)threadIdx.x / vectors + i * together;
        if (!some || k >= Block::depth)
            return {};
        const rni_filter_window w = windows[k];
        const int32_t y = w.y + tap.y, x0 = w.x + tap.x;
        if ((uint32_t)y >= (uint32_t)s.in[0] || (uint32_t)x0 >= (uint32_t)s.in[1])
            return {};
        return rni_load_vector<T, V>(x + (w.at + tap_at));
    }

    __device__ __forceinline__ void store_column(int i, const rni_vector<T, V> &v, float *columns) const
    {
        const int k = (int)threadIdx.x / vectors + i * together;
        if ((int)threadIdx.x < together * vectors && k < Block::depth)
            rni_filter_store(columns + k * Block::column_pitch + (int)threadIdx.x % vectors * V, v);
    }

    __device__ __forceinline__ rni_vector<T, lanes> load_row(int i) const
    {
        const int v = (int)threadIdx.x + i * Block::threads, k = v / (Block::rows / lanes),
                  r = v % (Block::rows / lanes) * lanes;
        if (v >= row_all || k >= pixels || r >= rows)
            return {};
        return rni_load_vector<T, lanes>(dy + (row + k * s.out_channels + r));
    }

    __device__ __forceinline__ void store_row(int i, const rni_vector<T, lanes> &value, float *to) const
    {
        const int v = (int)threadIdx.x + i * Block::threads, k = v / (Block::rows / lanes),
                  r = v % (Block::rows / lanes) * lanes;
        if (v < row_all)
            rni_filter_store(to + k * Block::row_pitch + r, value);
    }
};

/* Part `part` of a filling, on its way from memory to a buffer. */
template <class T, class Block, int V>
struct rni_filter_part {
    typedef rni_filter_source<T, Block, V> source_type;
    static constexpr int row_count = (source_type::row_vectors + Block::parts - 1) / Block::parts;
    static constexpr int column_count = (source_type::column_vectors + Block::parts - 1) / Block::parts;
    rni_vector<T, source_type::lanes> row[row_count];
    rni_vector<T, V> column[column_count];

    __device__ __forceinline__ void load(const source_type &source, int part, const rni_filter_window *windows)
    {
        UNROLL
        for (int i = 0; i < row_count; i++)
            if (part + i * Block::parts < source_type::row_vectors)
                row[i] = source.load_row(part + i * Block::parts);
        UNROLL
        for (int i = 0; i < column_count; i++)
            if (part + i * Block::parts < source_type::column_vectors)
                column[i] = source.load_column(part + i * Block::parts, windows);
    }

    __device__ __forceinline__ void store(const source_type &source, int part, float *buffer) const
    {
        UNROLL
        for (int i = 0; i < row_count; i++)
            if (part + i * Block::parts < source_type::row_vectors)
                source.store_row(part + i * Block::parts, row[i], buffer);
        UNROLL
        for (int i = 0; i < column_count; i++)
            if (part + i * Block::parts < source_type::column_vectors)
                source.store_column(part + i * Block::parts, column[i], buffer + Block::row_floats);
    }
};

#endif
