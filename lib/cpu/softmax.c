/* SPDX-License-Identifier: MIT */
/* Softmax over dimension 1: in [N, K] and in NHWC these values lie side by side. */
#include "ops/operands.h"
#include "cpu/driver.h"

enum { TASK_ELEMENTS = 1024 }; /* exponentials are slow */

typedef struct softmax_task {
    const rni_typed_kernels *kernels;
    const void *a, *y;
    void *out;
    size_t rows, k, group, size;
} softmax_task;

static rn_status query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return rni_ops_check_softmax(op, values);
}

static void forward_rows(void *arg, size_t index)
{
    const softmax_task *const t = arg;
    const size_t first = index * t->group, rows = rni_min_size(t->group, t->rows - first), at = first * t->k;
    t->kernels->softmax(rni_at_const(t->a, at, t->size), rni_at(t->out, at, t->size), rows, t->k);
}

static void backward_rows(void *arg, size_t index)
{
    const softmax_task *const t = arg;
    const size_t first = index * t->group, rows = rni_min_size(t->group, t->rows - first), at = first * t->k;
    t->kernels->softmax_backward(rni_at_const(t->a, at, t->size), rni_at_const(t->y, at, t->size),
                                 rni_at(t->out, at, t->size), rows, t->k);
}

static rn_status run(const rni_cpu_call *c, rn_task_fn task, const void *y)
{
    const rn_value *const x = rni_cpu_in_value(c, 0);
    softmax_task t = {.kernels = rni_cpu_typed(c, x->dtype), .a = rni_cpu_in(c, 0), .y = y, .out = rni_cpu_out(c, 0)};
    t.size = rn_dtype_size(x->dtype);
    t.k = (size_t)x->dims[1];
    t.rows = rni_cpu_count(c, x) / t.k;
    t.group = rni_ceil_div(TASK_ELEMENTS, t.k);
    return rni_cpu_for(c, task, &t, rni_ceil_div(t.rows, t.group), t.rows * t.k * 16);
}

static rn_status forward_run(const rni_cpu_call *c)
{
    return run(c, forward_rows, NULL);
}

static rn_status backward_run(const rni_cpu_call *c)
{
    return run(c, backward_rows, rni_cpu_in(c, 1));
}

const rni_cpu_driver rni_cpu_softmax = {query, forward_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_softmax_backward = {query, backward_run, RNI_BF16_WIDENED};
