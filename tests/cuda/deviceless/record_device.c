/* SPDX-License-Identifier: MIT */
#include "deviceless/record_device.h"
#include "base/error.h"
#include "devices/properties.h"
#include "dnn/plan.h"
#include "kernels/pad_channels.h"
#include <stdlib.h>
#include <string.h>

static const rni_device_record *current;
static int64_t living, failing;

static void *host_alloc(void *host, size_t size, size_t align)
{
    (void)host, (void)align;
    if (failing > 0 && --failing == 0)
        return NULL;
    living += (int64_t)size;
    return malloc(size);
}

static void host_free(void *host, void *ptr, size_t size, size_t align)
{
    (void)host, (void)align;
    living -= (int64_t)size;
    free(ptr);
}

static const rn_host_api host_api = {.struct_size = sizeof host_api, .alloc = host_alloc, .free = host_free};

int64_t record_device_memory(void)
{
    return living;
}

void record_device_fail(int64_t request)
{
    failing = request;
}

static rn_status create(rni_cuda_device *device, void **handle, cudnnBackendDescriptor_t *properties)
{
    *handle = device;
    return rni_device_properties(current, properties);
}

static void destroy(void *handle)
{
    (void)handle;
}

static rn_status execute(void *handle, cudaStream_t stream, const rni_dnn_plan *plan, const rni_dnn_operand *operands,
                         int32_t count, void *workspace, uint64_t workspace_bytes)
{
    (void)handle, (void)stream, (void)plan, (void)operands, (void)count, (void)workspace, (void)workspace_bytes;
    return rni_fail(RN_E_DEVICE, "there is no device");
}

const rni_dnn_api rni_dnn_api_device = {create, destroy, execute};

rn_status rni_cuda_result(rni_cuda_device *device, cudaError_t error, const char *what)
{
    (void)device;
    return error == cudaSuccess ? RN_OK : rni_fail(RN_E_BACKEND, "cannot %s: error %d", what, (int)error);
}

cudaError_t rni_k_pad_channels(cudaStream_t stream, const void *from, void *to, int64_t pixels, int64_t from_channels,
                               int64_t to_channels)
{
    (void)stream, (void)from, (void)to, (void)pixels, (void)from_channels, (void)to_channels;
    return cudaErrorNoDevice;
}

cudaError_t rni_k_bias_cast(cudaStream_t stream, const float *bias, void *to, int64_t count, int32_t dtype)
{
    (void)stream, (void)bias, (void)to, (void)count, (void)dtype;
    return cudaErrorNoDevice;
}

rn_status record_device_open(const rni_device_record *record, int32_t tf32, int32_t fuse, uint64_t workspace_limit,
                             rni_cuda_device *device)
{
    memset(device, 0, sizeof *device);
    device->host = &host_api;
    device->capability = record->capability;
    device->processors = record->processors;
    device->tf32 = tf32;
    device->fuse = fuse;
    device->workspace_limit = workspace_limit;
    current = record;
    return rni_dnn_open(device, &device->dnn);
}

void record_device_close(rni_cuda_device *device)
{
    rni_dnn_close(device->dnn);
    device->dnn = NULL;
}
