/* SPDX-License-Identifier: MIT */
/* Softmax and losses. */
#include "kernels/activations.h"
#include "ops/operands.h"
#include "ops/drivers.h"
#include "ops/shape.h"

static rn_status softmax_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)device;
    (void)info;
    return rni_ops_check_softmax(op, values);
}

static rn_status softmax_run(const rni_cuda_call *c)
{
    const rn_value *const x = rni_cuda_in_value(c, 0);
    return rni_cuda_launched(
        c, rni_k_softmax(c->stream, rni_cuda_in(c, 0), rni_cuda_out(c, 0), rni_cuda_rows(c, x), x->dims[1], x->dtype));
}

static rn_status softmax_backward_run(const rni_cuda_call *c)
{
    const rn_value *const dy = rni_cuda_in_value(c, 0);
    return rni_cuda_launched(c,
                             rni_k_softmax_backward(c->stream, rni_cuda_in(c, 0), rni_cuda_in(c, 1), rni_cuda_out(c, 0),
                                                    rni_cuda_rows(c, dy), dy->dims[1], dy->dtype));
}

const rni_cuda_driver rni_cuda_softmax = {.query = softmax_query, .run = softmax_run};
const rni_cuda_driver rni_cuda_softmax_backward = {.query = softmax_query, .run = softmax_backward_run};

/* The gradient's place, when it is wanted. */
static void *gradient_of(const rni_cuda_call *c)
{
    return c->op->flags & RN_OPF_NO_GRAD ? NULL : rni_cuda_out(c, 0);
}

static rn_status cross_entropy_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)device;
    RNI_TRY(rni_ops_check_cross_entropy(op, values));
    info->workspace = rni_k_loss_bytes(values[op->in[0]].dims[0]);
    return RN_OK;
}

static rn_status cross_entropy_run(const rni_cuda_call *c)
{
    const rn_cross_entropy_params *const p = c->op->params;
    const rn_value *const x = rni_cuda_in_value(c, 0);
    const int soft = c->op->kind == RN_OP_SOFT_CROSS_ENTROPY;
    const rni_k_loss l = {
        .x = rni_cuda_in(c, 0),
        .labels = soft ? NULL : rni_cuda_in(c, 1),
        .target = soft ? rni_cuda_in(c, 1) : NULL,
        .dx = gradient_of(c),
        .metrics = rni_cuda_out(c, 1),
        .workspace = rni_cuda_workspace(c),
        .scalars = c->scalars,
        .mailbox = c->mailbox,
        .images = rni_cuda_images(c, x),
        .k = x->dims[1],
        .smoothing = p->label_smoothing,
        .ticket = c->ticket,
        .dtype = x->dtype,
        .scaled = (c->op->flags & RN_OPF_LOSS_SCALE) != 0,
    };
    return rni_cuda_launched(c, rni_k_cross_entropy(c->stream, &l));
}

const rni_cuda_driver rni_cuda_cross_entropy = {.query = cross_entropy_query, .run = cross_entropy_run};
const rni_cuda_driver rni_cuda_soft_cross_entropy = {.query = cross_entropy_query, .run = cross_entropy_run};

static rn_status mse_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]];
    (void)device;
    if (x->layout == RN_LAYOUT_NHWC && rni_cuda_capacity(x) / x->dims[0] > UINT32_MAX)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "in 0: images of more than 2^32 elements");
    info->workspace = RNI_K_MSE_BYTES;
    return RN_OK;
}

static rn_status mse_run(const rni_cuda_call *c)
{
    const rn_value *const x = rni_cuda_in_value(c, 0);
    const int nhwc = x->layout == RN_LAYOUT_NHWC;
    const rni_k_squares s = {
        .x = rni_cuda_in(c, 0),
        .target = rni_cuda_in(c, 1),
        .dx = gradient_of(c),
        .metrics = rni_cuda_out(c, 1),
        .workspace = rni_cuda_workspace(c),
        .scalars = c->scalars,
        .images = rni_cuda_images(c, x),
        .channels = nhwc ? x->dims[1] : 1,
        .pixels = nhwc ? rni_cuda_pixels(x) : rni_cuda_count(c, x) / rni_cuda_images(c, x),
        .dtype = x->dtype,
        .processors = c->device->processors,
        .scaled = (c->op->flags & RN_OPF_LOSS_SCALE) != 0,
    };
    return rni_cuda_launched(c, rni_k_mse(c->stream, &s));
}

const rni_cuda_driver rni_cuda_mse = {.query = mse_query, .run = mse_run};
