/* SPDX-License-Identifier: MIT */
/* Max and average pooling over NHWC images. Global average pooling is a window as large as the image. */
#include "base/error.h"
#include "ops/rules.h"
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

/* Sizes that no window leaves the image with, and dims that follow from them. */
static rn_status check_axis(const rn_op *op, int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t padding)
{
    if (kernel < 1 || stride < 1 || padding < 0 || padding > kernel / 2 || size + 2 * padding < kernel)
        return rni_ops_refuse(op, RN_E_SHAPE, "window %lld, stride %lld, padding %lld on %lld pixels",
                              (long long)kernel, (long long)stride, (long long)padding, (long long)size);
    const int64_t expected = (size + 2 * padding - kernel) / stride + 1;
    if (out != expected)
        return rni_ops_refuse(op, RN_E_SHAPE, "%lld output pixels expected on an axis, got %lld", (long long)expected,
                              (long long)out);
    return RN_OK;
}

static rn_status check_pool(const rn_op *op, const rn_value *in, const rn_value *out)
{
    if (in->rank != 4 || out->rank != 4 || in->layout != RN_LAYOUT_NHWC || out->layout != RN_LAYOUT_NHWC)
        return rni_ops_refuse(op, RN_E_SHAPE, "NHWC images expected");
    if (in->dims[0] != out->dims[0] || in->dims[1] != out->dims[1] || in->batch_axis != out->batch_axis)
        return rni_ops_refuse(op, RN_E_SHAPE, "images and channels expected to be equal, got [%lld, %lld] and [%lld, %lld]",
                              (long long)in->dims[0], (long long)in->dims[1], (long long)out->dims[0],
                              (long long)out->dims[1]);
    const int global = op->kind == RN_OP_GLOBAL_AVGPOOL || op->kind == RN_OP_GLOBAL_AVGPOOL_BACKWARD;
    const rn_pool_params *const p = op->params;
    for (int i = 0; i < 2 && !(op->flags & RN_OPF_ADAPTIVE); i++) {
        const int64_t size = in->dims[2 + i], end = out->dims[2 + i];
        RNI_TRY(global ? check_axis(op, size, end, size, 1, 0)
                       : check_axis(op, size, end, p->kernel[i], p->stride[i], p->padding[i]));
    }
    return RN_OK;
}

static rn_status forward_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return check_pool(op, &values[op->in[0]], &values[op->out[0]]);
}

static rn_status avg_backward_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return check_pool(op, &values[op->out[0]], &values[op->in[0]]);
}

static int same_dims(const rn_value *a, const rn_value *b)
{
    int equal = a->rank == b->rank && a->layout == b->layout && a->batch_axis == b->batch_axis;
    for (int32_t i = 0; equal && i < a->rank; i++)
        equal = a->dims[i] == b->dims[i];
    return equal;
}

static rn_status max_backward_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const dy = &values[op->in[0]], *const x = &values[op->in[1]], *const y = &values[op->in[2]];
    (void)cpu;
    (void)info;
    if (!same_dims(dy, y) || !same_dims(x, &values[op->out[0]]))
        return rni_ops_refuse(op, RN_E_SHAPE, "dy of y's dims and dx of x's dims expected");
    return check_pool(op, x, y);
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

const rni_cpu_driver rni_cpu_maxpool = {forward_query, maxpool_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_avgpool = {forward_query, avgpool_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_avgpool_backward = {avg_backward_query, avgpool_backward_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_maxpool_backward = {max_backward_query, maxpool_backward_run, RNI_BF16_AVX2};
