/* SPDX-License-Identifier: MIT */
#include "dnn/descriptor.h"
#include "base/error.h"

static rn_status status_of(cudnnStatus_t status)
{
    if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED)
        return RN_E_UNSUPPORTED;
    if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
        status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
        return RN_E_NOMEM;
    return RN_E_BACKEND;
}

rn_status rni_dnn_result(cudnnStatus_t status, const char *what)
{
    if (status == CUDNN_STATUS_SUCCESS)
        return RN_OK;
    char text[200] = "";
    cudnnGetLastErrorString(text, sizeof text);
    return rni_fail(status_of(status), "cuDNN cannot %s: %s%s%s", what, cudnnGetErrorString(status),
                    text[0] ? ": " : "", text);
}

void rni_dnn_bag_empty(rni_dnn_bag *bag)
{
    while (bag->count > 0)
        cudnnBackendDestroyDescriptor(bag->made[--bag->count]);
}

rn_status rni_dnn_keep(rni_dnn_bag *bag, cudnnBackendDescriptor_t made)
{
    if (bag->count == RNI_DNN_BAG_SIZE) {
        cudnnBackendDestroyDescriptor(made);
        return rni_fail(RN_E_INTERNAL, "a graph of more than %d descriptors", (int)RNI_DNN_BAG_SIZE);
    }
    bag->made[bag->count++] = made;
    return RN_OK;
}

rn_status rni_dnn_make(rni_dnn_bag *bag, cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out)
{
    *out = NULL;
    RNI_TRY(rni_dnn_result(cudnnBackendCreateDescriptor(type, out), "create a descriptor"));
    return rni_dnn_keep(bag, *out);
}

rn_status rni_dnn_set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                      int64_t count, const void *values)
{
    return rni_dnn_result(cudnnBackendSetAttribute(d, name, type, count, values), "set an attribute");
}

rn_status rni_dnn_set_descriptor(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                 cudnnBackendDescriptor_t value)
{
    return rni_dnn_set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

rn_status rni_dnn_finalize(cudnnBackendDescriptor_t d)
{
    return rni_dnn_result(cudnnBackendFinalize(d), "finalize a descriptor");
}
