/* SPDX-License-Identifier: MIT */
/* The parameter-free shortcut of He et al. 2015 (option A): every stride-th pixel, zeroes in the added channels. */
#include "base/error.h"
#include "ops/rules.h"
#include "cpu/driver.h"
#include <string.h>

typedef struct pad_task {
    const char *in;
    char *out;
    size_t size, images;
    size_t channels, height, width; /* of x */
    size_t out_channels, out_height, out_width, before;
    size_t stride[2];
} pad_task;

static rn_status check_pad(const rn_op *op, const rn_value *x, const rn_value *y)
{
    const rn_pad_shortcut_params *const p = op->params;
    if (x->rank != 4 || y->rank != 4 || x->layout != RN_LAYOUT_NHWC || y->layout != RN_LAYOUT_NHWC)
        return rni_ops_refuse(op, RN_E_SHAPE, "NHWC images expected");
    if (p->stride[0] < 1 || p->stride[1] < 1 || p->channels_before < 0 || p->channels_after < 0)
        return rni_ops_refuse(op, RN_E_INVALID, "strides of at least 1 and no negative channels expected");
    if (x->dims[0] != y->dims[0] || x->batch_axis != y->batch_axis ||
        y->dims[1] != p->channels_before + x->dims[1] + p->channels_after ||
        y->dims[2] != (x->dims[2] - 1) / p->stride[0] + 1 || y->dims[3] != (x->dims[3] - 1) / p->stride[1] + 1) {
        char a[RNI_SHAPE_TEXT], b[RNI_SHAPE_TEXT];
        return rni_ops_refuse(op, RN_E_SHAPE, "%s does not become %s", rni_shape_text(a, 4, x->dims),
                              rni_shape_text(b, 4, y->dims));
    }
    return RN_OK;
}

static rn_status forward_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return check_pad(op, &values[op->in[0]], &values[op->out[0]]);
}

static rn_status backward_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return check_pad(op, &values[op->out[0]], &values[op->in[0]]);
}

static pad_task task_of(const rni_cpu_call *c, const rn_value *x, const rn_value *y)
{
    const rn_pad_shortcut_params *const p = c->op->params;
    return (pad_task){
        .in = rni_cpu_in(c, 0),
        .out = rni_cpu_out(c, 0),
        .size = rn_dtype_size(x->dtype),
        .images = rni_cpu_images(c, x),
        .channels = (size_t)x->dims[1],
        .height = (size_t)x->dims[2],
        .width = (size_t)x->dims[3],
        .out_channels = (size_t)y->dims[1],
        .out_height = (size_t)y->dims[2],
        .out_width = (size_t)y->dims[3],
        .before = (size_t)p->channels_before,
        .stride = {(size_t)p->stride[0], (size_t)p->stride[1]},
    };
}

/* One row of y. */
static void forward_row(void *arg, size_t index)
{
    const pad_task *const t = arg;
    const size_t image = index / t->out_height, row = index % t->out_height * t->stride[0];
    const size_t bytes = t->channels * t->size, out_bytes = t->out_channels * t->size, before = t->before * t->size;
    const char *in = t->in + (image * t->height + row) * t->width * bytes;
    char *out = t->out + index * t->out_width * out_bytes;
    for (size_t ox = 0; ox < t->out_width; ox++, in += t->stride[1] * bytes, out += out_bytes) {
        memset(out, 0, before);
        memcpy(out + before, in, bytes);
        memset(out + before + bytes, 0, out_bytes - before - bytes);
    }
}

/* One row of dx. */
static void backward_row(void *arg, size_t index)
{
    const pad_task *const t = arg;
    const size_t image = index / t->height, row = index % t->height;
    const size_t bytes = t->channels * t->size, out_bytes = t->out_channels * t->size;
    char *const out = t->out + index * t->width * bytes;
    memset(out, 0, t->width * bytes);
    if (row % t->stride[0] != 0)
        return;
    const char *in = t->in + (image * t->out_height + row / t->stride[0]) * t->out_width * out_bytes;
    for (size_t ox = 0; ox < t->out_width; ox++)
        memcpy(out + ox * t->stride[1] * bytes, in + ox * out_bytes + t->before * t->size, bytes);
}

static rn_status forward_run(const rni_cpu_call *c)
{
    const rn_value *const y = rni_cpu_out_value(c, 0);
    pad_task t = task_of(c, rni_cpu_in_value(c, 0), y);
    return rni_cpu_for(c, forward_row, &t, t.images * t.out_height, rni_cpu_count(c, y));
}

static rn_status backward_run(const rni_cpu_call *c)
{
    const rn_value *const dx = rni_cpu_out_value(c, 0);
    pad_task t = task_of(c, dx, rni_cpu_in_value(c, 0));
    return rni_cpu_for(c, backward_row, &t, t.images * t.height, rni_cpu_count(c, dx));
}

const rni_cpu_driver rni_cpu_pad_shortcut = {forward_query, forward_run, RNI_BF16_ALWAYS};
const rni_cpu_driver rni_cpu_pad_shortcut_backward = {backward_query, backward_run, RNI_BF16_ALWAYS};
