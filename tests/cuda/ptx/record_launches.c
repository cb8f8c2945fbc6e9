/* SPDX-License-Identifier: MIT */
/*
 * Launches of kernels that no op of checkbackend comes to by chance, for the simulator to record: operands that are not
 * aligned to 16 bytes, and channels that fill whole vectors.
 */
#include "base/f16.h"
#include "base/half.h"
#include "kernels/activations.h"
#include "kernels/augment.h"
#include "kernels/bn_sums.h"
#include "kernels/kernels.h"
#include "ops/conv_f32.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROCESSORS = 2 };
static const int32_t types[] = {RN_F32, RN_BF16, RN_F16};
enum { TYPES = sizeof types / sizeof *types };

static void check(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
    exit(1);
}

/* The simulator counts what is left at the end. */
static void *allocated[768];
static int allocations;

static void *allocate(size_t bytes)
{
    void *device = NULL;
    if (allocations == (int)(sizeof allocated / sizeof *allocated))
        check(cudaErrorMemoryAllocation, "allocated[]");
    check(cudaMalloc(&device, bytes), "cudaMalloc");
    return allocated[allocations++] = device;
}

/* A device array whose first element lies `skip` elements behind an aligned address. */
static char *array(int64_t count, int32_t dtype, int64_t skip)
{
    static uint32_t state = 1;
    const size_t size = rni_is_half(dtype) ? 2 : 4;
    char *const host = malloc((size_t)(count + skip) * size);
    check(host ? cudaSuccess : cudaErrorMemoryAllocation, "malloc");
    void *const device = allocate((size_t)(count + skip) * size);
    for (int64_t i = 0; i < count + skip; i++) {
        state = state * 1664525u + 1013904223u;
        const float value = (float)(int32_t)state * 0x1p-30f;
        uint32_t bits;
        memcpy(&bits, &value, 4);
        const uint16_t half = dtype == RN_F16 ? rni_f16_round(value) : (uint16_t)(bits >> 16);
        memcpy(host + (size_t)i * size, rni_is_half(dtype) ? (const void *)&half : &bits, size);
    }
    check(cudaMemcpyAsync(device, host, (size_t)(count + skip) * size, cudaMemcpyDefault, NULL), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
    free(host);
    return (char *)device + (size_t)skip * size;
}

static float *singles(int64_t count)
{
    return (float *)(void *)array(count, RN_F32, 0);
}

static void flat(int32_t dtype)
{
    for (int32_t op = RNI_FLAT_RELU; op <= RNI_FLAT_ADD_RELU; op++)
        check(rni_k_flat(NULL, op, array(3001, dtype, 1), array(3001, dtype, 0), array(3001, dtype, 3), 3001, dtype),
              "flat");
}

static void convert(int32_t from, int32_t to)
{
    for (int64_t skip = 0; skip < 2; skip++)
        check(rni_k_convert(NULL, from, to, array(1003, from, skip), array(1003, to, 0), 1003, (int32_t)skip),
              "convert");
}

static void finish_rows(int32_t sums, int32_t dtype, int64_t columns)
{
    const int64_t count = 37 * columns;
    check(rni_k_finish_rows(NULL, sums, dtype, array(count, sums, 0), singles(columns), array(count, dtype, 0),
                            array(count, dtype, 0), 37, columns, 1),
          "finish_rows");
}

static const rni_cuda_scalars *scalars(void)
{
    const rni_cuda_scalars host = {.seed = 0x123456789abcdef0u, .step = 7, .optimizer_step = 7, .grad_scale = 1.0};
    void *const device = allocate(sizeof host);
    check(cudaMemcpyAsync(device, &host, sizeof host, cudaMemcpyDefault, NULL), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
    return device;
}

static void dropout(int32_t dtype)
{
    for (int64_t skip = 0; skip < 2; skip++) {
        const rni_k_dropout d = {.x = array(30 * 67, dtype, skip),
                                 .y = array(30 * 67, dtype, skip),
                                 .scalars = scalars(),
                                 .images = 30,
                                 .channels = 67,
                                 .pixels = 1,
                                 .factor = 1 / 0.7,
                                 .threshold = 5033165,
                                 .stream = 3,
                                 .dtype = dtype,
                                 .processors = PROCESSORS};
        check(rni_k_dropout_rows(NULL, &d), "dropout");
    }
}

/* A device array of bytes, or of numbers below `end`. */
static uint8_t *bytes(int64_t count)
{
    return (uint8_t *)(void *)array(count / 4 + 1, RN_F32, 0);
}

static int64_t *whole_numbers(int64_t count, int64_t end)
{
    int64_t host[8];
    int64_t *const device = allocate((size_t)count * sizeof *host);
    for (int64_t i = 0; i < count; i++)
        host[i] = (5 * i + 3) % end;
    check(cudaMemcpyAsync(device, host, (size_t)count * sizeof *host, cudaMemcpyDefault, NULL), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
    return device;
}

/* Images of 3 x 6 x 8, which are whole vectors, cropped, mirrored, cut, less a mean and normalised. */
static void augment(int32_t dtype, int32_t nhwc, int64_t skip)
{
    rni_k_augment a = {.images = bytes(4 * 144),
                       .labels = whole_numbers(4, 10),
                       .order = whole_numbers(3, 4),
                       .key = whole_numbers(2, 100),
                       .table = singles(3 * 256),
                       .fill = singles(3 * 3),
                       .mean = singles(3 * 48),
                       .after = singles(2 * 3),
                       .x = array(3 * 144, dtype, skip),
                       .y = whole_numbers(3, 2),
                       .rows = 3,
                       .channels = 3,
                       .in_height = 6,
                       .in_width = 8,
                       .out_height = 6,
                       .out_width = 8,
                       .mean_height = 6,
                       .mean_width = 8,
                       .num_after = 1,
                       .nhwc = nhwc,
                       .dtype = dtype,
                       .processors = PROCESSORS,
                       .num_steps = 4};
    a.steps[0] = (rn_augment_step){.kind = RN_AUGMENT_CROP, .in_height = 6, .in_width = 8, .top = -2, .left = -2,
                                   .down = 5, .across = 5, .height = 6, .width = 8};
    a.steps[1] = (rn_augment_step){.kind = RN_AUGMENT_CUT, .lane = 1, .level = 1, .in_height = 6, .in_width = 8,
                                   .top = -1, .left = -1, .down = 6, .across = 8, .height = 3, .width = 3};
    a.steps[2] = (rn_augment_step){.kind = RN_AUGMENT_SUBTRACT, .lane = 2, .in_height = 6, .in_width = 8};
    a.steps[3] = (rn_augment_step){.kind = RN_AUGMENT_FLIP, .lane = 3, .in_height = 6, .in_width = 8,
                                   .threshold = 1u << 23};
    check(rni_k_augment_rows(NULL, &a), "augment");
}

static void pad_shortcut(int32_t dtype)
{
    const rni_k_pad p = {.images = 2,
                         .channels = 16,
                         .out_channels = 40,
                         .before = 8,
                         .height = 7,
                         .width = 6,
                         .out_height = 4,
                         .out_width = 3,
                         .stride = {2, 2},
                         .dtype = dtype,
                         .processors = PROCESSORS};
    check(rni_k_pad_shortcut(NULL, array(2 * 16 * 42, dtype, 0), array(2 * 40 * 12, dtype, 0), &p, 0), "pad_shortcut");
    check(rni_k_pad_shortcut(NULL, array(2 * 40 * 12, dtype, 0), array(2 * 16 * 42, dtype, 0), &p, 1), "pad_shortcut");
}

static void pool(int32_t dtype, int64_t channels)
{
    rni_k_pool p = {.images = 2,
                    .channels = channels,
                    .height = 7,
                    .width = 6,
                    .out_height = 4,
                    .out_width = 3,
                    .kernel = {3, 3},
                    .stride = {2, 2},
                    .padding = {1, 1},
                    .dtype = dtype,
                    .processors = PROCESSORS};
    const int64_t in = 84 * channels, out = 24 * channels;
    check(rni_k_maxpool(NULL, array(in, dtype, 0), array(out, dtype, 0), &p), "maxpool");
    check(rni_k_avgpool(NULL, array(in, dtype, 0), array(out, dtype, 0), &p), "avgpool");
    check(rni_k_avgpool_backward(NULL, array(out, dtype, 0), array(in, dtype, 0), &p), "avgpool_backward");
    const rni_k_pool whole = {.images = 2,
                              .channels = channels,
                              .height = 7,
                              .width = 6,
                              .out_height = 1,
                              .out_width = 1,
                              .kernel = {7, 6},
                              .stride = {7, 6},
                              .global = 1,
                              .dtype = dtype,
                              .processors = PROCESSORS};
    check(rni_k_avgpool(NULL, array(in, dtype, 0), array(2 * channels, dtype, 0), &whole), "global_avgpool");
    check(rni_k_avgpool_backward(NULL, array(2 * channels, dtype, 0), array(in, dtype, 0), &whole), "global_avgpool");
}

/* Everything positive: the variance is, too. */
static float *variances(int64_t count)
{
    float *const device = singles(count);
    float host[600];
    for (int64_t i = 0; i < count; i++)
        host[i] = 0.5f + 0.1f * (float)i;
    check(cudaMemcpyAsync(device, host, (size_t)count * sizeof *host, cudaMemcpyDefault, NULL), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
    return device;
}

/* Counters of blocks, zero. */
static int32_t *counters(void)
{
    static const int32_t zeros[RNI_K_COUNTERS];
    static int32_t *device;
    if (device)
        return device;
    device = allocate(sizeof zeros);
    check(cudaMemcpyAsync(device, zeros, sizeof zeros, cudaMemcpyDefault, NULL), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
    return device;
}

static void bn_backward(int32_t dtype, int64_t channels, int32_t from_x)
{
    const int64_t rows = 75, count = rows * channels;
    const uint64_t bytes = rni_k_bn_backward_bytes(PROCESSORS, rows, channels);
    const rni_k_bn_backward b = {.dy = array(count, dtype, 0),
                                 .x = array(count, dtype, 0),
                                 .y = from_x ? NULL : array(count, dtype, 0),
                                 .mean = singles(channels),
                                 .var = variances(channels),
                                 .gamma = singles(channels),
                                 .beta = singles(channels),
                                 .dx = array(count, dtype, 0),
                                 .dgamma = singles(channels),
                                 .dbeta = singles(channels),
                                 .workspace = singles((int64_t)(bytes + 3) / 4),
                                 .counters = counters(),
                                 .eps = 1e-5,
                                 .rows = rows,
                                 .channels = channels,
                                 .from_x = from_x,
                                 .dtype = dtype,
                                 .processors = PROCESSORS};
    check(rni_k_bn_backward_all(NULL, &b), "bn_backward");
}

/* Filters of one block each, of several, and some of several filters; in pairs and single channels. */
static const rni_filters_part *filters(rni_filters_part *parts, uint32_t *blocks)
{
    static const uint32_t sizes[][5] = {{5, 32, 9, 5, 32}, {6, 3, 9, 4, 3}, {3, 24, 4, 1, 16}, {2, 33, 1, 2, 33}};
    uint64_t at = 4;
    parts[0].first_block = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t *const n = sizes[i];
        const uint32_t count = (n[1] + n[4] - 1) / n[4] * ((n[0] + n[3] - 1) / n[3]), first = parts[i].first_block;
        parts[i] = (rni_filters_part){at * 4, at * 4, i % 2 ? 0 : RNI_FILTERS_NO_SCALE, n[0], n[1], n[2], n[3], n[4], first};
        parts[i + 1].first_block = first + count;
        at += n[0] * n[1] * n[2];
        at += i == 2 ? 1 : -at % 4;
    }
    *blocks = parts[4].first_block;
    void *const device = allocate(5 * sizeof *parts);
    check(cudaMemcpyAsync(device, parts, 5 * sizeof *parts, cudaMemcpyDefault, NULL), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
    return device;
}

static void filter_lists(int32_t dtype)
{
    rni_filters_part parts[5] = {{0}};
    rni_filters_run all = {.count = 4};
    all.parts = filters(parts, &all.blocks);
    const rni_filters_run some = {all.parts + 1, 2, parts[1].first_block, parts[3].first_block - parts[1].first_block};
    check(rni_k_filters_pack(NULL, dtype, &all, singles(3000), singles(8), array(6000, dtype, 0)), "filters_pack");
    check(rni_k_filters_pack(NULL, dtype, &some, singles(3000), singles(8), array(6000, dtype, 0)), "filters_pack");
    check(rni_k_filters_add(NULL, dtype, &all, array(6000, dtype, 0), singles(3000)), "filters_add");
}

static void convolution(int32_t dtype)
{
    const rni_conv_shape shape = {.images = 1,
                                  .groups = 1,
                                  .in_channels = 32,
                                  .out_channels = 32,
                                  .in = {6, 5},
                                  .out = {6, 5},
                                  .kernel = {3, 3},
                                  .stride = {1, 1},
                                  .padding = {1, 1},
                                  .dilation = {1, 1}};
    const int64_t pixels = 30 * 32, filter = 32 * 32 * 9;
    check(rni_k_conv_backward_data(NULL, dtype, &shape, array(pixels, dtype, 0), array(filter, dtype, 0),
                                   array(pixels, dtype, 0), 0),
          "conv_backward_data");
    check(rni_k_conv_backward_filter(NULL, dtype, &shape, array(pixels, dtype, 0), array(pixels, dtype, 0), 32,
                                     singles(filter)),
          "conv_backward_filter");
}

/* Every tile of the kernels that have some. */
static void f32_convolutions(void)
{
    rni_conv_shape s = {.images = 2,
                        .groups = 1,
                        .in_channels = 12,
                        .out_channels = 20,
                        .in = {6, 5},
                        .out = {3, 3},
                        .kernel = {3, 3},
                        .stride = {2, 2},
                        .padding = {1, 1},
                        .dilation = {1, 1}};
    const int64_t in = 2 * 30 * 12, out = 2 * 9 * 20, filter = 20 * 12 * 9;
    for (int32_t tile = 0; tile < RNI_F32_GATHER_TILES; tile++) {
        if (rni_f32_serves(RN_OP_CONV_FORWARD, RN_F32, &s, tile))
            check(rni_k_conv_forward_f32(NULL, tile, &s, singles(in), singles(filter), singles(20), singles(out),
                                         singles(out), 1),
                  "conv_forward_f32");
        if (rni_f32_serves(RN_OP_CONV_BACKWARD_DATA, RN_F32, &s, tile))
            check(rni_k_conv_backward_data_f32(NULL, tile, &s, singles(out), singles(filter), singles(in), 1),
                  "conv_backward_data_f32");
    }
    for (int32_t count = 12; count <= 130; count += 118)
        check(rni_k_filter_add(NULL, RN_F32, singles(count * 8 * 4 * 9), count, singles(8 * 4 * 9), 8, 4, 9), "filter_add");
    s.in_channels = 16;
    s.out_channels = 24;
    for (int t = 0; t < TYPES; t++)
        for (int32_t tile = 0; tile < RNI_F32_FILTER_TILES; tile++)
            if (rni_f32_serves(RN_OP_CONV_BACKWARD_FILTER, types[t], &s, tile))
                check(rni_k_conv_filter(NULL, types[t], tile, &s, array(2 * 30 * 16, types[t], 0),
                                        array(2 * 9 * 24, types[t], 0), 32, singles(24 * 16 * 9)),
                      "conv_filter");
}

/* More channels than a block has threads, here and below. */
static void factors(void)
{
    const rni_k_affine a = {.y = array(2 * 600, RN_F16, 0),
                            .mean = singles(600),
                            .var = variances(600),
                            .gamma = singles(600),
                            .beta = singles(600),
                            .eps = 1e-5,
                            .channels = 600};
    check(rni_k_bn_factors(NULL, &a), "bn_factors");
}

static void moments(void)
{
    check(rni_k_bn_from_sums(NULL, singles(150), singles(150), singles(150), singles(150), 150, 77), "bn_from_sums");
}

int main(void)
{
    f32_convolutions();
    for (int t = 0; t < TYPES; t++) {
        const int32_t dtype = types[t];
        flat(dtype);
        convert(dtype, RN_F32);
        convert(dtype, dtype);
        convert(RN_F32, dtype);
        for (int64_t columns = 45; columns <= 48; columns += 3) {
            finish_rows(dtype, dtype, columns);
            finish_rows(RN_F32, dtype, columns);
        }
        dropout(dtype);
        for (int32_t i = 0; i < 4; i++)
            augment(dtype, i % 2, i / 2);
        pad_shortcut(dtype);
        convolution(dtype);
        filter_lists(dtype);
        for (int64_t channels = 5; channels <= 16; channels += 11) {
            pool(dtype, channels);
            bn_backward(dtype, channels, 0);
            bn_backward(dtype, channels, 1);
        }
    }
    moments();
    factors();
    check(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
    while (allocations > 0)
        check(cudaFree(allocated[--allocations]), "cudaFree");
    return 0;
}
