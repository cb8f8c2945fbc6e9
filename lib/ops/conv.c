/* SPDX-License-Identifier: MIT */
/* Operands of the convolution family. */
#include "ops/operands.h"
#include "base/error.h"
#include "base/half.h"
#include "ops/rules.h"

/* Sizes beyond this cannot be meant and keep products of a few of them inside int64. */
#define MAX_SIZE (INT64_C(1) << 24)

static const rn_value *input(const rn_op *op, const rn_value *values, uint32_t i)
{
    return i < op->num_in && op->in[i] != RN_NO_VALUE ? &values[op->in[i]] : NULL;
}

static const rn_value *output(const rn_op *op, const rn_value *values, uint32_t i)
{
    return i < op->num_out && op->out[i] != RN_NO_VALUE ? &values[op->out[i]] : NULL;
}

static rn_status check_window(const rn_op *op, const rn_conv_params *p, int axis, int64_t in, int64_t out)
{
    const int64_t span = (p->kernel[axis] - 1) * p->dilation[axis] + 1;
    const int64_t room = in + 2 * p->padding[axis] - span;
    if (room >= 0 && out == room / p->stride[axis] + 1)
        return RN_OK;
    return rni_ops_refuse(op, RN_E_SHAPE, "params: axis %d: window %lld in %lld does not give %lld", axis,
                          (long long)span, (long long)in, (long long)out);
}

static rn_status check_params(const rn_op *op)
{
    const rn_conv_params *const p = op->params;
    const int64_t sizes[] = {p->in_channels, p->out_channels, p->groups,     p->in_height, p->in_width,
                             p->out_height,  p->out_width,    p->kernel[0],  p->kernel[1], p->stride[0],
                             p->stride[1],   p->dilation[0],  p->dilation[1]};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i] < 1 || sizes[i] > MAX_SIZE)
            return rni_ops_refuse(op, RN_E_INVALID, "params: sizes from 1 to %lld expected, got %lld",
                                  (long long)MAX_SIZE, (long long)sizes[i]);
    for (int axis = 0; axis < 2; axis++)
        if (p->padding[axis] < 0 || p->padding[axis] > MAX_SIZE)
            return rni_ops_refuse(op, RN_E_INVALID, "params: padding %lld", (long long)p->padding[axis]);
    if (p->in_channels % p->groups || p->out_channels % p->groups)
        return rni_ops_refuse(op, RN_E_INVALID, "params: %lld groups of %lld and %lld channels", (long long)p->groups,
                              (long long)p->in_channels, (long long)p->out_channels);
    RNI_TRY(check_window(op, p, 0, p->in_height, p->out_height));
    return check_window(op, p, 1, p->in_width, p->out_width);
}

static rn_status check_dims(const rn_op *op, const char *name, const rn_value *v, int32_t rank, const int64_t *dims)
{
    int equal = v->rank == rank;
    for (int32_t i = 0; equal && i < rank; i++)
        equal = dims[i] < 0 || v->dims[i] == dims[i];
    if (equal)
        return RN_OK;
    char expected[RNI_SHAPE_TEXT], got[RNI_SHAPE_TEXT];
    return rni_ops_refuse(op, RN_E_SHAPE, "%s: expected %s (-1: any), got %s", name,
                          rni_shape_text(expected, rank, dims), rni_shape_text(got, v->rank, v->dims));
}

static rn_status check_dtype(const rn_op *op, const char *name, const rn_value *v, int32_t dtype)
{
    if (v->dtype == dtype)
        return RN_OK;
    return rni_ops_refuse(op, RN_E_DTYPE, "%s: expected %s, got %s", name, rn_dtype_name(dtype),
                          rn_dtype_name(v->dtype));
}

static rn_status check_compute_dtype(const rn_op *op, const rn_value *v)
{
    if (rni_is_compute_dtype(v->dtype))
        return RN_OK;
    return rni_ops_refuse(op, RN_E_UNSUPPORTED, "computes in f32, f64, bf16 and f16, not in %s", rn_dtype_name(v->dtype));
}

static rn_status check_image(const rn_op *op, const char *name, const rn_value *v, int32_t dtype, int64_t channels,
                             int64_t height, int64_t width)
{
    const int64_t dims[4] = {-1, channels, height, width};
    RNI_TRY(check_dtype(op, name, v, dtype));
    RNI_TRY(check_dims(op, name, v, 4, dims));
    return v->layout == RN_LAYOUT_NHWC ? RN_OK : rni_ops_refuse(op, RN_E_UNSUPPORTED, "%s: NHWC expected", name);
}

/* The input (or its gradient) and the output (or its gradient) of the convolution. */
static rn_status check_images(const rn_op *op, const rn_value *x, const rn_value *y)
{
    const rn_conv_params *const p = op->params;
    RNI_TRY(check_compute_dtype(op, x));
    RNI_TRY(check_image(op, "input", x, x->dtype, p->in_channels, p->in_height, p->in_width));
    return check_image(op, "output", y, x->dtype, p->out_channels, p->out_height, p->out_width);
}

static rn_status check_weights(const rn_op *op, const char *name, const rn_value *v)
{
    const rn_conv_params *const p = op->params;
    const int64_t dims[4] = {p->out_channels, p->in_channels / p->groups, p->kernel[0], p->kernel[1]};
    RNI_TRY(check_dtype(op, name, v, RN_F32));
    return check_dims(op, name, v, 4, dims);
}

static rn_status check_channels(const rn_op *op, const char *name, const rn_value *v, int32_t dtype)
{
    const rn_conv_params *const p = op->params;
    if (!v)
        return rni_ops_refuse(op, RN_E_INVALID, "%s is missing", name);
    RNI_TRY(check_dtype(op, name, v, dtype));
    return check_dims(op, name, v, 1, &p->out_channels);
}

rn_status rni_ops_check_pack(const rn_op *op, const rn_value *values)
{
    const rn_value *const scale = input(op, values, 1), *const packed = output(op, values, 0);
    RNI_TRY(check_params(op));
    RNI_TRY(check_compute_dtype(op, packed));
    RNI_TRY(check_weights(op, "weight", input(op, values, 0)));
    return scale ? check_channels(op, "scale", scale, rni_wide_dtype(packed->dtype)) : RN_OK;
}

rn_status rni_ops_check_conv_forward(const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = input(op, values, 0), *const y = output(op, values, 0);
    RNI_TRY(check_params(op));
    RNI_TRY(check_images(op, x, y));
    RNI_TRY(check_dtype(op, "packed weight", input(op, values, 1), x->dtype));
    if (op->flags & RN_OPF_BIAS)
        RNI_TRY(check_channels(op, "bias", input(op, values, 2), rni_wide_dtype(x->dtype)));
    if (op->flags & RN_OPF_ADD) {
        const rn_value *const residual = input(op, values, 3);
        if (!residual)
            return rni_ops_refuse(op, RN_E_INVALID, "residual is missing");
        RNI_TRY(check_image(op, "residual", residual, x->dtype, y->dims[1], y->dims[2], y->dims[3]));
        info->in_place = 3;
    }
    if (!(op->flags & RN_OPF_STATS))
        return RN_OK;
    if (op->flags & (RN_OPF_ADD | RN_OPF_RELU))
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "statistics come without residual and ReLU");
    RNI_TRY(check_channels(op, "mean", output(op, values, 1), rni_wide_dtype(x->dtype)));
    return check_channels(op, "variance", output(op, values, 2), rni_wide_dtype(x->dtype));
}

rn_status rni_ops_check_conv_backward_data(const rn_op *op, const rn_value *values)
{
    const rn_value *const dx = output(op, values, 0);
    RNI_TRY(check_params(op));
    RNI_TRY(check_images(op, dx, input(op, values, 0)));
    return check_dtype(op, "packed weight", input(op, values, 1), dx->dtype);
}

rn_status rni_ops_check_conv_backward_filter(const rn_op *op, const rn_value *values)
{
    RNI_TRY(check_params(op));
    RNI_TRY(check_images(op, input(op, values, 0), input(op, values, 1)));
    return check_weights(op, "weight gradient", output(op, values, 0));
}
