/* SPDX-License-Identifier: MIT */
#include "cpu/gathered.h"

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The three-tap kernel needs neighbouring taps on neighbouring pixels; wide blocks may do better without it. */
static int suits_triple(const rni_conv_kernels *k, const rn_conv_params *p, int64_t vectors)
{
    return p->kernel[1] == 3 && p->stride[1] == 1 && p->dilation[1] == 1 &&
           rni_conv_min(vectors, k->max_vectors) <= k->triple_vectors;
}

rni_conv_pass rni_conv_pass_of(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data)
{
    const int64_t in = p->in_channels / p->groups, out = p->out_channels / p->groups;
    rni_conv_pass pass = {.k = k, .p = p, .backward_data = backward_data, .in_pixel = p->in_channels};
    pass.sums = backward_data ? out : in;
    pass.outs = backward_data ? in : out;
    pass.packed = rni_conv_divide_up(pass.sums, k->step) * k->step;
    pass.vectors = rni_conv_divide_up(pass.outs, k->lanes);
    pass.blocks = rni_conv_divide_up(pass.vectors, k->max_vectors);
    pass.parts = backward_data ? p->stride[0] * p->stride[1] : 1;
    pass.triple = suits_triple(k, p, pass.vectors) && (backward_data || !rni_gathered_suits(k, p));
    return pass;
}

/* Along one axis: positions first, first + stride, ... of the input, whose windows lie `step` apart in dy. */
typedef struct axis_part {
    int64_t position, positions;
    int64_t taps, tap, tap_step;
    int64_t first, dilation;
} axis_part;

/* Positions i of the input with (i + padding) % stride == rest; tap t reaches output (i + padding - t dilation) / stride. */
static axis_part data_axis(const rn_conv_params *p, int axis, int64_t size, int64_t rest)
{
    const int64_t stride = p->stride[axis], padding = p->padding[axis], dilation = p->dilation[axis];
    const int64_t every = stride / gcd(stride, dilation);
    axis_part a = {.tap_step = -every, .dilation = every * dilation / stride};
    a.position = ((rest - padding) % stride + stride) % stride;
    a.positions = a.position < size ? rni_conv_divide_up(size - a.position, stride) : 0;
    for (int64_t tap = 0; tap < p->kernel[axis]; tap++)
        if (tap * dilation % stride == rest) {
            a.taps++;
            a.tap = tap;
        }
    a.first = a.taps ? (a.position + padding - a.tap * dilation) / stride : 0;
    return a;
}

static int64_t data_taps(const rn_conv_params *p, int axis, int64_t rest)
{
    int64_t taps = 0;
    for (int64_t tap = 0; tap < p->kernel[axis]; tap++)
        taps += tap * p->dilation[axis] % p->stride[axis] == rest;
    return taps;
}

static void forward_part(const rni_conv_pass *pass, rni_conv_part *part)
{
    const rn_conv_params *const p = pass->p;
    rni_conv_windows *const g = &part->g;
    for (int axis = 0; axis < 2; axis++) {
        g->taps[axis] = p->kernel[axis];
        g->first[axis] = -p->padding[axis];
        g->step[axis] = p->stride[axis];
        g->dilation[axis] = p->dilation[axis];
        part->tap_step[axis] = 1;
    }
    g->in_height = p->in_height;
    g->in_width = p->in_width;
    g->in_pixel = pass->in_pixel;
    g->out_width = p->out_width;
    g->out_pixel = p->out_channels;
    g->out_row = p->out_width * p->out_channels;
    part->out_height = p->out_height;
}

static void data_part(const rni_conv_pass *pass, int64_t index, rni_conv_part *part)
{
    const rn_conv_params *const p = pass->p;
    const int64_t rest[2] = {index / p->stride[1], index % p->stride[1]};
    const axis_part axes[2] = {data_axis(p, 0, p->in_height, rest[0]), data_axis(p, 1, p->in_width, rest[1])};
    rni_conv_windows *const g = &part->g;
    for (int axis = 0; axis < 2; axis++) {
        g->taps[axis] = axes[axis].taps;
        g->first[axis] = axes[axis].first;
        g->step[axis] = 1;
        g->dilation[axis] = axes[axis].dilation;
        part->tap[axis] = axes[axis].tap;
        part->tap_step[axis] = axes[axis].tap_step;
    }
    g->in_height = p->out_height;
    g->in_width = p->out_width;
    g->in_pixel = p->out_channels;
    g->out_width = axes[1].positions;
    g->out_pixel = p->stride[1] * p->in_channels;
    g->out_row = p->stride[0] * p->in_width * p->in_channels;
    part->out_height = axes[0].positions;
    part->out_offset = (axes[0].position * p->in_width + axes[1].position) * p->in_channels;
    for (int64_t i = 0; i < index; i++)
        part->weights += data_taps(p, 0, i / p->stride[1]) * data_taps(p, 1, i % p->stride[1]) * pass->packed *
                         p->groups * pass->vectors * pass->k->lanes;
}

rni_conv_part rni_conv_part_of(const rni_conv_pass *pass, int64_t index)
{
    rni_conv_part part = {.weights = 0};
    if (pass->backward_data)
        data_part(pass, index, &part);
    else
        forward_part(pass, &part);
    part.g.channels = pass->sums;
    part.g.in_row = part.g.in_width * part.g.in_pixel;
    part.g.triple = pass->triple;
    part.g.dense = part.g.dilation[1] == 1 && pass->p->groups == 1 && pass->packed == pass->sums;
    return part;
}

int64_t rni_conv_packed_count(const rni_conv_pass *pass)
{
    return pass->p->kernel[0] * pass->p->kernel[1] * pass->packed * pass->p->groups * pass->vectors * pass->k->lanes;
}

rni_conv_slice rni_conv_slice_of(int64_t outs, int32_t lanes, int32_t max_vectors, int64_t index)
{
    const int64_t vectors = rni_conv_divide_up(outs, lanes), blocks = rni_conv_divide_up(vectors, max_vectors);
    const int64_t first = index % blocks * max_vectors;
    rni_conv_slice slice = {.group = index / blocks, .first = first * lanes};
    slice.vectors = (int32_t)rni_conv_min(max_vectors, vectors - first);
    slice.tail = (int32_t)rni_conv_min(lanes, outs - (first + slice.vectors - 1) * lanes);
    slice.lane = (slice.group * vectors + first) * lanes;
    return slice;
}
