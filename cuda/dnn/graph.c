/* SPDX-License-Identifier: MIT */
#include "dnn/graph.h"
#include "base/error.h"
#include "dnn/builder.h"

typedef cudnnBackendDescriptor_t descriptor;

cudnnDataType_t rni_dnn_data_type(int32_t dtype)
{
    return dtype == RN_BF16 ? CUDNN_DATA_BFLOAT16 : dtype == RN_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
}

/* An operand; in the output's sizes, or the input's. */
static rn_status operand(rni_dnn_builder *b, int64_t name, int sizes, descriptor *out)
{
    return rni_dnn_tensor(b, name, sizes, rni_dnn_data_type(b->shape->dtype), out);
}

/* Between the ops of an epilogue values are f32, as the sums are. */
static rn_status inner(rni_dnn_builder *b, int64_t name, descriptor *out)
{
    return rni_dnn_tensor(b, name, RNI_DNN_OUTPUT, CUDNN_DATA_FLOAT, out);
}

static rn_status with_epilogue(rni_dnn_builder *b, descriptor x)
{
    const uint32_t flags = b->shape->flags;
    descriptor sums, residual, added, bias, biased, y;
    RNI_TRY(inner(b, RNI_DNN_SUMS, &sums));
    RNI_TRY(rni_dnn_convolve(b, x, sums));
    added = sums;
    if (flags & RN_OPF_ADD) {
        RNI_TRY(operand(b, RNI_DNN_RESIDUAL, RNI_DNN_OUTPUT, &residual));
        RNI_TRY(inner(b, RNI_DNN_ADDED, &added));
        RNI_TRY(rni_dnn_pointwise(b, CUDNN_POINTWISE_ADD, sums, residual, added));
    }
    RNI_TRY(operand(b, RNI_DNN_BIAS, RNI_DNN_OUT_CHANNELS, &bias));
    RNI_TRY(operand(b, RNI_DNN_Y, RNI_DNN_OUTPUT, &y));
    if (!(flags & RN_OPF_RELU))
        return rni_dnn_pointwise(b, CUDNN_POINTWISE_ADD, added, bias, y);
    RNI_TRY(inner(b, RNI_DNN_BIASED, &biased));
    RNI_TRY(rni_dnn_pointwise(b, CUDNN_POINTWISE_ADD, added, bias, biased));
    return rni_dnn_pointwise(b, CUDNN_POINTWISE_RELU_FWD, biased, NULL, y);
}

/* ReLU(x scale + shift). */
static rn_status normalised(rni_dnn_builder *b, descriptor *out)
{
    descriptor x, scale, shift, scaled, shifted;
    RNI_TRY(operand(b, RNI_DNN_X, RNI_DNN_INPUT, &x));
    RNI_TRY(operand(b, RNI_DNN_SCALE, RNI_DNN_IN_CHANNELS, &scale));
    RNI_TRY(operand(b, RNI_DNN_SHIFT, RNI_DNN_IN_CHANNELS, &shift));
    RNI_TRY(rni_dnn_tensor(b, RNI_DNN_SCALED, RNI_DNN_INPUT, CUDNN_DATA_FLOAT, &scaled));
    RNI_TRY(rni_dnn_tensor(b, RNI_DNN_SHIFTED, RNI_DNN_INPUT, CUDNN_DATA_FLOAT, &shifted));
    RNI_TRY(operand(b, RNI_DNN_NORMALISED, RNI_DNN_INPUT, out));
    RNI_TRY(rni_dnn_pointwise(b, CUDNN_POINTWISE_MUL, x, scale, scaled));
    RNI_TRY(rni_dnn_pointwise(b, CUDNN_POINTWISE_ADD, scaled, shift, shifted));
    return rni_dnn_pointwise(b, CUDNN_POINTWISE_RELU_FWD, shifted, NULL, *out);
}

static rn_status input(rni_dnn_builder *b, descriptor *out)
{
    return b->shape->flags & RNI_DNN_PROLOGUE ? normalised(b, out) : operand(b, RNI_DNN_X, RNI_DNN_INPUT, out);
}

static rn_status operations(rni_dnn_builder *b)
{
    descriptor x, y;
    RNI_TRY(input(b, &x));
    if (rni_dnn_has_epilogue(b->shape))
        return with_epilogue(b, x);
    RNI_TRY(operand(b, RNI_DNN_Y, RNI_DNN_OUTPUT, &y));
    RNI_TRY(rni_dnn_convolve(b, x, y));
    return b->shape->flags & RN_OPF_STATS ? rni_dnn_statistics(b, y) : RN_OK;
}

rn_status rni_dnn_graph_make(rni_dnn_bag *bag, const rni_dnn_shape *shape, cudnnBackendDescriptor_t *graph)
{
    rni_dnn_builder b = {.bag = bag, .shape = shape};
    RNI_TRY(operations(&b));
    return rni_dnn_build(&b, graph);
}
