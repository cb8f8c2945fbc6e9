/* SPDX-License-Identifier: MIT */
#include "cpu/gathered.h"
#include "base/error.h"
#include "cpu/pointwise.h"
#include <string.h>

/* More pixels, or wider rows, fill the tiles of the other kernels as well; fewer weights stay in a core's cache. */
enum { MOST_PIXELS = 256, MOST_WIDTH = 8, LEAST_WEIGHTS = 1 << 17 };

int rni_gathered_suits(const rni_conv_kernels *k, const rn_conv_params *p)
{
    const int64_t taps = p->kernel[0] * p->kernel[1];
    return p->batch > 0 && p->groups == 1 && taps > 1 && p->in_channels % k->step == 0 && p->out_width <= MOST_WIDTH &&
           rni_pointwise_pixels(p, p->batch) <= MOST_PIXELS && taps * p->in_channels * p->out_channels >= LEAST_WEIGHTS;
}

/* The 1x1 convolution of the rows. */
static rn_conv_params product_of(const rn_conv_params *p)
{
    rn_conv_params product = *p;
    product.in_channels = p->kernel[0] * p->kernel[1] * p->in_channels;
    product.in_height = p->out_height;
    product.in_width = p->out_width;
    for (int axis = 0; axis < 2; axis++) {
        product.kernel[axis] = product.stride[axis] = product.dilation[axis] = 1;
        product.padding[axis] = 0;
    }
    return product;
}

uint64_t rni_gathered_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int stats, int64_t batch, int32_t threads)
{
    const rn_conv_params product = product_of(p);
    return rni_pointwise_made_bytes(k, &product, stats, batch, threads);
}

typedef struct gather_job {
    const rni_conv *c;
    size_t pixel; /* bytes of one of x */
} gather_job;

/* The taps of an output pixel, row by row; those outside of the image are zero. */
static char *gather_pixel(const gather_job *j, int64_t index, char *to)
{
    const rn_conv_params *const p = j->c->p;
    const int64_t col = index % p->out_width, row = index / p->out_width;
    const int64_t image = row / p->out_height * p->in_height;
    const int64_t top = row % p->out_height * p->stride[0] - p->padding[0], left = col * p->stride[1] - p->padding[1];
    for (int64_t r = 0; r < p->kernel[0]; r++)
        for (int64_t s = 0; s < p->kernel[1]; s++, to += j->pixel) {
            const int64_t h = top + r * p->dilation[0], w = left + s * p->dilation[1];
            if (h < 0 || h >= p->in_height || w < 0 || w >= p->in_width)
                memset(to, 0, j->pixel);
            else
                memcpy(to, (const char *)j->c->x + (size_t)((image + h) * p->in_width + w) * j->pixel, j->pixel);
        }
    return to;
}

static void gather(const void *user, void *rows)
{
    const gather_job *const j = user;
    const int64_t pixels = rni_pointwise_pixels(j->c->p, j->c->batch);
    for (int64_t i = 0; i < pixels; i++)
        rows = gather_pixel(j, i, rows);
}

rn_status rni_gathered_forward(const rni_conv *c, const rni_conv_kernels *k)
{
    const rn_conv_params product = product_of(c->p);
    const gather_job j = {c, (size_t)(c->p->in_channels * k->size)};
    const rni_pixel_source source = {gather, &j};
    rni_conv rows = *c;
    rows.p = &product;
    rows.in_per_group = product.in_channels;
    rows.x = NULL;
    return rni_pointwise_forward_made(&rows, k, &source);
}
