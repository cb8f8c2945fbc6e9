/* SPDX-License-Identifier: MIT */
/* Queues: making, waiting, and turning what kernels report into a fault with a path. */
#include "queue.h"
#include "kernels/activations.h"
#include "memory.h"
#include "program.h"
#include <stdio.h>
#include <string.h>

rn_status rni_cuda_queue_create(rni_cuda_device *device, rni_cuda_queue **out)
{
    const rn_host_api *const host = device->host;
    rni_cuda_queue *const queue = host->alloc(host->host, sizeof *queue, 16);
    if (!queue)
        return rni_fail(RN_E_NOMEM, "out of memory: a queue needs %zu bytes", sizeof *queue);
    memset(queue, 0, sizeof *queue);
    queue->device = device;
    queue->scalars.written = -1;
    pthread_mutex_init(&queue->waiting, NULL);
    *out = queue;
    return RN_OK;
}

enum { COUNTER_BYTES = RNI_K_COUNTERS * sizeof(int32_t) };

static rn_status make_memory(rni_cuda_queue *queue)
{
    rni_cuda_device *const device = queue->device;
    void *memory;
    if (!queue->mailbox) {
        RNI_TRY(rni_cuda_alloc(device, sizeof *queue->mailbox, &memory));
        queue->mailbox = memory;
    }
    if (!queue->counters) {
        RNI_TRY(rni_cuda_alloc(device, COUNTER_BYTES, &memory));
        queue->counters = memory;
    }
    if (!queue->seen) {
        RNI_TRY(rni_cuda_result(device, cudaMallocHost(&memory, sizeof *queue->seen), "allocate pinned memory"));
        queue->seen = memory;
    }
    return RN_OK;
}

static rn_status start(rni_cuda_queue *queue)
{
    rni_cuda_device *const device = queue->device;
    cudaStream_t stream;
    if (queue->stream)
        return RN_OK;
    RNI_TRY(make_memory(queue));
    RNI_TRY(rni_cuda_result(device, cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "make a stream"));
    cudaError_t error = cudaMemsetAsync(queue->mailbox, 0, sizeof *queue->mailbox, stream);
    if (error == cudaSuccess)
        error = cudaMemsetAsync(queue->counters, 0, COUNTER_BYTES, stream);
    if (error != cudaSuccess) {
        cudaStreamDestroy(stream);
        return rni_cuda_result(device, error, "fill memory");
    }
    queue->stream = stream;
    return RN_OK;
}

rn_status rni_cuda_queue_start(rni_cuda_queue *queue)
{
    pthread_mutex_t *const lock = &rni_cuda_opened_of(queue->device)->starting;
    RNI_TRY(rni_cuda_enter(queue->device));
    pthread_mutex_lock(lock);
    const rn_status status = start(queue);
    pthread_mutex_unlock(lock);
    return status;
}

void rni_cuda_queue_destroy(rni_cuda_queue *queue)
{
    const rn_host_api *const host = queue->device->host;
    if (rni_cuda_opened_of(queue->device)->in_use)
        cudaSetDevice(queue->device->index);
    if (queue->stream)
        cudaStreamSynchronize(queue->stream);
    rni_cuda_programs_forget(queue);
    rni_cuda_scalars_release(queue);
    rni_cuda_free(queue->device, queue->mailbox);
    rni_cuda_free(queue->device, queue->counters);
    if (queue->seen)
        cudaFreeHost(queue->seen);
    if (queue->stream)
        cudaStreamDestroy(queue->stream);
    if (queue->capture)
        cudaStreamDestroy(queue->capture);
    for (int lane = 1; lane < RNI_LANES; lane++)
        if (queue->aside[lane])
            cudaStreamDestroy(queue->aside[lane]);
    cudaGetLastError();
    pthread_mutex_destroy(&queue->waiting);
    host->free(host->host, queue, sizeof *queue, 16);
}

/* The path of the op that a ticket names. */
static const char *path_of(const rni_cuda_queue *queue, uint32_t ticket)
{
    for (int32_t i = 0; i < queue->num_single; i++)
        if (queue->single[i].ticket == ticket)
            return queue->single[i].path;
    return rni_cuda_program_path(rni_cuda_opened_of(queue->device), ticket);
}

/* The text is the CPU's for the same mistake. */
static void describe(const rni_cuda_queue *queue, const rni_cuda_mailbox *m, rn_fault *fault)
{
    fault->status = RN_E_INVALID;
    snprintf(fault->message, sizeof fault->message, "%.120s: cross_entropy: label %lld: 0 to %lld expected, got %lld",
             path_of(queue, m->ticket), (long long)m->detail[0], (long long)m->detail[2] - 1, (long long)m->detail[1]);
}

/* `covered` paths are of ops that were enqueued before the mailbox was read. Under the device's lock. */
static rn_status look_into_mailbox(rni_cuda_queue *queue, int32_t covered)
{
    const int found = queue->seen->kind != 0;
    if (found && queue->fault.status >= 0)
        describe(queue, queue->seen, &queue->fault);
    queue->num_single -= covered;
    memmove(queue->single, queue->single + covered, (size_t)queue->num_single * sizeof *queue->single);
    return found ? rni_cuda_zero(queue, queue->mailbox, sizeof *queue->mailbox) : RN_OK;
}

static rn_status read_mailbox(rni_cuda_queue *queue)
{
    return rni_cuda_result(
        queue->device,
        cudaMemcpyAsync(queue->seen, queue->mailbox, sizeof *queue->seen, cudaMemcpyDeviceToHost, queue->stream),
        "read what kernels report");
}

/* One thread at a time, because there is one place to read the mailbox to. */
static rn_status collect(rni_cuda_queue *queue)
{
    pthread_mutex_t *const lock = &rni_cuda_opened_of(queue->device)->lock;
    pthread_mutex_lock(lock);
    const int32_t covered = queue->num_single;
    rn_status status = read_mailbox(queue);
    pthread_mutex_unlock(lock);
    if (status == RN_OK)
        status = rni_cuda_result(queue->device, cudaStreamSynchronize(queue->stream), "wait for the device");
    if (status < 0)
        return status;
    pthread_mutex_lock(lock);
    status = look_into_mailbox(queue, covered);
    pthread_mutex_unlock(lock);
    return status;
}

rn_status rni_cuda_queue_collect(rni_cuda_queue *queue)
{
    if (!queue->stream)
        return RN_OK;
    pthread_mutex_lock(&queue->waiting);
    const rn_status status = collect(queue);
    pthread_mutex_unlock(&queue->waiting);
    return status;
}

rn_status rni_cuda_queue_wait(rni_cuda_queue *queue, rn_fault *fault)
{
    rni_cuda_opened *const opened = rni_cuda_opened_of(queue->device);
    RNI_TRY(rni_cuda_enter(queue->device));
    const rn_status status = rni_cuda_queue_collect(queue);
    pthread_mutex_lock(&opened->lock);
    if (status < 0 && queue->fault.status >= 0) { /* what failed is enqueued work */
        queue->fault.status = status;
        snprintf(queue->fault.message, sizeof queue->fault.message, "%.239s", rn_error_message());
    }
    if (fault) {
        fault->status = queue->fault.status;
        memcpy(fault->message, queue->fault.message, sizeof fault->message);
    }
    queue->fault = (rn_fault){.status = RN_OK};
    pthread_mutex_unlock(&opened->lock);
    return RN_OK;
}

rn_status rni_cuda_queue_room(rni_cuda_queue *queue, int32_t groups, int reports)
{
    pthread_mutex_t *const lock = &rni_cuda_opened_of(queue->device)->lock;
    for (;;) {
        RNI_TRY(rni_cuda_scalars_wait(queue, groups));
        if (!reports || queue->num_single < RNI_SINGLE_OPS)
            return RN_OK;
        pthread_mutex_unlock(lock);
        const rn_status status = rni_cuda_queue_collect(queue);
        pthread_mutex_lock(lock);
        RNI_TRY(status);
    }
}

uint32_t rni_cuda_queue_ticket(rni_cuda_queue *queue, const rn_op *op)
{
    rni_single_op *const single = &queue->single[queue->num_single++];
    single->ticket = rni_cuda_opened_of(queue->device)->next_ticket++;
    snprintf(single->path, sizeof single->path, "%s", op->path ? op->path : "?");
    return single->ticket;
}
