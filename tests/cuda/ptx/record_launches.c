/* SPDX-License-Identifier: MIT */
/*
 * Launches of kernels that no op of checkbackend comes to by chance, for the simulator to record: operands that are not
 * aligned to 16 bytes, and channels that fill whole vectors.
 */
#include "kernels/activations.h"
#include "kernels/bn_sums.h"
#include "kernels/kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROCESSORS = 2 };
static const int32_t types[] = {RN_F32, RN_BF16};

static void check(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
    exit(1);
}

/* The simulator counts what is left at the end. */
static void *allocated[512];
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
    const size_t size = dtype == RN_BF16 ? 2 : 4;
    char *const host = malloc((size_t)(count + skip) * size);
    check(host ? cudaSuccess : cudaErrorMemoryAllocation, "malloc");
    void *const device = allocate((size_t)(count + skip) * size);
    for (int64_t i = 0; i < count + skip; i++) {
        state = state * 1664525u + 1013904223u;
        const float value = (float)(int32_t)state * 0x1p-30f;
        uint32_t bits;
        memcpy(&bits, &value, 4);
        const uint16_t half = (uint16_t)(bits >> 16);
        memcpy(host + (size_t)i * size, dtype == RN_BF16 ? (const void *)&half : &bits, size);
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
    float host[64];
    for (int64_t i = 0; i < count; i++)
        host[i] = 0.5f + 0.1f * (float)i;
    check(cudaMemcpyAsync(device, host, (size_t)count * sizeof *host, cudaMemcpyDefault, NULL), "cudaMemcpyAsync");
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
                                 .eps = 1e-5,
                                 .rows = rows,
                                 .channels = channels,
                                 .from_x = from_x,
                                 .dtype = dtype,
                                 .processors = PROCESSORS};
    check(rni_k_bn_backward_all(NULL, &b), "bn_backward");
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

/* More channels than a block has threads. */
static void moments(void)
{
    check(rni_k_bn_from_sums(NULL, singles(150), singles(150), singles(150), singles(150), 150, 77), "bn_from_sums");
}

int main(void)
{
    for (int t = 0; t < 2; t++) {
        const int32_t dtype = types[t];
        flat(dtype);
        convert(dtype, RN_F32);
        convert(dtype, RN_BF16);
        for (int64_t columns = 45; columns <= 48; columns += 3) {
            finish_rows(dtype, RN_BF16, columns);
            finish_rows(RN_F32, dtype, columns);
        }
        dropout(dtype);
        pad_shortcut(dtype);
        convolution(dtype);
        for (int64_t channels = 5; channels <= 16; channels += 11) {
            pool(dtype, channels);
            bn_backward(dtype, channels, 0);
            bn_backward(dtype, channels, 1);
        }
    }
    moments();
    check(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
    while (allocations > 0)
        check(cudaFree(allocated[--allocations]), "cudaFree");
    return 0;
}
