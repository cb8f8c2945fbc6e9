/* SPDX-License-Identifier: MIT */
/* A queue: a stream, the scalars of the run that it works on, and what its kernels report. */
#ifndef RNI_CUDA_QUEUE_H
#define RNI_CUDA_QUEUE_H

#include "device.h"

/* Pinned copies of rni_cuda_scalars on their way to the device, in turn. */
enum { RNI_SCALAR_SLOTS = 8, RNI_SCALAR_GROUPS = 8 };
typedef struct rni_scalar_ring {
    rni_cuda_scalars *on_device;
    char *slots; /* pinned */
    cudaEvent_t free[RNI_SCALAR_SLOTS];
    uint64_t count; /* of writes: the next one takes slot count % RNI_SCALAR_SLOTS */
    int32_t groups; /* that there is room for */
    int32_t written; /* groups of what was written last; -1: nothing yet */
    const rni_cuda_scalars *last;
} rni_scalar_ring;

/* Streams that are captured as one graph: what may run at once (lanes.h). */
enum { RNI_LANES = 5 };

/* Ops that ran alone and may report: a ticket and the path, which may not outlive the call. */
enum { RNI_SINGLE_OPS = 16, RNI_PATH_TEXT = 120 };
typedef struct rni_single_op {
    uint32_t ticket;
    char path[RNI_PATH_TEXT];
} rni_single_op;

typedef struct rni_cuda_queue {
    rni_cuda_device *device;
    cudaStream_t stream; /* NULL: not used yet */
    cudaStream_t capture; /* only for capturing: copies of other threads are never part of a graph; NULL: none yet */
    cudaStream_t aside[RNI_LANES]; /* with capture: the other lanes of a graph, from 1 on */
    rni_cuda_mailbox *mailbox; /* on the device */
    rni_cuda_mailbox *seen; /* pinned: the mailbox as last looked at */
    int32_t *counters; /* on the device: rni_cuda_call::counters */
    rni_scalar_ring scalars;
    rni_single_op single[RNI_SINGLE_OPS];
    int32_t num_single;
    rn_fault fault; /* found, not yet told by queue_wait */
    pthread_mutex_t waiting; /* of who reads the mailbox; taken before the device's lock */
} rni_cuda_queue;

/* Costs nothing on the device until it is first used. */
rn_status rni_cuda_queue_create(rni_cuda_device *device, rni_cuda_queue **out);
void rni_cuda_queue_destroy(rni_cuda_queue *queue);
rn_status rni_cuda_queue_wait(rni_cuda_queue *queue, rn_fault *fault);
/* Before anything is enqueued: makes the stream, and the device the calling thread's. */
rn_status rni_cuda_queue_start(rni_cuda_queue *queue);
/* Waits and keeps what kernels reported, while the ops it names are known. Without the device's lock: others go on. */
rn_status rni_cuda_queue_collect(rni_cuda_queue *queue);
/*
 * Before a run is enqueued, under the device's lock, which is let go of while it waits: a free slot for scalars with so
 * many groups and, when `reports`, a place for a ticket.
 */
rn_status rni_cuda_queue_room(rni_cuda_queue *queue, int32_t groups, int reports);
/* A ticket for an op outside a program. Under the device's lock, after rni_cuda_queue_room(). */
uint32_t rni_cuda_queue_ticket(rni_cuda_queue *queue, const rn_op *op);

/* scalars.c: waits for a slot, letting go of the device's lock meanwhile. */
rn_status rni_cuda_scalars_wait(rni_cuda_queue *queue, int32_t groups);
/* Then the run's scalars go to the device, in stream order, unless the same are there. */
rn_status rni_cuda_scalars_write(rni_cuda_queue *queue, const rn_run *run, int32_t groups);
void rni_cuda_scalars_release(rni_cuda_queue *queue);

#endif
