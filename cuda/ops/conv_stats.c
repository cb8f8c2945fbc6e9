/* SPDX-License-Identifier: MIT */
#include "ops/conv_stats.h"
#include "base/error.h"
#include "kernels/activations.h"
#include "kernels/bn_sums.h"
#include "ops/operands.h"
#include "ops/shape.h"
#include "workspace.h"

static rn_status refuse(const rn_op *op)
{
    return rni_ops_refuse(op, RN_E_UNSUPPORTED, "statistics are an op of their own");
}

static int64_t channels_of(const rn_op *op)
{
    const rn_conv_params *const p = op->params;
    return p->out_channels;
}

/* Where the two sums lie in the workspace, and cuDNN's behind them. */
typedef struct layout {
    uint64_t totals, squares, plan;
} layout;

static layout layout_of(const rn_op *op)
{
    const uint64_t bytes = (uint64_t)channels_of(op) * sizeof(float);
    uint64_t total = 0;
    layout l;
    l.totals = rni_part(&total, bytes);
    l.squares = rni_part(&total, bytes);
    l.plan = total;
    return l;
}

rn_status rni_conv_stats_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]], *const y = &values[op->out[0]];
    const rni_dnn_problem problem = {op->params, op->kind, RN_OPF_STATS, x->dtype, x->dims[0], NULL};
    uint64_t plan = 0;
    if (op->flags != RN_OPF_STATS || !device->fuse || !device->dnn)
        return refuse(op);
    const rn_status status = rni_dnn_conv_query(device, &problem, &plan);
    if (status == RN_E_UNSUPPORTED)
        return refuse(op);
    RNI_TRY(status);
    const uint64_t fused = layout_of(op).plan + plan;
    const uint64_t apart =
        rni_k_partial_bytes(device->processors, rni_cuda_most_rows(y), y->dims[1], RNI_K_STATS_SUMS);
    info->in_place = -1;
    info->workspace = rni_parts_bytes(fused > apart ? fused : apart);
    return RN_OK;
}

uint64_t rni_conv_stats_bytes(const rn_op *op)
{
    return layout_of(op).plan;
}

rn_status rni_conv_stats_run(const rni_cuda_call *c, rni_dnn_conv *conv, const rni_dnn_operands *from)
{
    const layout at = layout_of(c->op);
    float *const totals = rni_part_of(c, at.totals), *const squares = rni_part_of(c, at.squares);
    rni_dnn_operands operands = *from;
    operands.w = (void *)rni_cuda_in(c, 1);
    operands.y = rni_cuda_out(c, 0);
    operands.totals = totals;
    operands.squares = squares;
    RNI_TRY(rni_dnn_conv_run(conv, c->stream, c->run->batch, &operands, rni_part_of(c, at.plan)));
    return rni_cuda_launched(c,
                             rni_k_bn_from_sums(c->stream, totals, squares, rni_cuda_out(c, 1), rni_cuda_out(c, 2),
                                                channels_of(c->op), rni_cuda_rows(c, rni_cuda_out_value(c, 0))));
}

rn_status rni_conv_stats_apart(const rni_cuda_call *c)
{
    const rn_value *const y = rni_cuda_out_value(c, 0);
    const rni_k_stats s = {
        .x = rni_cuda_out(c, 0),
        .mean = rni_cuda_out(c, 1),
        .var = rni_cuda_out(c, 2),
        .partial = rni_part_of(c, 0),
        .rows = rni_cuda_rows(c, y),
        .channels = y->dims[1],
        .dtype = y->dtype,
        .counters = c->counters,
        .processors = c->device->processors,
    };
    return rni_cuda_launched(c, rni_k_bn_stats(c->stream, &s));
}
