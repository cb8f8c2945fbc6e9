/* SPDX-License-Identifier: MIT */
/*
 * An ONNX graph under construction: values, the nodes that make them, the weights they read. Its message is written to a
 * file node by node and weight by weight, so weights are never all in memory. Fields are those of onnx.proto (IR version
 * 8), operators those of opset 17: github.com/onnx/onnx/blob/main/docs/IR.md and Operators.md.
 */
#ifndef RNI_FORMAT_ONNX_GRAPH_H
#define RNI_FORMAT_ONNX_GRAPH_H

#include "format/safetensors.h"
#include "layer/layer.h"

enum {
    RNI_ONNX_MAX_INPUTS = 5,
    RNI_ONNX_MAX_ATTRIBUTES = 6,
    RNI_ONNX_MAX_INTS = 8,
    RNI_ONNX_OPSET = 17,
    RNI_ONNX_IR_VERSION = 8
};

/* Larger messages no protobuf library reads. */
#define RNI_ONNX_MAX_BYTES ((uint64_t)INT32_MAX)

/* An attribute: a float when `count` is -1, an int when it is 0, else that many ints. */
typedef struct rni_onnx_attribute {
    const char *name; /* static */
    int32_t count;
    float number;
    int64_t ints[RNI_ONNX_MAX_INTS];
} rni_onnx_attribute;

typedef struct rni_onnx_node {
    const char *op; /* static */
    uint32_t inputs[RNI_ONNX_MAX_INPUTS], num_inputs, output; /* values */
    uint32_t name; /* that of this value, which the output is until it is renamed */
    rni_onnx_attribute attributes[RNI_ONNX_MAX_ATTRIBUTES];
    uint32_t num_attributes;
} rni_onnx_node;

/* A constant value. */
typedef struct rni_onnx_weight {
    uint32_t value;
    rni_st_item item; /* where its elements are; the name is the value's */
    void *owned;      /* elements that belong to the graph */
    float *scale;     /* [optional] the graph's: what each slice along dimension 0 is multiplied by when it is written */
} rni_onnx_weight;

typedef struct rni_onnx_graph {
    const rn_allocator *allocator;
    char **values; /* names; 0 is the input */
    size_t num_values, cap_values;
    rni_onnx_node *nodes;
    size_t num_nodes, cap_nodes;
    rni_onnx_weight *weights;
    size_t num_weights, cap_weights;
    rni_shape input, output; /* dimension 0 is the batch */
    int fixed_batch;         /* the batch is a number, not a name */
} rni_onnx_graph;

/* Begins with the value 0, "input". rni_onnx_end() is needed whatever this returns. */
rn_status rni_onnx_begin(rni_onnx_graph *g, const rn_allocator *allocator);
void rni_onnx_end(rni_onnx_graph *g);

/* A value with a name, which is copied. */
rn_status rni_onnx_add_value(rni_onnx_graph *g, const char *name, uint32_t *out);
/* A node and its result, named "path/Op_3"; attributes are for the caller to add, before other nodes are. */
rn_status rni_onnx_add_node(rni_onnx_graph *g, const char *op, const char *path, const uint32_t *inputs,
                            uint32_t num_inputs, rni_onnx_node **node);
void rni_onnx_set_int(rni_onnx_node *node, const char *name, int64_t value);
void rni_onnx_set_float(rni_onnx_node *node, const char *name, double value);
void rni_onnx_set_ints(rni_onnx_node *node, const char *name, int32_t count, const int64_t *values);

/* A constant that stays where it is until the file is written. */
rn_status rni_onnx_add_tensor(rni_onnx_graph *g, const char *name, const rn_tensor *t, uint32_t *out);
/* A constant in host memory, which is copied. */
rn_status rni_onnx_add_array(rni_onnx_graph *g, const char *name, rn_dtype dtype, int32_t rank, const int64_t *dims,
                             const void *data, uint32_t *out);

/* Calls the last node's output "output": it is what the graph gives. */
rn_status rni_onnx_name_output(rni_onnx_graph *g);

/* Writes the model, replacing `path` when it is complete. RN_E_UNSUPPORTED above RNI_ONNX_MAX_BYTES, RN_E_IO. */
rn_status rni_onnx_save(const rni_onnx_graph *g, const char *path);

#endif
