/* SPDX-License-Identifier: MIT */
/* A convolution as a plan is made for it: the key of the cache of plans. */
#ifndef RNI_CUDA_DNN_SHAPE_H
#define RNI_CUDA_DNN_SHAPE_H

#include "dnn/conv.h"

/* No bytes between the fields: shapes are compared by memcmp. */
typedef struct rni_dnn_shape {
    int64_t batch, groups;
    int64_t in[3], out[3]; /* channels, height, width */
    int64_t kernel[2], stride[2], padding[2], dilation[2];
    uint64_t limit; /* bytes of workspace a plan may ask for */
    int32_t kind, dtype;
    uint32_t flags;
    int32_t direct; /* rn_conv_params::direct */
} rni_dnn_shape;

rni_dnn_shape rni_dnn_shape_of(const rni_dnn_problem *problem, uint64_t limit);

/*
 * What cuDNN does not check itself: RN_E_INVALID for channels, groups and windows that do not fit (cuDNN takes a filter
 * of other channels for a grouped convolution), RN_E_UNSUPPORTED for tensors of 2^31 elements and more.
 */
rn_status rni_dnn_shape_check(const rni_dnn_shape *shape);

/* "conv_forward 32x3x224x224 to 64x112x112, 7x7 stride 2x2 bf16 bias relu": for messages and files. */
#define RNI_DNN_SHAPE_TEXT 240
const char *rni_dnn_shape_text(char text[RNI_DNN_SHAPE_TEXT], const rni_dnn_shape *shape);

/* Elements of the input, the filter and the output. */
int64_t rni_dnn_input_count(const rni_dnn_shape *s);
int64_t rni_dnn_filter_count(const rni_dnn_shape *s);
int64_t rni_dnn_output_count(const rni_dnn_shape *s);

/* A forward convolution that ends in bias, residual or ReLU. */
int rni_dnn_has_epilogue(const rni_dnn_shape *s);

#endif
