/* SPDX-License-Identifier: MIT */
#include "ops/conv_prologue.h"
#include "base/error.h"
#include "ops/conv_backward.h"
#include "ops/conv_direct.h"
#include "ops/conv_stats.h"
#include "workspace.h"

static int may_serve(const rni_cuda_device *device, const rn_op *op, const rn_value *values)
{
    return device->fuse >= RNI_CUDA_FUSE_PROLOGUE && device->dnn && !(op->flags & ~RN_OPF_STATS) &&
           values[op->in[0]].dtype == RN_F16;
}

static rni_dnn_problem problem_of(const rn_op *op, const rn_value *values)
{
    const rn_value *const x = &values[op->in[0]];
    return (rni_dnn_problem){op->params, op->kind, (op->flags & RN_OPF_STATS) | RNI_DNN_PROLOGUE, x->dtype, x->dims[0],
                             NULL};
}

/* What lies before cuDNN's part of the workspace, as where the op runs without. */
static uint64_t bytes_before(const rn_op *op, const rn_value *values)
{
    uint64_t total = 0;
    if (op->kind == RN_OP_CONV_BACKWARD_FILTER)
        rni_part(&total, rni_filter_bytes(op->params, values[op->in[0]].dtype));
    else if (op->flags & RN_OPF_STATS)
        total = rni_conv_stats_bytes(op);
    return total;
}

rn_status rni_conv_prologue_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rni_dnn_problem problem = problem_of(op, values);
    uint64_t plan = 0;
    if (!may_serve(device, op, values))
        return RN_OK;
    const rn_status status = rni_dnn_conv_query(device, &problem, &plan);
    if (status != RN_OK)
        return status == RN_E_UNSUPPORTED ? RN_OK : status;
    const uint64_t bytes = rni_parts_bytes(bytes_before(op, values) + plan);
    info->in_place = -1; /* cuDNN's outputs share memory with nothing */
    info->workspace = bytes > info->workspace ? bytes : info->workspace;
    return RN_OK;
}

rn_status rni_conv_prologue_prepare(rni_cuda_device *device, const rn_op *op, const rn_value *values,
                                    rni_dnn_conv **out)
{
    const rni_dnn_problem problem = problem_of(op, values);
    return rni_dnn_conv_prepare(device, &problem, out);
}

rn_status rni_conv_prologue_run(const rni_cuda_call *c, rni_dnn_conv *conv, const void *x, const void *scale,
                                const void *shift)
{
    rni_dnn_operands operands = {.x = (void *)x, .scale = scale, .shift = shift};
    if (c->op->kind == RN_OP_CONV_BACKWARD_FILTER)
        return rni_conv_backward_filter_run(c, conv, &operands);
    if (c->op->flags & RN_OPF_STATS)
        return rni_conv_stats_run(c, conv, &operands);
    operands.w = (void *)rni_cuda_in(c, 1);
    operands.y = rni_cuda_out(c, 0);
    return rni_dnn_conv_run(conv, c->stream, c->run->batch, &operands, rni_part_of(c, 0));
}
