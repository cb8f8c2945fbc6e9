/* SPDX-License-Identifier: MIT */
#include "ops/conv_rival.h"

static cudaError_t run(const rni_dnn_rival *rival, cudaStream_t stream, const rni_dnn_operands *o, void *workspace)
{
    const rni_conv_rival *const own = (const rni_conv_rival *)(const void *)rival;
    const int32_t accumulate = (own->flags & RN_OPF_ACCUMULATE) != 0, relu = (own->flags & RN_OPF_RELU) != 0;
    switch (own->kind) {
    case RN_OP_CONV_FORWARD:
        return rni_direct_forward(&own->direct, stream, o->x, o->w, o->bias, o->residual, o->y, relu);
    case RN_OP_CONV_BACKWARD_DATA:
        return rni_direct_backward_data(&own->direct, stream, o->y, o->w, o->x, accumulate);
    default:
        return rni_direct_backward_filter(&own->direct, &own->direct, stream, o->x, o->y, o->w, workspace);
    }
}

rni_conv_rival rni_conv_rival_of(const rni_direct *direct, const rn_op *op)
{
    rni_conv_rival own = {.rival.run = run, .direct = *direct, .kind = op->kind, .flags = op->flags};
    if (op->kind == RN_OP_CONV_BACKWARD_FILTER)
        own.rival.workspace = rni_direct_filter_workspace(direct);
    return own;
}
