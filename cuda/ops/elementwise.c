/* SPDX-License-Identifier: MIT */
/* ReLU and addition over flat arrays, and dropout. */
#include "base/rng.h"
#include "kernels/activations.h"
#include "ops/operands.h"
#include "ops/drivers.h"
#include "ops/shape.h"
#include <math.h>

static rn_status flat(const rni_cuda_call *c, int32_t op, const void *a, const void *b)
{
    const rn_value *const v = rni_cuda_in_value(c, 0);
    return rni_cuda_launched(c, rni_k_flat(c->stream, op, a, b, rni_cuda_out(c, 0), rni_cuda_count(c, v), v->dtype));
}

static rn_status relu_run(const rni_cuda_call *c)
{
    return flat(c, RNI_FLAT_RELU, rni_cuda_in(c, 0), NULL);
}

static rn_status relu_backward_run(const rni_cuda_call *c)
{
    return flat(c, RNI_FLAT_RELU_BACKWARD, rni_cuda_in(c, 0), rni_cuda_in(c, 1));
}

static rn_status add_run(const rni_cuda_call *c)
{
    const int32_t op = c->op->flags & RN_OPF_RELU ? RNI_FLAT_ADD_RELU : RNI_FLAT_ADD;
    return flat(c, op, rni_cuda_in(c, 0), rni_cuda_in(c, 1));
}

static rn_status accumulate_run(const rni_cuda_call *c)
{
    return flat(c, RNI_FLAT_ADD, rni_cuda_in(c, 0), rni_cuda_out(c, 0));
}

const rni_cuda_driver rni_cuda_relu = {.run = relu_run};
const rni_cuda_driver rni_cuda_relu_backward = {.run = relu_backward_run};
const rni_cuda_driver rni_cuda_add = {.run = add_run};
const rni_cuda_driver rni_cuda_accumulate = {.run = accumulate_run};

static rn_status dropout_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]];
    (void)device;
    (void)info;
    RNI_TRY(rni_ops_check_dropout(op, values));
    return x->layout == RN_LAYOUT_NHWC ? rni_cuda_check_image(op, "in", x) : RN_OK;
}

/* In plain layout memory is in the order of the elements' numbers. */
static rn_status dropout_run(const rni_cuda_call *c)
{
    const rn_dropout_params *const p = c->op->params;
    const rn_value *const x = rni_cuda_in_value(c, 0);
    const int nhwc = x->layout == RN_LAYOUT_NHWC;
    const rni_k_dropout d = {
        .x = rni_cuda_in(c, 0),
        .y = rni_cuda_out(c, 0),
        .scalars = c->scalars,
        .images = nhwc ? rni_cuda_images(c, x) : rni_cuda_count(c, x),
        .channels = nhwc ? x->dims[1] : 1,
        .pixels = nhwc ? rni_cuda_pixels(x) : 1,
        .factor = p->p < 1 ? 1 / (1 - p->p) : 0,
        .threshold = (uint32_t)ceil(p->p * 16777216.0), /* u >= p with u = bits / 2^24 */
        .stream = RNI_STREAM_DROPOUT + p->stream,
        .dtype = x->dtype,
        .processors = c->device->processors,
    };
    return rni_cuda_launched(c, rni_k_dropout_rows(c->stream, &d));
}

const rni_cuda_driver rni_cuda_dropout = {.query = dropout_query, .run = dropout_run};
