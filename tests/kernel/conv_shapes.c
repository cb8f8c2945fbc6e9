/* SPDX-License-Identifier: MIT */
#include "conv_shapes.h"
#include <string.h>

static int64_t out_size(const rn_conv_params *p, int axis, int64_t in)
{
    const int64_t room = in + 2 * p->padding[axis] - (p->kernel[axis] - 1) * p->dilation[axis] - 1;
    return room < 0 ? 0 : room / p->stride[axis] + 1;
}

void oc_settle_conv(rn_conv_params *p)
{
    while ((p->out_height = out_size(p, 0, p->in_height)) < 1)
        p->in_height++;
    while ((p->out_width = out_size(p, 1, p->in_width)) < 1)
        p->in_width++;
}

/* The kernels nets are made of: kernel, stride, padding, dilation. */
static const int64_t usual[][4] = {{3, 1, 1, 1}, {3, 2, 1, 1}, {1, 1, 0, 1}, {1, 2, 0, 1},
                                   {7, 2, 3, 1}, {5, 1, 2, 1}, {3, 1, 2, 2}, {3, 2, 2, 2}};

static void pick_window(rn_conv_params *p, oc_rng *rng, int index)
{
    if (index % 3 != 2) {
        const int64_t *const w = usual[index % 3 ? oc_range(rng, 0, 7) : index / 3 % 2];
        for (int axis = 0; axis < 2; axis++) {
            p->kernel[axis] = w[0];
            p->stride[axis] = w[1];
            p->padding[axis] = w[2];
            p->dilation[axis] = w[3];
        }
        return;
    }
    for (int axis = 0; axis < 2; axis++) {
        p->kernel[axis] = oc_range(rng, 1, oc_chance(rng, 75) ? 3 : 6);
        p->stride[axis] = oc_range(rng, 1, oc_chance(rng, 75) ? 2 : 5);
        p->padding[axis] = oc_range(rng, 0, 4);
        p->dilation[axis] = oc_range(rng, 1, oc_chance(rng, 50) ? 1 : 3);
    }
}

/* One of the two channel counts walks through the tails of vectors and blocks, the other is random. */
static void pick_channels(rn_conv_params *p, oc_rng *rng, int index)
{
    const int64_t walking = 1 + index * 7 % 67, any = oc_range(rng, 1, oc_chance(rng, 70) ? 20 : 70);
    p->groups = oc_chance(rng, 25) ? oc_range(rng, 2, 5) : 1;
    p->in_channels = (index % 2 ? walking : any);
    p->out_channels = (index % 2 ? any : walking);
    if (p->groups > 1) {
        p->in_channels = p->groups * (1 + p->in_channels % 20);
        p->out_channels = p->groups * (1 + p->out_channels % 40);
    }
    if (oc_chance(rng, 8)) /* depthwise */
        p->out_channels = p->groups = p->in_channels;
}

/* One group, and everything else to be filled in. */
static rn_conv_params blank(void)
{
    rn_conv_params p;
    memset(&p, 0, sizeof p);
    p.groups = 1;
    return p;
}

static rn_conv_params random_params(oc_rng *rng, int index)
{
    rn_conv_params p = blank();
    pick_channels(&p, rng, index);
    pick_window(&p, rng, index);
    const int64_t many = p.in_channels / p.groups * p.out_channels;
    p.in_height = oc_range(rng, 1, many > 1000 ? 6 : 12);
    p.in_width = oc_range(rng, 1, many > 1000 ? 12 : oc_chance(rng, 30) ? 70 : 20);
    oc_settle_conv(&p);
    p.batch = oc_range(rng, 0, 4);
    p.direct = oc_chance(rng, 25);
    return p;
}

/* Channels that fill vectors of 16, or nearly so. */
static int64_t filling(oc_rng *rng)
{
    return 16 * oc_range(rng, 1, 3) - (oc_chance(rng, 30) ? oc_range(rng, 1, 2) : 0);
}

/* What Winograd's algorithm is for: walks through channel tails, sizes and edges of tiles, padding up to 4. */
static rn_conv_params winograd_params(oc_rng *rng, int index)
{
    rn_conv_params p = blank();
    p.in_channels = index % 2 ? 8 + index * 5 % 61 : oc_range(rng, 8, 40);
    p.out_channels = index % 2 ? oc_range(rng, 8, 40) : 8 + index * 5 % 61;
    if (index % 4 == 1) /* one vector of each has a kernel of its own */
        p.in_channels = p.out_channels = 16;
    if (index % 4 == 2) { /* as the form of bf16 wants them */
        p.in_channels = filling(rng);
        p.out_channels = filling(rng);
    }
    if (index % 8 == 7) { /* so many weights are transformed when they are needed */
        p.in_channels = oc_range(rng, 150, 180);
        p.out_channels = oc_range(rng, 195, 230);
    }
    for (int axis = 0; axis < 2; axis++) {
        p.kernel[axis] = 3;
        p.stride[axis] = p.dilation[axis] = 1;
        p.padding[axis] = oc_chance(rng, 70) ? 1 : oc_range(rng, 0, 4);
    }
    const int64_t most = index % 8 == 7 ? 7 : 18;
    p.in_height = oc_range(rng, 3, most);
    p.in_width = oc_range(rng, 3, oc_chance(rng, 20) ? 4 * most : most);
    oc_settle_conv(&p);
    p.batch = oc_range(rng, 0, 40);
    return p;
}

/* Few pixels and many weights, which are gathered. */
static rn_conv_params gathered_params(oc_rng *rng)
{
    rn_conv_params p = blank();
    p.in_channels = oc_range(rng, 60, 90);
    p.out_channels = oc_range(rng, 230, 260);
    for (int axis = 0; axis < 2; axis++) {
        p.kernel[axis] = oc_range(rng, 3, 4);
        p.stride[axis] = oc_range(rng, 1, 2);
        p.dilation[axis] = oc_range(rng, 1, 2);
        p.padding[axis] = oc_range(rng, 0, 3);
    }
    p.in_height = oc_range(rng, 1, 9);
    p.in_width = oc_range(rng, 1, 6);
    p.batch = oc_range(rng, 1, 2);
    if (oc_chance(rng, 20)) { /* nearly as many pixels as are gathered, more than a task takes */
        for (int axis = 0; axis < 2; axis++) {
            p.kernel[axis] = 3;
            p.stride[axis] = p.dilation[axis] = p.padding[axis] = 1;
        }
        p.in_height = oc_range(rng, 31, 32);
        p.in_width = 8;
        p.batch = 1;
    }
    oc_settle_conv(&p);
    return p;
}

/* Wide kernels over few channels. */
static rn_conv_params narrow_params(oc_rng *rng)
{
    rn_conv_params p = blank();
    p.in_channels = oc_range(rng, 1, 4) * 2 - 1;
    p.out_channels = oc_range(rng, 1, 70);
    for (int axis = 0; axis < 2; axis++) {
        p.kernel[axis] = oc_range(rng, axis ? 3 : 1, 8);
        p.stride[axis] = oc_range(rng, 1, 3);
        p.dilation[axis] = axis ? 1 : oc_range(rng, 1, 2);
        p.padding[axis] = oc_range(rng, 0, 6);
    }
    p.in_height = oc_range(rng, 1, 9);
    p.in_width = oc_range(rng, 1, 40);
    oc_settle_conv(&p);
    return p;
}

/* Products of matrices whose rows are whole vectors at every level, some of them more than a task takes. */
static rn_conv_params pointwise_params(oc_rng *rng)
{
    rn_conv_params p = blank();
    p.in_channels = 16 * (oc_chance(rng, 40) ? oc_range(rng, 17, 20) : oc_range(rng, 1, 6));
    p.out_channels = 16 * oc_range(rng, 1, 6);
    for (int axis = 0; axis < 2; axis++) {
        p.kernel[axis] = p.dilation[axis] = 1;
        p.stride[axis] = oc_range(rng, 1, oc_chance(rng, 50) ? 1 : 2);
    }
    p.in_height = oc_range(rng, 1, 5);
    p.in_width = oc_range(rng, 1, 9);
    oc_settle_conv(&p);
    return p;
}

rn_conv_params oc_conv_params(oc_rng *rng, int index)
{
    if (index % 16 == 5)
        return gathered_params(rng);
    if (index % 16 == 9)
        return pointwise_params(rng);
    if (index % 16 == 13)
        return narrow_params(rng);
    return index % 4 == 3 ? winograd_params(rng, index / 4) : random_params(rng, index);
}
