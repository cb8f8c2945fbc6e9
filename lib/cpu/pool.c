/* SPDX-License-Identifier: MIT */
/* Max and average pooling over NHWC images. Global average pooling is a window as large as the image. */
#include "ops/operands.h"
#include "cpu/driver.h"

typedef struct pool_task {
    const rni_typed_kernels *kernels;
    rni_pool pool;
    const void *x, *y, *dy;
    void *out;
    size_t rows, group; /* rows in all, rows per task */
    size_t blocks;      /* of channels, per image */
} pool_task;

enum { CHANNEL_BLOCK = 64, TASK_ELEMENTS = 8192 };

static rni_pool pool_of(const rn_op *op, const rn_value *in, const rn_value *out)
{
    rni_pool p = {.channels = (size_t)in->dims[1],
                  .height = (size_t)in->dims[2],
                  .width = (size_t)in->dims[3],
                  .out_height = (size_t)out->dims[2],
                  .out_width = (size_t)out->dims[3],
                  .kernel = {(size_t)in->dims[2], (size_t)in->dims[3]},
                  .stride = {1, 1},
                  .exclude_padding = (op->flags & RN_OPF_EXCLUDE_PADDING) != 0,
                  .adaptive = (op->flags & RN_OPF_ADAPTIVE) != 0};
    const rn_pool_params *const params = op->params;
    const int global = op->kind == RN_OP_GLOBAL_AVGPOOL || op->kind == RN_OP_GLOBAL_AVGPOOL_BACKWARD;
    for (int i = 0; i < 2 && !global && !p.adaptive; i++) {
        p.kernel[i] = (size_t)params->kernel[i];
        p.stride[i] = (size_t)params->stride[i];
        p.padding[i] = (size_t)params->padding[i];
    }
    return p;
}

static rn_status query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return rni_ops_check_pool(op, values);
}

static void maxpool_rows(void *arg, size_t index)
{
    const pool_task *const t = arg;
    const size_t first = index * t->group;
    t->kernels->maxpool(&t->pool, t->x, t->out, first, rni_min_size(first + t->group, t->rows));
}

static void avgpool_rows(void *arg, size_t index)
{
    const pool_task *const t = arg;
    const size_t first = index * t->group;
    t->kernels->avgpool(&t->pool, t->x, t->out, first, rni_min_size(first + t->group, t->rows));
}

static void avgpool_backward_rows(void *arg, size_t index)
{
    const pool_task *const t = arg;
    const size_t first = index * t->group;
    t->kernels->avgpool_backward(&t->pool, t->dy, t->out, first, rni_min_size(first + t->group, t->rows));
}

static void maxpool_backward_block(void *arg, size_t index)
{
    const pool_task *const t = arg;
    const size_t c0 = index % t->blocks * CHANNEL_BLOCK;
    t->kernels->maxpool_backward(&t->pool, t->dy, t->x, t->y, t->out, index / t->blocks, c0,
                                 rni_min_size(c0 + CHANNEL_BLOCK, t->pool.channels));
}

/* Runs a task over rows; a row costs `row_work` element visits. */
static rn_status run_rows(const rni_cpu_call *c, rn_task_fn task, pool_task *t, size_t row_work)
{
    t->group = rni_ceil_div(TASK_ELEMENTS, row_work);
    return rni_cpu_for(c, task, t, rni_ceil_div(t->rows, t->group), t->rows * row_work);
}

static rn_status run_forward(const rni_cpu_call *c, rn_task_fn task)
{
    const rn_value *const x = rni_cpu_in_value(c, 0);
    pool_task t = {.kernels = rni_cpu_typed(c, x->dtype), .pool = pool_of(c->op, x, rni_cpu_out_value(c, 0))};
    t.x = rni_cpu_in(c, 0);
    t.out = rni_cpu_out(c, 0);
    t.rows = rni_cpu_images(c, x) * t.pool.out_height;
    return run_rows(c, task, &t, t.pool.out_width * t.pool.channels * t.pool.kernel[0] * t.pool.kernel[1]);
}

static rn_status maxpool_run(const rni_cpu_call *c)
{
    return run_forward(c, maxpool_rows);
}

static rn_status avgpool_run(const rni_cpu_call *c)
{
    return run_forward(c, avgpool_rows);
}

static rn_status avgpool_backward_run(const rni_cpu_call *c)
{
    const rn_value *const dx = rni_cpu_out_value(c, 0);
    pool_task t = {.kernels = rni_cpu_typed(c, dx->dtype), .pool = pool_of(c->op, dx, rni_cpu_in_value(c, 0))};
    t.dy = rni_cpu_in(c, 0);
    t.out = rni_cpu_out(c, 0);
    t.rows = rni_cpu_images(c, dx) * t.pool.height;
    return run_rows(c, avgpool_backward_rows, &t, t.pool.width * t.pool.channels);
}

/* Windows overlap in dx, so an image's channels are not cut further. */
static rn_status maxpool_backward_run(const rni_cpu_call *c)
{
    const rn_value *const x = rni_cpu_in_value(c, 1);
    pool_task t = {.kernels = rni_cpu_typed(c, x->dtype), .pool = pool_of(c->op, x, rni_cpu_in_value(c, 2))};
    t.dy = rni_cpu_in(c, 0);
    t.x = rni_cpu_in(c, 1);
    t.y = rni_cpu_in(c, 2);
    t.out = rni_cpu_out(c, 0);
    t.blocks = rni_ceil_div(t.pool.channels, CHANNEL_BLOCK);
    return rni_cpu_for(c, maxpool_backward_block, &t, rni_cpu_images(c, x) * t.blocks, rni_cpu_count(c, x));
}

const rni_cpu_driver rni_cpu_maxpool = {query, maxpool_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_avgpool = {query, avgpool_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_avgpool_backward = {query, avgpool_backward_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_maxpool_backward = {query, maxpool_backward_run, RNI_BF16_AVX2};
