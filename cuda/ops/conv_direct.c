/* SPDX-License-Identifier: MIT */
#include "ops/conv_direct.h"
#include "base/error.h"
#include "kernels/kernels.h"
#include "ops/conv_f32.h"
#include "ops/operands.h"

/* Kernels count pixels and terms of sums in 32 bits, some a little beyond the last. */
#define MOST_PIXELS (INT64_C(1) << 30)
/* Sums of the filter gradient that are left side by side may take so many bytes. */
#define MOST_SUMS (INT64_C(64) << 20)
/* Pixels per share: so many at least, and a multiple of what a kernel takes at once. */
enum { LEAST_SHARE = 512, LEAST_F32_SHARE = 128, SHARE_STEP = 32 };
/* The general filter kernel's tile, and how many blocks a processor should get. */
enum { TILE = 64, BLOCKS_PER_PROCESSOR = 4 };

static int64_t in_pixels(const rn_conv_params *p)
{
    return p->in_height * p->in_width;
}

static int64_t out_pixels(const rn_conv_params *p)
{
    return p->out_height * p->out_width;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t weights(const rn_conv_params *p)
{
    return p->out_channels * (p->in_channels / p->groups) * p->kernel[0] * p->kernel[1];
}

int rni_direct_serves(const rn_conv_params *p)
{
    /* Sizes are at most 2^24 each. */
    const int64_t taps = p->kernel[0] * p->kernel[1];
    const int64_t channels = p->in_channels > p->out_channels ? p->in_channels : p->out_channels;
    return in_pixels(p) <= MOST_PIXELS && out_pixels(p) <= MOST_PIXELS && taps <= MOST_PIXELS &&
           channels / p->groups <= MOST_PIXELS / taps;
}

rn_status rni_direct_check(const rn_op *op)
{
    const rn_conv_params *const p = op->params;
    if (rni_direct_serves(p))
        return RN_OK;
    return rni_ops_refuse(op, RN_E_UNSUPPORTED,
                          "at most 2^30 pixels of an image and elements of a filter expected, got %lld x %lld pixels and "
                          "filters of %lld x %lld by %lld channels",
                          (long long)p->in_height, (long long)p->in_width, (long long)p->kernel[0],
                          (long long)p->kernel[1], (long long)(p->in_channels / p->groups));
}

static rni_conv_shape shape_of(const rn_conv_params *p, int64_t images)
{
    rni_conv_shape s = {.images = (int32_t)images,
                        .groups = (int32_t)p->groups,
                        .in_channels = (int32_t)(p->in_channels / p->groups),
                        .out_channels = (int32_t)(p->out_channels / p->groups),
                        .in = {(int32_t)p->in_height, (int32_t)p->in_width},
                        .out = {(int32_t)p->out_height, (int32_t)p->out_width}};
    for (int axis = 0; axis < 2; axis++) {
        s.kernel[axis] = (int32_t)p->kernel[axis];
        s.stride[axis] = (int32_t)p->stride[axis];
        s.padding[axis] = (int32_t)p->padding[axis];
        s.dilation[axis] = (int32_t)p->dilation[axis];
    }
    return s;
}

/* Images that one launch may take. Kernels with tiles count elements in 32 bits. */
static int64_t images_at_once(const rni_direct *d)
{
    const rn_conv_params *const p = d->params;
    const int64_t pixels = in_pixels(p) > out_pixels(p) ? in_pixels(p) : out_pixels(p);
    const int64_t channels = p->in_channels > p->out_channels ? p->in_channels : p->out_channels;
    const int64_t elements = MOST_PIXELS / pixels / channels;
    return elements > 0 ? elements : MOST_PIXELS / pixels;
}

int32_t rni_direct_tile(const rni_direct *d, int32_t kind)
{
    if (d->tile)
        return d->tile;
    const rni_conv_shape s = shape_of(d->params, least(d->images, images_at_once(d)));
    const int32_t tile = rni_f32_choose(kind, d->dtype, &s, d->processors);
    return tile < 0 ? RNI_DIRECT_GENERAL : RNI_DIRECT_TILE + tile;
}

static int aligned(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

/* Where image n begins in the input (or its gradient) and the output (or its gradient). */
static const void *input_image(const rni_direct *d, const void *x, int64_t n)
{
    return (const char *)x + (size_t)(n * in_pixels(d->params) * d->params->in_channels) * rn_dtype_size((rn_dtype)d->dtype);
}

static const void *output_image(const rni_direct *d, const void *y, int64_t n)
{
    return (const char *)y + (size_t)(n * out_pixels(d->params) * d->params->out_channels) * rn_dtype_size((rn_dtype)d->dtype);
}

cudaError_t rni_direct_forward(const rni_direct *d, cudaStream_t stream, const void *x, const void *w,
                               const float *bias, const void *residual, void *y, int32_t relu)
{
    const int64_t step = images_at_once(d);
    const int32_t tile = rni_direct_tile(d, RN_OP_CONV_FORWARD);
    const int fast = tile != RNI_DIRECT_GENERAL && aligned(x) && aligned(w) && aligned(residual) && aligned(y);
    cudaError_t error = cudaSuccess;
    for (int64_t n = 0; n < d->images && error == cudaSuccess; n += step) {
        const rni_conv_shape s = shape_of(d->params, least(step, d->images - n));
        if (fast)
            error = rni_k_conv_forward_f32(stream, tile - RNI_DIRECT_TILE, &s, input_image(d, x, n), w, bias,
                                           residual ? output_image(d, residual, n) : NULL, (void *)output_image(d, y, n),
                                           relu);
        else
            error = rni_k_conv_forward(stream, d->dtype, &s, input_image(d, x, n), w, bias,
                                   residual ? output_image(d, residual, n) : NULL, (void *)output_image(d, y, n), relu);
    }
    return error;
}

cudaError_t rni_direct_backward_data(const rni_direct *d, cudaStream_t stream, const void *dy, const void *w, void *dx,
                                     int32_t accumulate)
{
    const int64_t step = images_at_once(d);
    const int32_t tile = rni_direct_tile(d, RN_OP_CONV_BACKWARD_DATA);
    const int fast = tile != RNI_DIRECT_GENERAL && aligned(dy) && aligned(w) && aligned(dx);
    cudaError_t error = cudaSuccess;
    for (int64_t n = 0; n < d->images && error == cudaSuccess; n += step) {
        const rni_conv_shape s = shape_of(d->params, least(step, d->images - n));
        if (fast)
            error = rni_k_conv_backward_data_f32(stream, tile - RNI_DIRECT_TILE, &s, output_image(d, dy, n), w,
                                                 (void *)input_image(d, dx, n), accumulate);
        else
            error = rni_k_conv_backward_data(stream, d->dtype, &s, output_image(d, dy, n), w, (void *)input_image(d, dx, n),
                                         accumulate);
    }
    return error;
}

/* Shares that the general kernel's blocks take: so that there are some for all processors. */
static int64_t general_shares(const rni_direct *most)
{
    const rn_conv_params *const p = most->params;
    const int64_t terms = p->in_channels / p->groups * p->kernel[0] * p->kernel[1];
    const int64_t tiles = ceil_div(terms, TILE) * ceil_div(p->out_channels / p->groups, TILE) * p->groups;
    return ceil_div((int64_t)BLOCKS_PER_PROCESSOR * most->processors, tiles);
}

/* Pixels that a block sums; sums do not take too much memory. */
static int64_t share_of(const rni_direct *most, int32_t tile)
{
    const rn_conv_params *const p = most->params;
    const int64_t bytes = most->workspace_limit < (uint64_t)MOST_SUMS ? (int64_t)most->workspace_limit : MOST_SUMS;
    const int64_t room = bytes / (weights(p) * (int64_t)sizeof(float));
    const rni_conv_shape s = shape_of(p, least(most->images, images_at_once(most)));
    const int64_t pixels = s.images * out_pixels(p), fewest = tile == RNI_DIRECT_GENERAL ? LEAST_SHARE : LEAST_F32_SHARE;
    int64_t shares = least(ceil_div(pixels, fewest), room);
    if (shares < 1)
        shares = 1;
    shares = tile == RNI_DIRECT_GENERAL ? least(shares, general_shares(most))
                                        : rni_f32_shares(&s, tile - RNI_DIRECT_TILE, most->processors, shares);
    const int64_t share = ceil_div(pixels, shares);
    return ceil_div(share > fewest ? share : fewest, SHARE_STEP) * SHARE_STEP;
}

uint64_t rni_direct_filter_workspace(const rni_direct *most)
{
    const int64_t images = least(most->images, images_at_once(most));
    const int64_t share = share_of(most, rni_direct_tile(most, RN_OP_CONV_BACKWARD_FILTER));
    return (uint64_t)(ceil_div(images * out_pixels(most->params), share) * weights(most->params)) * sizeof(float);
}

cudaError_t rni_direct_backward_filter(const rni_direct *d, const rni_direct *most, cudaStream_t stream, const void *x,
                                       const void *dy, float *dw, void *workspace)
{
    const rn_conv_params *const p = d->params;
    const int32_t tile = rni_direct_tile(most, RN_OP_CONV_BACKWARD_FILTER);
    const int fast = tile != RNI_DIRECT_GENERAL && aligned(x) && aligned(dy);
    const int64_t step = images_at_once(d), share = share_of(most, tile);
    cudaError_t error = cudaSuccess;
    for (int64_t n = 0; n < d->images && error == cudaSuccess; n += step) {
        const rni_conv_shape s = shape_of(p, least(step, d->images - n));
        if (fast)
            error = rni_k_conv_filter(stream, d->dtype, tile - RNI_DIRECT_TILE, &s, input_image(d, x, n),
                                      output_image(d, dy, n), (int32_t)share, workspace);
        else
            error = rni_k_conv_backward_filter(stream, d->dtype, &s, input_image(d, x, n), output_image(d, dy, n),
                                               (int32_t)share, workspace);
        if (error == cudaSuccess)
            error = rni_k_filter_add(stream, RN_F32, workspace, (int32_t)ceil_div(s.images * out_pixels(p), share), dw,
                                     p->out_channels, s.in_channels, s.kernel[0] * s.kernel[1]);
    }
    return error;
}
