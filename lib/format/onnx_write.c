/* SPDX-License-Identifier: MIT */
/* The message of an ONNX graph. Field numbers are those of onnx.proto. */
#include "base/io.h"
#include "format/onnx_graph.h"
#include "format/protobuf.h"
#include "format/types.h"

/* Bytes of a weight that are in memory at a time. */
enum { CHUNK = 256 * 1024 };

enum { MODEL_IR_VERSION = 1, MODEL_PRODUCER = 2, MODEL_PRODUCER_VERSION = 3, MODEL_GRAPH = 7, MODEL_OPSET = 8 };
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_FLOAT = 2, ATTRIBUTE_INT = 3, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20 };
enum { KIND_FLOAT = 1, KIND_INT = 2, KIND_INTS = 7 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_TENSOR = 1, TENSOR_TYPE_ELEMENTS = 1, TENSOR_TYPE_SHAPE = 2 };
enum { SHAPE_DIM = 1, DIM_NUMBER = 1, DIM_NAME = 2 };
enum { TENSOR_DIM = 1, TENSOR_DTYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9 };
enum { ELEMENTS_F32 = 1, ELEMENTS_I64 = 7 };

/* Messages by their depth: each is made in a buffer of its own and then put into the one above. */
typedef struct buffers {
    rni_bytes file, graph, item, part, detail, leaf;
} buffers;

static void begin_buffers(buffers *b, const rn_allocator *allocator)
{
    const rni_bytes empty = {.allocator = allocator};
    *b = (buffers){empty, empty, empty, empty, empty, empty};
}

static void end_buffers(buffers *b)
{
    rni_bytes_free(&b->file);
    rni_bytes_free(&b->graph);
    rni_bytes_free(&b->item);
    rni_bytes_free(&b->part);
    rni_bytes_free(&b->detail);
    rni_bytes_free(&b->leaf);
}

static void put_attribute(buffers *b, const rni_onnx_attribute *a)
{
    rni_pb_clear(&b->part);
    rni_pb_text(&b->part, ATTRIBUTE_NAME, a->name);
    if (a->count < 0)
        rni_pb_float(&b->part, ATTRIBUTE_FLOAT, a->number);
    else if (a->count == 0)
        rni_pb_int(&b->part, ATTRIBUTE_INT, a->ints[0]);
    for (int32_t i = 0; i < a->count; i++)
        rni_pb_int(&b->part, ATTRIBUTE_INTS, a->ints[i]);
    rni_pb_int(&b->part, ATTRIBUTE_TYPE, a->count < 0 ? KIND_FLOAT : a->count == 0 ? KIND_INT : KIND_INTS);
    rni_pb_message(&b->item, NODE_ATTRIBUTE, &b->part);
}

static void put_node(buffers *b, const rni_onnx_graph *g, const rni_onnx_node *node)
{
    rni_pb_clear(&b->item);
    for (uint32_t i = 0; i < node->num_inputs; i++)
        rni_pb_text(&b->item, NODE_INPUT, g->values[node->inputs[i]]);
    rni_pb_text(&b->item, NODE_OUTPUT, g->values[node->output]);
    rni_pb_text(&b->item, NODE_NAME, g->values[node->name]);
    rni_pb_text(&b->item, NODE_OP, node->op);
    for (uint32_t i = 0; i < node->num_attributes; i++)
        put_attribute(b, &node->attributes[i]);
    rni_pb_message(&b->graph, GRAPH_NODE, &b->item);
}

/* f32 of some shape; the batch has a name instead of a number unless it is fixed. */
static void put_shape(buffers *b, const rni_onnx_graph *g, const rni_shape *shape)
{
    rni_pb_clear(&b->detail);
    for (int32_t i = 0; i < shape->rank; i++) {
        rni_pb_clear(&b->leaf);
        if (i == 0 && !g->fixed_batch)
            rni_pb_text(&b->leaf, DIM_NAME, "batch");
        else
            rni_pb_int(&b->leaf, DIM_NUMBER, shape->dims[i]);
        rni_pb_message(&b->detail, SHAPE_DIM, &b->leaf);
    }
    rni_pb_clear(&b->leaf);
    rni_pb_int(&b->leaf, TENSOR_TYPE_ELEMENTS, ELEMENTS_F32);
    rni_pb_message(&b->leaf, TENSOR_TYPE_SHAPE, &b->detail);
}

static void put_interface(buffers *b, const rni_onnx_graph *g, uint32_t field, uint32_t value, const rni_shape *shape)
{
    put_shape(b, g, shape);
    rni_pb_clear(&b->part);
    rni_pb_message(&b->part, TYPE_TENSOR, &b->leaf);
    rni_pb_clear(&b->item);
    rni_pb_text(&b->item, VALUE_NAME, g->values[value]);
    rni_pb_message(&b->item, VALUE_TYPE, &b->part);
    rni_pb_message(&b->graph, field, &b->item);
}

/* The message of a weight up to its elements, with what stands in front of it in the graph, in b->part. */
static void put_weight(buffers *b, const rni_onnx_graph *g, const rni_onnx_weight *weight)
{
    const rni_st_item *const item = &weight->item;
    rni_pb_clear(&b->item);
    for (int32_t i = 0; i < item->rank; i++)
        rni_pb_int(&b->item, TENSOR_DIM, item->dims[i]);
    rni_pb_int(&b->item, TENSOR_DTYPE, item->dtype == RN_I64 ? ELEMENTS_I64 : ELEMENTS_F32);
    rni_pb_text(&b->item, TENSOR_NAME, g->values[weight->value]);
    rni_pb_head(&b->item, TENSOR_RAW, item->bytes);
    rni_pb_clear(&b->part);
    rni_pb_head(&b->part, GRAPH_INITIALIZER, b->item.length + item->bytes);
}

static void put_graph(buffers *b, const rni_onnx_graph *g)
{
    for (size_t i = 0; i < g->num_nodes; i++)
        put_node(b, g, &g->nodes[i]);
    rni_pb_text(&b->graph, GRAPH_NAME, "libresnet");
    put_interface(b, g, GRAPH_INPUT, 0, &g->input);
    put_interface(b, g, GRAPH_OUTPUT, g->nodes[g->num_nodes - 1].output, &g->output);
}

/* The file up to the graph's contents, `graph_bytes` long. */
static void put_file(buffers *b, uint64_t graph_bytes)
{
    rni_pb_int(&b->file, MODEL_IR_VERSION, RNI_ONNX_IR_VERSION);
    rni_pb_text(&b->file, MODEL_PRODUCER, "libresnet");
    rni_pb_text(&b->file, MODEL_PRODUCER_VERSION, rn_build_info(RN_BUILD_VERSION));
    rni_pb_clear(&b->item);
    rni_pb_text(&b->item, OPSET_DOMAIN, ""); /* ONNX's own operators */
    rni_pb_int(&b->item, OPSET_VERSION, RNI_ONNX_OPSET);
    rni_pb_message(&b->file, MODEL_OPSET, &b->item);
    rni_pb_head(&b->file, MODEL_GRAPH, graph_bytes);
}

/* Makes all but the weights, whose sizes are known, and so the length that stands in front. */
static rn_status compose(buffers *b, const rni_onnx_graph *g, const char *path)
{
    put_graph(b, g);
    uint64_t bytes = b->graph.length;
    for (size_t i = 0; i < g->num_weights; i++) {
        put_weight(b, g, &g->weights[i]);
        bytes += b->part.length + b->item.length + g->weights[i].item.bytes;
    }
    put_file(b, bytes);
    bytes += b->file.length;
    if (b->graph.failed || b->file.failed)
        return rni_nomem("a graph", b->graph.length);
    if (bytes > RNI_ONNX_MAX_BYTES)
        return rni_fail(RN_E_UNSUPPORTED, "%s: the model takes %llu bytes as ONNX, expected at most %llu", path,
                        (unsigned long long)bytes, (unsigned long long)RNI_ONNX_MAX_BYTES);
    return RN_OK;
}

static void apply_scale(const rni_onnx_weight *weight, uint64_t first, float *elements, size_t count)
{
    const uint64_t per_slice = weight->item.bytes / sizeof *elements / (uint64_t)weight->item.dims[0];
    for (size_t i = 0; i < count; i++)
        elements[i] *= weight->scale[(first + i) / per_slice];
}

static rn_status write_elements(rni_writer *w, const rni_onnx_weight *weight, void *buffer)
{
    const rni_st_item *const item = &weight->item;
    const size_t size = rn_dtype_size(item->dtype);
    for (uint64_t done = 0; done < item->bytes;) {
        const uint64_t bytes = item->bytes - done < CHUNK ? item->bytes - done : CHUNK;
        RNI_TRY(rni_st_fetch(item, done, buffer, bytes));
        if (weight->scale)
            apply_scale(weight, done / size, buffer, (size_t)(bytes / size));
        rni_st_swap(buffer, size, (size_t)(bytes / size));
        RNI_TRY(rni_writer_write(w, buffer, (size_t)bytes));
        done += bytes;
    }
    return RN_OK;
}

static rn_status write_weights(rni_writer *w, buffers *b, const rni_onnx_graph *g, void *buffer)
{
    for (size_t i = 0; i < g->num_weights; i++) {
        put_weight(b, g, &g->weights[i]);
        RNI_TRY(rni_writer_write(w, b->part.data, b->part.length));
        RNI_TRY(rni_writer_write(w, b->item.data, b->item.length));
        RNI_TRY(write_elements(w, &g->weights[i], buffer));
    }
    return RN_OK;
}

static rn_status write_all(rni_writer *w, buffers *b, const rni_onnx_graph *g)
{
    RNI_TRY(rni_writer_write(w, b->file.data, b->file.length));
    RNI_TRY(rni_writer_write(w, b->graph.data, b->graph.length));
    void *const buffer = rni_alloc(g->allocator, CHUNK);
    if (!buffer)
        return rni_nomem("writing a file", CHUNK);
    const rn_status status = write_weights(w, b, g, buffer);
    rni_free(g->allocator, buffer);
    return status;
}

static rn_status save(buffers *b, const rni_onnx_graph *g, const char *path)
{
    rni_writer *w;
    RNI_TRY(compose(b, g, path));
    RNI_TRY(rni_writer_open(g->allocator, path, &w));
    const rn_status status = write_all(w, b, g);
    if (status >= 0)
        return rni_writer_commit(w);
    rni_writer_abort(w);
    return status;
}

rn_status rni_onnx_save(const rni_onnx_graph *g, const char *path)
{
    buffers b;
    begin_buffers(&b, g->allocator);
    const rn_status status = save(&b, g, path);
    end_buffers(&b);
    return status;
}
