/* SPDX-License-Identifier: MIT */
#include "dnn/graph.h"
#include "base/error.h"
#include <stdbool.h>

typedef cudnnBackendDescriptor_t descriptor;

/* What a graph is built from. */
typedef struct builder {
    rni_dnn_bag *bag;
    const rni_dnn_shape *shape;
    uint32_t named; /* bits of the names given so far: cuDNN takes two tensors of one name */
    descriptor operations[4];
    int64_t count;
} builder;

cudnnDataType_t rni_dnn_data_type(int32_t dtype)
{
    return dtype == RN_BF16 ? CUDNN_DATA_BFLOAT16 : dtype == RN_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
}

/* dims are N, C, H, W; memory is N, H, W, C. */
static rn_status fill_tensor(descriptor d, int64_t name, cudnnDataType_t type, const int64_t dims[4])
{
    const int64_t strides[4] = {dims[1] * dims[2] * dims[3], 1, dims[3] * dims[1], dims[1]};
    const int64_t alignment = 16;
    const bool inner = name >= RNI_DNN_SUMS;
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &name));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides));
    RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
    if (inner)
        RNI_TRY(rni_dnn_set(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inner));
    return rni_dnn_finalize(d);
}

static rn_status tensor(builder *b, int64_t name, const int64_t dims[4], descriptor *out)
{
    const uint32_t bit = 1u << name;
    if (b->named & bit)
        return rni_fail(RN_E_INTERNAL, "two tensors of a graph are number %d", (int)name);
    b->named |= bit;
    /* Between the ops of an epilogue values are f32, as the sums are. */
    const cudnnDataType_t type = name >= RNI_DNN_SUMS ? CUDNN_DATA_FLOAT : rni_dnn_data_type(b->shape->dtype);
    RNI_TRY(rni_dnn_make(b->bag, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    return fill_tensor(*out, name, type, dims);
}

static rn_status tensor_x(builder *b, descriptor *out)
{
    const rni_dnn_shape *const s = b->shape;
    const int64_t dims[4] = {s->batch, s->in[0], s->in[1], s->in[2]};
    return tensor(b, RNI_DNN_X, dims, out);
}

static rn_status tensor_w(builder *b, descriptor *out)
{
    const rni_dnn_shape *const s = b->shape;
    const int64_t dims[4] = {s->out[0], s->in[0] / s->groups, s->kernel[0], s->kernel[1]};
    return tensor(b, RNI_DNN_W, dims, out);
}

/* Anything of the output's size. */
static rn_status tensor_y(builder *b, int64_t name, descriptor *out)
{
    const rni_dnn_shape *const s = b->shape;
    const int64_t dims[4] = {s->batch, s->out[0], s->out[1], s->out[2]};
    return tensor(b, name, dims, out);
}

static rn_status tensor_bias(builder *b, descriptor *out)
{
    const int64_t dims[4] = {1, b->shape->out[0], 1, 1};
    return tensor(b, RNI_DNN_BIAS, dims, out);
}

static rn_status convolution(builder *b, descriptor *out)
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

static rn_status operation(builder *b, cudnnBackendDescriptorType_t type, descriptor *out)
{
    RNI_TRY(rni_dnn_make(b->bag, type, out));
    b->operations[b->count++] = *out;
    return RN_OK;
}

/* `y` is the output, or the inner tensor that an epilogue goes on with. */
static rn_status convolve(builder *b, const direction *to, descriptor y)
{
    descriptor x, w, window, op;
    RNI_TRY(tensor_x(b, &x));
    RNI_TRY(tensor_w(b, &w));
    RNI_TRY(convolution(b, &window));
    RNI_TRY(operation(b, to->type, &op));
    RNI_TRY(rni_dnn_set_descriptor(op, to->convolution, window));
    RNI_TRY(rni_dnn_set_descriptor(op, to->x, x));
    RNI_TRY(rni_dnn_set_descriptor(op, to->w, w));
    RNI_TRY(rni_dnn_set_descriptor(op, to->y, y));
    const float alpha = 1.0f, beta = b->shape->flags & RN_OPF_ACCUMULATE ? 1.0f : 0.0f;
    RNI_TRY(rni_dnn_set(op, to->alpha, CUDNN_TYPE_FLOAT, 1, &alpha));
    RNI_TRY(rni_dnn_set(op, to->beta, CUDNN_TYPE_FLOAT, 1, &beta));
    return rni_dnn_finalize(op);
}

/* from, with: operands; `with` is NULL where the mode has one only. */
static rn_status pointwise(builder *b, cudnnPointwiseMode_t mode, descriptor from, descriptor with, descriptor to)
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

static rn_status forward_with_epilogue(builder *b)
{
    const uint32_t flags = b->shape->flags;
    descriptor sums, residual, added, bias, biased, y;
    RNI_TRY(tensor_y(b, RNI_DNN_SUMS, &sums));
    RNI_TRY(convolve(b, &forward, sums));
    added = sums;
    if (flags & RN_OPF_ADD) {
        RNI_TRY(tensor_y(b, RNI_DNN_RESIDUAL, &residual));
        RNI_TRY(tensor_y(b, RNI_DNN_ADDED, &added));
        RNI_TRY(pointwise(b, CUDNN_POINTWISE_ADD, sums, residual, added));
    }
    RNI_TRY(tensor_bias(b, &bias));
    RNI_TRY(tensor_y(b, RNI_DNN_Y, &y));
    if (!(flags & RN_OPF_RELU))
        return pointwise(b, CUDNN_POINTWISE_ADD, added, bias, y);
    RNI_TRY(tensor_y(b, RNI_DNN_BIASED, &biased));
    RNI_TRY(pointwise(b, CUDNN_POINTWISE_ADD, added, bias, biased));
    return pointwise(b, CUDNN_POINTWISE_RELU_FWD, biased, NULL, y);
}

static rn_status operations(builder *b)
{
    if (rni_dnn_has_epilogue(b->shape))
        return forward_with_epilogue(b);
    descriptor y;
    RNI_TRY(tensor_y(b, RNI_DNN_Y, &y));
    return convolve(b,
                    b->shape->kind == RN_OP_CONV_FORWARD         ? &forward
                    : b->shape->kind == RN_OP_CONV_BACKWARD_DATA ? &backward_data
                                                                 : &backward_filter,
                    y);
}

rn_status rni_dnn_graph_make(rni_dnn_bag *bag, const rni_dnn_shape *shape, cudnnBackendDescriptor_t *graph)
{
    builder b = {.bag = bag, .shape = shape};
    RNI_TRY(operations(&b));
    RNI_TRY(rni_dnn_make(bag, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, graph));
    RNI_TRY(rni_dnn_set(*graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, b.count, b.operations));
    return rni_dnn_finalize(*graph);
}
