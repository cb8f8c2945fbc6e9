/* SPDX-License-Identifier: MIT */
/* A filter's gradient by cuDNN, for whoever has prepared one. (conv.c) */
#ifndef RNI_CUDA_CONV_BACKWARD_H
#define RNI_CUDA_CONV_BACKWARD_H

#include "cuda.h"
#include "dnn/conv.h"

/*
 * Op CONV_BACKWARD_FILTER: dw in the compute type and cuDNN's order, then left or added. `from` has x, and scale and shift where
 * conv normalises it. RN_E_UNSUPPORTED: no plan for this batch, and nothing was enqueued.
 */
rn_status rni_conv_backward_filter_run(const rni_cuda_call *c, rni_dnn_conv *conv, const rni_dnn_operands *from);

#endif
