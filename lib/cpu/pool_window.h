/* SPDX-License-Identifier: MIT */
/* Which pixels a pooling window holds, and which windows hold a pixel. */
#ifndef RNI_CPU_POOL_WINDOW_H
#define RNI_CPU_POOL_WINDOW_H

#include "cpu/kernels.h"

/* [y0, y1) x [x0, x1), inside the image. */
typedef struct rni_window {
    size_t y0, y1, x0, x1;
    size_t count; /* what average pooling divides by */
} rni_window;

/*
 * Adaptive pooling from `from` pixels to `to`: those that pixel `i` is made of. The other way around they are the outputs that
 * it goes into.
 */
static inline void rni_pool_share(size_t i, size_t from, size_t to, size_t *first, size_t *end)
{
    *first = i * from / to;
    *end = ((i + 1) * from + to - 1) / to;
}

/* One axis: first and end of the window's part in the image; the length with padding, which ends at size + padding. */
static inline size_t rni_pool_axis(const rni_pool *p, int axis, size_t out, size_t size, size_t *first, size_t *end)
{
    const size_t begin = out * p->stride[axis], pad = p->padding[axis]; /* shifted by pad: never negative */
    const size_t stop = begin + p->kernel[axis];
    *first = begin > pad ? begin - pad : 0;
    *end = stop < size + pad ? (stop > pad ? stop - pad : 0) : size;
    return (stop < size + 2 * pad ? stop : size + 2 * pad) - begin;
}

static inline rni_window rni_pool_window(const rni_pool *p, size_t oy, size_t ox)
{
    rni_window w;
    if (p->adaptive) {
        rni_pool_share(oy, p->height, p->out_height, &w.y0, &w.y1);
        rni_pool_share(ox, p->width, p->out_width, &w.x0, &w.x1);
        w.count = (w.y1 - w.y0) * (w.x1 - w.x0);
        return w;
    }
    const size_t rows = rni_pool_axis(p, 0, oy, p->height, &w.y0, &w.y1);
    const size_t cols = rni_pool_axis(p, 1, ox, p->width, &w.x0, &w.x1);
    w.count = p->exclude_padding ? (w.y1 - w.y0) * (w.x1 - w.x0) : rows * cols;
    return w;
}

/* The outputs whose window holds position i of an axis. */
static inline void rni_pool_covering_axis(const rni_pool *p, int axis, size_t i, size_t outputs, size_t *first,
                                          size_t *end)
{
    const size_t at = i + p->padding[axis], k = p->kernel[axis], s = p->stride[axis];
    const size_t last = at / s;
    *first = at < k ? 0 : (at - k) / s + 1;
    *end = last + 1 < outputs ? last + 1 : outputs;
    if (*first > *end)
        *first = *end;
}

static inline rni_window rni_pool_covering(const rni_pool *p, size_t y, size_t x)
{
    rni_window w = {.count = 0};
    if (p->adaptive) {
        rni_pool_share(y, p->out_height, p->height, &w.y0, &w.y1);
        rni_pool_share(x, p->out_width, p->width, &w.x0, &w.x1);
        return w;
    }
    rni_pool_covering_axis(p, 0, y, p->out_height, &w.y0, &w.y1);
    rni_pool_covering_axis(p, 1, x, p->out_width, &w.x0, &w.x1);
    return w;
}

#endif
