/* SPDX-License-Identifier: MIT */
/* Batch normalisation backward. */
#include "kernels/activations.h"
#include "ops/operands.h"
#include "ops/drivers.h"
#include "ops/shape.h"

static rn_status query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]];
    RNI_TRY(rni_ops_check_bn_backward(op, values));
    RNI_TRY(rni_cuda_check_sums(op, x));
    info->workspace = rni_k_bn_backward_bytes(device->processors, rni_cuda_most_rows(x), x->dims[1]);
    return RN_OK;
}

static rn_status run(const rni_cuda_call *c)
{
    const rn_bn_params *const p = c->op->params;
    const rn_value *const x = rni_cuda_in_value(c, 1);
    const uint32_t flags = c->op->flags;
    const int from_x = rni_cuda_in_value(c, 6) != NULL;
    const rni_k_bn_backward b = {
        .dy = rni_cuda_in(c, 0),
        .x = rni_cuda_in(c, 1),
        .y = flags & RN_OPF_RELU && !from_x ? rni_cuda_in(c, 5) : NULL,
        .mean = rni_cuda_in(c, 2),
        .var = rni_cuda_in(c, 3),
        .gamma = rni_cuda_in(c, 4),
        .beta = rni_cuda_in(c, 6),
        .dx = rni_cuda_out(c, 0),
        .dres = flags & RN_OPF_ADD ? rni_cuda_out(c, 3) : NULL,
        .dgamma = rni_cuda_out(c, 1),
        .dbeta = rni_cuda_out(c, 2),
        .workspace = rni_cuda_workspace(c),
        .counters = c->counters,
        .eps = p->eps,
        .rows = rni_cuda_rows(c, x),
        .channels = x->dims[1],
        .from_x = from_x,
        .accumulate = (flags & RN_OPF_ACCUMULATE) != 0,
        .frozen = (flags & RN_OPF_FROZEN) != 0,
        .dtype = x->dtype,
        .processors = c->device->processors,
    };
    return rni_cuda_launched(c, rni_k_bn_backward_all(c->stream, &b));
}

const rni_cuda_driver rni_cuda_bn_backward = {.query = query, .run = run};
