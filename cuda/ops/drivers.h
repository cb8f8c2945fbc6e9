/* SPDX-License-Identifier: MIT */
/* All op drivers; the table by kind is in program.c. */
#ifndef RNI_CUDA_DRIVERS_H
#define RNI_CUDA_DRIVERS_H

#include "cuda.h"

extern const rni_cuda_driver rni_cuda_convert, rni_cuda_fill, rni_cuda_pack, rni_cuda_conv_forward,
    rni_cuda_conv_backward_data, rni_cuda_conv_backward_filter, rni_cuda_bias_grad, rni_cuda_bn_stats,
    rni_cuda_bn_running, rni_cuda_bn_apply, rni_cuda_bn_backward, rni_cuda_bn_fold, rni_cuda_scale_shift,
    rni_cuda_relu, rni_cuda_relu_backward, rni_cuda_add, rni_cuda_accumulate, rni_cuda_maxpool,
    rni_cuda_maxpool_backward, rni_cuda_avgpool, rni_cuda_avgpool_backward, rni_cuda_linear,
    rni_cuda_linear_backward_data, rni_cuda_linear_backward_filter, rni_cuda_softmax, rni_cuda_softmax_backward,
    rni_cuda_dropout, rni_cuda_pad_shortcut, rni_cuda_pad_shortcut_backward, rni_cuda_cross_entropy,
    rni_cuda_soft_cross_entropy, rni_cuda_mse, rni_cuda_grad_norm, rni_cuda_grad_clip, rni_cuda_sgd, rni_cuda_adam,
    rni_cuda_lerp, rni_cuda_augment, rni_cuda_grad_unscale, rni_cuda_loss_scale;

#endif
