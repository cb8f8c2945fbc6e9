/* SPDX-License-Identifier: MIT */
/* All op drivers; the table by kind is in program.c. */
#ifndef RNI_CUDA_DRIVERS_H
#define RNI_CUDA_DRIVERS_H

#include "cuda.h"

extern const rni_cuda_driver rni_cuda_convert __attribute__((weak));
extern const rni_cuda_driver rni_cuda_fill __attribute__((weak));
extern const rni_cuda_driver rni_cuda_pack __attribute__((weak));
extern const rni_cuda_driver rni_cuda_conv_forward __attribute__((weak));
extern const rni_cuda_driver rni_cuda_conv_backward_data __attribute__((weak));
extern const rni_cuda_driver rni_cuda_conv_backward_filter __attribute__((weak));
extern const rni_cuda_driver rni_cuda_bias_grad __attribute__((weak));
extern const rni_cuda_driver rni_cuda_bn_stats __attribute__((weak));
extern const rni_cuda_driver rni_cuda_bn_running __attribute__((weak));
extern const rni_cuda_driver rni_cuda_bn_apply __attribute__((weak));
extern const rni_cuda_driver rni_cuda_bn_backward __attribute__((weak));
extern const rni_cuda_driver rni_cuda_bn_fold __attribute__((weak));
extern const rni_cuda_driver rni_cuda_scale_shift __attribute__((weak));
extern const rni_cuda_driver rni_cuda_relu __attribute__((weak));
extern const rni_cuda_driver rni_cuda_relu_backward __attribute__((weak));
extern const rni_cuda_driver rni_cuda_add __attribute__((weak));
extern const rni_cuda_driver rni_cuda_accumulate __attribute__((weak));
extern const rni_cuda_driver rni_cuda_maxpool __attribute__((weak));
extern const rni_cuda_driver rni_cuda_maxpool_backward __attribute__((weak));
extern const rni_cuda_driver rni_cuda_avgpool __attribute__((weak));
extern const rni_cuda_driver rni_cuda_avgpool_backward __attribute__((weak));
extern const rni_cuda_driver rni_cuda_linear __attribute__((weak));
extern const rni_cuda_driver rni_cuda_linear_backward_data __attribute__((weak));
extern const rni_cuda_driver rni_cuda_linear_backward_filter __attribute__((weak));
extern const rni_cuda_driver rni_cuda_softmax __attribute__((weak));
extern const rni_cuda_driver rni_cuda_softmax_backward __attribute__((weak));
extern const rni_cuda_driver rni_cuda_dropout __attribute__((weak));
extern const rni_cuda_driver rni_cuda_pad_shortcut __attribute__((weak));
extern const rni_cuda_driver rni_cuda_pad_shortcut_backward __attribute__((weak));
extern const rni_cuda_driver rni_cuda_cross_entropy __attribute__((weak));
extern const rni_cuda_driver rni_cuda_soft_cross_entropy __attribute__((weak));
extern const rni_cuda_driver rni_cuda_mse __attribute__((weak));
extern const rni_cuda_driver rni_cuda_grad_norm __attribute__((weak));
extern const rni_cuda_driver rni_cuda_grad_clip __attribute__((weak));
extern const rni_cuda_driver rni_cuda_sgd __attribute__((weak));
extern const rni_cuda_driver rni_cuda_adam __attribute__((weak));
extern const rni_cuda_driver rni_cuda_lerp __attribute__((weak));

#endif
