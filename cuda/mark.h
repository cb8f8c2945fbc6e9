/* SPDX-License-Identifier: MIT */
/* Marks in a queue's stream, of which the device notes the time: events. */
#ifndef RNI_CUDA_MARK_H
#define RNI_CUDA_MARK_H

#include "queue.h"

rn_status rni_cuda_mark_create(rni_cuda_device *device, cudaEvent_t *out);
void rni_cuda_mark_destroy(rni_cuda_device *device, cudaEvent_t mark);
rn_status rni_cuda_mark_record(rni_cuda_queue *queue, cudaEvent_t mark);
rn_status rni_cuda_mark_elapsed(rni_cuda_device *device, cudaEvent_t from, cudaEvent_t to, double *seconds);

#endif
