/* SPDX-License-Identifier: MIT */
/*
 * Wide kernels over few channels, as a net's first layer is, in bf16: an odd channel of each tap would be half of a pair. So
 * the taps of a row and their channels are taken as one tap of many channels, and the rows of x are copied with zeros
 * at both ends, where they overlap from window to window: 7x7 over 3 channels takes 11 pairs a row instead of 14.
 */
#ifndef RNI_CPU_NARROW_H
#define RNI_CPU_NARROW_H

#include "cpu/conv.h"

int rni_narrow_suits(const rni_conv_kernels *k, const rn_conv_params *p);
/* The packed weights, and room behind them to put them in order. */
uint64_t rni_narrow_packed_bytes(const rni_conv_kernels *k, const rn_conv_params *p);
rn_status rni_narrow_pack(const rni_cpu_call *call, const rni_conv_kernels *k, const float *w, const float *scale,
                          void *packed);
uint64_t rni_narrow_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int stats, int64_t batch);
rn_status rni_narrow_forward(const rni_conv *c, const rni_conv_kernels *k);

#endif
