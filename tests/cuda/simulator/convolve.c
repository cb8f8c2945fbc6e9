/* SPDX-License-Identifier: MIT */
/*
 * One walk over (output pixel, tap) pairs serves all three directions. Channels are innermost: for the forward pass and
 * the filter's gradient the filter lies as taps, inputs, outputs, so that inner loops go over consecutive outputs.
 */
#include "simulator/convolve.h"
#include "simulator/narrow.h"
#include <stdlib.h>

/* Copies in the precision of sums, and what is being summed. */
typedef struct work {
    const rni_dnn_shape *s;
    int64_t in, out, taps; /* channels of one group */
    float *x, *w, *y; /* w: groups, taps, in, out */
    double *sums;
} work;

static float *widen(const void *from, int64_t count, int32_t dtype)
{
    float *const to = malloc((size_t)count * sizeof *to);
    for (int64_t i = 0; to && i < count; i++)
        to[i] = narrow_load(from, i, dtype);
    return to;
}

/*
 * What is convolved in place of x: product and sum in f32 as the graph has them between its ops, and then f16, the
 * images' type, which is what tensor cores multiply.
 */
static void normalise(float *x, const rni_dnn_shape *s, const convolve_tensors *t)
{
    for (int64_t i = 0; i < rni_dnn_input_count(s); i++) {
        const float scaled = x[i] * narrow_load(t->scale, i % s->in[0], s->dtype);
        const float shifted = scaled + narrow_load(t->shift, i % s->in[0], s->dtype);
        x[i] = rni_f16_value(rni_f16_round(shifted < 0 ? 0 : shifted));
    }
}

/* Where the filter's element (output o, tap, input c) is in w. */
static int64_t filter_at(const work *k, int64_t o, int64_t tap, int64_t c)
{
    return ((o / k->out * k->taps + tap) * k->in + c) * k->out + o % k->out;
}

static float *widen_filter(const work *k, const void *from)
{
    float *const to = malloc((size_t)rni_dnn_filter_count(k->s) * sizeof *to);
    int64_t at = 0;
    for (int64_t o = 0; to && o < k->s->out[0]; o++)
        for (int64_t tap = 0; tap < k->taps; tap++)
            for (int64_t c = 0; c < k->in; c++)
                to[filter_at(k, o, tap, c)] = narrow_load(from, at++, k->s->dtype);
    return to;
}

/* The input pixel under a tap of an output pixel of an image; -1 in the padding. */
static int64_t input_pixel(const rni_dnn_shape *s, int64_t pixel, int64_t tap)
{
    const int64_t h = pixel / s->out[2] * s->stride[0] + tap / s->kernel[1] * s->dilation[0] - s->padding[0];
    const int64_t w = pixel % s->out[2] * s->stride[1] + tap % s->kernel[1] * s->dilation[1] - s->padding[1];
    return h < 0 || h >= s->in[1] || w < 0 || w >= s->in[2] ? -1 : h * s->in[2] + w;
}

/* One group of one pair of pixels. x, y: their first channels; w, sums: the group's tap. */
static void pair_forward(const work *k, const float *x, const float *w, double *sums)
{
    for (int64_t c = 0; c < k->in; c++)
        for (int64_t o = 0; o < k->out; o++)
            sums[o] += (double)x[c] * (double)w[c * k->out + o];
}

static void pair_data(const work *k, const float *y, const float *w, double *sums)
{
    for (int64_t c = 0; c < k->in; c++) {
        double sum = 0;
        for (int64_t o = 0; o < k->out; o++)
            sum += (double)y[o] * (double)w[c * k->out + o];
        sums[c] += sum;
    }
}

static void pair_filter(const work *k, const float *x, const float *y, double *sums)
{
    for (int64_t c = 0; c < k->in; c++)
        for (int64_t o = 0; o < k->out; o++)
            sums[c * k->out + o] += (double)x[c] * (double)y[o];
}

static void walk_pair(const work *k, int64_t x, int64_t y, int64_t tap)
{
    for (int64_t g = 0; g < k->s->groups; g++) {
        const int64_t at_x = x * k->s->in[0] + g * k->in, at_y = y * k->s->out[0] + g * k->out;
        const int64_t at_w = (g * k->taps + tap) * k->in * k->out;
        if (k->s->kind == RN_OP_CONV_FORWARD)
            pair_forward(k, k->x + at_x, k->w + at_w, k->sums + at_y);
        else if (k->s->kind == RN_OP_CONV_BACKWARD_DATA)
            pair_data(k, k->y + at_y, k->w + at_w, k->sums + at_x);
        else
            pair_filter(k, k->x + at_x, k->y + at_y, k->sums + at_w);
    }
}

static void walk(const work *k)
{
    const int64_t in_pixels = k->s->in[1] * k->s->in[2], out_pixels = k->s->out[1] * k->s->out[2];
    for (int64_t n = 0; n < k->s->batch; n++)
        for (int64_t pixel = 0; pixel < out_pixels; pixel++)
            for (int64_t tap = 0; tap < k->taps; tap++) {
                const int64_t x = input_pixel(k->s, pixel, tap);
                if (x >= 0)
                    walk_pair(k, n * in_pixels + x, n * out_pixels + pixel, tap);
            }
}

/* With ACCUMULATE on top of what is there; the sum is rounded by itself first, as cuDNN's engines do. */
static void store(const work *k, void *to, int64_t at, double sum)
{
    const double before = k->s->flags & RN_OPF_ACCUMULATE ? (double)narrow_load(to, at, k->s->dtype) : 0;
    narrow_store(to, at, k->s->dtype, sum);
    if (k->s->flags & RN_OPF_ACCUMULATE)
        narrow_store(to, at, k->s->dtype, before + (double)narrow_load(to, at, k->s->dtype));
}

/* Rows of a tile, which is summed in f32 before the tiles are. */
enum { TILE = 128 };

/* Of the outputs as they are stored, in the way and the precision that cuDNN has. */
static void store_statistics(const work *k, const convolve_tensors *t)
{
    const int64_t channels = k->s->out[0], rows = rni_dnn_output_count(k->s) / channels;
    for (int64_t c = 0; c < channels; c++) {
        float total = 0, square = 0;
        for (int64_t first = 0; first < rows; first += TILE) {
            float of_tile = 0, squares_of_tile = 0;
            for (int64_t row = first; row < rows && row < first + TILE; row++) {
                const float y = narrow_load(t->y, row * channels + c, k->s->dtype);
                of_tile += y;
                squares_of_tile += y * y;
            }
            total += of_tile;
            square += squares_of_tile;
        }
        ((float *)t->totals)[c] = total;
        ((float *)t->squares)[c] = square;
    }
}

/* In the order of the graph; NaN passes ReLU. */
static void store_forward(const work *k, const convolve_tensors *t)
{
    const int64_t count = rni_dnn_output_count(k->s);
    for (int64_t i = 0; i < count; i++) {
        double value = k->sums[i];
        if (t->residual)
            value += (double)narrow_load(t->residual, i, k->s->dtype);
        if (t->bias)
            value += (double)narrow_load(t->bias, i % k->s->out[0], k->s->dtype);
        if ((k->s->flags & RN_OPF_RELU) && value < 0)
            value = 0;
        store(k, t->y, i, value);
    }
    if (k->s->flags & RN_OPF_STATS)
        store_statistics(k, t);
}

static void store_data(const work *k, const convolve_tensors *t)
{
    const int64_t count = rni_dnn_input_count(k->s);
    for (int64_t i = 0; i < count; i++)
        store(k, t->x, i, k->sums[i]);
}

static void store_filter(const work *k, const convolve_tensors *t)
{
    int64_t at = 0;
    for (int64_t o = 0; o < k->s->out[0]; o++)
        for (int64_t tap = 0; tap < k->taps; tap++)
            for (int64_t c = 0; c < k->in; c++)
                store(k, t->w, at++, k->sums[filter_at(k, o, tap, c)]);
}

static int set_up(work *k, const convolve_tensors *t)
{
    const rni_dnn_shape *const s = k->s;
    const int forward = s->kind == RN_OP_CONV_FORWARD, data = s->kind == RN_OP_CONV_BACKWARD_DATA;
    const int64_t sums = forward ? rni_dnn_output_count(s) : data ? rni_dnn_input_count(s) : rni_dnn_filter_count(s);
    k->x = data ? NULL : widen(t->x, rni_dnn_input_count(s), s->dtype);
    if (k->x && s->flags & RNI_DNN_PROLOGUE)
        normalise(k->x, s, t);
    k->w = forward || data ? widen_filter(k, t->w) : NULL;
    k->y = forward ? NULL : widen(t->y, rni_dnn_output_count(s), s->dtype);
    k->sums = calloc((size_t)sums, sizeof *k->sums);
    return k->sums && (data || k->x) && (forward || k->y) && ((!forward && !data) || k->w) ? 0 : -1;
}

int convolve(const rni_dnn_shape *s, const convolve_tensors *t)
{
    work k = {.s = s, .in = s->in[0] / s->groups, .out = s->out[0] / s->groups};
    k.taps = s->kernel[0] * s->kernel[1];
    const int result = set_up(&k, t);
    if (result == 0) {
        walk(&k);
        if (s->kind == RN_OP_CONV_FORWARD)
            store_forward(&k, t);
        else if (s->kind == RN_OP_CONV_BACKWARD_DATA)
            store_data(&k, t);
        else
            store_filter(&k, t);
    }
    free(k.x);
    free(k.w);
    free(k.y);
    free(k.sums);
    return result;
}
