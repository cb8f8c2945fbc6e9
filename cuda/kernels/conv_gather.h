/* SPDX-License-Identifier: MIT */
/*
 * Convolutions in f32 as products [pixels, taps x channels] x filters, for one group: forward, and backward data as a
 * convolution of dy. With strides the pixels of dx fall into classes, one per remainder, each of which meets its own taps:
 * blockIdx.y is the class. A block walks through the taps and, within one, the channels.
 */
#ifndef RNI_CUDA_CONV_GATHER_H
#define RNI_CUDA_CONV_GATHER_H

#include "kernels/block.h"
#include "kernels/conv_walk.h"

/* What a block loads, and where it is in the taps and channels. Elements are counted in 32 bits. */
template <class Way, class Block>
struct rni_gather_source {
    const rni_conv_shape &s;
    const float *from, *w;
    const rni_gather_pixel *pixels;
    const rni_gather_tap *taps; /* from the next one on */
    int32_t channel, filter; /* filter: the present term's first weight, less a thread's own */
    int32_t row[Block::row_vectors]; /* where a thread's vectors are read for this tap; -1: outside */
    int32_t column[Block::column_vectors];

    /* Term and column of a thread's vector i. */
    static __device__ __forceinline__ int term_of(int i)
    {
        const int v = (int)threadIdx.x + i * Block::threads;
        return Way::by_terms ? v % Block::quads * 4 : v / (Block::columns / 4);
    }

    static __device__ __forceinline__ int column_of(int i)
    {
        const int v = (int)threadIdx.x + i * Block::threads;
        return Way::by_terms ? v / Block::quads : v % (Block::columns / 4) * 4;
    }

    static __device__ __forceinline__ bool has_column(int i)
    {
        return (i + 1) * Block::threads <= Block::columns * Block::quads ||
               (int)threadIdx.x + i * Block::threads < Block::columns * Block::quads;
    }

    __device__ __forceinline__ int32_t fillings(int32_t count) const
    {
        return count * ((Way::terms(s) + Block::depth - 1) / Block::depth);
    }

    /* To the next tap. */
    __device__ __forceinline__ void tap()
    {
        const rni_gather_tap t = *taps++;
        channel = 0;
        filter = t.tap * s.in_channels;
        UNROLL
        for (int i = 0; i < Block::row_vectors; i++) {
            const rni_gather_pixel p = pixels[rni_block_load_row<Block>(i)];
            const int32_t y = p.y + t.y, x = p.x + t.x;
            const bool inside = (uint32_t)y < (uint32_t)Way::from(s)[0] && (uint32_t)x < (uint32_t)Way::from(s)[1];
            row[i] = inside ? (p.image + y * Way::from(s)[1] + x) * Way::terms(s) + rni_block_load_term<Block>() : -1;
        }
    }

    __device__ __forceinline__ void begin(int32_t first_column)
    {
        const int32_t all = s.kernel[0] * s.kernel[1] * s.in_channels; /* weights of an output */
        UNROLL
        for (int i = 0; i < Block::column_vectors; i++) {
            const int32_t k = term_of(i), n = first_column + column_of(i);
            column[i] = !has_column(i) || n >= Way::columns(s) ? -1 : Way::by_terms ? n * all + k : k * all + n;
        }
        tap();
    }

    /* To the next `depth` terms. */
    __device__ __forceinline__ void next()
    {
        channel += Block::depth;
        filter += Block::depth * (Way::by_terms ? 1 : s.kernel[0] * s.kernel[1] * s.in_channels);
        if (channel >= Way::terms(s))
            tap();
    }

    __device__ __forceinline__ rni_float4 load_row(int i) const
    {
        if (row[i] < 0 || channel + rni_block_load_term<Block>() >= Way::terms(s))
            return {};
        return rni_load_vector<float, 4>(from + (row[i] + channel));
    }

    __device__ __forceinline__ rni_float4 load_column(int i) const
    {
        if (column[i] < 0 || channel + term_of(i) >= Way::terms(s))
            return {};
        return rni_load_vector<float, 4>(w + (column[i] + filter));
    }

    __device__ __forceinline__ void store_column(int i, const rni_float4 &v, float *to) const
    {
        if (!has_column(i))
            return;
        to += term_of(i) * Block::column_pitch + column_of(i);
        if constexpr (Way::by_terms)
            UNROLL
        for (int j = 0; j < 4; j++)
            to[j * Block::column_pitch] = v.v[j];
        else rni_store_vector<float, 4>(to, v);
    }
};

/* Part `part` of the next terms, on its way from memory to a buffer. */
template <class Block, class Source>
struct rni_gather_part {
    static constexpr int row_count = (Block::row_vectors + Block::parts - 1) / Block::parts;
    static constexpr int column_count = (Block::column_vectors + Block::parts - 1) / Block::parts;
    rni_float4 row[row_count], column[column_count];

    __device__ __forceinline__ void load(const Source &source, int part)
    {
        UNROLL
        for (int i = 0; i < row_count; i++)
            if (part + i * Block::parts < Block::row_vectors)
                row[i] = source.load_row(part + i * Block::parts);
        UNROLL
        for (int i = 0; i < column_count; i++)
            if (part + i * Block::parts < Block::column_vectors)
                column[i] = source.load_column(part + i * Block::parts);
    }

    __device__ __forceinline__ void store(const Source &source, int part, float *buffer) const
    {
        UNROLL
        for (int i = 0; i < row_count; i++)
            if (part + i * Block::parts < Block::row_vectors)
                rni_block_store_row<Block>(buffer, part + i * Block::parts, row[i]);
        UNROLL
        for (int i = 0; i < column_count; i++)
            if (part + i * Block::parts < Block::column_vectors)
                source.store_column(part + i * Block::parts, column[i], buffer + Block::row_floats);
    }
};

/* All terms of a source, which it counts in taps or terms: the next are loaded while these are multiplied. */
template <class Block, class Source>
__device__ __forceinline__ void rni_gather_sum(Source &source, int32_t terms, int32_t first_column, float *buffers,
                                               float (&sum)[Block::thread_rows][Block::thread_columns])
{
    rni_gather_part<Block, Source> part;
    int32_t left = source.fillings(terms), now = 0;
    if (left == 0)
        return;
    source.begin(first_column);
    UNROLL
    for (int p = 0; p < Block::parts; p++) {
        part.load(source, p);
        part.store(source, p, buffers);
    }
    __syncthreads();
    ROLLED
    for (; left > 0; left--) {
        const int32_t other = Block::buffer - now;
        if (left > 1)
            source.next();
        UNROLL
        for (int p = 0; p < Block::parts; p++) {
            if (left > 1)
                part.load(source, p);
            rni_block_multiply<Block>(buffers, now, p, sum);
            if (left > 1)
                part.store(source, p, buffers + other);
        }
        now = other;
        __syncthreads();
    }
}

/* Sums plus bias and residual, then ReLU; bias, residual: NULL for none. */
template <class Block>
__device__ __forceinline__ void rni_gather_finish(const float (&sum)[Block::thread_rows][Block::thread_columns],
                                                  const rni_gather_pixel *pixels, int32_t first, int32_t columns,
                                                  const float *bias, const float *residual, float *to, int32_t relu)
{
    UNROLL
    for (int q = 0; q < Block::thread_columns / 4; q++) {
        const int32_t column = first + rni_block_column<Block>() + q * Block::across * 4;
        rni_float4 shift = {};
        for (int j = 0; bias && column < columns && j < 4; j++)
            shift.v[j] = bias[column + j];
        UNROLL
        for (int i = 0; i < Block::thread_rows; i++) {
            __syncwarp(); /* row by row, or all rows' operands would be in registers at once */
            const int32_t pixel = pixels[rni_block_row<Block>() + i * Block::down].to;
            if (pixel < 0 || column >= columns)
                continue;
            const int32_t at = pixel * columns + column;
            rni_float4 v = {};
            if (residual)
                v = rni_load_vector<float, 4>(residual + at);
            UNROLL
            for (int j = 0; j < 4; j++) {
                v.v[j] += sum[i][q * 4 + j] + shift.v[j];
                v.v[j] = relu ? rni_relu(v.v[j]) : v.v[j];
            }
            rni_store_vector<float, 4>(to + at, v);
        }
    }
}

template <class Way, class Block>
__global__ void __launch_bounds__(Block::threads, Block::blocks)
    rni_kernel_conv_gather(rni_conv_shape s, const float *from, const float *w, const float *bias,
                           const float *residual, float *to, int32_t relu)
{
    RN_SHARED(rni_float4, buffers, 2 * Block::buffer / 4);
    RN_SHARED(rni_gather_pixel, pixels, Block::rows);
    RN_SHARED(rni_gather_tap, taps, RNI_GATHER_TAPS);
    const uint32_t tiles = ((uint32_t)Way::columns(s) + Block::columns - 1) / Block::columns, down = blockIdx.x / tiles;
    const int32_t first_row = (int32_t)down * Block::rows;
    const int32_t first_column = (int32_t)(blockIdx.x - down * tiles) * Block::columns;
    rni_gather_walk walk;
    Way::walk(s, 0, (int32_t)(blockIdx.y / (uint32_t)s.stride[1]), walk);
    Way::walk(s, 1, (int32_t)(blockIdx.y % (uint32_t)s.stride[1]), walk);
    if (first_row >= s.images * walk.size[0] * walk.size[1])
        return; /* of a class with fewer pixels than others */
    rni_gather_pixels<Way, Block>(s, walk, first_row, pixels);
    rni_gather_taps<Block>(s, walk, taps);
    __syncthreads();

    rni_gather_source<Way, Block> source = {s, from, w, pixels, taps, 0, 0, {}, {}};
    float sum[Block::thread_rows][Block::thread_columns] = {};
    rni_gather_sum<Block>(source, walk.taps[0] * walk.taps[1], first_column, buffers[0].v, sum);
    rni_block_join<Block>(buffers[0].v, sum);
    if (rni_block_group<Block>() > 0)
        return;
    rni_gather_finish<Block>(sum, pixels, first_column, Way::columns(s), bias, residual, to, relu);
}

/* The tiles that launchers choose from, by number. */
#define RNI_GATHER_BLOCKS(apply)                                                                                       \
    apply(0, rni_block<128, 128, 8, 8, 16>) apply(1, rni_block<128, 64, 8, 8, 16>)                                     \
        apply(2, rni_block<128, 32, 8, 8, 8>) apply(3, rni_block<256, 16, 8, 4, 16>)                                   \
            apply(4, rni_block<64, 64, 8, 4, 16>) apply(5, rni_block<64, 32, 8, 4, 16>)                                \
                apply(6, rni_block<128, 16, 8, 4, 8>) apply(7, rni_block<32, 32, 4, 4, 16>)                            \
                    apply(8, rni_block<64, 64, 8, 4, 16, 2>) apply(9, rni_block<64, 32, 8, 8, 16, 4>)

/* Blocks for the largest class of pixels, and classes; x = 0: more than a grid may have. */
template <class Block>
static dim3 rni_gather_grid(int64_t pixels, int64_t columns, int64_t classes)
{
    const int64_t down = (pixels + Block::rows - 1) / Block::rows,
                  across = (columns + Block::columns - 1) / Block::columns;
    return dim3(down > INT32_MAX / across || classes > 65535 ? 0 : (unsigned)(down * across), (unsigned)classes);
}

#endif
