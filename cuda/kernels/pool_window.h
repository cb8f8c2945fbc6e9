/* SPDX-License-Identifier: MIT */
/* Which pixels a pooling window holds, and which windows hold a pixel. In 32 bits: the drivers refuse larger images. */
#ifndef RNI_CUDA_POOL_WINDOW_H
#define RNI_CUDA_POOL_WINDOW_H

#include "kernels/columns.h"
#include "kernels/activations.h"

enum { POOL_BLOCKS_PER_PROCESSOR = 16 };

/* [y0, y1) x [x0, x1), inside the image. */
struct rni_window {
    int32_t y0, y1, x0, x1, count; /* count: what average pooling divides by */
};

/* One axis of a window. */
struct rni_reach {
    int32_t first, end, length; /* length: with padding, which ends at size + padding */
};

/*
 * Adaptive pooling from `from` pixels to `to`: those that pixel `i` is made of. The other way around they are the
 * outputs that it goes into.
 */
__device__ __forceinline__ rni_reach rni_pool_share(int32_t i, int32_t from, int32_t to)
{
    const uint32_t first = (uint32_t)i * (uint32_t)from / (uint32_t)to;
    const uint32_t end = (((uint32_t)i + 1) * (uint32_t)from + (uint32_t)to - 1) / (uint32_t)to;
    return {(int32_t)first, (int32_t)end, (int32_t)(end - first)};
}

__device__ __forceinline__ rni_reach rni_pool_axis(const rni_k_pool &p, int axis, int32_t out, int32_t size)
{
    const int32_t begin = out * p.stride[axis] - p.padding[axis], stop = begin + p.kernel[axis];
    const int32_t last = size + p.padding[axis];
    return {begin > 0 ? begin : 0, stop < size ? stop : size, (stop < last ? stop : last) - begin};
}

__device__ __forceinline__ rni_window rni_pool_window(const rni_k_pool &p, int32_t oy, int32_t ox)
{
    const rni_reach y = p.adaptive ? rni_pool_share(oy, p.height, p.out_height) : rni_pool_axis(p, 0, oy, p.height);
    const rni_reach x = p.adaptive ? rni_pool_share(ox, p.width, p.out_width) : rni_pool_axis(p, 1, ox, p.width);
    const int32_t inside = (y.end - y.first) * (x.end - x.first);
    return {y.first, y.end, x.first, x.end, p.exclude_padding ? inside : y.length * x.length};
}

/* The outputs whose window holds position i of an axis. */
__device__ __forceinline__ rni_reach rni_pool_covering_axis(const rni_k_pool &p, int axis, int32_t i, int32_t outputs)
{
    const int32_t at = i + p.padding[axis], k = p.kernel[axis], s = p.stride[axis];
    const int32_t first = at < k ? 0 : (at - k) / s + 1, last = at / s + 1, end = last < outputs ? last : outputs;
    return {first < end ? first : end, end, 0};
}

__device__ __forceinline__ rni_window rni_pool_covering(const rni_k_pool &p, int32_t iy, int32_t ix)
{
    const rni_reach y =
        p.adaptive ? rni_pool_share(iy, p.out_height, p.height) : rni_pool_covering_axis(p, 0, iy, p.out_height);
    const rni_reach x =
        p.adaptive ? rni_pool_share(ix, p.out_width, p.width) : rni_pool_covering_axis(p, 1, ix, p.out_width);
    return {y.first, y.end, x.first, x.end, 0};
}

/* Pixel `index` of images of so many rows and columns. */
struct rni_pixel {
    uint32_t image;
    int32_t y, x;
};

__device__ __forceinline__ rni_pixel rni_pixel_of(uint32_t index, int32_t height, int32_t width)
{
    const uint32_t row = index / (uint32_t)width;
    return {row / (uint32_t)height, (int32_t)(row % (uint32_t)height), (int32_t)(index % (uint32_t)width)};
}

/*
 * Launches over pixels count them in 32 bits: launch(first image, images) for as many images at a time as have fewer
 * than 2^31 pixels.
 */
template <class Launch>
static cudaError_t rni_by_images(int64_t images, int64_t pixels, const Launch &launch)
{
    const int64_t most = INT32_MAX / pixels;
    for (int64_t first = 0; first < images; first += most) {
        const cudaError_t error = launch(first, images - first < most ? images - first : most);
        if (error != cudaSuccess)
            return error;
    }
    return cudaSuccess;
}

static inline dim3 rni_pixel_grid(const rni_columns &c, int32_t processors, int64_t pixels)
{
    const int64_t wanted = (pixels + c.block.y - 1) / c.block.y;
    const int64_t fill = (int64_t)processors * POOL_BLOCKS_PER_PROCESSOR / c.blocks;
    const int64_t most = fill < 1 ? 1 : fill > 65535 ? 65535 : fill;
    return dim3(c.blocks, (uint32_t)(wanted < most ? wanted : most));
}

#endif
