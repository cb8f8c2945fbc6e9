/* SPDX-License-Identifier: MIT */
/* The operation graph of a convolution. */
#ifndef RNI_CUDA_DNN_GRAPH_H
#define RNI_CUDA_DNN_GRAPH_H

#include "dnn/descriptor.h"
#include "dnn/shape.h"

/* Names of tensors in graphs and variant packs. */
enum {
    RNI_DNN_X = 1, /* or dx */
    RNI_DNN_W, /* or dw */
    RNI_DNN_Y, /* or dy */
    RNI_DNN_BIAS,
    RNI_DNN_RESIDUAL,
    RNI_DNN_TOTALS, /* f32 [out_channels]: sums of y */
    RNI_DNN_SQUARES, /* f32 [out_channels]: sums of y^2 */
    RNI_DNN_SCALE, /* [in_channels], as x */
    RNI_DNN_SHIFT, /* [in_channels], as x */
    RNI_DNN_NAMES, /* one more than the last */
    /* From here on inner ones, which have no memory. */
    RNI_DNN_INNER = 16,
    RNI_DNN_SUMS = RNI_DNN_INNER, /* of the convolution */
    RNI_DNN_ADDED, /* with the residual */
    RNI_DNN_BIASED, /* with the bias */
    RNI_DNN_SCALED, /* x scale */
    RNI_DNN_SHIFTED, /* x scale + shift */
    RNI_DNN_NORMALISED /* ReLU(x scale + shift), as x */
};

cudnnDataType_t rni_dnn_data_type(int32_t dtype);

/*
 * The graph of a shape that rni_dnn_shape_check took. An epilogue always has a bias, of the shape's dtype: convolution,
 * [+ residual], + bias, [ReLU] in this order is what cuDNN has ready engines for; others it would compile when asked.
 * With STATS the output's sums follow the convolution, with PROLOGUE its input is x scale + shift and ReLU first: factors
 * and what the convolution reads are of the shape's dtype, as no ready engine takes factors in f32.
 */
rn_status rni_dnn_graph_make(rni_dnn_bag *bag, const rni_dnn_shape *shape, cudnnBackendDescriptor_t *graph);

#endif
