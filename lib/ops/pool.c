/* SPDX-License-Identifier: MIT */
/* Operands of pooling and of the shortcut without parameters. */
#include "base/error.h"
#include "ops/operands.h"

/* Sizes that no window leaves the image with, and dims that follow from them. */
static rn_status check_axis(const rn_op *op, int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t padding)
{
    if (kernel < 1 || stride < 1 || padding < 0 || padding > kernel / 2 || size + 2 * padding < kernel)
        return rni_ops_refuse(op, RN_E_SHAPE, "window %lld, stride %lld, padding %lld on %lld pixels",
                              (long long)kernel, (long long)stride, (long long)padding, (long long)size);
    const int64_t expected = (size + 2 * padding - kernel) / stride + 1;
    if (out != expected)
        return rni_ops_refuse(op, RN_E_SHAPE, "%lld output pixels expected on an axis, got %lld", (long long)expected,
                              (long long)out);
    return RN_OK;
}

static rn_status check_pool(const rn_op *op, const rn_value *in, const rn_value *out)
{
    if (in->rank != 4 || out->rank != 4 || in->layout != RN_LAYOUT_NHWC || out->layout != RN_LAYOUT_NHWC)
        return rni_ops_refuse(op, RN_E_SHAPE, "NHWC images expected");
    if (in->dims[0] != out->dims[0] || in->dims[1] != out->dims[1] || in->batch_axis != out->batch_axis)
        return rni_ops_refuse(
            op, RN_E_SHAPE, "images and channels expected to be equal, got [%lld, %lld] and [%lld, %lld]",
            (long long)in->dims[0], (long long)in->dims[1], (long long)out->dims[0], (long long)out->dims[1]);
    const int global = op->kind == RN_OP_GLOBAL_AVGPOOL || op->kind == RN_OP_GLOBAL_AVGPOOL_BACKWARD;
    const rn_pool_params *const p = op->params;
    for (int i = 0; i < 2 && !(op->flags & RN_OPF_ADAPTIVE); i++) {
        const int64_t size = in->dims[2 + i], end = out->dims[2 + i];
        RNI_TRY(global ? check_axis(op, size, end, size, 1, 0)
                       : check_axis(op, size, end, p->kernel[i], p->stride[i], p->padding[i]));
    }
    return RN_OK;
}

static int same_dims(const rn_value *a, const rn_value *b)
{
    int equal = a->rank == b->rank && a->layout == b->layout && a->batch_axis == b->batch_axis;
    for (int32_t i = 0; equal && i < a->rank; i++)
        equal = a->dims[i] == b->dims[i];
    return equal;
}

static rn_status check_max_backward(const rn_op *op, const rn_value *values)
{
    const rn_value *const dy = &values[op->in[0]], *const x = &values[op->in[1]], *const y = &values[op->in[2]];
    if (!same_dims(dy, y) || !same_dims(x, &values[op->out[0]]))
        return rni_ops_refuse(op, RN_E_SHAPE, "dy of y's dims and dx of x's dims expected");
    return check_pool(op, x, y);
}

rn_status rni_ops_check_pool(const rn_op *op, const rn_value *values)
{
    const rn_value *const in = &values[op->in[0]], *const out = &values[op->out[0]];
    if (op->kind == RN_OP_MAXPOOL_BACKWARD)
        return check_max_backward(op, values);
    if (op->kind == RN_OP_AVGPOOL_BACKWARD || op->kind == RN_OP_GLOBAL_AVGPOOL_BACKWARD)
        return check_pool(op, out, in);
    return check_pool(op, in, out);
}

static rn_status check_pad(const rn_op *op, const rn_value *x, const rn_value *y)
{
    const rn_pad_shortcut_params *const p = op->params;
    if (x->rank != 4 || y->rank != 4 || x->layout != RN_LAYOUT_NHWC || y->layout != RN_LAYOUT_NHWC)
        return rni_ops_refuse(op, RN_E_SHAPE, "NHWC images expected");
    if (p->stride[0] < 1 || p->stride[1] < 1 || p->channels_before < 0 || p->channels_after < 0)
        return rni_ops_refuse(op, RN_E_INVALID, "strides of at least 1 and no negative channels expected");
    if (x->dims[0] != y->dims[0] || x->batch_axis != y->batch_axis ||
        y->dims[1] != p->channels_before + x->dims[1] + p->channels_after ||
        y->dims[2] != (x->dims[2] - 1) / p->stride[0] + 1 || y->dims[3] != (x->dims[3] - 1) / p->stride[1] + 1) {
        char a[RNI_SHAPE_TEXT], b[RNI_SHAPE_TEXT];
        return rni_ops_refuse(op, RN_E_SHAPE, "%s does not become %s", rni_shape_text(a, 4, x->dims),
                              rni_shape_text(b, 4, y->dims));
    }
    return RN_OK;
}

rn_status rni_ops_check_pad_shortcut(const rn_op *op, const rn_value *values)
{
    const rn_value *const in = &values[op->in[0]], *const out = &values[op->out[0]];
    return op->kind == RN_OP_PAD_SHORTCUT ? check_pad(op, in, out) : check_pad(op, out, in);
}
