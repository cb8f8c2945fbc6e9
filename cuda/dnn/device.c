/* SPDX-License-Identifier: MIT */
/* The one file that uses a handle of cuDNN. */
#include "dnn/plan.h"
#include "base/error.h"

static rn_status properties_of(cudnnHandle_t handle, cudnnBackendDescriptor_t *out)
{
    rni_dnn_bag bag = {0};
    cudnnBackendDescriptor_t properties;
    RNI_TRY(rni_dnn_make(&bag, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &properties));
    rn_status status = rni_dnn_set(properties, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    if (status == RN_OK)
        status = rni_dnn_finalize(properties);
    if (status == RN_OK)
        *out = properties;
    else
        rni_dnn_bag_empty(&bag);
    return status;
}

static rn_status create(rni_cuda_device *device, void **handle, cudnnBackendDescriptor_t *properties)
{
    cudnnHandle_t made;
    RNI_TRY(rni_cuda_result(device, cudaSetDevice(device->index), "select the device"));
    RNI_TRY(rni_dnn_result(cudnnCreate(&made), "open the device"));
    const rn_status status = properties_of(made, properties);
    if (status == RN_OK)
        *handle = made;
    else
        cudnnDestroy(made);
    return status;
}

static void destroy(void *handle)
{
    cudnnDestroy(handle);
}

enum { MAX_OPERANDS = 8 };

static rn_status fill_pack(cudnnBackendDescriptor_t pack, const rni_dnn_operand *operands, int32_t count,
                           void *workspace)
{
    int64_t names[MAX_OPERANDS];
    void *pointers[MAX_OPERANDS];
    for (int32_t i = 0; i < count; i++) {
        names[i] = operands[i].uid;
        pointers[i] = operands[i].pointer;
    }
    RNI_TRY(rni_dnn_set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, names));
    RNI_TRY(rni_dnn_set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers));
    RNI_TRY(rni_dnn_set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace));
    return rni_dnn_finalize(pack);
}

static rn_status execute(void *handle, cudaStream_t stream, const rni_dnn_plan *plan, const rni_dnn_operand *operands,
                         int32_t count, void *workspace, uint64_t workspace_bytes)
{
    rni_dnn_bag bag = {0};
    cudnnBackendDescriptor_t pack;
    if (count > MAX_OPERANDS || workspace_bytes < plan->workspace)
        return rni_fail(RN_E_INTERNAL, "a plan of cuDNN is given %d operands and %llu bytes of workspace", (int)count,
                        (unsigned long long)workspace_bytes);
    RNI_TRY(rni_dnn_result(cudnnSetStream(handle, stream), "take a stream"));
    RNI_TRY(rni_dnn_make(&bag, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack));
    rn_status status = fill_pack(pack, operands, count, workspace);
    if (status == RN_OK)
        status = rni_dnn_result(cudnnBackendExecute(handle, plan->plan, pack), "run a plan");
    rni_dnn_bag_empty(&bag);
    return status;
}

const rni_dnn_api rni_dnn_api_device = {create, destroy, execute};
