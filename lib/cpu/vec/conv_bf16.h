/* SPDX-License-Identifier: MIT */
/* The bf16 kernels of one level, whose file defines RNI_BF16 and the sizes of tiles. */
#include "cpu/vec/conv_product.h"
#include "cpu/vec/conv_filter.h"
#include "cpu/vec/conv_moments.h"
#include "cpu/vec/conv_windows.h"
#include "cpu/vec/winograd_images.h"

TILES(LIST_1, 1, 0)
TILES(WINDOWS_2, 2, 0)

/* Wider tiles read weights fewer times, which pays where a row of an image fits; with one tap 14 pixels were slower than 12. */
enum {
    MOST_OF_TAPS = sizeof tiles_2_0 / sizeof *tiles_2_0 - 1,
    MOST_OF_ONE_TAP = MOST_OF_TAPS < 12 ? MOST_OF_TAPS : 12
};

static void windows(const rni_conv_windows *g, const rni_conv_block *b)
{
    if (b->vectors == 1)
        RUN_TILES(1, 0);
    else
        run_rows(g, b, tiles_2_0, g->taps[0] * g->taps[1] == 1 ? MOST_OF_ONE_TAP : MOST_OF_TAPS);
}

FILTER_TILES(LIST_1, 1, 0)
FILTER_TILES(LIST_2, 2, 0)

static void filter(const rni_conv_filter *g, const rni_conv_filter_block *b)
{
    run_filter(b->vectors == 1 ? FILTER_KIND(1, 0) : FILTER_KIND(2, 0), g, b);
}

static void pack_pairs(const float *rows, int64_t stride, int64_t channels, int64_t width, void *packed)
{
    elem *to = packed;
    for (int64_t c = 0; c < channels; c += 2, rows += 2 * stride)
        for (int64_t v = 0; v < width; v += LANES, to += 2 * LANES) {
            const half low = v_narrow(v_load(rows + v));
            p_store(to, p_join(low, c + 1 < channels ? v_narrow(v_load(rows + stride + v)) : h_set(0)));
        }
}

#if defined(__AVX512BF16__)
#include "cpu/vec/winograd_dots.h"
#define WINOGRAD_DOTS &dots_form
#else
#define WINOGRAD_DOTS NULL
#endif

#define CONV_KERNELS_BF16(NAME, PRODUCTS)                                                                       \
    const rni_conv_kernels NAME = {                                                                             \
        sizeof(elem), STEP, LANES, 2, 0, 0, windows, filter, product, copy_rows, moments, pack_pairs,               \
        {4, sizeof(float), 1, 0, winograd_input, winograd_gradient, winograd_output, &PRODUCTS}, WINOGRAD_DOTS};
