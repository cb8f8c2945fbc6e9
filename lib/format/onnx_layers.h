/* SPDX-License-Identifier: MIT */
/* Layers as ONNX nodes. */
#ifndef RNI_FORMAT_ONNX_LAYERS_H
#define RNI_FORMAT_ONNX_LAYERS_H

#include "format/onnx_graph.h"
#include "model/model.h"

/* A model on its way into a graph. Edges of the walk carry values of the graph. */
typedef struct rni_onnx_export {
    const rn_model *model;
    uint64_t flags; /* RN_ONNX_* */
    rni_onnx_graph graph;
    /* The convolution that was the last layer, which a batch normalisation can be folded into; -1: none was. */
    int64_t conv_node, conv_weight, conv_bias; /* indexes of its node and weights; no bias: -1 */
    char conv_path[RNI_PATH_SIZE];
} rni_onnx_export;

/* Fills x->graph from x->model, for an input of this shape. RN_E_UNSUPPORTED for a kind of layer that ONNX has not. */
rn_status rni_onnx_from_model(rni_onnx_export *x, int32_t rank, const int64_t *dims);

#endif
