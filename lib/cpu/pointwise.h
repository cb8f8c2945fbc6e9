/* SPDX-License-Identifier: MIT */
/*
 * 1x1 convolutions are products of matrices: the pixels of all images, one after the other, by the weights. They are cut
 * into chunks of pixels; a chunk meets all weights, or a part of them, while it is in the cache. With a stride the pixels
 * that matter are copied together first.
 */
#ifndef RNI_CPU_POINTWISE_H
#define RNI_CPU_POINTWISE_H

#include "cpu/conv.h"

/* Output pixels of all images. */
static inline int64_t rni_pointwise_pixels(const rn_conv_params *p, int64_t batch)
{
    return batch * p->out_height * p->out_width;
}

/* A run of output pixels in one row, and where the first of them is in the input. */
typedef struct rni_pixel_run {
    int64_t count, input; /* input: number of the pixel */
} rni_pixel_run;

static inline rni_pixel_run rni_pointwise_run_of(const rn_conv_params *p, int64_t pixel, int64_t end)
{
    const int64_t col = pixel % p->out_width, row = pixel / p->out_width;
    const int64_t image = row / p->out_height, in_row = row % p->out_height * p->stride[0];
    return (rni_pixel_run){rni_conv_min(end - pixel, p->out_width - col),
                       (image * p->in_height + in_row) * p->in_width + col * p->stride[1]};
}

int rni_pointwise_suits(const rn_conv_params *p);
uint64_t rni_pointwise_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data, int stats,
                             int64_t batch, int32_t threads);
rn_status rni_pointwise_forward(const rni_conv *c, const rni_conv_kernels *k);

/* Makes the pixels that a convolution reads, all of them. */
typedef struct rni_pixel_source {
    void (*make)(const void *user, void *x);
    const void *user;
} rni_pixel_source;

/* The same where c->x has yet to be made: each thread makes its own, as reading another's takes longer. */
uint64_t rni_pointwise_made_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int stats, int64_t batch, int32_t threads);
rn_status rni_pointwise_forward_made(const rni_conv *c, const rni_conv_kernels *k, const rni_pixel_source *source);

rn_status rni_pointwise_backward_data(const rni_conv *c, const rni_conv_kernels *k);

#endif
