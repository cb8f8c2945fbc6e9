/* SPDX-License-Identifier: MIT */
#include "cpu/narrow.h"
#include "base/error.h"
#include <string.h>

/* Measured from 3 taps on; more channels waste little. */
enum { LEAST_WIDTH = 3, MOST_CHANNELS = 7 };

int rni_narrow_suits(const rni_conv_kernels *k, const rn_conv_params *p)
{
    return p->groups == 1 && p->in_channels % k->step != 0 && p->in_channels <= MOST_CHANNELS &&
           p->kernel[1] >= LEAST_WIDTH && p->dilation[1] == 1;
}

/* Pixels of a copied row: what the windows reach, in whole strides. */
static int64_t row_pixels(const rn_conv_params *p)
{
    const int64_t reach = (p->out_width - 1) * p->stride[1] + p->kernel[1];
    return rni_conv_divide_up(reach, p->stride[1]) * p->stride[1];
}

/* The convolution over the copy, whose pixels are what a window moves by. */
static rn_conv_params joined(const rn_conv_params *p)
{
    rn_conv_params j = *p;
    j.in_channels = p->kernel[1] * p->in_channels;
    j.in_width = row_pixels(p) / p->stride[1];
    j.kernel[1] = j.stride[1] = 1;
    j.padding[1] = 0;
    return j;
}

static uint64_t copy_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    return ((uint64_t)(batch * p->in_height * row_pixels(p) * p->in_channels * k->size) + 63) / 64 * 64;
}

static uint64_t weights_bytes(const rni_conv_kernels *k, const rn_conv_params *p)
{
    const rn_conv_params j = joined(p);
    const rni_conv_pass pass = rni_conv_pass_of(k, &j, 0);
    return ((uint64_t)(rni_conv_packed_count(&pass) * k->size) + 63) / 64 * 64;
}

uint64_t rni_narrow_packed_bytes(const rni_conv_kernels *k, const rn_conv_params *p)
{
    return weights_bytes(k, p) + (uint64_t)(p->out_channels * p->in_channels * p->kernel[0] * p->kernel[1]) * sizeof(float);
}

/* An output channel's weights from [channel][row][tap] to [tap][channel][row]. */
static void order(const rn_conv_params *p, const float *w, float *to)
{
    const int64_t rows = p->kernel[0], taps = p->kernel[1], channels = p->in_channels;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t s = 0; s < taps; s++)
                to[(s * channels + c) * rows + r] = w[(c * rows + r) * taps + s];
}

rn_status rni_narrow_pack(const rni_cpu_call *call, const rni_conv_kernels *k, const float *w, const float *scale,
                          void *packed)
{
    const rn_conv_params *const p = call->op->params;
    const rn_conv_params j = joined(p);
    const rni_conv_pass pass = rni_conv_pass_of(k, &j, 0);
    const int64_t weights = p->in_channels * p->kernel[0] * p->kernel[1];
    float *const ordered = rni_at(packed, 1, weights_bytes(k, p));
    for (int64_t o = 0; o < p->out_channels; o++)
        order(p, w + o * weights, ordered + o * weights);
    return rni_conv_fast_pack(call, &pass, ordered, scale, packed);
}

uint64_t rni_narrow_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int stats, int64_t batch)
{
    const rn_conv_params j = joined(p);
    const rni_conv_pass pass = rni_conv_pass_of(k, &j, 0);
    return copy_bytes(k, p, batch) + (stats ? rni_conv_stats_bytes(&pass, batch) : 0);
}

typedef struct copy_job {
    const rni_conv *c;
    size_t pixel; /* bytes */
    char *rows;
} copy_job;

/* A row of x between zeros; what no window reaches is left out. */
static void copy_row(void *arg, size_t index)
{
    const copy_job *const j = arg;
    const rn_conv_params *const p = j->c->p;
    const int64_t width = row_pixels(p), left = rni_conv_min(p->padding[1], width);
    const int64_t pixels = rni_conv_min(p->in_width, width - left), right = width - left - pixels;
    char *const to = j->rows + index * (size_t)width * j->pixel;
    memset(to, 0, (size_t)left * j->pixel);
    memcpy(to + (size_t)left * j->pixel, (const char *)j->c->x + index * (size_t)p->in_width * j->pixel,
           (size_t)pixels * j->pixel);
    memset(to + (size_t)(left + pixels) * j->pixel, 0, (size_t)right * j->pixel);
}

rn_status rni_narrow_forward(const rni_conv *c, const rni_conv_kernels *k)
{
    const rn_conv_params *const p = c->p;
    const rn_conv_params over = joined(p);
    const copy_job j = {c, (size_t)(p->in_channels * k->size), c->workspace};
    rni_conv made = *c;
    RNI_TRY(rni_cpu_parallel(c->call, copy_row, (void *)(uintptr_t)&j, (size_t)(c->batch * p->in_height)));
    made.p = &over;
    made.in_per_group = over.in_channels;
    made.in_pixel = p->stride[1] * p->in_channels;
    made.x = c->workspace;
    made.workspace = rni_at(c->workspace, 1, copy_bytes(k, p, c->batch));
    return rni_conv_fast_forward(&made, k);
}
