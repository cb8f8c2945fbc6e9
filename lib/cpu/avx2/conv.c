/* SPDX-License-Identifier: MIT */
/* 16 registers: up to 12 sums, the rest for weights and one input. */
#include "cpu/conv_kernels.h"

enum { MAX_PIXELS = 12, MAX_VECTORS = 2, MAX_CHANNELS = 12 };
#include "cpu/vec/conv_filter.h"
#include "cpu/vec/conv_moments.h"
#include "cpu/vec/conv_windows.h"
#include "cpu/vec/winograd.h"
#include "cpu/vec/conv_band.h"

TILES(UP_TO_12, 1, 0)
TILES(UP_TO_6, 2, 0)
TILES(UP_TO_12, 1, 1)

static void windows(const rni_conv_windows *g, const rni_conv_block *b)
{
    if (g->triple)
        RUN_TILES(1, 1);
    else
        b->vectors == 1 ? RUN_TILES(1, 0) : RUN_TILES(2, 0);
}

FILTER_TILES(UP_TO_12, 1, 0)
FILTER_TILES(UP_TO_6, 2, 0)
FILTER_TILES(UP_TO_4, 1, 1)

static void filter(const rni_conv_filter *g, const rni_conv_filter_block *b)
{
    run_filter(g->triple ? FILTER_KIND(1, 1) : b->vectors == 1 ? FILTER_KIND(1, 0) : FILTER_KIND(2, 0), g, b);
}

PRODUCTS(UP_TO_12, 1)
PRODUCTS(UP_TO_6, 2)

static void winograd_product(const rni_winograd_planes *v, const float *u, int64_t channels, int64_t tiles,
                             int32_t vectors, const rni_winograd_planes *m, const rni_winograd_ahead *ahead)
{
    if (vectors == 1)
        run_products(products_1, MOST_PRODUCTS(1), 1, v, u, channels, tiles, m, *ahead);
    else
        run_products(products_2, MOST_PRODUCTS(2), 2, v, u, channels, tiles, m, *ahead);
}

PRODUCT_FILTERS(UP_TO_12, 1)
PRODUCT_FILTERS(UP_TO_6, 2)

static void winograd_filter(const rni_winograd_planes *x, const rni_winograd_planes *dy, int64_t channels,
                            int64_t tiles, int32_t vectors, const rni_winograd_planes *sum,
                            const rni_winograd_ahead *ahead)
{
    if (vectors == 1)
        run_filters(product_filters_1, MOST_FILTERS(1), x, dy, channels, tiles, sum, *ahead);
    else
        run_filters(product_filters_2, MOST_FILTERS(2), x, dy, channels, tiles, sum, *ahead);
}

static void band(const rni_conv_band *b)
{
    run_band(b, product_filters_1, MOST_FILTERS(1), product_filters_2, MOST_FILTERS(2));
}

const rni_conv_kernels rni_conv_kernels_avx2 = {LANES, 2, 1, 2, windows, filter, band, moments,
    {winograd_input, winograd_gradient, winograd_weights, winograd_product, winograd_output, winograd_filter,
     winograd_taps}};
