/* SPDX-License-Identifier: MIT */
/* A device of which only the record is there: cuDNN plans for it, nothing runs. */
#ifndef RNI_DEVICELESS_RECORD_DEVICE_H
#define RNI_DEVICELESS_RECORD_DEVICE_H

#include "devices/records.h"
#include "dnn/conv.h"

/* As device.c opens it, with plans through rni_dnn_open(). fuse, tf32: as RN_CUDA_FUSE, RN_CUDA_TF32 */
rn_status record_device_open(const rni_device_record *record, int32_t tf32, int32_t fuse, uint64_t workspace_limit,
                             rni_cuda_device *device);
void record_device_close(rni_cuda_device *device);
/* Bytes that the module has from the host and did not give back. */
int64_t record_device_memory(void);
/* The Nth request for memory from now on fails; 0: none. */
void record_device_fail(int64_t request);

#endif
