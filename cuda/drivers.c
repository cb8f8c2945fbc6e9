/* SPDX-License-Identifier: MIT */
#include "ops/drivers.h"
#include "steps.h"

static const rni_cuda_driver *const drivers[RN_OP_COUNT_] = {
    [RN_OP_CONVERT] = &rni_cuda_convert,
    [RN_OP_FILL] = &rni_cuda_fill,
    [RN_OP_PACK] = &rni_cuda_pack,
    [RN_OP_CONV_FORWARD] = &rni_cuda_conv_forward,
    [RN_OP_CONV_BACKWARD_DATA] = &rni_cuda_conv_backward_data,
    [RN_OP_CONV_BACKWARD_FILTER] = &rni_cuda_conv_backward_filter,
    [RN_OP_BIAS_GRAD] = &rni_cuda_bias_grad,
    [RN_OP_BN_STATS] = &rni_cuda_bn_stats,
    [RN_OP_BN_RUNNING] = &rni_cuda_bn_running,
    [RN_OP_BN_APPLY] = &rni_cuda_bn_apply,
    [RN_OP_BN_BACKWARD] = &rni_cuda_bn_backward,
    [RN_OP_BN_FOLD] = &rni_cuda_bn_fold,
    [RN_OP_SCALE_SHIFT] = &rni_cuda_scale_shift,
    [RN_OP_RELU] = &rni_cuda_relu,
    [RN_OP_RELU_BACKWARD] = &rni_cuda_relu_backward,
    [RN_OP_ADD] = &rni_cuda_add,
    [RN_OP_ACCUMULATE] = &rni_cuda_accumulate,
    [RN_OP_MAXPOOL] = &rni_cuda_maxpool,
    [RN_OP_MAXPOOL_BACKWARD] = &rni_cuda_maxpool_backward,
    [RN_OP_AVGPOOL] = &rni_cuda_avgpool,
    [RN_OP_AVGPOOL_BACKWARD] = &rni_cuda_avgpool_backward,
    [RN_OP_GLOBAL_AVGPOOL] = &rni_cuda_avgpool,
    [RN_OP_GLOBAL_AVGPOOL_BACKWARD] = &rni_cuda_avgpool_backward,
    [RN_OP_LINEAR] = &rni_cuda_linear,
    [RN_OP_LINEAR_BACKWARD_DATA] = &rni_cuda_linear_backward_data,
    [RN_OP_LINEAR_BACKWARD_FILTER] = &rni_cuda_linear_backward_filter,
    [RN_OP_SOFTMAX] = &rni_cuda_softmax,
    [RN_OP_SOFTMAX_BACKWARD] = &rni_cuda_softmax_backward,
    [RN_OP_DROPOUT] = &rni_cuda_dropout,
    [RN_OP_DROPOUT_BACKWARD] = &rni_cuda_dropout,
    [RN_OP_PAD_SHORTCUT] = &rni_cuda_pad_shortcut,
    [RN_OP_PAD_SHORTCUT_BACKWARD] = &rni_cuda_pad_shortcut_backward,
    [RN_OP_CROSS_ENTROPY] = &rni_cuda_cross_entropy,
    [RN_OP_SOFT_CROSS_ENTROPY] = &rni_cuda_soft_cross_entropy,
    [RN_OP_MSE] = &rni_cuda_mse,
    [RN_OP_GRAD_NORM] = &rni_cuda_grad_norm,
    [RN_OP_GRAD_CLIP] = &rni_cuda_grad_clip,
    [RN_OP_SGD] = &rni_cuda_sgd,
    [RN_OP_ADAM] = &rni_cuda_adam,
    [RN_OP_LERP] = &rni_cuda_lerp,
    [RN_OP_AUGMENT] = &rni_cuda_augment,
    [RN_OP_GRAD_UNSCALE] = &rni_cuda_grad_unscale,
    [RN_OP_LOSS_SCALE] = &rni_cuda_loss_scale,
};

const rni_cuda_driver *rni_cuda_driver_of(int32_t kind)
{
    return drivers[kind];
}
