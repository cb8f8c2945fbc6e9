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

static uint64_t row_bytes(const rni_conv_kernels *k, const rn_conv_params *p)
{
    return (uint64_t)(p->kernel[0] * p->kernel[1] * p->in_channels * k->size);
}

static uint64_t rows_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    return (row_bytes(k, p) * (uint64_t)rni_pointwise_pixels(p, batch) + 63) / 64 * 64;
}

uint64_t rni_gathered_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int stats, int64_t batch, int32_t threads)
{
    const rn_conv_params product = product_of(p);
    return rows_bytes(k, p, batch) + rni_pointwise_bytes(k, &product, 0, stats, batch, threads);
}

typedef struct gather_job {
    const rni_conv *c;
    size_t pixel; /* bytes of one of x */
    char *rows;
} gather_job;

/* The taps of an output pixel, row by row; those outside of the image are zero. */
static void gather_pixel(void *arg, size_t index)
{
    const gather_job *const j = arg;
    const rn_conv_params *const p = j->c->p;
    const int64_t col = (int64_t)index % p->out_width, row = (int64_t)index / p->out_width;
    const int64_t image = row / p->out_height * p->in_height;
    const int64_t top = row % p->out_height * p->stride[0] - p->padding[0], left = col * p->stride[1] - p->padding[1];
    char *to = j->rows + index * (size_t)(p->kernel[0] * p->kernel[1]) * j->pixel;
    for (int64_t r = 0; r < p->kernel[0]; r++)
        for (int64_t s = 0; s < p->kernel[1]; s++, to += j->pixel) {
            const int64_t h = top + r * p->dilation[0], w = left + s * p->dilation[1];
            if (h < 0 || h >= p->in_height || w < 0 || w >= p->in_width)
                memset(to, 0, j->pixel);
            else
                memcpy(to, (const char *)j->c->x + (size_t)((image + h) * p->in_width + w) * j->pixel, j->pixel);
        }
}

rn_status rni_gathered_forward(const rni_conv *c, const rni_conv_kernels *k)
{
    const rn_conv_params product = product_of(c->p);
    const gather_job j = {c, (size_t)(c->p->in_channels * k->size), c->workspace};
    rni_conv rows = *c;
    RNI_TRY(rni_cpu_parallel(c->call, gather_pixel, (void *)(uintptr_t)&j, (size_t)rni_pointwise_pixels(c->p, c->batch)));
    rows.p = &product;
    rows.in_per_group = product.in_channels;
    rows.x = c->workspace;
    rows.workspace = rni_at(c->workspace, 1, rows_bytes(k, c->p, c->batch));
    return rni_pointwise_forward(&rows, k);
}
