/* SPDX-License-Identifier: MIT */
/*
 * Convolution ops through cuDNN, for the drivers of cuda/ops. A problem that no plan serves is RN_E_UNSUPPORTED: the
 * module's own kernel takes it.
 */
#ifndef RNI_CUDA_DNN_CONV_H
#define RNI_CUDA_DNN_CONV_H

#include "cuda.h"

/* device->dnn. RN_E_BACKEND with cuDNN's text when there is no handle to be had. */
rn_status rni_dnn_open(rni_cuda_device *device, rni_dnn **out);
void rni_dnn_close(rni_dnn *dnn); /* after the last release; NULL is fine */

/* Another way to run a convolution, which is measured beside cuDNN's plans. */
typedef struct rni_dnn_rival rni_dnn_rival;

/*
 * A flag of the module's own beside the ops': what is convolved is ReLU(x scale + shift), never in memory. f16 with
 * channels in multiples of 8, and no engine that cuDNN would compile.
 */
#define RNI_DNN_PROLOGUE (1u << 31)

/* A convolution op. */
typedef struct rni_dnn_problem {
    const rn_conv_params *params; /* copied where it is kept */
    int32_t kind; /* RN_OP_CONV_FORWARD, RN_OP_CONV_BACKWARD_DATA, RN_OP_CONV_BACKWARD_FILTER */
    uint32_t flags; /* BIAS, ADD, RELU, or STATS alone, of FORWARD; ACCUMULATE of the others: dx or dw += instead of =;
                       RNI_DNN_PROLOGUE of FORWARD, with STATS or alone, and of BACKWARD_FILTER */
    int32_t dtype; /* of all operands but the bias: RN_F32, RN_BF16, RN_F16 */
    int64_t batch; /* the largest that will run */
    const rni_dnn_rival *rival; /* NULL for none. Where it is the fastest, there is no plan */
} rni_dnn_problem;

/*
 * Addresses on the device, multiples of 16 bytes. Images are NHWC; w and dw are O,H,W,I (I: in_channels / groups).
 * The output may not share memory with another operand.
 */
typedef struct rni_dnn_operands {
    void *x; /* input, or dx */
    void *w; /* filter, or dw: of the problem's dtype, also where the op's dw is f32 OIHW */
    void *y; /* output, or dy */
    const float *bias; /* BIAS: f32 [out_channels] */
    const void *residual; /* ADD: as y */
    const void *scale, *shift; /* PROLOGUE: of the problem's dtype, [in_channels] */
    float *totals, *squares; /* STATS: f32 [out_channels], sums of y and of y^2 over all images and pixels */
} rni_dnn_operands;

struct rni_dnn_rival {
    cudaError_t (*run)(const rni_dnn_rival *rival, cudaStream_t stream, const rni_dnn_operands *operands, void *workspace);
    uint64_t workspace; /* bytes, in memory that is aligned to 256 */
};

/*
 * Bytes of workspace for any batch up to the problem's. Builds the plan, with RN_CUDA_AUTOTUNE=1 by measuring; it stays
 * in the device's cache.
 */
rn_status rni_dnn_conv_query(rni_cuda_device *device, const rni_dnn_problem *problem, uint64_t *workspace);

/* What runs a problem. */
typedef struct rni_dnn_conv rni_dnn_conv;
rn_status rni_dnn_conv_prepare(rni_cuda_device *device, const rni_dnn_problem *problem, rni_dnn_conv **out);
void rni_dnn_conv_release(rni_cuda_device *device, rni_dnn_conv *conv);
/* RN_OK: `batch` images can run, the plan is there. RN_E_UNSUPPORTED: rni_dnn_conv_run() would say so. */
rn_status rni_dnn_conv_serves(rni_dnn_conv *conv, int64_t batch);

/*
 * Enqueues it for `batch` images. The first run of a batch other than the problem's builds its plan (on the host).
 * RN_E_UNSUPPORTED: no plan for that batch in this workspace; nothing was enqueued, the module's own kernel may run.
 */
rn_status rni_dnn_conv_run(rni_dnn_conv *conv, cudaStream_t stream, int64_t batch, const rni_dnn_operands *operands,
                           void *workspace);

/* The plan of the largest batch, for reports; *padded: with channels filled up to a multiple of 8. */
const struct rni_dnn_plan *rni_dnn_conv_plan(const rni_dnn_conv *conv, int32_t *padded);

#endif
