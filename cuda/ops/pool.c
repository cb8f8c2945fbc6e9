/* SPDX-License-Identifier: MIT */
/* Pooling and the shortcut without parameters. Kernels count the pixels of an image in 32 bits. */
#include "kernels/activations.h"
#include "ops/operands.h"
#include "ops/drivers.h"
#include "ops/shape.h"

/* Adaptive windows are found by products of both sizes of an axis. */
static rn_status check_adaptive(const rn_op *op, const rn_value *in, const rn_value *out)
{
    for (int i = 2; i < 4; i++)
        if ((in->dims[i] + 1) * (out->dims[i] + 1) > UINT32_MAX)
            return rni_ops_refuse(op, RN_E_UNSUPPORTED, "adaptive pooling between %lld and %lld pixels on an axis",
                                  (long long)in->dims[i], (long long)out->dims[i]);
    return RN_OK;
}

static rn_status check_window(const rn_op *op)
{
    const rn_pool_params *const p = op->params;
    for (int i = 0; i < 2; i++)
        if (p->kernel[i] > INT32_MAX / 4 || p->stride[i] > INT32_MAX / 4)
            return rni_ops_refuse(op, RN_E_UNSUPPORTED, "window %lld, stride %lld", (long long)p->kernel[i],
                                  (long long)p->stride[i]);
    if (p->kernel[0] * p->kernel[1] > INT32_MAX)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "a window of %lld x %lld pixels", (long long)p->kernel[0],
                              (long long)p->kernel[1]);
    return RN_OK;
}

static rn_status query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const in = &values[op->in[0]], *const out = &values[op->out[0]];
    (void)device;
    (void)info;
    RNI_TRY(rni_ops_check_pool(op, values));
    RNI_TRY(rni_cuda_check_image(op, "in", in));
    RNI_TRY(rni_cuda_check_image(op, "out", out));
    if (op->flags & RN_OPF_ADAPTIVE)
        return check_adaptive(op, in, out);
    return op->kind == RN_OP_GLOBAL_AVGPOOL || op->kind == RN_OP_GLOBAL_AVGPOOL_BACKWARD ? RN_OK : check_window(op);
}

/* One window, which is the image. */
static int is_global(const rni_k_pool *p)
{
    return p->out_height == 1 && p->out_width == 1 &&
           (p->adaptive || (p->kernel[0] == p->height && p->kernel[1] == p->width && !p->padding[0] && !p->padding[1]));
}

/* From the larger value to the smaller, whichever way the op goes. */
static rni_k_pool pool_of(const rni_cuda_call *c, const rn_value *in, const rn_value *out)
{
    const rn_pool_params *const params = c->op->params;
    const int named_global = c->op->kind == RN_OP_GLOBAL_AVGPOOL || c->op->kind == RN_OP_GLOBAL_AVGPOOL_BACKWARD;
    rni_k_pool p = {
        .images = rni_cuda_images(c, in),
        .channels = in->dims[1],
        .height = (int32_t)in->dims[2],
        .width = (int32_t)in->dims[3],
        .out_height = (int32_t)out->dims[2],
        .out_width = (int32_t)out->dims[3],
        .exclude_padding = (c->op->flags & RN_OPF_EXCLUDE_PADDING) != 0,
        .adaptive = (c->op->flags & RN_OPF_ADAPTIVE) != 0 || named_global,
        .dtype = in->dtype,
        .processors = c->device->processors,
    };
    for (int i = 0; i < 2 && !p.adaptive; i++) {
        p.kernel[i] = (int32_t)params->kernel[i];
        p.stride[i] = (int32_t)params->stride[i];
        p.padding[i] = (int32_t)params->padding[i];
    }
    p.global = is_global(&p);
    return p;
}

static rn_status maxpool_run(const rni_cuda_call *c)
{
    const rni_k_pool p = pool_of(c, rni_cuda_in_value(c, 0), rni_cuda_out_value(c, 0));
    return rni_cuda_launched(c, rni_k_maxpool(c->stream, rni_cuda_in(c, 0), rni_cuda_out(c, 0), &p));
}

static rn_status maxpool_backward_run(const rni_cuda_call *c)
{
    const rni_k_pool p = pool_of(c, rni_cuda_in_value(c, 1), rni_cuda_in_value(c, 2));
    return rni_cuda_launched(c, rni_k_maxpool_backward(c->stream, rni_cuda_in(c, 0), rni_cuda_in(c, 1),
                                                       rni_cuda_in(c, 2), rni_cuda_out(c, 0), &p));
}

static rn_status avgpool_run(const rni_cuda_call *c)
{
    const rni_k_pool p = pool_of(c, rni_cuda_in_value(c, 0), rni_cuda_out_value(c, 0));
    return rni_cuda_launched(c, rni_k_avgpool(c->stream, rni_cuda_in(c, 0), rni_cuda_out(c, 0), &p));
}

static rn_status avgpool_backward_run(const rni_cuda_call *c)
{
    const rni_k_pool p = pool_of(c, rni_cuda_out_value(c, 0), rni_cuda_in_value(c, 0));
    return rni_cuda_launched(c, rni_k_avgpool_backward(c->stream, rni_cuda_in(c, 0), rni_cuda_out(c, 0), &p));
}

const rni_cuda_driver rni_cuda_maxpool = {.query = query, .run = maxpool_run};
const rni_cuda_driver rni_cuda_maxpool_backward = {.query = query, .run = maxpool_backward_run};
const rni_cuda_driver rni_cuda_avgpool = {.query = query, .run = avgpool_run};
const rni_cuda_driver rni_cuda_avgpool_backward = {.query = query, .run = avgpool_backward_run};

static rn_status pad_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_pad_shortcut_params *const p = op->params;
    (void)device;
    (void)info;
    RNI_TRY(rni_ops_check_pad_shortcut(op, values));
    RNI_TRY(rni_cuda_check_image(op, "in", &values[op->in[0]]));
    RNI_TRY(rni_cuda_check_image(op, "out", &values[op->out[0]]));
    if (p->stride[0] > INT32_MAX || p->stride[1] > INT32_MAX)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "strides of %lld and %lld", (long long)p->stride[0],
                              (long long)p->stride[1]);
    return RN_OK;
}

static rn_status pad(const rni_cuda_call *c, const rn_value *x, const rn_value *y, int32_t backward)
{
    const rn_pad_shortcut_params *const params = c->op->params;
    const rni_k_pad p = {
        .images = rni_cuda_images(c, x),
        .channels = x->dims[1],
        .out_channels = y->dims[1],
        .before = params->channels_before,
        .height = (int32_t)x->dims[2],
        .width = (int32_t)x->dims[3],
        .out_height = (int32_t)y->dims[2],
        .out_width = (int32_t)y->dims[3],
        .stride = {(int32_t)params->stride[0], (int32_t)params->stride[1]},
        .dtype = x->dtype,
        .processors = c->device->processors,
    };
    return rni_cuda_launched(c, rni_k_pad_shortcut(c->stream, rni_cuda_in(c, 0), rni_cuda_out(c, 0), &p, backward));
}

static rn_status pad_run(const rni_cuda_call *c)
{
    return pad(c, rni_cuda_in_value(c, 0), rni_cuda_out_value(c, 0), 0);
}

static rn_status pad_backward_run(const rni_cuda_call *c)
{
    return pad(c, rni_cuda_out_value(c, 0), rni_cuda_in_value(c, 0), 1);
}

const rni_cuda_driver rni_cuda_pad_shortcut = {.query = pad_query, .run = pad_run};
const rni_cuda_driver rni_cuda_pad_shortcut_backward = {.query = pad_query, .run = pad_backward_run};
