/* SPDX-License-Identifier: MIT */
/*
 * fusions: for which devices cuDNN has engines that do more than one op of a training at once. Batch normalisation's scale
 * and shift with ReLU before a convolution, and the sums for the next statistics after it, would save most of the memory
 * traffic between convolutions. Prints a table; fails when the engines that docs/cuda-plans.md speaks of are not there.
 */
#include "base/error.h"
#include "devices/properties.h"
#include "dnn/descriptor.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef cudnnBackendDescriptor_t descriptor;

/* A graph under construction: 64 channels, 256 images of 56 pixels. */
typedef struct builder {
    rni_dnn_bag bag;
    cudnnDataType_t type;
    int64_t kernel, next;
    descriptor operations[5];
    int64_t count;
} builder;

enum { IMAGES = 256, CHANNELS = 64, PIXELS = 56 };

static rn_status tensor(builder *b, cudnnDataType_t type, int64_t images, int64_t channels, int64_t pixels, bool inner,
                        descriptor *out)
{
    const int64_t dims[4] = {images, channels, pixels, pixels}, alignment = 16, name = b->next++;
    const int64_t strides[4] = {channels * pixels * pixels, 1, pixels * channels, channels};
    RNI_TRY(rni_dnn_make(&b->bag, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &name));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inner));
    return rni_dnn_finalize(*out);
}

static rn_status images(builder *b, cudnnDataType_t type, bool inner, descriptor *out)
{
    return tensor(b, type, IMAGES, CHANNELS, PIXELS, inner, out);
}

static rn_status channels(builder *b, cudnnDataType_t type, descriptor *out)
{
    return tensor(b, type, 1, CHANNELS, 1, false, out);
}

static rn_status operation(builder *b, cudnnBackendDescriptorType_t type, descriptor *out)
{
    RNI_TRY(rni_dnn_make(&b->bag, type, out));
    b->operations[b->count++] = *out;
    return RN_OK;
}

static rn_status pointwise(builder *b, cudnnPointwiseMode_t mode, descriptor x, descriptor with, descriptor y)
{
    const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
    descriptor kind, op;
    RNI_TRY(rni_dnn_make(&b->bag, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &kind));
    RNI_TRY(rni_dnn_set(kind, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode));
    RNI_TRY(rni_dnn_set(kind, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision));
    RNI_TRY(rni_dnn_finalize(kind));
    RNI_TRY(operation(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, &op));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x));
    if (with)
        RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, with));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y));
    return rni_dnn_finalize(op);
}

/* ReLU(x scale + shift), never in memory. */
static rn_status normalised(builder *b, descriptor *out)
{
    descriptor x, scale, shift, scaled, shifted;
    RNI_TRY(images(b, b->type, false, &x));
    RNI_TRY(channels(b, b->type, &scale));
    RNI_TRY(channels(b, b->type, &shift));
    RNI_TRY(images(b, CUDNN_DATA_FLOAT, true, &scaled));
    RNI_TRY(images(b, CUDNN_DATA_FLOAT, true, &shifted));
    RNI_TRY(images(b, b->type, true, out));
    RNI_TRY(pointwise(b, CUDNN_POINTWISE_MUL, x, scale, scaled));
    RNI_TRY(pointwise(b, CUDNN_POINTWISE_ADD, scaled, shift, shifted));
    return pointwise(b, CUDNN_POINTWISE_RELU_FWD, shifted, NULL, *out);
}

static rn_status window(builder *b, descriptor *out)
{
    const int64_t axes = 2, ones[2] = {1, 1}, padding[2] = {b->kernel / 2, b->kernel / 2};
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    RNI_TRY(rni_dnn_make(&b->bag, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, padding));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, padding));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, ones));
    RNI_TRY(rni_dnn_set(*out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, ones));
    return rni_dnn_finalize(*out);
}

static rn_status forward(builder *b, descriptor x, descriptor *y)
{
    const float alpha = 1, beta = 0;
    descriptor w, convolution, op;
    RNI_TRY(tensor(b, b->type, CHANNELS, CHANNELS, b->kernel, false, &w));
    RNI_TRY(images(b, b->type, false, y));
    RNI_TRY(window(b, &convolution));
    RNI_TRY(operation(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, &op));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, *y));
    RNI_TRY(rni_dnn_set(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha));
    RNI_TRY(rni_dnn_set(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &beta));
    return rni_dnn_finalize(op);
}

/* dw of ReLU(x scale + shift). */
static rn_status backward_filter(builder *b, descriptor x)
{
    const float alpha = 1, beta = 0;
    descriptor dw, dy, convolution, op;
    RNI_TRY(tensor(b, b->type, CHANNELS, CHANNELS, b->kernel, false, &dw));
    RNI_TRY(images(b, b->type, false, &dy));
    RNI_TRY(window(b, &convolution));
    RNI_TRY(operation(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, &op));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, convolution));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, dw));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy));
    RNI_TRY(rni_dnn_set(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha));
    RNI_TRY(rni_dnn_set(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_TYPE_FLOAT, 1, &beta));
    return rni_dnn_finalize(op);
}

/* Sums and sums of squares of y by channel. */
static rn_status statistics(builder *b, descriptor y)
{
    const cudnnGenStatsMode_t mode = CUDNN_GENSTATS_SUM_SQSUM;
    const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
    descriptor sums, squares, op;
    RNI_TRY(channels(b, CUDNN_DATA_FLOAT, &sums));
    RNI_TRY(channels(b, CUDNN_DATA_FLOAT, &squares));
    RNI_TRY(operation(b, CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR, &op));
    RNI_TRY(rni_dnn_set(op, CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1, &mode));
    RNI_TRY(rni_dnn_set(op, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, y));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, sums));
    RNI_TRY(rni_dnn_set_descriptor(op, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, squares));
    return rni_dnn_finalize(op);
}

static rn_status with_statistics(builder *b)
{
    descriptor x, y;
    RNI_TRY(images(b, b->type, false, &x));
    RNI_TRY(forward(b, x, &y));
    return statistics(b, y);
}

static rn_status of_normalised_with_statistics(builder *b)
{
    descriptor x, y;
    RNI_TRY(normalised(b, &x));
    RNI_TRY(forward(b, x, &y));
    return statistics(b, y);
}

static rn_status filter_of_normalised(builder *b)
{
    descriptor x;
    RNI_TRY(normalised(b, &x));
    return backward_filter(b, x);
}

static rn_status ask(builder *b, descriptor properties, descriptor *heuristics)
{
    const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    descriptor graph;
    RNI_TRY(rni_dnn_make(&b->bag, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &graph));
    RNI_TRY(rni_dnn_set(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, b->count, b->operations));
    RNI_TRY(rni_dnn_finalize(graph));
    RNI_TRY(rni_dnn_make(&b->bag, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, heuristics));
    RNI_TRY(rni_dnn_set_descriptor(*heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
    RNI_TRY(rni_dnn_set(*heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    RNI_TRY(rni_dnn_set_descriptor(*heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, properties));
    return rni_dnn_finalize(*heuristics);
}

/* Engines that the heuristics name. These are ready ones: those that compile need a driver to say what they can. */
static int64_t count_engines(builder *b, descriptor properties)
{
    enum { MOST = 64 };
    descriptor heuristics, config[MOST];
    int64_t made = 0, count = 0;
    if (ask(b, properties, &heuristics) != RN_OK)
        return 0;
    while (made < MOST &&
           cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config[made]) == CUDNN_STATUS_SUCCESS)
        made++;
    if (cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &count,
                                 config) != CUDNN_STATUS_SUCCESS)
        count = 0;
    while (made > 0)
        cudnnBackendDestroyDescriptor(config[--made]);
    return count;
}

static const struct {
    const char *name;
    rn_status (*build)(builder *b);
    int64_t kernel;
} fusions[] = {
    {"forward, statistics", with_statistics, 3},
    {"scale, shift, ReLU, forward 3x3, statistics", of_normalised_with_statistics, 3},
    {"scale, shift, ReLU, forward 1x1, statistics", of_normalised_with_statistics, 1},
    {"scale, shift, ReLU, filter gradient", filter_of_normalised, 3},
};
enum { FUSIONS = sizeof fusions / sizeof fusions[0] };

static int64_t engines(descriptor properties, int fusion, cudnnDataType_t type)
{
    builder b = {.type = type, .kernel = fusions[fusion].kernel, .next = 1};
    const rn_status status = fusions[fusion].build(&b);
    const int64_t count = status == RN_OK ? count_engines(&b, properties) : -1;
    rni_dnn_bag_empty(&b.bag);
    return count;
}

/* What the documentation says: ready engines in f16 from capability 8.0 on, in bf16 none. */
static int as_documented(const rni_device_record *record, cudnnDataType_t type, int fusion, int64_t count)
{
    const int forwards = fusion < 3, newest = record->capability >= 120;
    if (count < 0)
        return 0;
    if (type == CUDNN_DATA_HALF && record->capability >= 80 && !(forwards && newest))
        return count > 0;
    return type == CUDNN_DATA_HALF || count == 0;
}

int main(void)
{
    static const cudnnDataType_t types[] = {CUDNN_DATA_FLOAT, CUDNN_DATA_BFLOAT16, CUDNN_DATA_HALF};
    int wrong = 0;
    printf("%-8s %-45s %5s %5s %5s\n", "device", "ready engines for", "f32", "bf16", "f16");
    for (int i = 0; i < rni_device_record_count; i++) {
        descriptor properties;
        if (rni_device_properties(&rni_device_records[i], &properties) != RN_OK)
            return 1;
        for (int f = 0; f < FUSIONS; f++) {
            printf("%-8s %-45s", rni_device_records[i].name, fusions[f].name);
            for (int t = 0; t < 3; t++) {
                const int64_t count = engines(properties, f, types[t]);
                wrong += !as_documented(&rni_device_records[i], types[t], f, count);
                printf(" %5lld", (long long)count);
            }
            printf("\n");
        }
        cudnnBackendDestroyDescriptor(properties);
    }
    return wrong ? 1 : 0;
}
