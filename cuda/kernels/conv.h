/* SPDX-License-Identifier: MIT */
/* What the direct convolution's kernels share. */
#ifndef RNI_CUDA_KERNELS_CONV_H
#define RNI_CUDA_KERNELS_CONV_H

#include "kernels/kernels.h"
#include "kernels/tile.h"

/* Where the window of an output pixel (or, backward, the windows of an input pixel) begins in the other image. */
struct alignas(16) rni_conv_pixel {
    int32_t image;      /* pixels before the image */
    int32_t y, x;       /* may lie outside */
    int32_t unused;
};

/* So far outside that no tap leads in. */
enum { RNI_PIXEL_NOWHERE = -(1 << 30) };

/* One term of the sum over a window: tap and channel. */
struct rni_tap {
    int32_t y, x, channel; /* y and x: times the dilation */
};

/* `term` counts channels of a group first, taps after them. */
__device__ __forceinline__ rni_tap rni_tap_of(const rni_conv_shape &s, int32_t term, int32_t channels)
{
    const uint32_t tap = (uint32_t)term / (uint32_t)channels, y = tap / (uint32_t)s.kernel[1];
    rni_tap t;
    t.channel = (int32_t)((uint32_t)term - tap * (uint32_t)channels);
    t.y = (int32_t)y * s.dilation[0];
    t.x = (int32_t)(tap - y * (uint32_t)s.kernel[1]) * s.dilation[1];
    return t;
}

/* A place in images of the same height and width. */
struct rni_spot {
    int32_t image, y, x;
};

__device__ __forceinline__ rni_spot rni_spot_of(int32_t pixel, const int32_t (&size)[2])
{
    const uint32_t row = (uint32_t)pixel / (uint32_t)size[1], image = row / (uint32_t)size[0];
    rni_spot s;
    s.image = (int32_t)image;
    s.y = (int32_t)(row - image * (uint32_t)size[0]);
    s.x = (int32_t)((uint32_t)pixel - row * (uint32_t)size[1]);
    return s;
}

/* Where the window of an output begins. */
__device__ __forceinline__ rni_conv_pixel rni_window_of(const rni_conv_shape &s, const rni_spot &output)
{
    rni_conv_pixel p;
    p.image = output.image * s.in[0] * s.in[1];
    p.y = output.y * s.stride[0] - s.padding[0];
    p.x = output.x * s.stride[1] - s.padding[1];
    p.unused = 0;
    return p;
}

/* What a block works at: columns first, then groups, then rows, so that blocks that read the same rows are neighbours. */
struct rni_place {
    int32_t row, group, column;
};

template <class Tile> __device__ __forceinline__ rni_place rni_place_of(int32_t groups, int32_t columns)
{
    const uint32_t tiles = ((uint32_t)columns + Tile::columns - 1) / Tile::columns, block = blockIdx.x;
    const uint32_t rest = block / tiles, row = rest / (uint32_t)groups;
    rni_place p;
    p.column = (int32_t)(block - rest * tiles) * Tile::columns;
    p.group = (int32_t)(rest - row * (uint32_t)groups);
    p.row = (int32_t)row * Tile::rows;
    return p;
}

/* Blocks for so many rows (pixels), groups and columns; 0: more than a grid may have. */
template <class Tile> static unsigned rni_conv_blocks(int64_t rows, int64_t groups, int64_t columns)
{
    const int64_t down = (rows + Tile::rows - 1) / Tile::rows, across = (columns + Tile::columns - 1) / Tile::columns;
    return down > INT32_MAX / groups / across ? 0 : (unsigned)(down * groups * across);
}

#endif
