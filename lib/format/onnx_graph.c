/* SPDX-License-Identifier: MIT */
#include "format/onnx_graph.h"
#include <stdio.h>
#include <string.h>

rn_status rni_onnx_begin(rni_onnx_graph *g, const rn_allocator *allocator)
{
    uint32_t input;
    *g = (rni_onnx_graph){.allocator = allocator};
    return rni_onnx_add_value(g, "input", &input);
}

void rni_onnx_end(rni_onnx_graph *g)
{
    for (size_t i = 0; i < g->num_values; i++)
        rni_free(g->allocator, g->values[i]);
    for (size_t i = 0; i < g->num_weights; i++) {
        rni_free(g->allocator, g->weights[i].owned);
        rni_free(g->allocator, g->weights[i].scale);
    }
    rni_free(g->allocator, g->values);
    rni_free(g->allocator, g->nodes);
    rni_free(g->allocator, g->weights);
    *g = (rni_onnx_graph){.allocator = g->allocator};
}

rn_status rni_onnx_add_value(rni_onnx_graph *g, const char *name, uint32_t *out)
{
    RNI_TRY(rni_st_check_text(name));
    RNI_TRY(rni_grow(g->allocator, (void **)&g->values, g->num_values, &g->cap_values, sizeof *g->values, "a graph"));
    char *const copy = rni_strdup(g->allocator, name);
    if (!copy)
        return rni_nomem("a name", strlen(name) + 1);
    *out = (uint32_t)g->num_values;
    g->values[g->num_values++] = copy;
    return RN_OK;
}

rn_status rni_onnx_add_node(rni_onnx_graph *g, const char *op, const char *path, const uint32_t *inputs,
                            uint32_t num_inputs, rni_onnx_node **node)
{
    char name[RNI_PATH_SIZE + 64];
    rni_onnx_node added = {.op = op, .num_inputs = num_inputs};
    snprintf(name, sizeof name, "%s%s%s_%zu", path, *path ? "/" : "", op, g->num_nodes);
    RNI_TRY(rni_grow(g->allocator, (void **)&g->nodes, g->num_nodes, &g->cap_nodes, sizeof added, "a graph"));
    RNI_TRY(rni_onnx_add_value(g, name, &added.output));
    added.name = added.output;
    memcpy(added.inputs, inputs, num_inputs * sizeof *inputs);
    *node = &g->nodes[g->num_nodes++];
    **node = added;
    return RN_OK;
}

rn_status rni_onnx_name_output(rni_onnx_graph *g)
{
    return rni_onnx_add_value(g, "output", &g->nodes[g->num_nodes - 1].output);
}

void rni_onnx_set_int(rni_onnx_node *node, const char *name, int64_t value)
{
    node->attributes[node->num_attributes++] = (rni_onnx_attribute){.name = name, .count = 0, .ints = {value}};
}

void rni_onnx_set_float(rni_onnx_node *node, const char *name, double value)
{
    node->attributes[node->num_attributes++] = (rni_onnx_attribute){.name = name, .count = -1, .number = (float)value};
}

void rni_onnx_set_ints(rni_onnx_node *node, const char *name, int32_t count, const int64_t *values)
{
    rni_onnx_attribute *const a = &node->attributes[node->num_attributes++];
    *a = (rni_onnx_attribute){.name = name, .count = count};
    memcpy(a->ints, values, (size_t)count * sizeof *values);
}

static rn_status add_weight(rni_onnx_graph *g, const char *name, rni_onnx_weight weight, uint32_t *out)
{
    RNI_TRY(rni_grow(g->allocator, (void **)&g->weights, g->num_weights, &g->cap_weights, sizeof weight, "a graph"));
    RNI_TRY(rni_onnx_add_value(g, name, &weight.value));
    g->weights[g->num_weights++] = weight;
    *out = weight.value;
    return RN_OK;
}

rn_status rni_onnx_add_tensor(rni_onnx_graph *g, const char *name, const rn_tensor *t, uint32_t *out)
{
    rni_onnx_weight weight = {.item = {.dtype = t->dtype, .rank = t->rank, .bytes = t->nbytes}};
    memcpy(weight.item.dims, t->dims, sizeof weight.item.dims);
    weight.item.storage = t->storage;
    weight.item.offset = t->offset;
    return add_weight(g, name, weight, out);
}

rn_status rni_onnx_add_array(rni_onnx_graph *g, const char *name, rn_dtype dtype, int32_t rank, const int64_t *dims,
                             const void *data, uint32_t *out)
{
    rni_onnx_weight weight = {.item = {.dtype = dtype, .rank = rank}};
    int64_t count;
    size_t bytes;
    RNI_TRY(rni_shape_check(rank, dims, dtype, name, &count, &bytes));
    memcpy(weight.item.dims, dims, (size_t)rank * sizeof *dims);
    weight.item.bytes = bytes;
    weight.owned = rni_alloc(g->allocator, bytes);
    if (!weight.owned)
        return rni_nomem("a constant", bytes);
    weight.item.data = memcpy(weight.owned, data, bytes);
    const rn_status status = add_weight(g, name, weight, out);
    if (status < 0)
        rni_free(g->allocator, weight.owned);
    return status;
}
