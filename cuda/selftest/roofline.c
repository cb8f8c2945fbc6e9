/* SPDX-License-Identifier: MIT */
#include "roofline.h"
#include "plan/internal.h"

static double operand_bytes(const rni_program *p, const uint32_t *operands, uint32_t count)
{
    double bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        if (operands[i] != RN_NO_VALUE)
            bytes += (double)p->values[operands[i]].bytes;
    return bytes;
}

/* Kinds whose outputs are added to whatever the flags say: gradients, and what an optimizer updates. */
static int always_adds(const rn_op *op)
{
    return op->kind == RN_OP_CONV_BACKWARD_FILTER || op->kind == RN_OP_LINEAR_BACKWARD_FILTER ||
           op->kind == RN_OP_BIAS_GRAD || op->kind == RN_OP_SGD || op->kind == RN_OP_ADAM ||
           op->kind == RN_OP_ACCUMULATE || op->kind == RN_OP_GRAD_UNSCALE || op->kind == RN_OP_BN_RUNNING;
}

static double bytes_of(const rni_program *p, const rn_op *op)
{
    const double in = operand_bytes(p, op->in, op->num_in), out = operand_bytes(p, op->out, op->num_out);
    const int reads = op->kind == RN_OP_BN_BACKWARD ? 2 : 1;
    return reads * in + (always_adds(op) || op->flags & RN_OPF_ACCUMULATE ? 2 : 1) * out;
}

static double conv_flops(const rn_conv_params *c, double images)
{
    return 2 * images * (double)(c->out_channels * c->out_height * c->out_width) *
           (double)(c->in_channels / c->groups * c->kernel[0] * c->kernel[1]);
}

static double flops_of(const rni_program *p, const rn_op *op)
{
    const rn_value *weight;
    switch (op->kind) {
    case RN_OP_CONV_FORWARD:
    case RN_OP_CONV_BACKWARD_DATA:
    case RN_OP_CONV_BACKWARD_FILTER:
        return conv_flops(op->params, (double)p->values[op->in[0]].dims[0]);
    case RN_OP_LINEAR:
    case RN_OP_LINEAR_BACKWARD_DATA:
        weight = &p->values[op->in[1]];
        break;
    case RN_OP_LINEAR_BACKWARD_FILTER:
        weight = &p->values[op->out[0]];
        break;
    default:
        return 0;
    }
    return 2.0 * (double)p->values[op->in[0]].dims[0] * (double)(weight->dims[0] * weight->dims[1]);
}

st_traffic st_traffic_of(const rn_plan *plan)
{
    static const int sections[] = {RNI_SECTION_PREPARE, RNI_SECTION_INPUT,    RNI_SECTION_FORWARD,
                                   RNI_SECTION_LOSS,    RNI_SECTION_BACKWARD, RNI_SECTION_UPDATE};
    const rni_program *const p = &plan->low.p;
    st_traffic sum = {0};
    for (size_t s = 0; s < sizeof sections / sizeof sections[0]; s++)
        for (uint32_t i = plan->first[sections[s]]; i < plan->first[sections[s] + 1]; i++) {
            sum.bytes += bytes_of(p, &p->ops[i]);
            sum.flops += flops_of(p, &p->ops[i]);
            sum.ops++;
        }
    return sum;
}
