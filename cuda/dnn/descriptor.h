/* SPDX-License-Identifier: MIT */
/* cuDNN's backend descriptors: made, filled, finalized and given back together. */
#ifndef RNI_CUDA_DNN_DESCRIPTOR_H
#define RNI_CUDA_DNN_DESCRIPTOR_H

#include <cudnn.h>
#include <resnet/base.h>

/* Descriptors that live and die together, in the order they were made in. */
enum { RNI_DNN_BAG_SIZE = 32 };
typedef struct rni_dnn_bag {
    int32_t count;
    cudnnBackendDescriptor_t made[RNI_DNN_BAG_SIZE];
} rni_dnn_bag;

/* Destroys all of them, the last made first. */
void rni_dnn_bag_empty(rni_dnn_bag *bag);

rn_status rni_dnn_make(rni_dnn_bag *bag, cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out);
/* Into the bag, or destroyed when there is no room. */
rn_status rni_dnn_keep(rni_dnn_bag *bag, cudnnBackendDescriptor_t made);
rn_status rni_dnn_set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                      int64_t count, const void *values);
rn_status rni_dnn_set_descriptor(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                 cudnnBackendDescriptor_t value);
rn_status rni_dnn_finalize(cudnnBackendDescriptor_t d);

/*
 * RN_OK, or a failure with cuDNN's text: RN_E_UNSUPPORTED for what cuDNN does not support, RN_E_NOMEM, RN_E_BACKEND.
 * `what` is a verb phrase.
 */
rn_status rni_dnn_result(cudnnStatus_t status, const char *what);

#endif
