/* SPDX-License-Identifier: MIT */
/* Operands of softmax, losses and dropout. */
#include "base/error.h"
#include "ops/operands.h"

/* Softmax is over dimension 1, whose values must lie side by side. */
static int side_by_side(const rn_value *x)
{
    int64_t pixels = 1;
    for (int32_t i = 2; i < x->rank; i++)
        pixels *= x->dims[i];
    return x->layout != RN_LAYOUT_PLAIN || pixels == 1;
}

rn_status rni_ops_check_softmax(const rn_op *op, const rn_value *values)
{
    const rn_value *const x = &values[op->in[0]];
    if (x->rank < 2 || !side_by_side(x))
        return rni_ops_refuse(op, RN_E_SHAPE, "in 0: [N, K] or NHWC expected, got rank %d", (int)x->rank);
    return RN_OK;
}

rn_status rni_ops_check_dropout(const rn_op *op, const rn_value *values)
{
    const rn_dropout_params *const p = op->params;
    (void)values;
    if (!(p->p >= 0 && p->p <= 1))
        return rni_ops_refuse(op, RN_E_INVALID, "p from 0 to 1 expected, got %g", p->p);
    return RN_OK;
}

rn_status rni_ops_check_cross_entropy(const rn_op *op, const rn_value *values)
{
    const rn_value *const x = &values[op->in[0]];
    const rn_cross_entropy_params *const p = op->params;
    if (x->rank != 2)
        return rni_ops_refuse(op, RN_E_SHAPE, "logits [N, K] expected, got rank %d", (int)x->rank);
    if (!(p->label_smoothing >= 0 && p->label_smoothing < 1))
        return rni_ops_refuse(op, RN_E_INVALID, "label smoothing from 0 to below 1 expected, got %g",
                              p->label_smoothing);
    return RN_OK;
}
