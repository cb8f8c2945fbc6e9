/* SPDX-License-Identifier: MIT */
/* RN_OPF_STATS: a forward convolution that delivers mean and variance of its output, for the driver in conv.c. */
#ifndef RNI_CUDA_CONV_STATS_H
#define RNI_CUDA_CONV_STATS_H

#include "cuda.h"
#include "dnn/conv.h"

/* RN_E_UNSUPPORTED unless RN_CUDA_FUSE is 1 or 2 and cuDNN has an engine for both: BN_STATS is an op of its own then. */
rn_status rni_conv_stats_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info);

/* Of the op's workspace, before cuDNN's part of it. */
uint64_t rni_conv_stats_bytes(const rn_op *op);

/*
 * conv: what was prepared for the op; from: x, with scale and shift where conv normalises it. RN_E_UNSUPPORTED: nothing was
 * enqueued, as there is no plan for this batch; rni_conv_stats_apart() then follows a convolution of another make.
 */
rn_status rni_conv_stats_run(const rni_cuda_call *c, rni_dnn_conv *conv, const rni_dnn_operands *from);
rn_status rni_conv_stats_apart(const rni_cuda_call *c);

#endif
