/* SPDX-License-Identifier: MIT */
/* What operands of single kinds of ops must be, beyond rules.h: the same on all backends, for their drivers to ask. */
#ifndef RNI_OPS_OPERANDS_H
#define RNI_OPS_OPERANDS_H

#include "ops/rules.h"

rn_status rni_ops_check_pack(const rn_op *op, const rn_value *values);
/* Sets info->in_place when there is a residual. */
rn_status rni_ops_check_conv_forward(const rn_op *op, const rn_value *values, rn_op_info *info);
rn_status rni_ops_check_conv_backward_data(const rn_op *op, const rn_value *values);
rn_status rni_ops_check_conv_backward_filter(const rn_op *op, const rn_value *values);

/* RN_OP_LINEAR and both of its gradients. */
rn_status rni_ops_check_linear(const rn_op *op, const rn_value *values);

/* RN_OP_BN_STATS and RN_OP_BIAS_GRAD. */
rn_status rni_ops_check_channels(const rn_op *op, const rn_value *values);
/* RN_OP_BN_APPLY and RN_OP_SCALE_SHIFT. */
rn_status rni_ops_check_affine(const rn_op *op, const rn_value *values);
rn_status rni_ops_check_bn_backward(const rn_op *op, const rn_value *values);

/* Pooling of all kinds, both ways. */
rn_status rni_ops_check_pool(const rn_op *op, const rn_value *values);
/* Both ways. */
rn_status rni_ops_check_pad_shortcut(const rn_op *op, const rn_value *values);

/* Both ways. */
rn_status rni_ops_check_softmax(const rn_op *op, const rn_value *values);
rn_status rni_ops_check_dropout(const rn_op *op, const rn_value *values);
/* RN_OP_CROSS_ENTROPY and RN_OP_SOFT_CROSS_ENTROPY. */
rn_status rni_ops_check_cross_entropy(const rn_op *op, const rn_value *values);

rn_status rni_ops_check_convert(const rn_op *op, const rn_value *values);
rn_status rni_ops_check_augment(const rn_op *op, const rn_value *values);

/* RN_OP_GRAD_NORM, RN_OP_GRAD_CLIP, RN_OP_SGD, RN_OP_ADAM, RN_OP_LERP, RN_OP_GRAD_UNSCALE, RN_OP_LOSS_SCALE. */
rn_status rni_ops_check_update(const rn_op *op, const rn_value *values);

#endif
