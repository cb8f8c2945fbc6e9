/* SPDX-License-Identifier: MIT */
/* Convolutions whose input is normalised in the engine (prologue.h), and what they need of a workspace. */
#ifndef RNI_CUDA_CONV_PROLOGUE_H
#define RNI_CUDA_CONV_PROLOGUE_H

#include "cuda.h"
#include "dnn/conv.h"

/*
 * Of CONV_FORWARD and CONV_BACKWARD_FILTER: makes the workspace large enough for it as well, should it come to that. Whether it
 * does, no op knows by itself.
 */
rn_status rni_conv_prologue_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info);

/* Of an op that was asked for its workspace. RN_E_UNSUPPORTED: no engine. */
rn_status rni_conv_prologue_prepare(rni_cuda_device *device, const rn_op *op, const rn_value *values,
                                    rni_dnn_conv **out);
/* x: batch normalisation's input; scale, shift: f16. */
rn_status rni_conv_prologue_run(const rni_cuda_call *c, rni_dnn_conv *conv, const void *x, const void *scale,
                                const void *shift);

#endif
