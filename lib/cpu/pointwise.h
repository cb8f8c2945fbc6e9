/* SPDX-License-Identifier: MIT */
/*
 * 1x1 convolutions are products of matrices: the pixels of all images, one after the other, by the weights. They are cut
 * into chunks of pixels; a chunk meets all weights, or a part of them, while it is in the cache. With a stride the pixels
 * that matter are copied together first.
 */
#ifndef RNI_CPU_POINTWISE_H
#define RNI_CPU_POINTWISE_H

#include "cpu/conv.h"

int rni_pointwise_suits(const rn_conv_params *p);
uint64_t rni_pointwise_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data, int stats,
                             int64_t batch, int32_t threads);
rn_status rni_pointwise_forward(const rni_conv *c, const rni_conv_kernels *k);
rn_status rni_pointwise_backward_data(const rni_conv *c, const rni_conv_kernels *k);
uint64_t rni_pointwise_filter_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch, int32_t threads);
rn_status rni_pointwise_backward_filter(const rni_conv *c, const rni_conv_kernels *k);

#endif
