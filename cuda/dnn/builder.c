/* SPDX-License-Identifier: MIT */
#include "dnn/builder.h"
#include "base/error.h"
#include <stdbool.h>
#include <string.h>

typedef cudnnBackendDescriptor_t descriptor;

/* dims are N, C, H, W; memory is N, H, W, C. */
static rn_status fill_tensor(descriptor d, int64_t name, cudnnDataType_t type, const int64_t dims[4])
{
    const int64_t strides[4] = {dims[1] * dims[2] * dims[3], 1, dims[3] * dims[1], dims[1]};
    const int64_t alignment = 16;
    const bool inner = name >= RNI_DNN_INNER;
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &name));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
    if (inner)
        RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inner));
    return rni_dnn_finalize(d);
}

/* N, C, H, W of what `sizes` names. */
static void dims_of(const rni_dnn_shape *s, int sizes, int64_t dims[4])
{
    const int64_t all[][4] = {
        [RNI_DNN_INPUT] = {s->batch, s->in[0], s->in[1], s->in[2]},
        [RNI_DNN_FILTER] = {s->out[0], s->in[0] / s->groups, s->kernel[0], s->kernel[1]},
        [RNI_DNN_OUTPUT] = {s->batch, s->out[0], s->out[1], s->out[2]},
        [RNI_DNN_IN_CHANNELS] = {1, s->in[0], 1, 1},
        [RNI_DNN_OUT_CHANNELS] = {1, s->out[0], 1, 1},
    };
    memcpy(dims, all[sizes], sizeof all[sizes]);
}

rn_status rni_dnn_tensor(rni_dnn_builder *b, int64_t name, int sizes, cudnnDataType_t type, descriptor *out)
{
    const uint32_t bit = 1u << name;
    int64_t dims[4];
    if (b->named & bit)
        return rni_fail(RN_E_INTERNAL, "two tensors of a graph are number %d", (int)name);
    b->named |= bit;
    dims_of(b->shape, sizes, dims);
    RNI_TRY(rni_dnn_make(b->bag, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    return fill_tensor(*out, name, type, dims);
}

static rn_status window(rni_dnn_builder *b, descriptor *out)
{
    const rni_dnn_shape *const s = b->shape;
    const int64_t axes = 2;
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    RNI_TRY(rni_dnn_make(b->bag, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
    const descriptor d = *out;
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, s->padding));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, s->padding));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, s->dilation));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, s->stride));
    return rni_dnn_finalize(d);
}

/* cuDNN's names of a direction's parts. */
typedef struct direction {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
} direction;

static const direction forward = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
static const direction backward_data = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
static const direction backward_filter = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};

static rn_status operation(rni_dnn_builder *b, cudnnBackendDescriptorType_t type, descriptor *out)
{
    if (b->count == RNI_DNN_MOST_OPERATIONS)
        return rni_fail(RN_E_INTERNAL, "a graph of more than %d operations", (int)RNI_DNN_MOST_OPERATIONS);
    RNI_TRY(rni_dnn_make(b->bag, type, out));
    b->operations[b->count++] = *out;
    return RN_OK;
}

rn_status rni_dnn_convolve(rni_dnn_builder *b, descriptor x, descriptor y)
{
    const rni_dnn_shape *const s = b->shape;
    const direction *const to = s->kind == RN_OP_CONV_FORWARD         ? &forward
                                : s->kind == RN_OP_CONV_BACKWARD_DATA ? &backward_data
                                                                      : &backward_filter;
    const float alpha = 1.0f, beta = s->flags & RN_OPF_ACCUMULATE ? 1.0f : 0.0f;
    descriptor w, windows, op;
    RNI_TRY(rni_dnn_tensor(b, RNI_DNN_W, RNI_DNN_FILTER, rni_dnn_data_type(s->dtype), &w));
    RNI_TRY(window(b, &windows));
    RNI_TRY(operation(b, to->type, &op));
    RNI_TRY(rni_dnn_set_descriptor(op, to->convolution, windows));
    RNI_TRY(rni_dnn_set_descriptor(op, to->x, x));
    RNI_TRY(rni_dnn_set_descriptor(op, to->w, w));
    RNI_TRY(rni_dnn_set_descriptor(op, to->y, y));
    RNI_TRY(rni_dnn_set(op, to->alpha, CUDNN_TYPE_FLOAT, 1, &alpha));
    RNI_TRY(rni_dnn_set(op, to->beta, CUDNN_TYPE_FLOAT, 1, &beta));
    return rni_dnn_finalize(op);
}

rn_status rni_dnn_pointwise(rni_dnn_builder *b, cudnnPointwiseMode_t mode, descriptor from, descriptor with,
                            descriptor to)
{
    const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
    const cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN; /* as the CPU's ReLU */
    descriptor kind, op;
    RNI_TRY(rni_dnn_make(b->bag, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &kind));
    RNI_TRY(rni_dnn_set(kind, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode));
    RNI_TRY(rni_dnn_set(kind, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision));
    if (mode == CUDNN_POINTWISE_RELU_FWD)
        RNI_TRY(rni_dnn_set(kind, CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION, 1, &nan));
    RNI_TRY(rni_dnn_finalize(kind));
    RNI_TRY(operation(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, &op));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, from));
    if (with)
        RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, with));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, to));
    return rni_dnn_finalize(op);
}

rn_status rni_dnn_statistics(rni_dnn_builder *b, descriptor y)
{
    const cudnnGenStatsMode_t mode = CUDNN_GENSTATS_SUM_SQSUM;
    const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
    descriptor totals, squares, op;
    RNI_TRY(rni_dnn_tensor(b, RNI_DNN_TOTALS, RNI_DNN_OUT_CHANNELS, precision, &totals));
    RNI_TRY(rni_dnn_tensor(b, RNI_DNN_SQUARES, RNI_DNN_OUT_CHANNELS, precision, &squares));
    RNI_TRY(operation(b, CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR, &op));
    RNI_TRY(rni_dnn_set(op, CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1, &mode));
    RNI_TRY(rni_dnn_set(op, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, y));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, totals));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, squares));
    return rni_dnn_finalize(op);
}

rn_status rni_dnn_build(rni_dnn_builder *b, descriptor *graph)
{
    RNI_TRY(rni_dnn_make(b->bag, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, graph));
    RNI_TRY(rni_dnn_set(*graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, b->count, b->operations));
    return rni_dnn_finalize(*graph);
}
