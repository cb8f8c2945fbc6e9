/* SPDX-License-Identifier: MIT */
/* Per-channel sums: statistics of batch normalisation, and gradients of biases. */
#include "kernels/activations.h"
#include "ops/operands.h"
#include "ops/drivers.h"
#include "ops/shape.h"

static rn_status query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]];
    const int32_t sums = op->kind == RN_OP_BN_STATS ? RNI_K_STATS_SUMS : 1;
    RNI_TRY(rni_ops_check_channels(op, values));
    info->workspace = rni_k_partial_bytes(device->processors, rni_cuda_most_rows(x), x->dims[1], sums);
    return RN_OK;
}

static rn_status stats_run(const rni_cuda_call *c)
{
    const rn_value *const x = rni_cuda_in_value(c, 0);
    const rni_k_stats s = {
        .x = rni_cuda_in(c, 0),
        .mean = rni_cuda_out(c, 0),
        .var = rni_cuda_out(c, 1),
        .partial = rni_cuda_workspace(c),
        .rows = rni_cuda_rows(c, x),
        .channels = x->dims[1],
        .dtype = x->dtype,
        .processors = c->device->processors,
    };
    return rni_cuda_launched(c, rni_k_bn_stats(c->stream, &s));
}

static rn_status running_run(const rni_cuda_call *c)
{
    const rn_bn_params *const p = c->op->params;
    const double count = (double)c->run->batch * (double)p->pixels, unbiased = count > 1 ? count / (count - 1) : 1;
    return rni_cuda_launched(c,
                             rni_k_bn_running(c->stream, rni_cuda_in(c, 0), rni_cuda_in(c, 1), rni_cuda_out(c, 0),
                                              rni_cuda_out(c, 1), rni_cuda_out(c, 2), rni_cuda_in_value(c, 0)->dims[0],
                                              p->momentum, unbiased, (c->op->flags & RN_OPF_CUMULATIVE) != 0));
}

static rn_status bias_run(const rni_cuda_call *c)
{
    const rn_value *const dy = rni_cuda_in_value(c, 0);
    return rni_cuda_launched(c, rni_k_bias_grad(c->stream, rni_cuda_in(c, 0), rni_cuda_out(c, 0), rni_cuda_workspace(c),
                                                rni_cuda_rows(c, dy), dy->dims[1], c->device->processors, dy->dtype));
}

const rni_cuda_driver rni_cuda_bn_stats = {.query = query, .run = stats_run};
const rni_cuda_driver rni_cuda_bn_running = {.run = running_run};
const rni_cuda_driver rni_cuda_bias_grad = {.query = query, .run = bias_run};
