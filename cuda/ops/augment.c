/* SPDX-License-Identifier: MIT */
/* Batches of images that lie on the device. */
#include "kernels/augment.h"
#include "ops/drivers.h"
#include "ops/operands.h"
#include <string.h>

static rn_status query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_augment_params *const p = op->params;
    (void)device;
    (void)info;
    RNI_TRY(rni_ops_check_augment(op, values));
    if (p->num_steps > RNI_AUGMENT_STEPS)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "%llu steps, at most %d are possible",
                              (unsigned long long)p->num_steps, RNI_AUGMENT_STEPS);
    if (values[op->out[0]].dims[0] > INT32_MAX)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "batches of more than 2^31 - 1 images");
    return RN_OK;
}

static rn_status run(const rni_cuda_call *c)
{
    const rn_augment_params *const p = c->op->params;
    const rn_value *const from = rni_cuda_in_value(c, 0), *const x = rni_cuda_out_value(c, 0);
    const rn_value *const mean = rni_cuda_in_value(c, 6), *const after = rni_cuda_in_value(c, 7);
    rni_k_augment a = {
        .images = rni_cuda_in(c, 0),
        .labels = rni_cuda_in(c, 1),
        .order = rni_cuda_in(c, 2),
        .key = rni_cuda_in(c, 3),
        .table = rni_cuda_in(c, 4),
        .fill = rni_cuda_in(c, 5),
        .mean = rni_cuda_in(c, 6),
        .after = rni_cuda_in(c, 7),
        .x = rni_cuda_out(c, 0),
        .y = rni_cuda_out(c, 1),
        .rows = rni_cuda_images(c, x),
        .channels = (int32_t)from->dims[1],
        .in_height = (int32_t)from->dims[2],
        .in_width = (int32_t)from->dims[3],
        .out_height = (int32_t)x->dims[2],
        .out_width = (int32_t)x->dims[3],
        .mean_height = mean ? (int32_t)mean->dims[1] : 0,
        .mean_width = mean ? (int32_t)mean->dims[2] : 0,
        .num_after = after ? (int32_t)after->dims[0] : 0,
        .nhwc = x->layout == RN_LAYOUT_NHWC,
        .dtype = x->dtype,
        .processors = c->device->processors,
        .num_steps = (int32_t)p->num_steps,
    };
    memcpy(a.steps, p->steps, (size_t)p->num_steps * sizeof *p->steps);
    return rni_cuda_launched(c, rni_k_augment_rows(c->stream, &a));
}

const rni_cuda_driver rni_cuda_augment = {.query = query, .run = run};
