/* SPDX-License-Identifier: MIT */
/* Plans: which of cuDNN's engines runs a convolution. */
#ifndef RNI_CUDA_DNN_PLAN_H
#define RNI_CUDA_DNN_PLAN_H

#include "dnn/dnn.h"
#include "dnn/graph.h"

struct rni_dnn_plan {
    rni_dnn_shape shape;
    rni_dnn_bag bag; /* the graph, its tensors, the engine: the plan stands on them */
    cudnnBackendDescriptor_t plan;
    uint64_t workspace;
    int64_t engine; /* cuDNN's number of it */
    uint32_t notes; /* bits of cudnnBackendNumericalNote_t */
    uint32_t behaviour; /* bits of cudnnBackendBehaviorNote_t */
    int32_t rank; /* how many acceptable engines cuDNN put before it */
    int32_t refused; /* how many that are not */
    const rn_host_api *host; /* who gave the memory of this struct */
};

/* What plans are made for. */
typedef struct rni_dnn_rules {
    const rn_host_api *host;
    cudnnBackendDescriptor_t properties; /* CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR */
    int32_t tf32; /* f32 operands may be rounded to TF32 */
    int32_t runtime; /* engines that cuDNN compiles when asked are welcome, but for STATS and PROLOGUE */
} rni_dnn_rules;

/*
 * 1 when an engine with these notes may serve the shape: always the same bits, sums in f32, and in f32 nothing rounded
 * below f32 (without tf32).
 */
int rni_dnn_acceptable(const rni_dnn_rules *rules, const rni_dnn_shape *shape, uint32_t notes, uint32_t behaviour);

/*
 * The plan that is number `rank` (from 0) among the acceptable ones, best first as cuDNN's heuristics have it, whose
 * workspace is within shape->limit. RN_E_UNSUPPORTED when there are no more.
 */
rn_status rni_dnn_plan_make(const rni_dnn_rules *rules, const rni_dnn_shape *shape, int32_t rank, rni_dnn_plan **out);
void rni_dnn_plan_destroy(rni_dnn_plan *plan); /* NULL is fine */

/* The plan as cuDNN's JSON, terminated, from the host's memory; *size includes the terminator. */
rn_status rni_dnn_plan_write(const rni_dnn_plan *plan, char **json, size_t *size);

#endif
