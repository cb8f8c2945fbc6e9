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
    RNI_TRY(rni_cuda_check_sums(op, x));
    info->workspace = rni_k_partial_bytes(device->processors, rni_cuda_most_rows(x), x->dims[1], sums);
    return RN_OK;
}

/* What follows from the moments, for op RN_OP_BN_RUNNING. */
static void set_running(const rni_cuda_call *c, const rn_op *op, rni_k_stats *s)
{
    const rn_bn_params *const p = op->params;
    const double count = (double)c->run->batch * (double)p->pixels;
    s->running_mean = rni_cuda_address(c, &c->values[op->out[0]]);
    s->running_var = rni_cuda_address(c, &c->values[op->out[1]]);
    s->batches = rni_cuda_address(c, &c->values[op->out[2]]);
    s->momentum = p->momentum;
    s->unbiased = count > 1 ? count / (count - 1) : 1;
}

/* Statistics and what follows from them at once. Averages over all updates need the count before they change it. */
static uint32_t stats_together(const rn_op *ops, const rn_value *values, uint32_t left)
{
    const rn_op *const next = ops + 1;
    (void)values;
    return left > 1 && next->kind == RN_OP_BN_RUNNING && !(next->flags & RN_OPF_CUMULATIVE) &&
                   next->in[0] == ops->out[0] && next->in[1] == ops->out[1]
               ? 2
               : 1;
}

static rn_status stats_run(const rni_cuda_call *c)
{
    const rn_value *const x = rni_cuda_in_value(c, 0);
    rni_k_stats s = {
        .x = rni_cuda_in(c, 0),
        .mean = rni_cuda_out(c, 0),
        .var = rni_cuda_out(c, 1),
        .partial = rni_cuda_workspace(c),
        .rows = rni_cuda_rows(c, x),
        .channels = x->dims[1],
        .counters = c->counters,
        .dtype = x->dtype,
        .processors = c->device->processors,
    };
    if (c->num_ops > 1)
        set_running(c, c->op + 1, &s);
    return rni_cuda_launched(c, rni_k_bn_stats(c->stream, &s));
}

static rn_status running_run(const rni_cuda_call *c)
{
    rni_k_stats s = {
        .mean = rni_cuda_address(c, rni_cuda_in_value(c, 0)),
        .var = rni_cuda_address(c, rni_cuda_in_value(c, 1)),
        .channels = rni_cuda_in_value(c, 0)->dims[0],
    };
    set_running(c, c->op, &s);
    return rni_cuda_launched(c, rni_k_bn_running(c->stream, &s, (c->op->flags & RN_OPF_CUMULATIVE) != 0));
}

static rn_status bias_run(const rni_cuda_call *c)
{
    const rn_value *const dy = rni_cuda_in_value(c, 0);
    const rni_k_bias b = {
        .dy = rni_cuda_in(c, 0),
        .db = rni_cuda_out(c, 0),
        .partial = rni_cuda_workspace(c),
        .rows = rni_cuda_rows(c, dy),
        .channels = dy->dims[1],
        .counters = c->counters,
        .dtype = dy->dtype,
        .processors = c->device->processors,
    };
    return rni_cuda_launched(c, rni_k_bias_grad(c->stream, &b));
}

const rni_cuda_driver rni_cuda_bn_stats = {.query = query, .together = stats_together, .run = stats_run};
const rni_cuda_driver rni_cuda_bn_running = {.run = running_run};
const rni_cuda_driver rni_cuda_bias_grad = {.query = query, .run = bias_run};
