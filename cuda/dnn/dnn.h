/* SPDX-License-Identifier: MIT */
/* Convolutions through cuDNN's graph API: plans, and the small table through which cuDNN touches a device. */
#ifndef RNI_CUDA_DNN_H
#define RNI_CUDA_DNN_H

#include "cuda.h"
#include <cudnn.h>

/*
 * All of cuDNN that needs a device. Plans are built from a device's properties alone, so the rest can be tested
 * without one; the simulator has a table of its own that checks pointers and computes on the CPU.
 */
typedef struct rni_dnn_plan rni_dnn_plan;
typedef struct rni_dnn_operand {
    int64_t uid;
    void *pointer;
} rni_dnn_operand;
typedef struct rni_dnn_api {
    /* The handle, and the finalized CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR of its device. */
    rn_status (*create)(rni_cuda_device *device, void **handle, cudnnBackendDescriptor_t *properties);
    void (*destroy)(void *handle);
    rn_status (*execute)(void *handle, cudaStream_t stream, const rni_dnn_plan *plan, const rni_dnn_operand *operands,
                         int32_t count, void *workspace, uint64_t workspace_bytes);
} rni_dnn_api;
extern const rni_dnn_api rni_dnn_api_device; /* real cuDNN, or the simulator's */

#endif
