/* SPDX-License-Identifier: MIT */
#include "prologue.h"
#include "base/error.h"
#include "kernels/activations.h"
#include "ops/conv_prologue.h"

rn_status rni_prologue_prepare(rni_cuda_device *device, const rn_program_desc *desc, const rni_prologue_ops *ops,
                               rni_prologue *out)
{
    rni_prologue p = {.ops = *ops};
    RNI_TRY(rni_conv_prologue_prepare(device, &desc->ops[ops->forward], desc->values, &p.forward));
    const rn_status status = rni_conv_prologue_prepare(device, &desc->ops[ops->filter], desc->values, &p.filter);
    if (status == RN_OK)
        *out = p;
    else
        rni_prologue_release(device, &p);
    return status;
}

void rni_prologue_release(rni_cuda_device *device, rni_prologue *p)
{
    rni_dnn_conv_release(device, p->forward);
    rni_dnn_conv_release(device, p->filter);
}

rn_status rni_prologue_serves(const rni_prologue *p, int64_t batch)
{
    RNI_TRY(rni_dnn_conv_serves(p->forward, batch));
    return rni_dnn_conv_serves(p->filter, batch);
}

/* Scale, and behind it shift, where the activation would be. */
static rn_status write_factors(const rni_cuda_call *c)
{
    const rn_bn_params *const p = c->op->params;
    const rni_k_affine a = {
        .y = rni_cuda_out(c, 0),
        .mean = rni_cuda_in(c, 1),
        .var = rni_cuda_in(c, 2),
        .gamma = rni_cuda_in(c, 3),
        .beta = rni_cuda_in(c, 4),
        .eps = p->eps,
        .channels = rni_cuda_in_value(c, 0)->dims[1],
    };
    return rni_cuda_launched(c, rni_k_bn_factors(c->stream, &a));
}

rn_status rni_prologue_run(const rni_prologue *p, const rni_cuda_call *c)
{
    const rn_value *const x = &c->values[p->ops.x];
    const uint16_t *const scale = rni_cuda_in(c, 0);
    if (c->op->kind == RN_OP_BN_APPLY)
        return write_factors(c);
    return rni_conv_prologue_run(c, c->op->kind == RN_OP_CONV_FORWARD ? p->forward : p->filter,
                                 rni_cuda_address(c, x), scale, scale + x->dims[1]);
}
