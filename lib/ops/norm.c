/* SPDX-License-Identifier: MIT */
/* Operands of batch normalisation and its kin. */
#include "base/error.h"
#include "ops/operands.h"

rn_status rni_ops_check_channels(const rn_op *op, const rn_value *values)
{
    const rn_value *const x = &values[op->in[0]];
    if (x->rank < 2)
        return rni_ops_refuse(op, RN_E_SHAPE, "in 0: rank 2 or more expected, got %d", (int)x->rank);
    return RN_OK;
}

rn_status rni_ops_check_affine(const rn_op *op, const rn_value *values)
{
    const uint32_t residual = op->kind == RN_OP_BN_APPLY ? 5 : 3;
    RNI_TRY(rni_ops_check_channels(op, values));
    if ((op->flags & RN_OPF_ADD) && (op->num_in <= residual || op->in[residual] == RN_NO_VALUE))
        return rni_ops_refuse(op, RN_E_INVALID, "in %u, the residual, is missing", (unsigned)residual);
    return RN_OK;
}

rn_status rni_ops_check_bn_backward(const rn_op *op, const rn_value *values)
{
    RNI_TRY(rni_ops_check_channels(op, values));
    const int with_beta = op->num_in > 6 && op->in[6] != RN_NO_VALUE;
    if (with_beta && (op->flags & (RN_OPF_RELU | RN_OPF_ADD)) != RN_OPF_RELU)
        return rni_ops_refuse(op, RN_E_INVALID, "in 6, beta, goes with ReLU and without a residual");
    if ((op->flags & RN_OPF_RELU) && !with_beta && (op->num_in < 6 || op->in[5] == RN_NO_VALUE))
        return rni_ops_refuse(op, RN_E_INVALID, "in 5, the output, is missing");
    if ((op->flags & RN_OPF_ADD) && (op->num_out < 4 || op->out[3] == RN_NO_VALUE))
        return rni_ops_refuse(op, RN_E_INVALID, "out 3, the residual's gradient, is missing");
    return RN_OK;
}
