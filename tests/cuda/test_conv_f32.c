/* SPDX-License-Identifier: MIT */
/*
 * The f32 convolution kernels with every tile, in the simulator: shapes that leave tails of tiles, of channels and of
 * taps, against sums in f64. Any order of a sum of n products is off by at most n units of rounding of the sum of their
 * magnitudes; bias, residual and what was there are terms, too.
 */
#include "base/bf16.h"
#include "base/f16.h"
#include "ops/conv_f32.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Square in nothing, so that axes cannot be mixed up. */
static const rni_conv_shape shapes[] = {
    {3, 1, 16, 16, {9, 7}, {9, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, /* whole channels, tails of pixels */
    {2, 1, 20, 36, {8, 11}, {4, 6}, {3, 3}, {2, 2}, {1, 1}, {1, 1}}, /* tails of everything */
    {2, 1, 40, 132, {5, 6}, {5, 6}, {1, 1}, {1, 1}, {0, 0}, {1, 1}}, /* one tap, several tiles of channels */
    {2, 1, 12, 8, {7, 9}, {4, 5}, {1, 1}, {2, 2}, {0, 0}, {1, 1}}, /* most pixels of dx meet no output */
    {1, 1, 4, 8, {14, 12}, {7, 6}, {7, 7}, {2, 2}, {3, 3}, {1, 1}}, /* 49 taps */
    {2, 1, 8, 24, {9, 10}, {9, 10}, {3, 3}, {1, 1}, {2, 2}, {2, 2}}, /* dilated */
    {2, 1, 8, 12, {6, 13}, {6, 5}, {1, 3}, {1, 3}, {0, 1}, {1, 1}}, /* a stride along one axis */
    {2, 1, 8, 4, {8, 9}, {3, 3}, {2, 2}, {3, 3}, {0, 0}, {1, 1}}, /* pixels between the windows */
    {5, 1, 16, 16, {12, 11}, {12, 11}, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, /* several shares of pixels */
    {3, 1, 3, 16, {9, 8}, {9, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, /* single channels */
    {2, 1, 5, 68, {7, 6}, {4, 3}, {3, 3}, {2, 2}, {1, 1}, {1, 1}},
};

enum { SHARE = 128, FORWARD, DATA, FILTER };
enum { TYPES = 3 };
static const int32_t types[TYPES] = {RN_F32, RN_BF16, RN_F16};

typedef struct operands {
    float *x, *w, *y, *bias; /* in the host's memory */
    int64_t in, out, weights;
} operands;

static int failures;

static void check(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
    exit(1);
}

static float *values(int64_t count)
{
    static uint32_t state = 1;
    float *const v = malloc((size_t)count * sizeof *v);
    check(v ? cudaSuccess : cudaErrorMemoryAllocation, "malloc");
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        v[i] = (float)(int32_t)state * 0x1p-30f;
    }
    return v;
}

static float *on_device(const float *host, int64_t count)
{
    void *device = NULL;
    check(cudaMalloc(&device, (size_t)count * sizeof(float)), "cudaMalloc");
    if (host)
        check(cudaMemcpyAsync(device, host, (size_t)count * sizeof(float), cudaMemcpyDefault, NULL), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
    return device;
}

/* Reads and frees. */
static float *from_device(float *device, int64_t count)
{
    float *const host = malloc((size_t)count * sizeof *host);
    check(host ? cudaSuccess : cudaErrorMemoryAllocation, "malloc");
    check(cudaMemcpyAsync(host, device, (size_t)count * sizeof(float), cudaMemcpyDefault, NULL), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
    check(cudaFree(device), "cudaFree");
    return host;
}

/* A sum of products, of their magnitudes, and how many there are. */
typedef struct exact {
    double sum, size;
    int64_t count;
} exact;

static void add(exact *e, double term)
{
    e->sum += term;
    e->size += fabs(term);
    e->count++;
}

/* Goes through all products of x[i], w[j] and y[k]; adds those of the operand that is made to its own element. */
static void convolve(const rni_conv_shape *s, const operands *o, int made, exact *to)
{
    for (int64_t n = 0; n < s->images; n++)
        for (int64_t p = 0; p < (int64_t)s->out[0] * s->out[1]; p++)
            for (int64_t t = 0; t < (int64_t)s->kernel[0] * s->kernel[1]; t++) {
                const int64_t iy = p / s->out[1] * s->stride[0] - s->padding[0] + t / s->kernel[1] * s->dilation[0];
                const int64_t ix = p % s->out[1] * s->stride[1] - s->padding[1] + t % s->kernel[1] * s->dilation[1];
                if (iy < 0 || iy >= s->in[0] || ix < 0 || ix >= s->in[1])
                    continue;
                const int64_t i = ((n * s->in[0] + iy) * s->in[1] + ix) * s->in_channels;
                const int64_t k = (n * s->out[0] * s->out[1] + p) * s->out_channels;
                for (int64_t oc = 0; oc < s->out_channels; oc++)
                    for (int64_t c = 0; c < s->in_channels; c++) {
                        const int64_t j = (oc * s->kernel[0] * s->kernel[1] + t) * s->in_channels + c;
                        if (made == FORWARD)
                            add(&to[k + oc], (double)o->x[i + c] * o->w[j]);
                        else if (made == DATA)
                            add(&to[i + c], (double)o->y[k + oc] * o->w[j]);
                        else
                            add(&to[j], (double)o->x[i + c] * o->y[k + oc]);
                    }
            }
}

static void compare(const rni_conv_shape *s, int number, const char *what, const exact *expected, const float *got,
                    int64_t count, int relu)
{
    for (int64_t i = 0; i < count; i++) {
        const double sum = relu && expected[i].sum < 0 ? 0 : expected[i].sum;
        const double allowed = (double)(expected[i].count + 1) * 0x1p-24 * 1.001 * expected[i].size;
        if (fabs(got[i] - sum) <= allowed)
            continue;
        fprintf(stderr,
                "%s, tile %d, %d to %d channels, %d x %d taps, stride %d x %d: element %lld: %.9g expected, got %.9g, "
                "off by %.3g of %.3g allowed\n",
                what, number, (int)s->in_channels, (int)s->out_channels, (int)s->kernel[0], (int)s->kernel[1],
                (int)s->stride[0], (int)s->stride[1], (long long)i, sum, (double)got[i], fabs(got[i] - sum), allowed);
        failures++;
        return;
    }
}

static exact *exacts(int64_t count)
{
    exact *const e = calloc((size_t)count, sizeof *e);
    check(e ? cudaSuccess : cudaErrorMemoryAllocation, "calloc");
    return e;
}

/* plain: nothing after the sum; else bias, residual and ReLU. */
static void forward(const rni_conv_shape *s, const operands *o, int number, int plain)
{
    float *const x = on_device(o->x, o->in), *const w = on_device(o->w, o->weights), *const y = on_device(NULL, o->out);
    float *const bias = on_device(o->bias, s->out_channels), *const residual = on_device(o->y, o->out);
    check(rni_k_conv_forward_f32(NULL, number, s, x, w, plain ? NULL : bias, plain ? NULL : residual, y, !plain),
          "forward");
    exact *const e = exacts(o->out);
    convolve(s, o, FORWARD, e);
    for (int64_t i = 0; i < o->out && !plain; i++) {
        add(&e[i], o->bias[i % s->out_channels]);
        add(&e[i], o->y[i]);
    }
    float *const got = from_device(y, o->out);
    compare(s, number, "forward", e, got, o->out, !plain);
    free(from_device(x, 0)), free(from_device(w, 0)), free(from_device(bias, 0)), free(from_device(residual, 0));
    free(e), free(got);
}

static void data(const rni_conv_shape *s, const operands *o, int number, int accumulate)
{
    float *const y = on_device(o->y, o->out), *const w = on_device(o->w, o->weights);
    float *const x = on_device(accumulate ? o->x : NULL, o->in);
    check(rni_k_conv_backward_data_f32(NULL, number, s, y, w, x, accumulate), "backward data");
    exact *const e = exacts(o->in);
    convolve(s, o, DATA, e);
    for (int64_t i = 0; i < o->in && accumulate; i++)
        add(&e[i], o->x[i]);
    float *const got = from_device(x, o->in);
    compare(s, number, "backward data", e, got, o->in, 0);
    free(from_device(y, 0)), free(from_device(w, 0));
    free(e), free(got);
}

static uint16_t bits_of(float value, int32_t dtype)
{
    return dtype == RN_BF16 ? rni_bf16_round(value) : rni_f16_round(value);
}

static float value_of(uint16_t bits, int32_t dtype)
{
    return dtype == RN_BF16 ? rni_bf16_value(bits) : rni_f16_value(bits);
}

/* The same rounded to a type, as f32. */
static float *rounded_of(const float *values, int64_t count, int32_t dtype)
{
    float *const to = malloc((size_t)count * sizeof *to);
    check(to ? cudaSuccess : cudaErrorMemoryAllocation, "malloc");
    for (int64_t i = 0; i < count; i++)
        to[i] = dtype == RN_F32 ? values[i] : value_of(bits_of(values[i], dtype), dtype);
    return to;
}

/* On the device as elements of a type that holds them exactly. */
static void *stored_on_device(const float *values, int64_t count, int32_t dtype)
{
    if (dtype == RN_F32)
        return on_device(values, count);
    uint16_t *const bits = malloc((size_t)count * sizeof *bits + sizeof(float));
    check(bits ? cudaSuccess : cudaErrorMemoryAllocation, "malloc");
    for (int64_t i = 0; i < count; i++)
        bits[i] = bits_of(values[i], dtype);
    float *const device = on_device((const float *)(const void *)bits, (count + 1) / 2);
    free(bits);
    return device;
}

/* dw is O,I,taps, where sums are O,taps,I. */
static void filter(const rni_conv_shape *s, const operands *from, int32_t dtype, int number, int share)
{
    const operands rounded = {rounded_of(from->x, from->in, dtype),
                              from->w,
                              rounded_of(from->y, from->out, dtype),
                              NULL,
                              from->in,
                              from->out,
                              from->weights};
    const operands *const o = &rounded;
    const int64_t taps = (int64_t)s->kernel[0] * s->kernel[1], c = s->in_channels;
    const int32_t shares = (int32_t)((o->out / s->out_channels + share - 1) / share);
    void *const x = stored_on_device(o->x, o->in, dtype), *const y = stored_on_device(o->y, o->out, dtype);
    float *const dw = on_device(o->w, o->weights);
    float *const sums = on_device(NULL, shares * o->weights);
    check(rni_k_conv_filter(NULL, dtype, number, s, x, y, share, sums), "backward filter");
    check(rni_k_filter_add(NULL, RN_F32, sums, shares, dw, s->out_channels, s->in_channels, (int32_t)taps),
          "filter_add");
    exact *const e = exacts(o->weights), *const turned = exacts(o->weights);
    convolve(s, o, FILTER, e);
    for (int64_t i = 0; i < o->weights; i++) {
        const int64_t at = (i / (taps * c) * c + i % c) * taps + i / c % taps;
        turned[at] = e[i];
        add(&turned[at], o->w[at]);
    }
    float *const got = from_device(dw, o->weights);
    compare(s, number,
            dtype == RN_F32    ? "backward filter"
            : dtype == RN_BF16 ? "backward filter in bf16"
                               : "backward filter in f16",
            turned, got, o->weights, 0);
    free(from_device(x, 0)), free(from_device(y, 0)), free(from_device(sums, 0));
    free(e), free(turned), free(got), free(o->x), free(o->y);
}

int main(void)
{
    int cases = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const rni_conv_shape *const s = &shapes[i];
        operands o = {.in = (int64_t)s->images * s->in[0] * s->in[1] * s->in_channels,
                      .out = (int64_t)s->images * s->out[0] * s->out[1] * s->out_channels,
                      .weights = (int64_t)s->out_channels * s->in_channels * s->kernel[0] * s->kernel[1]};
        o.x = values(o.in), o.y = values(o.out), o.w = values(o.weights), o.bias = values(s->out_channels);
        for (int32_t t = 0; t < RNI_F32_GATHER_TILES; t++)
            for (int way = 0; way < 2; way++) {
                if (rni_f32_serves(RN_OP_CONV_FORWARD, RN_F32, s, t))
                    forward(s, &o, t, way), cases++;
                if (rni_f32_serves(RN_OP_CONV_BACKWARD_DATA, RN_F32, s, t))
                    data(s, &o, t, way), cases++;
            }
        for (int32_t t = 0; t < RNI_F32_FILTER_TILES; t++)
            for (int d = 0; d < TYPES; d++) {
                if (!rni_f32_serves(RN_OP_CONV_BACKWARD_FILTER, types[d], s, t))
                    continue;
                filter(s, &o, types[d], t, SHARE), cases++;
                filter(s, &o, types[d], t, 16), cases++;
            }
        free(o.x), free(o.y), free(o.w), free(o.bias);
    }
    printf("%d cases, %d failed\n", cases, failures);
    return failures != 0;
}
