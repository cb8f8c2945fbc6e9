/* SPDX-License-Identifier: MIT */
/* The module's own kernels as what is measured beside cuDNN's plans. */
#ifndef RNI_CUDA_OPS_CONV_RIVAL_H
#define RNI_CUDA_OPS_CONV_RIVAL_H

#include "dnn/conv.h"
#include "ops/conv_direct.h"

typedef struct rni_conv_rival {
    rni_dnn_rival rival; /* first: what it is given as */
    rni_direct direct;
    int32_t kind;
    uint32_t flags;
} rni_conv_rival;

rni_conv_rival rni_conv_rival_of(const rni_direct *direct, const rn_op *op);

#endif
