/* SPDX-License-Identifier: MIT */
/*
 * Convolutions with few output pixels and many weights, as a single image has them in the last stages. What each output pixel
 * needs is gathered into a row, and the rows are multiplied as a 1x1 convolution's: tiles are full whatever the image's
 * width, and weights are read once for all pixels instead of once for each row of the image.
 */
#ifndef RNI_CPU_GATHERED_H
#define RNI_CPU_GATHERED_H

#include "cpu/conv.h"

int rni_gathered_suits(const rni_conv_kernels *k, const rn_conv_params *p);
uint64_t rni_gathered_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int stats, int64_t batch, int32_t threads);
rn_status rni_gathered_forward(const rni_conv *c, const rni_conv_kernels *k);

#endif
