/* SPDX-License-Identifier: MIT */
/* Which pixels a convolution reads for those it makes, forward and backward data: classes of pixels, and their taps. */
#ifndef RNI_CUDA_CONV_WALK_H
#define RNI_CUDA_CONV_WALK_H

#include "kernels/conv.h"
#include "kernels/vector.h"

/* How the pixels of a class and their taps lie: height, then width. */
struct rni_gather_walk {
    int32_t size[2]; /* pixels of the class */
    int32_t first[2], step[2]; /* where they are in the image that is made */
    int32_t scale[2], offset[2]; /* pixel i reads i * scale + offset + n * by for its tap n */
    int32_t by[2], taps[2];
    int32_t tap[2], tap_step[2]; /* tap n of the filter's */
};

/* Terms are channels of x, columns are outputs, whose terms are neighbours in w. */
struct rni_gather_forward {
    static constexpr bool by_terms = true;

    static __device__ __forceinline__ int32_t terms(const rni_conv_shape &s)
    {
        return s.in_channels;
    }
    static __device__ __forceinline__ int32_t columns(const rni_conv_shape &s)
    {
        return s.out_channels;
    }
    static __device__ __forceinline__ const int32_t (&from(const rni_conv_shape &s))[2]
    {
        return s.in;
    }
    static __device__ __forceinline__ const int32_t (&to(const rni_conv_shape &s))[2]
    {
        return s.out;
    }

    static __device__ __forceinline__ void walk(const rni_conv_shape &s, int axis, int32_t, rni_gather_walk &w)
    {
        w.size[axis] = s.out[axis];
        w.first[axis] = w.tap[axis] = 0;
        w.step[axis] = w.tap_step[axis] = 1;
        w.scale[axis] = s.stride[axis];
        w.offset[axis] = -s.padding[axis];
        w.by[axis] = s.dilation[axis];
        w.taps[axis] = s.kernel[axis];
    }
};

/*
 * Terms are channels of dy, columns are those of x, which are neighbours in w. Output o meets pixel o * stride - padding +
 * tap * dilation; so pixels of one remainder meet every stride-th tap, from the back. Dilated or strided, not both.
 */
struct rni_gather_backward {
    static constexpr bool by_terms = false;

    static __device__ __forceinline__ int32_t terms(const rni_conv_shape &s)
    {
        return s.out_channels;
    }
    static __device__ __forceinline__ int32_t columns(const rni_conv_shape &s)
    {
        return s.in_channels;
    }
    static __device__ __forceinline__ const int32_t (&from(const rni_conv_shape &s))[2]
    {
        return s.out;
    }
    static __device__ __forceinline__ const int32_t (&to(const rni_conv_shape &s))[2]
    {
        return s.in;
    }

    static __device__ __forceinline__ void walk(const rni_conv_shape &s, int axis, int32_t remainder,
                                                rni_gather_walk &w)
    {
        const int32_t stride = s.stride[axis], at = remainder + s.padding[axis], tap = at % stride;
        w.size[axis] = (s.in[axis] - remainder + stride - 1) / stride;
        w.first[axis] = remainder;
        w.step[axis] = w.tap_step[axis] = stride;
        w.scale[axis] = 1;
        w.tap[axis] = tap;
        w.offset[axis] = (at - tap) / stride;
        w.by[axis] = stride == 1 ? -s.dilation[axis] : -1;
        w.taps[axis] = tap < s.kernel[axis] ? (s.kernel[axis] - tap + stride - 1) / stride : 0;
    }
};

/* A row of the tile. */
struct alignas(16) rni_gather_pixel {
    int32_t image; /* pixels before the image that is read */
    int32_t y, x; /* of the first tap, may lie outside */
    int32_t to; /* the pixel that is made; -1: none */
};

template <class Way, class Block>
__device__ __forceinline__ void rni_gather_pixels(const rni_conv_shape &s, const rni_gather_walk &w, int32_t first,
                                                  rni_gather_pixel *pixels)
{
    const int32_t all = s.images * w.size[0] * w.size[1];
    ROLLED
    for (int i = (int)threadIdx.x; i < Block::rows; i += Block::threads) {
        rni_gather_pixel p = {0, RNI_PIXEL_NOWHERE, 0, -1};
        if (i < all - first) {
            const rni_spot at = rni_spot_of(first + i, w.size);
            p.image = at.image * Way::from(s)[0] * Way::from(s)[1];
            p.y = at.y * w.scale[0] + w.offset[0];
            p.x = at.x * w.scale[1] + w.offset[1];
            p.to = (at.image * Way::to(s)[0] + at.y * w.step[0] + w.first[0]) * Way::to(s)[1] + at.x * w.step[1] +
                   w.first[1];
        }
        pixels[i] = p;
    }
}

/* One tap of a class: how far it reads from the first pixel's, and its place in the filter. */
struct alignas(16) rni_gather_tap {
    int32_t y, x, tap, unused;
};
enum { RNI_GATHER_TAPS = 64 };

template <class Block>
__device__ __forceinline__ void rni_gather_taps(const rni_conv_shape &s, const rni_gather_walk &w, rni_gather_tap *taps)
{
    ROLLED
    for (int n = (int)threadIdx.x; n < w.taps[0] * w.taps[1]; n += Block::threads) {
        const int32_t y = n / w.taps[1], x = n - y * w.taps[1];
        taps[n] = {y * w.by[0], x * w.by[1],
                   (w.tap[0] + y * w.tap_step[0]) * s.kernel[1] + w.tap[1] + x * w.tap_step[1], 0};
    }
}

#endif
