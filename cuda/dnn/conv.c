/* SPDX-License-Identifier: MIT */
#include "dnn/conv.h"
#include "base/error.h"
#include "dnn/cache.h"
#include "kernels/pad_channels.h"
#include "workspace.h"
#include <string.h>

/* How one batch size is served: the plan, and where its workspace lies in the op's. */
typedef struct service {
    const rni_dnn_plan *plan;
    int32_t padded; /* x and w are filled up with channels of zeros */
    uint64_t bias, x, w, plan_workspace, total;
} service;

typedef struct batch_service {
    struct batch_service *next;
    int64_t batch;
    rn_status status; /* RN_E_UNSUPPORTED: no plan for this batch */
    service served;
} batch_service;

struct rni_dnn_conv {
    rni_cuda_device *device;
    rni_dnn_shape shape; /* of the largest batch, as the op has it; limit: the op's workspace */
    batch_service *batches;
};

/* Tensor-core engines want channels in multiples of this. */
enum { CHANNELS = 8 };

static int64_t filled_up(int64_t channels)
{
    return (channels + CHANNELS - 1) / CHANNELS * CHANNELS;
}

/*
 * 2-byte images of odd channels: without tensor cores, or with workspaces of hundreds of MiB, unless they are filled up.
 * Not dx, which would have to be cut again, nor a sum in dw.
 */
static int wants_padding(const rni_dnn_shape *s)
{
    return s->dtype != RN_F32 && s->groups == 1 && s->in[0] % CHANNELS != 0 && s->kind != RN_OP_CONV_BACKWARD_DATA &&
           !(s->flags & RN_OPF_ACCUMULATE);
}

/* 1: cuDNN's bias must be of the images' type, and be there. */
static int makes_bias(const rni_dnn_shape *s)
{
    return rni_dnn_has_epilogue(s) && (s->dtype != RN_F32 || !(s->flags & RN_OPF_BIAS));
}

static rn_status serve_as(rni_dnn *dnn, rni_dnn_shape shape, int padded, int measure,
                          const rni_dnn_rival *rival, service *out)
{
    const uint64_t available = shape.limit;
    service at = {.padded = padded};
    if (makes_bias(&shape))
        at.bias = rni_part(&at.total, (uint64_t)shape.out[0] * rn_dtype_size((rn_dtype)shape.dtype));
    if (padded) {
        shape.in[0] = filled_up(shape.in[0]);
        RNI_TRY(rni_dnn_shape_check(&shape)); /* before sizes are multiplied */
        at.x = rni_part(&at.total, (uint64_t)rni_dnn_input_count(&shape) * rn_dtype_size((rn_dtype)shape.dtype));
        at.w = rni_part(&at.total, (uint64_t)rni_dnn_filter_count(&shape) * rn_dtype_size((rn_dtype)shape.dtype));
    }
    if (at.total > available)
        return rni_fail(RN_E_UNSUPPORTED,
                        "a convolution needs %llu bytes of workspace besides cuDNN's, %llu are allowed",
                        (unsigned long long)at.total, (unsigned long long)available);
    shape.limit = available - at.total;
    RNI_TRY(rni_dnn_find(dnn, &shape, measure, rival, &at.plan));
    at.plan_workspace = at.total;
    at.total += at.plan->workspace;
    *out = at;
    return RN_OK;
}

static rn_status serve(rni_dnn *dnn, const rni_dnn_shape *shape, int measure,
                          const rni_dnn_rival *rival, service *out)
{
    RNI_TRY(rni_dnn_shape_check(shape));
    if (wants_padding(shape)) {
        const rn_status status = serve_as(dnn, *shape, 1, measure, rival, out);
        if (status != RN_E_UNSUPPORTED)
            return status;
    }
    return serve_as(dnn, *shape, 0, measure, rival, out);
}

static rn_status serve_locked(rni_dnn *dnn, const rni_dnn_shape *shape, int measure,
                          const rni_dnn_rival *rival, service *out)
{
    pthread_mutex_lock(&dnn->lock);
    const rn_status status = serve(dnn, shape, measure, rival, out);
    pthread_mutex_unlock(&dnn->lock);
    return status;
}

static rn_status need_dnn(const rni_cuda_device *device, const rni_dnn_problem *problem)
{
    if (!device->dnn)
        return rni_fail(RN_E_UNSUPPORTED, "convolutions are the module's own on this device");
    if (problem->flags & RN_OPF_STATS && !device->fuse)
        return rni_fail(RN_E_UNSUPPORTED, "convolutions deliver no statistics unless RN_CUDA_FUSE asks for it");
    if (problem->flags & RNI_DNN_PROLOGUE && device->fuse < RNI_CUDA_FUSE_PROLOGUE)
        return rni_fail(RN_E_UNSUPPORTED, "convolutions do not normalise their input unless RN_CUDA_FUSE asks for it");
    if (problem->dtype == RN_F32 || problem->dtype == RN_F16 || (problem->dtype == RN_BF16 && device->capability >= 80))
        return RN_OK;
    return rni_fail(RN_E_UNSUPPORTED, "a convolution of this dtype at capability %d.%d", (int)device->capability / 10,
                    (int)device->capability % 10);
}

rn_status rni_dnn_conv_query(rni_cuda_device *device, const rni_dnn_problem *problem, uint64_t *workspace)
{
    service served;
    RNI_TRY(need_dnn(device, problem));
    const rni_dnn_shape shape = rni_dnn_shape_of(problem, device->workspace_limit);
    RNI_TRY(serve_locked(device->dnn, &shape, 1, problem->rival, &served));
    *workspace = served.total;
    return RN_OK;
}

static rn_status add_batch(rni_dnn_conv *conv, int64_t batch, rn_status status, const service *served,
                           batch_service **out)
{
    const rn_host_api *const host = conv->device->host;
    batch_service *const b = host->alloc(host->host, sizeof *b, _Alignof(batch_service));
    if (!b)
        return rni_fail(RN_E_NOMEM, "no memory for a convolution's plan");
    *b = (batch_service){conv->batches, batch, status, *served};
    conv->batches = b;
    if (out)
        *out = b;
    return RN_OK;
}

rn_status rni_dnn_conv_prepare(rni_cuda_device *device, const rni_dnn_problem *problem, rni_dnn_conv **out)
{
    const rn_host_api *const host = device->host;
    service served;
    *out = NULL;
    RNI_TRY(need_dnn(device, problem));
    const rni_dnn_shape shape = rni_dnn_shape_of(problem, device->workspace_limit);
    RNI_TRY(serve_locked(device->dnn, &shape, 1, problem->rival, &served));
    rni_dnn_conv *const conv = host->alloc(host->host, sizeof *conv, _Alignof(rni_dnn_conv));
    if (!conv)
        return rni_fail(RN_E_NOMEM, "no memory for a convolution");
    *conv = (rni_dnn_conv){device, shape, NULL};
    conv->shape.limit = served.total;
    const rn_status status = add_batch(conv, shape.batch, RN_OK, &served, NULL);
    if (status != RN_OK)
        rni_dnn_conv_release(device, conv);
    else
        *out = conv;
    return status;
}

void rni_dnn_conv_release(rni_cuda_device *device, rni_dnn_conv *conv)
{
    const rn_host_api *const host = device->host;
    if (!conv)
        return;
    while (conv->batches) {
        batch_service *const b = conv->batches;
        conv->batches = b->next;
        host->free(host->host, b, sizeof *b, _Alignof(batch_service));
    }
    host->free(host->host, conv, sizeof *conv, _Alignof(rni_dnn_conv));
}

/* The lock is held. */
static rn_status service_of(rni_dnn_conv *conv, int64_t batch, const service **out)
{
    batch_service *b = conv->batches;
    while (b && b->batch != batch)
        b = b->next;
    if (!b) {
        service served = {0};
        rni_dnn_shape shape = conv->shape;
        shape.batch = batch;
        const rn_status status = serve(conv->device->dnn, &shape, 0, NULL, &served);
        if (status != RN_OK && status != RN_E_UNSUPPORTED)
            return status;
        RNI_TRY(add_batch(conv, batch, status, &served, &b));
    }
    *out = &b->served;
    return b->status == RN_OK ? RN_OK
                              : rni_fail(b->status, "cuDNN has no plan for a batch of %lld in the workspace of %lld's",
                                         (long long)batch, (long long)conv->shape.batch);
}

rn_status rni_dnn_conv_serves(rni_dnn_conv *conv, int64_t batch)
{
    rni_dnn *const dnn = conv->device->dnn;
    const service *s;
    pthread_mutex_lock(&dnn->lock);
    const rn_status status = service_of(conv, batch, &s);
    pthread_mutex_unlock(&dnn->lock);
    return status;
}

static rn_status kernel_result(const rni_dnn_conv *conv, cudaError_t error)
{
    return rni_cuda_result(conv->device, error, "launch a kernel that prepares a convolution");
}

/* Fills or cuts channels of images or filters: `pixels` of them. */
static rn_status channels(const rni_dnn_conv *conv, cudaStream_t stream, const void *from, int64_t from_channels,
                          void *to, int64_t to_channels, int64_t pixels)
{
    return kernel_result(conv, rni_k_pad_channels(stream, from, to, pixels, from_channels, to_channels));
}

/* What cuDNN reads and writes: the op's operands, or their stand-ins in the workspace. */
typedef struct stand_ins {
    void *x, *w;
    const void *bias;
} stand_ins;

static rn_status before(const rni_dnn_conv *conv, cudaStream_t stream, const service *s, const rni_dnn_operands *op,
                        char *workspace, stand_ins *to)
{
    const rni_dnn_shape *const shape = &s->plan->shape;
    const int64_t in = conv->shape.in[0], padded = shape->in[0];
    *to = (stand_ins){op->x, op->w, op->bias};
    if (s->padded) {
        to->x = workspace + s->x;
        to->w = workspace + s->w;
        RNI_TRY(channels(conv, stream, op->x, in, to->x, padded, shape->batch * shape->in[1] * shape->in[2]));
        if (shape->kind == RN_OP_CONV_FORWARD)
            RNI_TRY(
                channels(conv, stream, op->w, in, to->w, padded, shape->out[0] * shape->kernel[0] * shape->kernel[1]));
    }
    if (!makes_bias(shape))
        return RN_OK;
    to->bias = workspace + s->bias;
    const float *const bias = shape->flags & RN_OPF_BIAS ? op->bias : NULL;
    return kernel_result(conv, rni_k_bias_cast(stream, bias, workspace + s->bias, shape->out[0], shape->dtype));
}

static rn_status after(const rni_dnn_conv *conv, cudaStream_t stream, const service *s, const rni_dnn_operands *op,
                       const stand_ins *to)
{
    const rni_dnn_shape *const shape = &s->plan->shape;
    if (!s->padded || shape->kind != RN_OP_CONV_BACKWARD_FILTER)
        return RN_OK;
    return channels(conv, stream, to->w, shape->in[0], op->w, conv->shape.in[0],
                    shape->out[0] * shape->kernel[0] * shape->kernel[1]);
}

static rn_status execute(const rni_dnn_conv *conv, cudaStream_t stream, const service *s, const rni_dnn_operands *op,
                         const stand_ins *to, char *workspace)
{
    const rni_dnn *const dnn = conv->device->dnn;
    const rni_dnn_shape *const shape = &s->plan->shape;
    rni_dnn_operand operands[7] = {{RNI_DNN_X, to->x}, {RNI_DNN_W, to->w}, {RNI_DNN_Y, op->y}};
    int32_t count = 3;
    if (rni_dnn_has_epilogue(shape))
        operands[count++] = (rni_dnn_operand){RNI_DNN_BIAS, (void *)to->bias};
    if (shape->flags & RN_OPF_ADD)
        operands[count++] = (rni_dnn_operand){RNI_DNN_RESIDUAL, (void *)op->residual};
    if (shape->flags & RN_OPF_STATS) {
        operands[count++] = (rni_dnn_operand){RNI_DNN_TOTALS, op->totals};
        operands[count++] = (rni_dnn_operand){RNI_DNN_SQUARES, op->squares};
    }
    if (shape->flags & RNI_DNN_PROLOGUE) {
        operands[count++] = (rni_dnn_operand){RNI_DNN_SCALE, (void *)op->scale};
        operands[count++] = (rni_dnn_operand){RNI_DNN_SHIFT, (void *)op->shift};
    }
    return dnn->api->execute(dnn->handle, stream, s->plan, operands, count, workspace + s->plan_workspace,
                             s->plan->workspace);
}

static rn_status run(rni_dnn_conv *conv, cudaStream_t stream, int64_t batch, const rni_dnn_operands *operands,
                     void *workspace)
{
    const service *s = NULL;
    stand_ins to;
    RNI_TRY(service_of(conv, batch, &s));
    RNI_TRY(before(conv, stream, s, operands, workspace, &to));
    RNI_TRY(execute(conv, stream, s, operands, &to, workspace));
    return after(conv, stream, s, operands, &to);
}

rn_status rni_dnn_conv_run(rni_dnn_conv *conv, cudaStream_t stream, int64_t batch, const rni_dnn_operands *operands,
                           void *workspace)
{
    rni_dnn *const dnn = conv->device->dnn;
    pthread_mutex_lock(&dnn->lock);
    const rn_status status = run(conv, stream, batch, operands, workspace);
    pthread_mutex_unlock(&dnn->lock);
    return status;
}

const struct rni_dnn_plan *rni_dnn_conv_plan(const rni_dnn_conv *conv, int32_t *padded)
{
    const batch_service *b = conv->batches;
    while (b->batch != conv->shape.batch)
        b = b->next;
    *padded = b->served.padded;
    return b->served.plan;
}
