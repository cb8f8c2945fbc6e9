/* SPDX-License-Identifier: MIT */
/*
 * Filter gradients as products of matrices: for each tap the pixels of dy by those of x that it meets, in bands that stay in
 * the cache. What does not lie as the product reads it is copied together first: x of other than 1x1 taps of stride 1, and
 * all of bf16, whose dot products want two pixels side by side.
 */
#ifndef RNI_CPU_FILTER_BANDS_H
#define RNI_CPU_FILTER_BANDS_H

#include "cpu/conv.h"

int rni_bands_suit(const rni_conv_kernels *k, const rn_conv_params *p);
uint64_t rni_bands_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch, int32_t threads);
rn_status rni_bands_backward_filter(const rni_conv *c, const rni_conv_kernels *k);

#endif
