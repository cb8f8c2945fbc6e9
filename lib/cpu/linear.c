/* SPDX-License-Identifier: MIT */
/* Fully connected layers. Every output is summed in one order that no batch size changes. */
#include "ops/operands.h"
#include "cpu/driver.h"

/* Images and outputs per task. */
enum { ROWS = 16, COLUMNS = 32 };

typedef struct linear_task {
    const rni_typed_kernels *kernels;
    rni_linear all; /* the whole: n1, o1 are the sizes */
    size_t blocks;  /* of outputs */
    void *out;
} linear_task;

static rn_status check(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return rni_ops_check_linear(op, values);
}

static rni_linear part_of(const linear_task *t, size_t index)
{
    rni_linear l = t->all;
    l.n0 = index / t->blocks * ROWS;
    l.n1 = rni_min_size(l.n0 + ROWS, t->all.n1);
    l.o0 = index % t->blocks * COLUMNS;
    l.o1 = rni_min_size(l.o0 + COLUMNS, t->all.o1);
    return l;
}

static void forward_part(void *arg, size_t index)
{
    const linear_task *const t = arg;
    const rni_linear l = part_of(t, index);
    t->kernels->linear(&l);
}

static void data_part(void *arg, size_t index)
{
    const linear_task *const t = arg;
    rni_linear l = t->all;
    l.n0 = index * ROWS;
    l.n1 = rni_min_size(l.n0 + ROWS, t->all.n1);
    t->kernels->linear_data(&l, t->out);
}

static void filter_part(void *arg, size_t index)
{
    const linear_task *const t = arg;
    rni_linear l = t->all;
    l.o0 = index * COLUMNS;
    l.o1 = rni_min_size(l.o0 + COLUMNS, t->all.o1);
    t->kernels->linear_filter(&l, t->out);
}

/* `y` is dy in the backward ops. */
static linear_task task_of(const rni_cpu_call *c, const rn_value *x, const rn_value *y)
{
    linear_task t = {.kernels = rni_cpu_typed(c, x->dtype)};
    t.all.inputs = (size_t)x->dims[1];
    t.all.outputs = (size_t)y->dims[1];
    t.all.n1 = rni_cpu_images(c, x);
    t.all.o1 = t.all.outputs;
    t.blocks = rni_ceil_div(t.all.outputs, COLUMNS);
    return t;
}

static rn_status run(const rni_cpu_call *c, rn_task_fn part, linear_task *t, size_t count)
{
    const rni_linear *const l = &t->all;
    return rni_cpu_for(c, part, t, count, l->n1 * l->inputs * l->outputs / 8); /* several products per element's time */
}

static rn_status forward_run(const rni_cpu_call *c)
{
    linear_task t = task_of(c, rni_cpu_in_value(c, 0), rni_cpu_out_value(c, 0));
    t.all.x = rni_cpu_in(c, 0);
    t.all.w = rni_cpu_in(c, 1);
    t.all.b = c->op->flags & RN_OPF_BIAS ? rni_cpu_in(c, 2) : NULL;
    t.all.y = rni_cpu_out(c, 0);
    t.all.relu = (c->op->flags & RN_OPF_RELU) != 0;
    return run(c, forward_part, &t, rni_ceil_div(t.all.n1, ROWS) * t.blocks);
}

static rn_status data_run(const rni_cpu_call *c)
{
    linear_task t = task_of(c, rni_cpu_out_value(c, 0), rni_cpu_in_value(c, 0));
    t.all.y = rni_cpu_address(c, rni_cpu_in_value(c, 0));
    t.all.w = rni_cpu_in(c, 1);
    t.out = rni_cpu_out(c, 0);
    return run(c, data_part, &t, rni_ceil_div(t.all.n1, ROWS));
}

static rn_status filter_run(const rni_cpu_call *c)
{
    linear_task t = task_of(c, rni_cpu_in_value(c, 0), rni_cpu_in_value(c, 1));
    t.all.x = rni_cpu_in(c, 0);
    t.all.y = rni_cpu_address(c, rni_cpu_in_value(c, 1));
    t.out = rni_cpu_out(c, 0);
    return run(c, filter_part, &t, t.blocks);
}

const rni_cpu_driver rni_cpu_linear = {check, forward_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_linear_backward_data = {check, data_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_linear_backward_filter = {check, filter_run, RNI_BF16_WIDENED};
