/* SPDX-License-Identifier: MIT */
/*
 * fusions: for which devices cuDNN has engines that do more than one op of a training at once. Batch normalisation's scale
 * and shift with ReLU before a convolution, and the sums for the next statistics after it, would save most of the memory
 * traffic between convolutions. Prints a table; fails when the engines that docs/cuda-plans.md speaks of are not there.
 */
#include "base/error.h"
#include "devices/properties.h"
#include "dnn/builder.h"
#include <stdio.h>

typedef cudnnBackendDescriptor_t descriptor;

/* 64 channels, 256 images of 56 pixels. */
static rni_dnn_shape shape_of(int32_t kind, uint32_t flags, int64_t kernel, int32_t dtype)
{
    return (rni_dnn_shape){.batch = 256,
                           .groups = 1,
                           .in = {64, 56, 56},
                           .out = {64, 56, 56},
                           .kernel = {kernel, kernel},
                           .stride = {1, 1},
                           .padding = {kernel / 2, kernel / 2},
                           .dilation = {1, 1},
                           .kind = kind,
                           .dtype = dtype,
                           .flags = flags};
}

static rn_status ask(rni_dnn_bag *bag, descriptor graph, descriptor properties, descriptor *heuristics)
{
    const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    RNI_TRY(rni_dnn_make(bag, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, heuristics));
    RNI_TRY(rni_dnn_set_descriptor(*heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
    RNI_TRY(rni_dnn_set(*heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    RNI_TRY(rni_dnn_set_descriptor(*heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, properties));
    return rni_dnn_finalize(*heuristics);
}

/* Engines that the heuristics name. These are ready ones: those that compile need a driver to say what they can. */
static int64_t count_engines(rni_dnn_bag *bag, descriptor graph, descriptor properties)
{
    enum { MOST = 64 };
    descriptor heuristics, config[MOST];
    int64_t made = 0, count = 0;
    if (ask(bag, graph, properties, &heuristics) != RN_OK)
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
    int32_t kind;
    uint32_t flags;
    int64_t kernel;
} fusions[] = {
    {"forward, statistics", RN_OP_CONV_FORWARD, RN_OPF_STATS, 3},
    {"scale, shift, ReLU, forward 3x3, statistics", RN_OP_CONV_FORWARD, RNI_DNN_PROLOGUE | RN_OPF_STATS, 3},
    {"scale, shift, ReLU, forward 1x1, statistics", RN_OP_CONV_FORWARD, RNI_DNN_PROLOGUE | RN_OPF_STATS, 1},
    {"scale, shift, ReLU, forward 3x3", RN_OP_CONV_FORWARD, RNI_DNN_PROLOGUE, 3},
    {"scale, shift, ReLU, filter gradient", RN_OP_CONV_BACKWARD_FILTER, RNI_DNN_PROLOGUE, 3},
};
enum { FUSIONS = sizeof fusions / sizeof fusions[0] };

static int64_t engines(descriptor properties, int fusion, int32_t dtype)
{
    const rni_dnn_shape shape =
        shape_of(fusions[fusion].kind, fusions[fusion].flags, fusions[fusion].kernel, dtype);
    rni_dnn_bag bag = {0};
    descriptor graph;
    const rn_status status = rni_dnn_graph_make(&bag, &shape, &graph);
    const int64_t count = status == RN_OK ? count_engines(&bag, graph, properties) : -1;
    rni_dnn_bag_empty(&bag);
    return count;
}

/* What the documentation says: ready engines in f16 from capability 8.0 on, without statistics below 9.0, in bf16 none. */
static int as_documented(const rni_device_record *record, int32_t dtype, int fusion, int64_t count)
{
    const int filter = fusions[fusion].kind == RN_OP_CONV_BACKWARD_FILTER;
    const int end = filter ? 1000 : fusions[fusion].flags & RN_OPF_STATS ? 120 : 90;
    if (count < 0)
        return 0;
    return dtype == RN_F16 && record->capability >= 80 && record->capability < end ? count > 0 : count == 0;
}

int main(void)
{
    static const int32_t dtypes[] = {RN_F32, RN_BF16, RN_F16};
    int wrong = 0;
    printf("%-8s %-45s %5s %5s %5s\n", "device", "ready engines for", "f32", "bf16", "f16");
    for (int i = 0; i < rni_device_record_count; i++) {
        descriptor properties;
        if (rni_device_properties(&rni_device_records[i], &properties) != RN_OK)
            return 1;
        for (int f = 0; f < FUSIONS; f++) {
            printf("%-8s %-45s", rni_device_records[i].name, fusions[f].name);
            for (int t = 0; t < 3; t++) {
                const int64_t count = engines(properties, f, dtypes[t]);
                wrong += !as_documented(&rni_device_records[i], dtypes[t], f, count);
                printf(" %5lld", (long long)count);
            }
            printf("\n");
        }
        cudnnBackendDestroyDescriptor(properties);
    }
    return wrong ? 1 : 0;
}
