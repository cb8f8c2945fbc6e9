/* SPDX-License-Identifier: MIT */
/* Fully connected layers. Every output is summed in one order that no batch size changes. */
#include "base/error.h"
#include "ops/rules.h"
#include "cpu/driver.h"

/* Images and outputs per task. */
enum { ROWS = 16, COLUMNS = 32 };

typedef struct linear_task {
    const rni_typed_kernels *kernels;
    rni_linear all; /* the whole: n1, o1 are the sizes */
    size_t blocks;  /* of outputs */
    void *out;
} linear_task;

static rn_status check_linear(const rn_op *op, const rn_value *x, const rn_value *w, const rn_value *y)
{
    if (x->rank != 2 || y->rank != 2 || w->rank != 2 || x->dims[1] != w->dims[1] || y->dims[1] != w->dims[0] ||
        x->dims[0] != y->dims[0] || x->batch_axis != y->batch_axis) {
        char a[RNI_SHAPE_TEXT], b[RNI_SHAPE_TEXT], c[RNI_SHAPE_TEXT];
        return rni_ops_refuse(op, RN_E_SHAPE, "[N, I], [O, I] and [N, O] expected, got %s, %s and %s",
                              rni_shape_text(a, x->rank, x->dims), rni_shape_text(b, w->rank, w->dims),
                              rni_shape_text(c, y->rank, y->dims));
    }
    return RN_OK;
}

static rn_status forward_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const w = &values[op->in[1]];
    (void)cpu;
    (void)info;
    RNI_TRY(check_linear(op, &values[op->in[0]], w, &values[op->out[0]]));
    if (!(op->flags & RN_OPF_BIAS))
        return RN_OK;
    if (op->num_in < 3 || op->in[2] == RN_NO_VALUE)
        return rni_ops_refuse(op, RN_E_INVALID, "in 2, the bias, is missing");
    const rn_value *const b = &values[op->in[2]];
    if (b->rank != 1 || b->dims[0] != w->dims[0])
        return rni_ops_refuse(op, RN_E_SHAPE, "in 2: [%lld] expected", (long long)w->dims[0]);
    return RN_OK;
}

static rn_status data_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return check_linear(op, &values[op->out[0]], &values[op->in[1]], &values[op->in[0]]);
}

static rn_status filter_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return check_linear(op, &values[op->in[0]], &values[op->out[0]], &values[op->in[1]]);
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

const rni_cpu_driver rni_cpu_linear = {forward_query, forward_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_linear_backward_data = {data_query, data_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_linear_backward_filter = {filter_query, filter_run, RNI_BF16_WIDENED};
