/* SPDX-License-Identifier: MIT */
/*
 * Filter gradients by bands of pixels: what a band needs of x and dy is copied together, then multiplied. For 1x1
 * convolutions, and for all of bf16, whose dot products want two pixels side by side.
 */
#ifndef RNI_CPU_FILTER_BANDS_H
#define RNI_CPU_FILTER_BANDS_H

#include "cpu/conv.h"

int rni_bands_suit(const rni_conv_kernels *k, const rn_conv_params *p);
uint64_t rni_bands_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch, int32_t threads);
rn_status rni_bands_backward_filter(const rni_conv *c, const rni_conv_kernels *k);

#endif
