/* SPDX-License-Identifier: MIT */
/* What there is: versions, devices, their properties, texts of errors. */
#include "device.h"
#include "settings.h"
#include <cstdio>
#include <cstring>

using namespace sim;

cudaError_t cudaDriverGetVersion(int *version)
{
    const Lock lock;
    *version = (int)setting(DRIVER);
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

static cudaError_t known(int device)
{
    const cudaError_t ready = device_ready();
    return ready != cudaSuccess                       ? ready
           : device >= 0 && device < setting(DEVICES) ? cudaSuccess
                                                      : cudaErrorInvalidDevice;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    const Lock lock;
    *count = any_device() == cudaSuccess ? (int)setting(DEVICES) : 0;
    return keep_error(any_device());
}

/* All devices are one: nothing depends on which is the thread's. */
cudaError_t cudaSetDevice(int device)
{
    const Lock lock;
    return keep_error(known(device));
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
    const Lock lock;
    if (const cudaError_t error = known(device))
        return keep_error(error);
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "Simulated GPU");
    p->major = (int)(setting(CAPABILITY) / 10);
    p->minor = (int)(setting(CAPABILITY) % 10);
    p->totalGlobalMem = (size_t)setting(MEMORY_MB) << 20;
    p->multiProcessorCount = (int)setting(PROCESSORS);
    p->sharedMemPerBlock = 48 << 10;
    p->sharedMemPerBlockOptin = p->sharedMemPerMultiprocessor = 227 << 10;
    p->reservedSharedMemPerBlock = 1 << 10;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = 32;
    p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxBlocksPerMultiProcessor = 32;
    p->l2CacheSize = 50 << 20;
    p->unifiedAddressing = p->concurrentKernels = p->asyncEngineCount = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    const Lock lock;
    cudaDeviceProp p;
    if (const cudaError_t error = cudaGetDeviceProperties(&p, device))
        return error;
    switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
        *value = p.major;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = p.minor;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = p.multiProcessorCount;
        break;
    case cudaDevAttrMaxThreadsPerBlock:
        *value = p.maxThreadsPerBlock;
        break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = p.maxThreadsPerMultiProcessor;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = (int)p.sharedMemPerBlock;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)p.sharedMemPerBlockOptin;
        break;
    case cudaDevAttrWarpSize:
        *value = p.warpSize;
        break;
    case cudaDevAttrL2CacheSize:
        *value = p.l2CacheSize;
        break;
    default:
        return keep_error(cudaErrorNotSupported);
    }
    return cudaSuccess;
}

/* Errors that the simulator gives, with the texts of CUDA. */
#define ERRORS(X)                                                                                                      \
    X(cudaSuccess, "no error")                                                                                         \
    X(cudaErrorInvalidValue, "invalid argument")                                                                       \
    X(cudaErrorMemoryAllocation, "out of memory")                                                                      \
    X(cudaErrorInvalidConfiguration, "invalid configuration argument")                                                 \
    X(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy")                                            \
    X(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version")                     \
    X(cudaErrorNoDevice, "no CUDA-capable device is detected")                                                         \
    X(cudaErrorInvalidDevice, "invalid device ordinal")                                                                \
    X(cudaErrorInvalidResourceHandle, "invalid resource handle")                                                       \
    X(cudaErrorIllegalState, "the operation cannot be performed in the present state")                                 \
    X(cudaErrorNotReady, "device not ready")                                                                           \
    X(cudaErrorIllegalAddress, "an illegal memory access was encountered")                                             \
    X(cudaErrorMisalignedAddress, "misaligned address")                                                                \
    X(cudaErrorLaunchTimeout, "the launch timed out and was terminated")                                               \
    X(cudaErrorLaunchFailure, "unspecified launch failure")                                                            \
    X(cudaErrorNotSupported, "operation not supported")                                                                \
    X(cudaErrorLaunchOutOfResources, "too many resources requested for launch")                                        \
    X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")                           \
    X(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture")                    \
    X(cudaErrorStreamCaptureUnjoined, "capture was not ended because of streams that have not been joined")             \
    X(cudaErrorStreamCaptureUnmatched, "the capture was not initiated in this stream")                                  \
    X(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream")                      \
    X(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream")

#define NAME(error, text)                                                                                              \
    case error:                                                                                                        \
        return #error;
#define TEXT(error, text)                                                                                              \
    case error:                                                                                                        \
        return text;

const char *cudaGetErrorName(cudaError_t error)
{
    switch (error) {
        ERRORS(NAME)
    default:
        return "unrecognized error code";
    }
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
        ERRORS(TEXT)
    default:
        return "unrecognized error code";
    }
}
