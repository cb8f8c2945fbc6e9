/* SPDX-License-Identifier: MIT */
/* 32 registers: up to 24 sums, the rest for weights and one input. */
#include "cpu/conv_kernels.h"

enum { MAX_PIXELS = 16, MAX_VECTORS = 2, MAX_CHANNELS = 16 };
#define LIST_1 UP_TO_16
#define LIST_2 UP_TO_12
#include "cpu/vec/conv_product.h"
#include "cpu/vec/conv_filter.h"
#include "cpu/vec/conv_moments.h"
#include "cpu/vec/conv_windows.h"
#include "cpu/vec/winograd_images.h"
#include "cpu/vec/winograd_products.h"

TILES(LIST_1, 1, 0)
TILES(LIST_2, 2, 0)
TILES(UP_TO_16, 1, 1)
TILES(UP_TO_8, 2, 1)

static void windows(const rni_conv_windows *g, const rni_conv_block *b)
{
    if (g->triple)
        b->vectors == 1 ? RUN_TILES(1, 1) : RUN_TILES(2, 1);
    else
        b->vectors == 1 ? RUN_TILES(1, 0) : RUN_TILES(2, 0);
}

FILTER_TILES(LIST_1, 1, 0)
FILTER_TILES(LIST_2, 2, 0)
FILTER_TILES(UP_TO_8, 1, 1)

static void filter(const rni_conv_filter *g, const rni_conv_filter_block *b)
{
    run_filter(g->triple ? FILTER_KIND(1, 1) : b->vectors == 1 ? FILTER_KIND(1, 0) : FILTER_KIND(2, 0), g, b);
}

const rni_winograd_products rni_winograd_products_avx512 = {winograd_weights, winograd_product, winograd_filter,
                                                          winograd_taps};

const rni_conv_kernels rni_conv_kernels_avx512 = {
    sizeof(elem), STEP, LANES, 2, 2, 1, windows, filter, product, copy_rows, moments, NULL,
    {4, sizeof(float), 1, 0, winograd_input, winograd_gradient, winograd_output, &rni_winograd_products_avx512}, NULL};
