/* SPDX-License-Identifier: MIT */
/* The open device as the module's own files see it. */
#ifndef RNI_CUDA_DEVICE_H
#define RNI_CUDA_DEVICE_H

#include "cuda.h"
#include "staging.h"
#include <pthread.h>

enum { RNI_CUDA_LEAST_CAPABILITY = 75, RNI_CUDA_LEAST_BF16 = 80 };

/* What the environment asks for (docs/cuda.md). */
typedef struct rni_cuda_settings {
    int32_t direct; /* -1: not said */
    int32_t tf32, graphs, overlap, autotune, runtime_engines, fuse;
    uint64_t workspace_limit; /* 0: by the device's memory */
} rni_cuda_settings;

typedef struct rni_cuda_program rni_cuda_program;

typedef struct rni_cuda_opened {
    rni_cuda_device device; /* first: drivers see this part */
    rni_cuda_settings settings;
    rni_staging staging;
    char name[32], description[160];
    char lost_why[200]; /* with device.lost */
    uint64_t total_bytes;
    int32_t in_use; /* CUDA has made a context on it, which takes memory */
    int32_t told; /* device_info was asked once, when the device was added */
    pthread_mutex_t starting; /* of queues */
    pthread_mutex_t lock; /* of what follows, of running, and of libraries that are not for several threads */
    rni_cuda_program *programs; /* alive, newest first: tickets name their ops */
    uint32_t next_ticket;
} rni_cuda_opened;

static inline rni_cuda_opened *rni_cuda_opened_of(rni_cuda_device *device)
{
    return (rni_cuda_opened *)device;
}

/* device.c */
rn_status rni_cuda_device_count(const rn_host_api *host, int32_t *count);
rn_status rni_cuda_device_open(const rn_host_api *host, int32_t index, rni_cuda_device **out);
void rni_cuda_device_close(rni_cuda_device *device);
rn_status rni_cuda_device_info(rni_cuda_device *device, rn_device_info *info);
/*
 * Makes the device the calling thread's; RN_E_DEVICE when it is lost. Before every call of CUDA that is not about devices
 * in general: the first one takes the device into use, which looking at what there is must not.
 */
rn_status rni_cuda_enter(rni_cuda_device *device);

/* settings.c: RN_E_INVALID for a value that cannot be read. */
rn_status rni_cuda_settings_read(rni_cuda_settings *settings);

#endif
