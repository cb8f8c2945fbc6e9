/* SPDX-License-Identifier: MIT */
/*
 * Winograd's minimal filtering for 3x3 convolutions of stride 1 (Lavin and Gray, Fast Algorithms for Convolutional
 * Neural Networks, 2015), in two forms:
 * - of floats: a tile of 4x4 outputs comes from 6x6 inputs by 36 products per pair of channels instead of 144. The points are
 *   0, 2/3, -2/3, 3/2, -3/2 and infinity, which round better than the usual 0, 1, -1, 2, -2;
 * - of bf16, for processors with its dot products: 2x2 outputs from 4x4 inputs by 16 products instead of 36, with the points
 *   0, 1, -1 and infinity. Larger tiles would take fewer products, but amplify the rounding of what is transformed.
 *
 * A span of tiles is worked on at once. What its transforms give lies as [plane][tile][channel], so that each plane is a
 * matrix product of its own. Images are of any element type; distances are in elements.
 */
#ifndef RNI_CPU_WINOGRAD_KERNELS_H
#define RNI_CPU_WINOGRAD_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Inputs of a tile with so many outputs per axis. */
#define RNI_WINOGRAD_PLANES(tile) (((tile) + 2) * ((tile) + 2))

/* Images [image][row][column][channel] and how tiles cover the outputs. */
typedef struct rni_winograd {
    int64_t channels, outs;
    int64_t in_height, in_width, out_height, out_width;
    int64_t padding[2];           /* zeros before the first row and column */
    int64_t tile_rows, tile_cols; /* of an image */
} rni_winograd;

/* Whole tile rows of one image, or all of several images. */
typedef struct rni_winograd_span {
    int64_t image, images, row, rows;
} rni_winograd_span;

/* Transformed values, or products of them, which are floats: planes lie `plane` apart, tiles `tile`. */
typedef struct rni_winograd_planes {
    void *at;
    int64_t plane, tile;
} rni_winograd_planes;

/* Where outputs go: `vectors` vectors of channels from the pointers on; bias and residual may be NULL. */
typedef struct rni_winograd_block {
    const float *bias;
    const void *residual; /* laid out as y */
    void *y;
    int32_t vectors, tail; /* tail: channels in the last vector, 1 to lanes */
    int32_t relu, reserved;
} rni_winograd_block;

/* Memory to ask for while products keep the processor busy: so many cache lines per plane. */
typedef struct rni_winograd_ahead {
    const char *a, *b;
    int64_t a_lines, b_lines;
} rni_winograd_ahead;

/* Products of what is transformed, the same for all types of images. */
typedef struct rni_winograd_products {
    /* Of nine taps of lanes, `tap` apart, of one channel or of two neighbours (the second may be NULL): a vector of each plane. */
    void (*weights)(const float *taps, const float *second, int64_t tap, void *u, int64_t plane);
    /*
     * m[p][t] = v[p][t] u[p] for all planes: u[p] is [channel][vectors of lanes], or of pairs of channels, m
     * [t][vectors of lanes]. ahead->a is to be read, ahead->b to be written.
     */
    void (*product)(const rni_winograd_planes *v, const void *u, int64_t u_plane, int64_t channels, int64_t tiles,
                    int32_t vectors, const rni_winograd_planes *m, const rni_winograd_ahead *ahead);
    /*
     * Of floats: sum[p][i] += sum over tiles of x[p][t][i] dy[p][t], or = when `fresh`: sum is [plane][tile: channel i]
     * [vectors of lanes]. Both of `ahead` are to be read.
     */
    void (*filter)(const rni_winograd_planes *x, const rni_winograd_planes *dy, int64_t channels, int64_t tiles,
                   int32_t vectors, const rni_winograd_planes *sum, int32_t fresh, const rni_winograd_ahead *ahead);
    /* The nine taps of one vector of sums, `tap` apart. */
    void (*taps)(const float *sum, int64_t plane, float *taps, int64_t tap);
} rni_winograd_products;

typedef struct rni_winograd_form {
    int32_t tile; /* outputs per axis */
    int32_t size; /* bytes of a transformed input or weight */
    int32_t step; /* channels whose weights lie together */
    int32_t reserved;
    /* Of `count` channels of the images, from x's on; the last vector of a tile is filled up with zeros. */
    void (*input)(const rni_winograd *g, const rni_winograd_span *s, const void *x, int64_t count,
                  const rni_winograd_planes *v);
    /* Of floats: dy's tiles as filters of x, for the filter's gradient; `count` channels likewise. */
    void (*gradient)(const rni_winograd *g, const rni_winograd_span *s, const void *dy, int64_t count,
                     const rni_winograd_planes *v);
    void (*output)(const rni_winograd *g, const rni_winograd_span *s, const rni_winograd_planes *m,
                   const rni_winograd_block *b);
    const rni_winograd_products *products;
} rni_winograd_form;

extern const rni_winograd_products rni_winograd_products_avx2, rni_winograd_products_avx512;

#endif
