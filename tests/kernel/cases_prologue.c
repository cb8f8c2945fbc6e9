/* SPDX-License-Identifier: MIT */
/*
 * Batch normalisation with ReLU, the convolution behind it and the gradient of its filter: what a device may do without the
 * normalised activation in memory.
 */
#include "op_case.h"
#include <math.h>
#include <string.h>

/* Signs are such that in the run on absolute operands an activation is |x scale| + |mean scale| + |beta|. */
static void add_normalisation(oc_case *c, oc_rng *rng, const int64_t dims[4], double offset, uint32_t *activation)
{
    oc_op(c, RN_OP_BN_APPLY, RN_OPF_RELU, sizeof(rn_bn_params));
    const uint32_t x = oc_image(c, rng, dims, OC_NORMAL);
    for (size_t i = 0; i < c->values[x].count; i++)
        c->values[x].data[i] -= offset;
    oc_in(c, x);
    const uint32_t mean = oc_vector(c, rng, OC_T, dims[1], OC_NORMAL);
    for (int64_t i = 0; i < dims[1]; i++)
        c->values[mean].data[i] = -0.25 * fabs(c->values[mean].data[i]) - offset;
    oc_in(c, mean);
    oc_in(c, oc_vector(c, rng, OC_T, dims[1], OC_POSITIVE));
    oc_in(c, oc_vector(c, rng, RN_F32, dims[1], OC_NORMAL));
    const uint32_t beta = oc_vector(c, rng, RN_F32, dims[1], OC_NORMAL);
    for (int64_t i = 0; i < dims[1]; i++) /* far from what f16 has no more full precision for */
        c->values[beta].data[i] += copysign(0x1p-8, c->values[beta].data[i]);
    oc_in(c, beta);
    for (uint32_t i = 0; i < c->num_values; i++)
        c->values[i].absolute = i != mean;
    *activation = oc_image(c, rng, dims, OC_UNSET);
    oc_out(c, *activation, OC_OPAQUE);
}

static void add_forward(oc_case *c, oc_rng *rng, uint32_t activation, uint32_t packed, const int64_t dims[4])
{
    oc_op(c, RN_OP_CONV_FORWARD, RN_OPF_STATS, sizeof(rn_conv_params));
    oc_in(c, activation);
    oc_in(c, packed);
    oc_in(c, RN_NO_VALUE);
    oc_in(c, RN_NO_VALUE);
    oc_out(c, oc_image(c, rng, dims, OC_UNSET), OC_BOUND);
    oc_out(c, oc_vector(c, rng, OC_T, dims[1], OC_UNSET), OC_BOUND);
    oc_out(c, oc_vector(c, rng, OC_T, dims[1], OC_UNSET), OC_OPAQUE);
}

static uint32_t weight(oc_case *c, oc_rng *rng)
{
    const rn_conv_params *const p = &c->params.conv;
    const int64_t dims[4] = {p->out_channels, p->in_channels / p->groups, p->kernel[0], p->kernel[1]};
    const uint32_t w = oc_add(c, rng, RN_F32, RN_LAYOUT_PLAIN, 4, dims, 0, OC_NORMAL);
    c->values[w].absolute = 1;
    return w;
}

static uint32_t add_pack(oc_case *c, oc_rng *rng)
{
    oc_op(c, RN_OP_PACK, 0, sizeof(rn_conv_params));
    oc_in(c, weight(c, rng));
    oc_in(c, RN_NO_VALUE);
    const uint32_t packed = oc_add(c, rng, OC_T, RN_LAYOUT_PACKED, 1, (const int64_t[1]){1}, 0, OC_UNSET);
    oc_out(c, packed, OC_OPAQUE);
    return packed;
}

static void add_filter(oc_case *c, oc_rng *rng, uint32_t activation, const int64_t dims[4])
{
    oc_op(c, RN_OP_CONV_BACKWARD_FILTER, 0, sizeof(rn_conv_params));
    oc_in(c, activation);
    const uint32_t dy = oc_image(c, rng, dims, OC_NORMAL);
    c->values[dy].absolute = 1;
    oc_in(c, dy);
    oc_out(c, weight(c, rng), OC_BOUND);
}

void oc_conv_prologue(oc_case *c, oc_rng *rng, const rn_conv_params *p, int64_t batch, double offset)
{
    const int64_t in[4] = {batch, p->in_channels, p->in_height, p->in_width};
    const int64_t out[4] = {batch, p->out_channels, p->out_height, p->out_width};
    oc_begin(c, "prologue");
    c->run.batch = batch;
    c->params.conv = *p;
    c->norm = (rn_bn_params){.eps = 0.05, .momentum = 0.1, .pixels = p->in_height * p->in_width};
    uint32_t activation;
    const uint32_t packed = add_pack(c, rng);
    add_normalisation(c, rng, in, offset, &activation);
    add_forward(c, rng, activation, packed, out);
    add_filter(c, rng, activation, out);
    c->factor = 2;
    c->terms = (double)(p->in_channels / p->groups * p->kernel[0] * p->kernel[1] + batch * p->out_height * p->out_width) + 2;
    /*
     * With u for half a unit of f16, an activation z = x scale + shift is off by u of |x scale| for the scale that is rounded, by
     * as much when their product is, by u |shift| and by u |z| <= u (|x scale| + |shift|): by 3 |x scale| + 2 |shift| in
     * all. What is made of it is rounded once more, by no more than |x scale| + |shift|: 4 and 3. Five of the
     * absolute activation are more than what is left out, u^2 and, in units of a beta of 2^-8, what rounds to subnormals.
     */
    c->rounds_again = 5;
}
