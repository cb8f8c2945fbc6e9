/* SPDX-License-Identifier: MIT */
/* What operands of ops between convolutions must be, beyond rules.h: the same on all backends, for their drivers to ask. */
#ifndef RNI_OPS_ACTIVATIONS_H
#define RNI_OPS_ACTIVATIONS_H

#include "ops/rules.h"

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

#endif
