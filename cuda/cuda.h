/* SPDX-License-Identifier: MIT */
/* The CUDA device, its queue, and how its op drivers are called. Host code of the module is C. */
#ifndef RNI_CUDA_H
#define RNI_CUDA_H

#include "base/error.h"
#include <cuda_runtime_api.h>
#include <resnet/sys/backend.h>
#include <stddef.h>

typedef struct rni_dnn rni_dnn;   /* dnn.h: convolutions through cuDNN */
typedef struct rni_blas rni_blas; /* blas.h: matrix products through cuBLAS */

/* 0: nothing. Each with all before it. */
enum {
    RNI_CUDA_FUSE_STATS = 1, /* statistics of what they give */
    RNI_CUDA_FUSE_PROLOGUE   /* scale, shift and ReLU of what they read */
};

/* An open device. */
typedef struct rni_cuda_device {
    const rn_host_api *host;
    int32_t index;
    int32_t capability;      /* 10 * major + minor: 75, 80, ... */
    int32_t processors;      /* streaming multiprocessors: kernels size their grids by it */
    int32_t tf32;            /* f32 convolutions and products may round operands to TF32 */
    int32_t direct;          /* 1: convolutions and products by the module's own kernels only */
    int32_t own;             /* 1: convolutions by the module's own kernels where these are the faster ones */
    int32_t autotune;        /* 1: cuDNN's plans and the module's kernels are timed when plans are made */
    int32_t overlap;         /* 1: in a graph gradients of filters run beside the rest */
    int32_t runtime_engines; /* 1: engines that cuDNN compiles when asked are welcome */
    int32_t fuse;            /* what convolutions do besides, where cuDNN has an engine for it: RNI_CUDA_FUSE_* */
    int32_t lost;            /* a sticky error: only closing is possible */
    uint64_t workspace_limit; /* bytes a convolution's workspace may have */
    rni_dnn *dnn;            /* NULL: with direct, and before the first convolution */
    rni_blas *blas;          /* NULL: with direct, and before the first product */
} rni_cuda_device;

/*
 * What changes from run to run, in device memory, so that a captured graph stays valid: kernels read it there.
 * Written before the first op of a run, in stream order.
 */
typedef struct rni_cuda_scalars {
    uint64_t seed;
    int64_t step, optimizer_step;
    double grad_scale;
    double lr[]; /* one per optimizer group */
} rni_cuda_scalars;

/* What enqueued work reports, in device memory; the first report stays. Read by queue_wait. */
typedef struct rni_cuda_mailbox {
    int32_t kind;      /* 0: nothing; RNI_CUDA_BAD_LABEL */
    uint32_t ticket;   /* rni_cuda_call::ticket of the op */
    int64_t detail[3]; /* BAD_LABEL: index, label, classes */
} rni_cuda_mailbox;
enum { RNI_CUDA_BAD_LABEL = 1 };

/* One op of one run. */
typedef struct rni_cuda_call {
    rni_cuda_device *device;
    cudaStream_t stream;
    const rni_cuda_scalars *scalars; /* on the device */
    rni_cuda_mailbox *mailbox;       /* on the device */
    int32_t *counters;               /* on the device: RNI_K_COUNTERS, zero between kernels (kernels/activations.h). One set
                                        a queue: not for ops that run beside others (lanes.c) */
    uint32_t ticket;                 /* names the op in the mailbox */
    uint32_t num_ops;                /* 1, or of those that `together` named: ops from op on to run at once */
    const rn_op *op;
    const rn_value *values;
    const rn_run *run;               /* batch and base; scalars are to be read on the device */
    void *state;                     /* what the driver's prepare, or prepare_together, made; or NULL */
    void *leave;                     /* on the device, of driver.leaves() bytes; NULL: leaves nothing */
    int32_t *left;                   /* with leave: set to 1 when the result is there */
    void *workspace;                 /* in place of the plan's, or NULL */
} rni_cuda_call;

typedef struct rni_cuda_driver {
    /* What an op needs; RN_E_UNSUPPORTED when it cannot. Operands are checked by then. NULL: no workspace.
       info is zeroed with in_place as the rules of lib/ops have it. */
    rn_status (*query)(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info);
    /* Once per op of a program: what must not be made while running (plans, tables on the device). NULL: nothing. */
    rn_status (*prepare)(rni_cuda_device *device, const rn_op *op, const rn_value *values, void **state);
    void (*release)(rni_cuda_device *device, void *state); /* with prepare */
    /* Enqueues the op, or num_ops of them. Never waits, never allocates; may run inside a stream capture. */
    rn_status (*run)(const rni_cuda_call *call);
    /*
     * How many of a program's `left` ops from the first on it runs at once, 1 at least. NULL: 1. Runs that begin behind the
     * first or end before the last of them may come as well: of several with what prepare_together made for all, of
     * one as an op alone.
     */
    uint32_t (*together)(const rn_op *ops, const rn_value *values, uint32_t left);
    rn_status (*prepare_together)(rni_cuda_device *device, const rn_op *ops, const rn_value *values, uint32_t count,
                                  void **state); /* NULL: nothing */
    void (*release_together)(rni_cuda_device *device, void *state);
    /* Bytes of a filter's gradient that run() leaves in call->leave for rni_k_filters_add(). NULL, 0: none. */
    uint64_t (*leaves)(const rn_op *op, const rn_value *values, const void *state);
} rni_cuda_driver;

/* RN_OK, or a failure with CUDA's text; `what` is a verb phrase. Sticky errors mark the device lost. (device.c) */
rn_status rni_cuda_result(rni_cuda_device *device, cudaError_t error, const char *what);
/* The result of a kernel launch: the text names the op. (program.c) */
rn_status rni_cuda_launched(const rni_cuda_call *call, cudaError_t error);

static inline const rn_value *rni_cuda_in_value(const rni_cuda_call *c, uint32_t i)
{
    return i < c->op->num_in && c->op->in[i] != RN_NO_VALUE ? &c->values[c->op->in[i]] : NULL;
}

static inline const rn_value *rni_cuda_out_value(const rni_cuda_call *c, uint32_t i)
{
    return i < c->op->num_out && c->op->out[i] != RN_NO_VALUE ? &c->values[c->op->out[i]] : NULL;
}

static inline void *rni_cuda_address(const rni_cuda_call *c, const rn_value *v)
{
    return v ? (char *)c->run->base[v->role] + v->offset : NULL;
}

/* Device addresses; NULL for an absent operand. */
static inline const void *rni_cuda_in(const rni_cuda_call *c, uint32_t i)
{
    return rni_cuda_address(c, rni_cuda_in_value(c, i));
}

static inline void *rni_cuda_out(const rni_cuda_call *c, uint32_t i)
{
    return rni_cuda_address(c, rni_cuda_out_value(c, i));
}

static inline void *rni_cuda_workspace(const rni_cuda_call *c)
{
    if (c->op->workspace == RN_NO_VALUE)
        return NULL;
    return c->workspace ? c->workspace : rni_cuda_address(c, &c->values[c->op->workspace]);
}

/* Images of a value in this run: dims[0], or the run's batch. */
static inline int64_t rni_cuda_images(const rni_cuda_call *c, const rn_value *v)
{
    return v->rank == 0 ? 1 : v->batch_axis == 0 ? c->run->batch : v->dims[0];
}

/* Elements per image and channel: the product of dims from 2 on. */
static inline int64_t rni_cuda_pixels(const rn_value *v)
{
    int64_t n = 1;
    for (int32_t i = 2; i < v->rank; i++)
        n *= v->dims[i];
    return n;
}

/* Elements of a value in this run. */
static inline int64_t rni_cuda_count(const rni_cuda_call *c, const rn_value *v)
{
    return rni_cuda_images(c, v) * (v->rank > 1 ? v->dims[1] : 1) * rni_cuda_pixels(v);
}

#endif
