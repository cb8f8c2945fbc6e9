/* SPDX-License-Identifier: MIT */
#include "mark.h"

rn_status rni_cuda_mark_create(rni_cuda_device *device, cudaEvent_t *out)
{
    RNI_TRY(rni_cuda_enter(device));
    return rni_cuda_result(device, cudaEventCreateWithFlags(out, cudaEventDefault), "make an event");
}

void rni_cuda_mark_destroy(rni_cuda_device *device, cudaEvent_t mark)
{
    cudaSetDevice(device->index);
    cudaEventDestroy(mark);
    cudaGetLastError();
}

rn_status rni_cuda_mark_record(rni_cuda_queue *queue, cudaEvent_t mark)
{
    RNI_TRY(rni_cuda_queue_start(queue));
    return rni_cuda_result(queue->device, cudaEventRecord(mark, queue->stream), "record an event");
}

rn_status rni_cuda_mark_elapsed(rni_cuda_device *device, cudaEvent_t from, cudaEvent_t to, double *seconds)
{
    float milliseconds = 0;
    RNI_TRY(rni_cuda_enter(device));
    RNI_TRY(rni_cuda_result(device, cudaEventSynchronize(to), "wait for the device"));
    RNI_TRY(rni_cuda_result(device, cudaEventElapsedTime(&milliseconds, from, to), "read the time between events"));
    *seconds = 1e-3 * (double)milliseconds;
    return RN_OK;
}
