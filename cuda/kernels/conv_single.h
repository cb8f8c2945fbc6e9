/* SPDX-License-Identifier: MIT */
/* Forward for few channels of any number, as a first layer has: terms are read one by one, and those of all taps in a row. */
#ifndef RNI_CUDA_CONV_SINGLE_H
#define RNI_CUDA_CONV_SINGLE_H

#include "kernels/conv_gather.h"

/* A term: how far its tap reads from the first one's pixel, and its place from there, in elements. */
struct alignas(16) rni_single_term {
    int32_t y, x, at, unused;
};
enum { RNI_SINGLE_TERMS = 160 };

template <class Block>
__device__ __forceinline__ void rni_single_terms(const rni_conv_shape &s, int32_t count, rni_single_term *terms)
{
    ROLLED
    for (int32_t k = (int32_t)threadIdx.x; k < RNI_SINGLE_TERMS; k += Block::threads) {
        const rni_tap t = rni_tap_of(s, k, s.in_channels);
        terms[k] = {k < count ? t.y : RNI_PIXEL_NOWHERE, t.x, (t.y * s.in[1] + t.x) * s.in_channels + t.channel, 0};
    }
}

/* What a block loads, as rni_gather_source. */
template <class Block>
struct rni_single_source {
    typedef rni_gather_source<rni_gather_forward, Block> vectors;

    const rni_conv_shape &s;
    const float *from, *w;
    const rni_gather_pixel *pixels;
    const rni_single_term *terms;
    int32_t term; /* the filling's first */
    int32_t column[Block::column_vectors];

    __device__ __forceinline__ int32_t fillings(int32_t count) const
    {
        return (count + Block::depth - 1) / Block::depth;
    }

    __device__ __forceinline__ int32_t all() const
    {
        return s.in_channels * s.kernel[0] * s.kernel[1];
    }

    __device__ __forceinline__ void begin(int32_t first_column)
    {
        UNROLL
        for (int i = 0; i < Block::column_vectors; i++) {
            const int32_t n = first_column + vectors::column_of(i);
            column[i] = vectors::has_column(i) && n < s.out_channels ? n * all() + vectors::term_of(i) : -1;
        }
        term = 0;
    }

    __device__ __forceinline__ void next()
    {
        term += Block::depth;
    }

    __device__ __forceinline__ rni_float4 load_row(int i) const
    {
        const rni_gather_pixel p = pixels[rni_block_load_row<Block>(i)];
        /* Without a sign, as a row without a pixel overflows. */
        const uint32_t first =
            ((uint32_t)(p.image + p.x) + (uint32_t)p.y * (uint32_t)s.in[1]) * (uint32_t)s.in_channels;
        const rni_single_term *const at = terms + term + rni_block_load_term<Block>();
        rni_float4 v = {};
        UNROLL
        for (int j = 0; j < 4; j++)
            if ((uint32_t)(p.y + at[j].y) < (uint32_t)s.in[0] && (uint32_t)(p.x + at[j].x) < (uint32_t)s.in[1])
                v.v[j] = from[(int32_t)(first + (uint32_t)at[j].at)];
        return v;
    }

    __device__ __forceinline__ rni_float4 load_column(int i) const
    {
        rni_float4 v = {};
        UNROLL
        for (int j = 0; j < 4; j++)
            if (column[i] >= 0 && term + vectors::term_of(i) + j < all())
                v.v[j] = w[column[i] + term + j];
        return v;
    }

    __device__ __forceinline__ void store_column(int i, const rni_float4 &v, float *to) const
    {
        to += vectors::term_of(i) * Block::column_pitch + vectors::column_of(i);
        UNROLL
        for (int j = 0; vectors::has_column(i) && j < 4; j++)
            to[j * Block::column_pitch] = v.v[j];
    }
};

template <class Block>
__global__ void __launch_bounds__(Block::threads, Block::blocks)
    rni_kernel_conv_single(rni_conv_shape s, const float *x, const float *w, const float *bias, const float *residual,
                           float *y, int32_t relu)
{
    RN_SHARED(rni_float4, buffers, 2 * Block::buffer / 4);
    RN_SHARED(rni_gather_pixel, pixels, Block::rows);
    RN_SHARED(rni_single_term, terms, RNI_SINGLE_TERMS);
    const uint32_t tiles = ((uint32_t)s.out_channels + Block::columns - 1) / Block::columns, down = blockIdx.x / tiles;
    const int32_t first_column = (int32_t)(blockIdx.x - down * tiles) * Block::columns;
    const int32_t count = s.in_channels * s.kernel[0] * s.kernel[1];
    rni_gather_walk walk;
    rni_gather_forward::walk(s, 0, 0, walk);
    rni_gather_forward::walk(s, 1, 0, walk);
    rni_gather_pixels<rni_gather_forward, Block>(s, walk, (int32_t)down * Block::rows, pixels);
    rni_single_terms<Block>(s, count, terms);
    __syncthreads();

    rni_single_source<Block> source = {s, x, w, pixels, terms, 0, {}};
    float sum[Block::thread_rows][Block::thread_columns] = {};
    rni_gather_sum<Block>(source, count, first_column, buffers[0].v, sum);
    rni_gather_finish<Block>(sum, pixels, first_column, s.out_channels, bias, residual, y, relu);
}

#endif
