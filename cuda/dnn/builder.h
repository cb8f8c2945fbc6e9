/* SPDX-License-Identifier: MIT */
/* The parts that operation graphs are put together from. */
#ifndef RNI_CUDA_DNN_BUILDER_H
#define RNI_CUDA_DNN_BUILDER_H

#include "dnn/descriptor.h"
#include "dnn/graph.h"

enum { RNI_DNN_MOST_OPERATIONS = 6 };

/* A graph under construction; begins with bag and shape. */
typedef struct rni_dnn_builder {
    rni_dnn_bag *bag;
    const rni_dnn_shape *shape;
    uint32_t named; /* bits of the names given so far: cuDNN takes two tensors of one name */
    cudnnBackendDescriptor_t operations[RNI_DNN_MOST_OPERATIONS];
    int64_t count;
} rni_dnn_builder;

/* What of the shape a tensor has the sizes of; the last two: one value per channel. */
enum { RNI_DNN_INPUT, RNI_DNN_FILTER, RNI_DNN_OUTPUT, RNI_DNN_IN_CHANNELS, RNI_DNN_OUT_CHANNELS };

/* NHWC. Names from RNI_DNN_INNER on have no memory. */
rn_status rni_dnn_tensor(rni_dnn_builder *b, int64_t name, int sizes, cudnnDataType_t type,
                         cudnnBackendDescriptor_t *out);
/* The shape's convolution in its direction, of `x` (or dx) and `y` (or dy), with a filter of its own. */
rn_status rni_dnn_convolve(rni_dnn_builder *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y);
/* `with` is NULL where the mode has one operand only. */
rn_status rni_dnn_pointwise(rni_dnn_builder *b, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t from,
                            cudnnBackendDescriptor_t with, cudnnBackendDescriptor_t to);
/* Sums over all but the channels of y, and of y^2: RNI_DNN_TOTALS and RNI_DNN_SQUARES, in f32. */
rn_status rni_dnn_statistics(rni_dnn_builder *b, cudnnBackendDescriptor_t y);
/* The graph of all operations so far. */
rn_status rni_dnn_build(rni_dnn_builder *b, cudnnBackendDescriptor_t *graph);

#endif
