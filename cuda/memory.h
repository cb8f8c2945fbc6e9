/* SPDX-License-Identifier: MIT */
/* Memory of the device and copies to and from it. */
#ifndef RNI_CUDA_MEMORY_H
#define RNI_CUDA_MEMORY_H

#include "device.h"
#include "queue.h"

rn_status rni_cuda_alloc(rni_cuda_device *device, uint64_t bytes, void **out);
void rni_cuda_free(rni_cuda_device *device, void *memory);

/* Through pinned memory: src is consumed on return. */
rn_status rni_cuda_copy_in(rni_cuda_queue *queue, void *to, const void *from, uint64_t bytes);
/* Waits. */
rn_status rni_cuda_copy_out(rni_cuda_queue *queue, void *to, const void *from, uint64_t bytes);
rn_status rni_cuda_copy(rni_cuda_queue *queue, void *to, const void *from, uint64_t bytes);
rn_status rni_cuda_zero(rni_cuda_queue *queue, void *memory, uint64_t bytes);

#endif
