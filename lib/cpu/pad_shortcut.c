/* SPDX-License-Identifier: MIT */
/* The parameter-free shortcut of He et al. 2015 (option A): every stride-th pixel, zeroes in the added channels. */
#include "ops/operands.h"
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

static rn_status query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return rni_ops_check_pad_shortcut(op, values);
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

const rni_cpu_driver rni_cpu_pad_shortcut = {query, forward_run, RNI_BF16_ALWAYS};
const rni_cpu_driver rni_cpu_pad_shortcut_backward = {query, backward_run, RNI_BF16_ALWAYS};
