/* SPDX-License-Identifier: MIT */
/* Operands of what works at the flat buffers of parameters: segments lie inside them. */
#include "ops/operands.h"
#include "base/error.h"
#include "ops/rules.h"

static rn_status check_segments(const rn_op *op, const rn_segment *segments, uint64_t num, const rn_value *flat)
{
    if (num && !segments)
        return rni_ops_refuse(op, RN_E_INVALID, "no segments");
    for (uint64_t i = 0; i < num; i++) {
        const uint64_t room = flat->bytes / sizeof(float);
        if (segments[i].offset > room || segments[i].count > room - segments[i].offset)
            return rni_ops_refuse(op, RN_E_SHAPE, "segment %llu ends beyond the %llu elements there are",
                                  (unsigned long long)i, (unsigned long long)room);
    }
    return RN_OK;
}

static rn_status check_sgd(const rn_op *op, const rn_value *values)
{
    const rn_sgd_params *const p = op->params;
    RNI_TRY(check_segments(op, p->segments, p->num_segments, &values[op->in[0]]));
    RNI_TRY(check_segments(op, p->segments, p->num_segments, &values[op->out[0]]));
    if (p->momentum == 0)
        return RN_OK;
    if (op->num_out < 2 || op->out[1] == RN_NO_VALUE)
        return rni_ops_refuse(op, RN_E_INVALID, "out 1, the momentum buffer, is missing");
    return check_segments(op, p->segments, p->num_segments, &values[op->out[1]]);
}

static rn_status check_adam(const rn_op *op, const rn_value *values)
{
    const rn_adam_params *const p = op->params;
    rn_value second = values[op->out[1]];
    if (p->state_stride > second.bytes / sizeof(float))
        return rni_ops_refuse(op, RN_E_SHAPE, "out 1: %llu bytes are too few for two moments",
                              (unsigned long long)second.bytes);
    second.bytes -= p->state_stride * sizeof(float);
    RNI_TRY(check_segments(op, p->segments, p->num_segments, &values[op->in[0]]));
    RNI_TRY(check_segments(op, p->segments, p->num_segments, &values[op->out[0]]));
    return check_segments(op, p->segments, p->num_segments, &second);
}

static rn_status check_loss_scale(const rn_op *op)
{
    const rn_loss_scale_params *const p = op->params;
    const int ordered = p->growth >= 1 && p->backoff > 0 && p->backoff <= 1 && p->least > 0 && p->least <= p->most;
    return ordered && p->interval > 0 ? RN_OK
                                      : rni_ops_refuse(op, RN_E_INVALID, "params: growth %g, backoff %g, %g to %g, interval %lld",
                                                       p->growth, p->backoff, p->least, p->most, (long long)p->interval);
}

static rn_status check_lerp(const rn_op *op, const rn_value *values)
{
    const uint64_t in = values[op->in[0]].bytes, out = values[op->out[0]].bytes;
    return in == out ? RN_OK : rni_ops_refuse(op, RN_E_SHAPE, "%llu bytes into %llu", (unsigned long long)in,
                                              (unsigned long long)out);
}

rn_status rni_ops_check_update(const rn_op *op, const rn_value *values)
{
    const rn_segments_params *const p = op->params;
    switch (op->kind) {
    case RN_OP_GRAD_NORM:
        return check_segments(op, p->segments, p->num_segments, &values[op->in[0]]);
    case RN_OP_GRAD_CLIP:
    case RN_OP_GRAD_UNSCALE:
        return check_segments(op, p->segments, p->num_segments, &values[op->out[0]]);
    case RN_OP_SGD:
        return check_sgd(op, values);
    case RN_OP_ADAM:
        return check_adam(op, values);
    case RN_OP_LOSS_SCALE:
        return check_loss_scale(op);
    default:
        return check_lerp(op, values);
    }
}
