/* SPDX-License-Identifier: MIT */
/* Operands of fully connected layers. */
#include "ops/operands.h"
#include "base/error.h"
#include "ops/rules.h"

static rn_status check_sizes(const rn_op *op, const rn_value *x, const rn_value *w, const rn_value *y)
{
    if (x->rank != 2 || y->rank != 2 || w->rank != 2 || x->dims[1] != w->dims[1] || y->dims[1] != w->dims[0] ||
        x->dims[0] != y->dims[0] || x->batch_axis != y->batch_axis) {
        char a[RNI_SHAPE_TEXT], b[RNI_SHAPE_TEXT], c[RNI_SHAPE_TEXT];
        return rni_ops_refuse(op, RN_E_SHAPE, "[N, I], [O, I] and [N, O] expected, got %s, %s and %s",
                              rni_shape_text(a, x->rank, x->dims), rni_shape_text(b, w->rank, w->dims),
                              rni_shape_text(c, y->rank, y->dims));
    }
    return RN_OK;
}

static rn_status check_bias(const rn_op *op, const rn_value *values)
{
    const int64_t outputs = values[op->in[1]].dims[0];
    if (op->num_in < 3 || op->in[2] == RN_NO_VALUE)
        return rni_ops_refuse(op, RN_E_INVALID, "in 2, the bias, is missing");
    const rn_value *const b = &values[op->in[2]];
    if (b->rank != 1 || b->dims[0] != outputs)
        return rni_ops_refuse(op, RN_E_SHAPE, "in 2: [%lld] expected", (long long)outputs);
    return RN_OK;
}

rn_status rni_ops_check_linear(const rn_op *op, const rn_value *values)
{
    const rn_value *const in0 = &values[op->in[0]], *const in1 = &values[op->in[1]], *const out = &values[op->out[0]];
    if (op->kind == RN_OP_LINEAR_BACKWARD_DATA)
        return check_sizes(op, out, in1, in0);
    if (op->kind == RN_OP_LINEAR_BACKWARD_FILTER)
        return check_sizes(op, in0, out, in1);
    RNI_TRY(check_sizes(op, in0, in1, out));
    return op->flags & RN_OPF_BIAS ? check_bias(op, values) : RN_OK;
}
