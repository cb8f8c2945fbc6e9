/* SPDX-License-Identifier: MIT */
/* Convolution: forward with every epilogue, statistics, and both gradients. */
#include "conv_shapes.h"
#include <math.h>
#include <string.h>

static void begin(oc_case *c, const char *name, const rn_conv_params *p, int64_t batch)
{
    oc_begin(c, name);
    c->run.batch = batch;
    c->params.conv = *p;
    /* Winograd's algorithm may have four times the error, and that of a tile's largest sums in all of its outputs. */
    c->shared_scale = p->kernel[0] == 3 && p->kernel[1] == 3 && p->stride[0] == 1 && p->stride[1] == 1 && !p->direct;
    c->factor = c->shared_scale ? 8 : 2;
    c->flops = 2.0 * (double)(batch * p->out_channels * p->out_height * p->out_width) *
               (double)(p->in_channels / p->groups * p->kernel[0] * p->kernel[1]);
}

/*
 * Winograd's form of bf16 rounds what it transforms. Rounding is off by 0.42 of 2^-8 on average (root mean square over
 * evenly distributed logarithms), two factors of a product by sqrt(2) times that. Of normal numbers with variance 1
 * transformed inputs have 4 and weights 1, 3/4, 3/4 and 1 along an axis, of which an output takes three: its products have
 * 4 (1 + 3/4 + 3/4)^2 = 25 a channel where plain ones have 9, and as many terms come to pi / 2 times their sum of absolute
 * ones over their root. So an output is off by sqrt(2 * 25 / 9) * 0.42 * pi / 2 = 1.6 of 2^-8 of that on average; six times
 * that is not met by chance.
 */
static double winograd_roundings(const oc_case *c)
{
    return c->shared_scale ? 6 * 1.6 : 0;
}

static uint32_t input_image(oc_case *c, oc_rng *rng, int64_t images, int fill)
{
    const rn_conv_params *const p = &c->params.conv;
    return oc_image(c, rng, (const int64_t[4]){images, p->in_channels, p->in_height, p->in_width}, fill);
}

static uint32_t output_image(oc_case *c, oc_rng *rng, int64_t images, int fill)
{
    const rn_conv_params *const p = &c->params.conv;
    return oc_image(c, rng, (const int64_t[4]){images, p->out_channels, p->out_height, p->out_width}, fill);
}

static uint32_t weight(oc_case *c, oc_rng *rng)
{
    const rn_conv_params *const p = &c->params.conv;
    const int64_t dims[4] = {p->out_channels, p->in_channels / p->groups, p->kernel[0], p->kernel[1]};
    return oc_add(c, rng, RN_F32, RN_LAYOUT_PLAIN, 4, dims, 0, OC_NORMAL);
}

/* Appends the pack op; returns the packed weights. */
static uint32_t pack(oc_case *c, oc_rng *rng, uint32_t flags, int scaled)
{
    oc_op(c, RN_OP_PACK, flags, sizeof(rn_conv_params));
    oc_in(c, weight(c, rng));
    c->rounds_again = scaled;
    oc_in(c, scaled ? oc_vector(c, rng, OC_T, c->params.conv.out_channels, OC_NORMAL) : RN_NO_VALUE);
    const uint32_t packed = oc_add(c, rng, OC_T, RN_LAYOUT_PACKED, 1, (const int64_t[1]){1}, 0, OC_UNSET);
    oc_out(c, packed, OC_OPAQUE);
    return packed;
}

static void all_absolute(oc_case *c)
{
    for (uint32_t i = 0; i < c->num_values; i++)
        c->values[i].absolute = 1;
}

static double products(const rn_conv_params *p)
{
    return (double)(p->in_channels / p->groups * p->kernel[0] * p->kernel[1]);
}

void oc_conv_forward(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t images, int64_t batch, uint32_t flags,
                       int scaled)
{
    begin(c, "conv_forward", p, batch);
    c->rounds_inside = winograd_roundings(c);
    const uint32_t packed = pack(c, rng, 0, scaled);
    oc_op(c, RN_OP_CONV_FORWARD, flags, sizeof(rn_conv_params));
    oc_in(c, input_image(c, rng, images, OC_NORMAL));
    oc_in(c, packed);
    oc_in(c, flags & RN_OPF_BIAS ? oc_vector(c, rng, OC_T, p->out_channels, OC_NORMAL) : RN_NO_VALUE);
    oc_in(c, flags & RN_OPF_ADD ? output_image(c, rng, images, OC_NORMAL) : RN_NO_VALUE);
    all_absolute(c);
    oc_out(c, output_image(c, rng, images, OC_UNSET), OC_BOUND);
    c->terms = products(p) + 2;
    c->per_image = 1;
}

static void make_forward(oc_case *c, oc_rng *rng, int index)
{
    const rn_conv_params p = oc_conv_params(rng, index);
    const int64_t images = oc_range(rng, 1, 3);
    const uint32_t flags = (oc_chance(rng, 50) ? RN_OPF_BIAS : 0) | (oc_chance(rng, 40) ? RN_OPF_ADD : 0) |
                           (oc_chance(rng, 50) ? RN_OPF_RELU : 0);
    oc_conv_forward(c, rng, &p, images, oc_range(rng, 1, images), flags, oc_chance(rng, 30));
}

/*
 * A bias far from zero is what E[x^2] - E[x]^2 would not survive in f32. `offset` is added to the inputs, so that means are
 * far from zero without a bias.
 */
static void stats_of(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t batch, double bias, double offset)
{
    begin(c, "conv_forward stats", p, batch);
    c->rounds_inside = winograd_roundings(c);
    const uint32_t packed = pack(c, rng, 0, 0);
    oc_op(c, RN_OP_CONV_FORWARD, RN_OPF_STATS | (bias > 0 ? RN_OPF_BIAS : 0), sizeof(rn_conv_params));
    const uint32_t image = input_image(c, rng, batch, OC_NORMAL);
    for (size_t i = 0; offset > 0 && i < c->values[image].count; i++)
        c->values[image].data[i] += offset;
    oc_in(c, image);
    oc_in(c, packed);
    const uint32_t shift = bias > 0 ? oc_vector(c, rng, OC_T, p->out_channels, OC_NORMAL) : RN_NO_VALUE;
    oc_in(c, shift);
    oc_in(c, RN_NO_VALUE);
    for (int64_t i = 0; bias > 0 && i < p->out_channels; i++)
        c->values[shift].data[i] += bias;
    all_absolute(c);
    oc_out(c, output_image(c, rng, batch, OC_UNSET), OC_BOUND);
    oc_out(c, oc_vector(c, rng, OC_T, p->out_channels, OC_UNSET), OC_BOUND);
    const uint32_t var = oc_vector(c, rng, OC_T, p->out_channels, OC_UNSET);
    oc_out(c, var, OC_BOUND);
    c->terms = products(p) + 2;
    c->rounds_again = 1; /* statistics are of rounded outputs */
    /*
     * Values of that size are off by their rounding, the deviations from the mean times it are what is added up: at the
     * edges an offset is among them.
     */
    const double size = (0.64 + 0.8 * offset) * c->terms + bias;
    double *const scale = oc_scale(c, var);
    for (int64_t i = 0; i < p->out_channels; i++)
        scale[i] = 2 * (sqrt(c->terms) + 0.1) * (1 + offset) * size;
}

void oc_conv_forward_stats(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t batch, double offset, int apart)
{
    stats_of(c, rng, p, batch, 0, offset);
    if (!apart)
        return;
    rn_op *const conv = &c->ops[c->num_ops - 1];
    const uint32_t *const out = c->out[c->num_ops - 1];
    conv->flags = 0;
    conv->num_out = 1;
    oc_op(c, RN_OP_BN_STATS, 0, 0);
    oc_in(c, out[0]);
    oc_out(c, out[1], OC_BOUND);
    oc_out(c, out[2], OC_BOUND);
}

static int64_t multiple_of_8(int64_t channels)
{
    return (channels + 7) / 8 * 8;
}

static void make_stats(oc_case *c, oc_rng *rng, int index)
{
    rn_conv_params p = oc_conv_params(rng, index);
    if (index % 2) { /* what engines that add up what they store ask for */
        p.groups = 1;
        p.in_channels = multiple_of_8(p.in_channels);
        p.out_channels = multiple_of_8(p.out_channels);
    }
    stats_of(c, rng, &p, oc_range(rng, 1, 4), index % 3 == 0 ? 2000 : 0, index % 3 == 1 ? 16 : 0);
}

void oc_conv_backward_data(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t images, int64_t batch, uint32_t flags,
                    int scaled)
{
    begin(c, "conv_backward_data", p, batch);
    c->rounds_inside = winograd_roundings(c);
    const uint32_t packed = pack(c, rng, RN_OPF_BACKWARD_DATA, scaled);
    oc_op(c, RN_OP_CONV_BACKWARD_DATA, flags, sizeof(rn_conv_params));
    oc_in(c, output_image(c, rng, images, OC_NORMAL));
    oc_in(c, packed);
    oc_out(c, input_image(c, rng, images, flags & RN_OPF_ACCUMULATE ? OC_NORMAL : OC_UNSET), OC_BOUND);
    all_absolute(c);
    c->terms = products(p) / (double)p->in_channels * (double)p->out_channels + 2;
    c->per_image = 1;
}

static void make_data(oc_case *c, oc_rng *rng, int index)
{
    const rn_conv_params p = oc_conv_params(rng, index);
    const int64_t images = oc_range(rng, 1, 3);
    oc_conv_backward_data(c, rng, &p, images, oc_range(rng, 1, images), oc_chance(rng, 50) ? RN_OPF_ACCUMULATE : 0,
            oc_chance(rng, 20));
}

void oc_conv_backward_filter(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t images, int64_t batch)
{
    begin(c, "conv_backward_filter", p, batch);
    oc_op(c, RN_OP_CONV_BACKWARD_FILTER, 0, sizeof(rn_conv_params));
    oc_in(c, input_image(c, rng, images, OC_NORMAL));
    oc_in(c, output_image(c, rng, images, OC_NORMAL));
    oc_out(c, weight(c, rng), OC_BOUND);
    all_absolute(c);
    c->terms = (double)(batch * p->out_height * p->out_width) + 1;
}

static void make_filter(oc_case *c, oc_rng *rng, int index)
{
    const rn_conv_params p = oc_conv_params(rng, index);
    const int64_t images = oc_range(rng, 1, 6);
    oc_conv_backward_filter(c, rng, &p, images, oc_range(rng, 1, images));
}

/* Images, channels in and out, height and width, kernel, stride. */
static const int64_t bench_shapes[][6] = {
    {100, 3, 16, 32, 3, 1},   {100, 16, 16, 32, 3, 1},  {100, 16, 32, 32, 3, 2},  {100, 32, 32, 16, 3, 1},
    {100, 32, 64, 16, 3, 2},  {100, 64, 64, 8, 3, 1},   {128, 16, 32, 32, 1, 2},  {1, 16, 16, 32, 3, 1},
    {1, 64, 64, 8, 3, 1},     {4, 3, 64, 224, 7, 2},    {4, 64, 64, 56, 3, 1},    {4, 64, 256, 56, 1, 1},
    {4, 128, 128, 28, 3, 1},  {4, 256, 256, 14, 3, 1},  {4, 512, 512, 7, 3, 1},   {4, 512, 128, 28, 1, 1},
};

static int bench_params(int index, rn_conv_params *p, int64_t *images)
{
    if (index >= (int)(sizeof bench_shapes / sizeof *bench_shapes))
        return 0;
    const int64_t *const s = bench_shapes[index], pad = s[4] / 2;
    *p = (rn_conv_params){s[1], s[2], 1, s[3], s[3], 0, 0, {s[4], s[4]}, {s[5], s[5]}, {pad, pad}, {1, 1}, s[0], 0, 0};
    oc_settle_conv(p);
    *images = s[0];
    return 1;
}

static int bench_forward(oc_case *c, oc_rng *rng, int index)
{
    rn_conv_params p;
    int64_t images;
    if (!bench_params(index, &p, &images))
        return 0;
    oc_conv_forward(c, rng, &p, images, images, 0, 0);
    return 1;
}

static int bench_stats(oc_case *c, oc_rng *rng, int index)
{
    rn_conv_params p;
    int64_t images;
    if (!bench_params(index, &p, &images))
        return 0;
    stats_of(c, rng, &p, images, 0, 0);
    return 1;
}

static int bench_data(oc_case *c, oc_rng *rng, int index)
{
    rn_conv_params p;
    int64_t images;
    if (!bench_params(index, &p, &images))
        return 0;
    oc_conv_backward_data(c, rng, &p, images, images, 0, 0);
    return 1;
}

static int bench_filter(oc_case *c, oc_rng *rng, int index)
{
    rn_conv_params p;
    int64_t images;
    if (!bench_params(index, &p, &images))
        return 0;
    oc_conv_backward_filter(c, rng, &p, images, images);
    return 1;
}

const oc_family oc_conv_families[] = {
    {"conv_forward", make_forward, bench_forward},
    {"conv_forward_stats", make_stats, bench_stats},
    {"conv_backward_data", make_data, bench_data},
    {"conv_backward_filter", make_filter, bench_filter},
    {NULL, NULL, NULL},
};
