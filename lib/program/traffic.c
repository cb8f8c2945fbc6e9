/* SPDX-License-Identifier: MIT */
#include "program/traffic.h"

static double value_bytes(const rni_program *p, uint32_t index, double share)
{
    if (index == RN_NO_VALUE)
        return 0;
    const rn_value *const v = &p->values[index];
    return (double)v->bytes * (v->batch_axis == 0 ? share : 1.0);
}

static double in_bytes(const rni_program *p, const rn_op *op, uint32_t i, double share)
{
    return i < op->num_in ? value_bytes(p, op->in[i], share) : 0;
}

static double out_bytes(const rni_program *p, const rn_op *op, uint32_t i, double share)
{
    return i < op->num_out ? value_bytes(p, op->out[i], share) : 0;
}

/* Kinds whose outputs are read, too, whatever the flags say: gradients, and what is updated. */
static int always_adds(int32_t kind)
{
    switch (kind) {
    case RN_OP_CONV_BACKWARD_FILTER:
    case RN_OP_LINEAR_BACKWARD_FILTER:
    case RN_OP_BIAS_GRAD:
    case RN_OP_ACCUMULATE:
    case RN_OP_BN_RUNNING:
    case RN_OP_GRAD_UNSCALE:
    case RN_OP_GRAD_CLIP:
    case RN_OP_SGD:
    case RN_OP_ADAM:
    case RN_OP_LERP:
        return 1;
    default:
        return 0;
    }
}

/*
 * For the sums dy, x and, with its mask, y are read, for dx again. With a residual the masked dy is its gradient: where that
 * is not added to, it is all that the second time needs of dy and y. Frozen, dx needs no sums. Gradients of gamma and beta
 * are added to.
 */
static double bn_backward_bytes(const rni_program *p, const rn_op *op, double share)
{
    const double dy = in_bytes(p, op, 0, share), x = in_bytes(p, op, 1, share), y = in_bytes(p, op, 5, share);
    const double dx = out_bytes(p, op, 0, share), dres = out_bytes(p, op, 3, share);
    const double per_channel = in_bytes(p, op, 2, 1) + in_bytes(p, op, 3, 1) + in_bytes(p, op, 4, 1) +
                               in_bytes(p, op, 6, 1) + 2 * (out_bytes(p, op, 1, 1) + out_bytes(p, op, 2, 1));
    const int adds = (op->flags & RN_OPF_ACCUMULATE) != 0, left = dres > 0 && !adds;
    const double once = dy + x + y + dx + (adds ? 2 : 1) * dres, second = x + (left ? dres : dy + y);
    return per_channel + once + (op->flags & RN_OPF_FROZEN ? 0 : second);
}

static double op_bytes(const rni_program *p, const rn_op *op, double share)
{
    const int writes = always_adds(op->kind) || op->flags & RN_OPF_ACCUMULATE ? 2 : 1;
    double bytes = 0;
    if (op->kind == RN_OP_BN_BACKWARD)
        return bn_backward_bytes(p, op, share);
    for (uint32_t i = 0; i < op->num_in; i++)
        bytes += in_bytes(p, op, i, share);
    for (uint32_t i = 0; i < op->num_out; i++)
        bytes += writes * out_bytes(p, op, i, share);
    return bytes;
}

static double conv_flops(const rn_conv_params *c)
{
    return 2.0 * (double)(c->out_channels * c->out_height * c->out_width) *
           (double)(c->in_channels / c->groups * c->kernel[0] * c->kernel[1]);
}

/* Of one image. */
static double image_flops(const rni_program *p, const rn_op *op)
{
    const rn_value *weight;
    switch (op->kind) {
    case RN_OP_CONV_FORWARD:
    case RN_OP_CONV_BACKWARD_DATA:
    case RN_OP_CONV_BACKWARD_FILTER:
        return conv_flops(op->params);
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
    return 2.0 * (double)(weight->dims[0] * weight->dims[1]);
}

rni_traffic rni_op_traffic(const rni_program *p, const rn_op *op, double share)
{
    const double flops = image_flops(p, op);
    const double images = flops > 0 ? share * (double)p->values[op->in[0]].dims[0] : 0;
    return (rni_traffic){op_bytes(p, op, share), images * flops};
}
