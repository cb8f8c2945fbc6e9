/* SPDX-License-Identifier: MIT */
/*
 * The fast convolution kernels and what they are told. A table is for activations of one element type, float or bf16; sums
 * are floats. A kernel level works in vectors of `lanes` output channels; a block is up to max_vectors of them.
 *
 * Two kernels do the arithmetic. `windows` multiplies windows by packed weights: forward, and data gradients as windows
 * over dy. `filter` sums x dy over pixels: weight gradients. All distances are in elements.
 *
 * Packed weights of bf16 lie in pairs of channels, [pair][lane][2], as dot products want them; an odd channel is
 * followed by zeros.
 */
#ifndef RNI_CPU_CONV_KERNELS_H
#define RNI_CPU_CONV_KERNELS_H

#include "cpu/winograd_kernels.h"
#include <stddef.h>
#include <stdint.h>

/* Most output channels in a block, at any level. */
enum { RNI_CONV_MAX_BLOCK = 32 };
/* Most channels in a vector. */
enum { RNI_CONV_MAX_LANES = 16 };

/*
 *   y[h, w, o] = sum over r, s, i of x[row(h, r), column(w, s), i] * weight[r, s, i, o]
 * with row(h, r) = h * step[0] + first[0] + r * dilation[0], columns likewise; taps outside of x are left out.
 */
typedef struct rni_conv_windows {
    int64_t taps[2], first[2], step[2], dilation[2];
    int64_t channels; /* i */
    int64_t in_height, in_width;
    int64_t in_pixel, in_row; /* between neighbours in x */
    int64_t out_width;
    int64_t out_pixel, out_row; /* in y and residual */
    int32_t triple;             /* weights are [r][i][3 s][o] for the three-tap kernel, else [r][s][i][o] */
    int32_t dense;              /* the taps of a row and their channels are contiguous in x */
    int32_t cached;             /* x is in a cache: nothing of it is asked for, but what lies `ahead` */
    int32_t relu;
    int32_t stream; /* y is written past the caches: whole vectors at multiples of their size */
    int64_t ahead;  /* with one tap: what lies so far behind each input will be wanted; 0: nothing */
    const void *weight_ahead; /* with one tap: so many cache lines from here on will be wanted */
    int64_t weight_lines;
} rni_conv_windows;

/* What a call computes: some rows of one image, `vectors` vectors of output channels. */
typedef struct rni_conv_block {
    const void *x, *weight;
    const float *bias;    /* may be NULL */
    const void *residual; /* may be NULL */
    void *y;
    int64_t first_row, last_row;
    int32_t vectors, tail; /* tail: channels in the last vector, 1 to lanes */
} rni_conv_block;

/*
 *   sum[r, s, i, o] += sum over rows h and columns w of dy[h, w, o] * x[row(h, r), column(w, s), i]
 */
typedef struct rni_conv_filter {
    int64_t taps[2], first[2], step[2], dilation[2];
    int64_t channels; /* i */
    int64_t in_height, in_width, out_height, out_width;
    int64_t in_pixel, in_row, in_image;
    int64_t out_pixel, out_row; /* in dy; images follow one another */
    int32_t triple, dense;      /* as above */
} rni_conv_filter;

/* Rows first_row..last_row-1 of dy, counted through all images; `sum` is laid out as weights are. */
typedef struct rni_conv_filter_block {
    const void *x, *dy;
    float *sum;
    int64_t first_row, last_row;
    int32_t vectors, tail;
} rni_conv_filter_block;

/*
 *   sum[o, i] += sum over pixels of dy[p, o] * x[p, i]
 * for `count` pixels: the gradient of one tap, or of neighbouring ones. Steps of pixels, one of floats and two of bf16
 * that lie side by side, are dy_step and x_step apart; x has whole vectors of channels.
 */
typedef struct rni_conv_product {
    const void *x, *dy;
    int64_t x_step, dy_step, count;
    int64_t channels, outs; /* of x; of dy */
    float *sum;
    int64_t sum_row;
    int32_t fresh; /* = instead of += */
    /* What will be wanted next: so many cache lines of each of `count` pixels, which lie x_pixel and dy_pixel apart. */
    const void *x_ahead, *dy_ahead;
    int64_t x_pixel, dy_pixel, x_lines, dy_lines;
} rni_conv_product;

/* Per channel: the mean is centre + offset, squares the sum of squared deviations from it. */
typedef struct rni_conv_moments {
    float *centre, *offset, *squares;
} rni_conv_moments;

typedef struct rni_conv_kernels {
    int32_t size;           /* bytes of an element */
    int32_t step;           /* channels whose weights lie together: 1, or 2 for bf16 */
    int32_t lanes;
    int32_t max_vectors;    /* of a block */
    int32_t triple_vectors; /* the three-tap kernel is better for blocks of up to so many */
    int32_t filter_triple;  /* the same for `filter`, where such blocks have one vector */
    void (*windows)(const rni_conv_windows *g, const rni_conv_block *b);
    void (*filter)(const rni_conv_filter *g, const rni_conv_filter_block *b);
    void (*product)(const rni_conv_product *b);
    /* Copies `width` elements of each pixel as product() reads them: steps `pitch` apart, filled up to whole vectors. */
    void (*rows)(const void *const *at, int64_t count, int64_t width, void *to, int64_t pitch);
    /* Of the channels of `pixels` pixels. */
    void (*moments)(const void *y, int64_t pixels, int64_t pixel, int32_t vectors, int32_t tail,
                    const rni_conv_moments *out);
    /* bf16: rows of `width` weights in f32, `stride` apart, one for each channel, to pairs. */
    void (*pairs)(const float *rows, int64_t stride, int64_t channels, int64_t width, void *packed);
    rni_winograd_form winograd;            /* of floats */
    const rni_winograd_form *winograd_dots; /* of bf16; NULL where there are no dot products */
} rni_conv_kernels;

extern const rni_conv_kernels rni_conv_kernels_avx2, rni_conv_kernels_avx512;
extern const rni_conv_kernels rni_conv_kernels_avx2_bf16, rni_conv_kernels_avx512_bf16, rni_conv_kernels_avx512bf16;

#endif
