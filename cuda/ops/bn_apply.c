/* SPDX-License-Identifier: MIT */
/* Batch normalisation forward, and scale and shift. */
#include "kernels/activations.h"
#include "ops/operands.h"
#include "ops/drivers.h"
#include "ops/shape.h"

static rn_status query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)device;
    (void)info;
    return rni_ops_check_affine(op, values);
}

/* All but scale and shift, or what they are made of. The residual is input `residual`. */
static rni_k_affine affine_of(const rni_cuda_call *c, uint32_t residual)
{
    const rn_value *const x = rni_cuda_in_value(c, 0);
    return (rni_k_affine){
        .x = rni_cuda_in(c, 0),
        .residual = c->op->flags & RN_OPF_ADD ? rni_cuda_in(c, residual) : NULL,
        .y = rni_cuda_out(c, 0),
        .rows = rni_cuda_rows(c, x),
        .channels = x->dims[1],
        .relu = (c->op->flags & RN_OPF_RELU) != 0,
        .dtype = x->dtype,
        .processors = c->device->processors,
    };
}

static rn_status bn_apply_run(const rni_cuda_call *c)
{
    const rn_bn_params *const p = c->op->params;
    rni_k_affine a = affine_of(c, 5);
    a.mean = rni_cuda_in(c, 1);
    a.var = rni_cuda_in(c, 2);
    a.gamma = rni_cuda_in(c, 3);
    a.beta = rni_cuda_in(c, 4);
    a.eps = p->eps;
    return rni_cuda_launched(c, rni_k_affine_rows(c->stream, &a));
}

static rn_status scale_shift_run(const rni_cuda_call *c)
{
    rni_k_affine a = affine_of(c, 3);
    a.scale = rni_cuda_in(c, 1);
    a.shift = rni_cuda_in(c, 2);
    return rni_cuda_launched(c, rni_k_affine_rows(c->stream, &a));
}

static rn_status fold_run(const rni_cuda_call *c)
{
    const rn_bn_params *const p = c->op->params;
    return rni_cuda_launched(c, rni_k_bn_fold(c->stream, rni_cuda_in(c, 0), rni_cuda_in(c, 1), rni_cuda_in(c, 2),
                                              rni_cuda_in(c, 3), rni_cuda_in(c, 4), rni_cuda_out(c, 0),
                                              rni_cuda_out(c, 1), rni_cuda_out_value(c, 0)->dims[0], p->eps));
}

const rni_cuda_driver rni_cuda_bn_apply = {.query = query, .run = bn_apply_run};
const rni_cuda_driver rni_cuda_scale_shift = {.query = query, .run = scale_shift_run};
const rni_cuda_driver rni_cuda_bn_fold = {.run = fold_run};
