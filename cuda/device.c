/* SPDX-License-Identifier: MIT */
/* Devices: which there are, opening one, and what becomes of CUDA's errors. */
#include "device.h"
#include "blas.h"
#include "dnn/conv.h"
#include "memory.h"
#include <resnet/context.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DLPACK_CUDA = 2, MAX_DEVICES = 64, WORKSPACE_SHARE = 16 };

static void say(const rn_host_api *host, const char *format, ...) RNI_PRINTF(2, 3);
static void say(const rn_host_api *host, const char *format, ...)
{
    char text[240];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    host->log(host->host, RN_LOG_INFO, text);
}

/* How many devices CUDA sees. None is no error: why is only told. */
static rn_status visible_devices(const rn_host_api *host, int *count)
{
    int driver = 0, runtime = 0;
    *count = 0;
    cudaRuntimeGetVersion(&runtime);
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
        say(host, "cuda: no devices: there is no NVIDIA driver (libcuda.so.1)");
        return RN_OK;
    }
    const cudaError_t error = cudaGetDeviceCount(count);
    if (error == cudaSuccess)
        return RN_OK;
    cudaGetLastError();
    *count = 0;
    if (error == cudaErrorInsufficientDriver)
        say(host, "cuda: no devices: the NVIDIA driver is too old: it is made for CUDA %d.%d, CUDA %d.%d is needed",
            driver / 1000, driver % 100 / 10, runtime / 1000, runtime % 100 / 10);
    else if (error == cudaErrorNoDevice)
        say(host, "cuda: no devices: the NVIDIA driver sees no GPU");
    else
        return rni_fail(RN_E_BACKEND, "cuda: cannot count devices: %s (%s)", cudaGetErrorString(error),
                        cudaGetErrorName(error));
    return RN_OK;
}

/* 10 * major + minor; 0 when CUDA does not tell. */
static int32_t capability_of(int index)
{
    int major = 0, minor = 0;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index) != cudaSuccess ||
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index) != cudaSuccess) {
        cudaGetLastError();
        return 0;
    }
    return 10 * major + minor;
}

/* CUDA's numbers of the devices that are new enough. */
static rn_status usable_devices(const rn_host_api *host, int32_t indexes[MAX_DEVICES], int32_t *count)
{
    int visible;
    *count = 0;
    RNI_TRY(visible_devices(host, &visible));
    for (int i = 0; i < visible && *count < MAX_DEVICES; i++) {
        const int32_t capability = capability_of(i);
        if (capability >= RNI_CUDA_LEAST_CAPABILITY)
            indexes[(*count)++] = i;
        else
            say(host, "cuda:%d: left out: it has capability %d.%d, 7.5 is needed", i, (int)capability / 10,
                (int)capability % 10);
    }
    return RN_OK;
}

rn_status rni_cuda_device_count(const rn_host_api *host, int32_t *count)
{
    int32_t indexes[MAX_DEVICES];
    return usable_devices(host, indexes, count);
}

static int is_sticky(cudaError_t error)
{
    switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorTensorMemoryLeak:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorExternalDevice:
    case cudaErrorContextIsDestroyed:
    case cudaErrorMpsClientTerminated:
    case cudaErrorUnknown:
        return 1;
    default:
        return 0;
    }
}

static rn_status status_of(cudaError_t error)
{
    switch (error) {
    case cudaErrorMemoryAllocation:
        return RN_E_NOMEM;
    case cudaErrorInvalidDevice:
    case cudaErrorNoDevice:
    case cudaErrorDevicesUnavailable:
        return RN_E_DEVICE;
    default:
        return RN_E_BACKEND;
    }
}

rn_status rni_cuda_result(rni_cuda_device *device, cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return RN_OK;
    rni_cuda_opened *const opened = rni_cuda_opened_of(device);
    cudaGetLastError(); /* the next call must not find it again */
    if (is_sticky(error) && !device->lost) {
        snprintf(opened->lost_why, sizeof opened->lost_why, "%s (%s)", cudaGetErrorString(error),
                 cudaGetErrorName(error));
        device->lost = 1;
    }
    const rn_status status = status_of(error);
    return rni_fail(status, "cuda:%d: cannot %s: %s (%s)", (int)device->index, what, cudaGetErrorString(error),
                    cudaGetErrorName(error));
}

rn_status rni_cuda_enter(rni_cuda_device *device)
{
    if (device->lost)
        return rni_fail(RN_E_DEVICE, "cuda:%d: the device is lost: %s", (int)device->index,
                        rni_cuda_opened_of(device)->lost_why);
    rni_cuda_opened_of(device)->in_use = 1;
    return rni_cuda_result(device, cudaSetDevice(device->index), "make the device current");
}

/* "NVIDIA A100-SXM4-80GB, capability 8.0, 80 GB". */
static void describe(rni_cuda_opened *opened, const struct cudaDeviceProp *properties)
{
    const char *const maker = strncmp(properties->name, "NVIDIA", 6) == 0 ? "" : "NVIDIA ";
    const double gigabytes = (double)properties->totalGlobalMem / (double)(1 << 30);
    snprintf(opened->name, sizeof opened->name, "cuda:%d", (int)opened->device.index);
    snprintf(opened->description, sizeof opened->description, "%s%.100s, capability %d.%d, %.0f GB", maker,
             properties->name, properties->major, properties->minor, gigabytes);
}

static rn_status fill_device(rni_cuda_opened *opened)
{
    rni_cuda_device *const device = &opened->device;
    struct cudaDeviceProp properties;
    RNI_TRY(rni_cuda_settings_read(&opened->settings));
    RNI_TRY(rni_cuda_result(device, cudaGetDeviceProperties(&properties, device->index), "read the properties"));
    describe(opened, &properties);
    device->capability = 10 * properties.major + properties.minor;
    device->processors = properties.multiProcessorCount;
    device->tf32 = opened->settings.tf32;
    device->direct = opened->settings.direct == 1;
    device->own = opened->settings.direct < 0;
    device->overlap = opened->settings.overlap && opened->settings.graphs;
    device->autotune = opened->settings.autotune;
    device->runtime_engines = opened->settings.runtime_engines;
    device->fuse = opened->settings.fuse;
    opened->total_bytes = properties.totalGlobalMem;
    device->workspace_limit = opened->settings.workspace_limit;
    if (!device->workspace_limit)
        device->workspace_limit = opened->total_bytes / WORKSPACE_SHARE;
    return RN_OK;
}

rn_status rni_cuda_device_open(const rn_host_api *host, int32_t index, rni_cuda_device **out)
{
    int32_t indexes[MAX_DEVICES], count;
    RNI_TRY(usable_devices(host, indexes, &count));
    if (index < 0 || index >= count)
        return rni_fail(RN_E_DEVICE, "cuda: there is no device %d: there are %d", (int)index, (int)count);
    rni_cuda_opened *const opened = host->alloc(host->host, sizeof *opened, 16);
    if (!opened)
        return rni_fail(RN_E_NOMEM, "out of memory: a CUDA device needs %zu bytes", sizeof *opened);
    memset(opened, 0, sizeof *opened);
    opened->device.host = host;
    opened->device.index = indexes[index];
    opened->next_ticket = 1;
    pthread_mutex_init(&opened->lock, NULL);
    pthread_mutex_init(&opened->starting, NULL);
    rni_staging_init(&opened->staging);
    const rn_status status = fill_device(opened);
    if (status < 0) {
        rni_cuda_device_close(&opened->device);
        return status;
    }
    *out = &opened->device;
    return RN_OK;
}

void rni_cuda_device_close(rni_cuda_device *device)
{
    rni_cuda_opened *const opened = rni_cuda_opened_of(device);
    if (opened->in_use)
        cudaSetDevice(device->index);
    rni_dnn_close(device->dnn);
    rni_blas_close(device->blas);
    rni_staging_release(&opened->staging);
    pthread_mutex_destroy(&opened->starting);
    pthread_mutex_destroy(&opened->lock);
    cudaGetLastError();
    device->host->free(device->host->host, opened, sizeof *opened, 16);
}

rn_status rni_cuda_device_info(rni_cuda_device *device, rn_device_info *info)
{
    rni_cuda_opened *const opened = rni_cuda_opened_of(device);
    size_t free_bytes = (size_t)opened->total_bytes, total_bytes = free_bytes;
    if (opened->told || opened->in_use) {
        RNI_TRY(rni_cuda_enter(device));
        RNI_TRY(rni_cuda_result(device, cudaMemGetInfo(&free_bytes, &total_bytes), "read the size of its memory"));
    }
    opened->told = 1;
    snprintf(info->name, sizeof info->name, "%s", opened->name);
    snprintf(info->description, sizeof info->description, "%s", opened->description);
    info->free_bytes = free_bytes;
    info->total_bytes = total_bytes;
    info->host_memory = 0;
    info->dlpack_type = DLPACK_CUDA;
    info->dlpack_id = device->index;
    info->activation_layout = RN_LAYOUT_NHWC;
    return RN_OK;
}
