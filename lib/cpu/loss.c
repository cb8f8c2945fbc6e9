/* SPDX-License-Identifier: MIT */
/* Losses: their value goes to the metrics, their gradient, times grad_scale, out. */
#include "base/error.h"
#include "ops/operands.h"
#include "cpu/driver.h"
#include <math.h>

enum { ROW_ELEMENTS = 1024, PIXEL_ELEMENTS = 4096 };

/* What one chunk found. */
typedef struct partial {
    double loss;
    int64_t correct;
} partial;

typedef struct loss_task {
    const rni_typed_kernels *kernels;
    const void *x, *target;
    void *dx;
    partial *partial;
    size_t size, images, k, pixels, group; /* group: rows or pixels per chunk */
    double smoothing, factor;
} loss_task;

/* One batch's mean loss. The sum grows by images, so that batches of several sizes average right. */
static void add_metrics(rn_step_metrics *m, double loss, int64_t images, int64_t correct)
{
    const int nonfinite = !isfinite(loss);
    m->loss_sum += loss * (double)images;
    m->last_loss = loss;
    m->count += images;
    m->correct += correct;
    m->steps += 1;
    m->nonfinite += nonfinite;
    m->step_nonfinite |= nonfinite; /* stays over micro-batches; the plan clears it */
}

/* What the gradient of the loss is multiplied by. */
static double gradient_factor(const rni_cpu_call *c)
{
    const rn_step_metrics *const m = rni_cpu_out(c, 1);
    return c->op->flags & RN_OPF_LOSS_SCALE ? c->run->grad_scale * m->loss_scale : c->run->grad_scale;
}

static int wants_gradient(const rni_cpu_call *c)
{
    return !(c->op->flags & RN_OPF_NO_GRAD);
}

static rn_status check_labels(const rni_cpu_call *c, const int64_t *labels, size_t images, size_t classes)
{
    for (size_t i = 0; i < images; i++)
        if (labels[i] < 0 || labels[i] >= (int64_t)classes)
            return rni_ops_refuse(c->op, RN_E_INVALID, "label %zu: 0 to %zu expected, got %lld", i, classes - 1,
                                  (long long)labels[i]);
    return RN_OK;
}

static void cross_entropy_chunk(void *arg, size_t index)
{
    const loss_task *const t = arg;
    const size_t first = index * t->group, rows = rni_min_size(t->group, t->images - first), at = first * t->k;
    partial p = {0, 0};
    p.loss = t->kernels->cross_entropy(rni_at_const(t->x, at, t->size), (const int64_t *)t->target + first, rows, t->k,
                                       t->smoothing, t->factor, rni_at(t->dx, at, t->size), &p.correct);
    t->partial[index] = p;
}

static void soft_cross_entropy_chunk(void *arg, size_t index)
{
    const loss_task *const t = arg;
    const size_t first = index * t->group, rows = rni_min_size(t->group, t->images - first), at = first * t->k;
    partial p = {0, 0};
    p.loss = t->kernels->soft_cross_entropy(rni_at_const(t->x, at, t->size), rni_at_const(t->target, at, t->size), rows,
                                            t->k, t->smoothing, t->factor, rni_at(t->dx, at, t->size), &p.correct);
    t->partial[index] = p;
}

static rn_status cross_entropy_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]];
    (void)cpu;
    RNI_TRY(rni_ops_check_cross_entropy(op, values));
    const size_t group = rni_ceil_div(ROW_ELEMENTS, (size_t)x->dims[1]);
    info->workspace = rni_ceil_div((size_t)x->dims[0], group) * sizeof(partial);
    return RN_OK;
}

/* The task without its chunks. */
static loss_task task_of(const rni_cpu_call *c, const rn_value *x)
{
    loss_task t = {.kernels = rni_cpu_typed(c, x->dtype), .x = rni_cpu_in(c, 0), .target = rni_cpu_in(c, 1)};
    t.dx = wants_gradient(c) ? rni_cpu_out(c, 0) : NULL;
    t.partial = rni_cpu_workspace(c);
    t.size = rn_dtype_size(x->dtype);
    t.images = rni_cpu_images(c, x);
    return t;
}

static partial combine(const loss_task *t, size_t chunks)
{
    partial all = {0, 0};
    for (size_t i = 0; i < chunks; i++) {
        all.loss += t->partial[i].loss;
        all.correct += t->partial[i].correct;
    }
    return all;
}

static rn_status cross_entropy_run(const rni_cpu_call *c)
{
    const rn_cross_entropy_params *const p = c->op->params;
    const rn_value *const x = rni_cpu_in_value(c, 0);
    loss_task t = task_of(c, x);
    t.k = (size_t)x->dims[1];
    t.group = rni_ceil_div(ROW_ELEMENTS, t.k);
    t.smoothing = p->label_smoothing;
    t.factor = gradient_factor(c) / (double)t.images;
    const int soft = c->op->kind == RN_OP_SOFT_CROSS_ENTROPY;
    if (!soft)
        RNI_TRY(check_labels(c, t.target, t.images, t.k));
    const size_t chunks = rni_ceil_div(t.images, t.group);
    RNI_TRY(rni_cpu_for(c, soft ? soft_cross_entropy_chunk : cross_entropy_chunk, &t, chunks, t.images * t.k * 16));
    const partial all = combine(&t, chunks);
    add_metrics(rni_cpu_out(c, 1), all.loss / (double)t.images, (int64_t)t.images, all.correct);
    return RN_OK;
}

static void mse_chunk(void *arg, size_t index)
{
    const loss_task *const t = arg;
    const size_t chunks = rni_ceil_div(t->pixels, t->group), first = index % chunks * t->group;
    const size_t at = index / chunks * t->pixels * t->k;
    t->partial[index].correct = 0;
    t->partial[index].loss = t->kernels->squared_error(
        rni_at_const(t->x, at, t->size), rni_at_const(t->target, at, t->size), t->k, t->pixels, first,
        rni_min_size(first + t->group, t->pixels), t->factor, rni_at(t->dx, at, t->size));
}

/* NHWC is walked by image and pixel; in plain layout everything is one long row of pixels. Returns the chunks. */
static size_t mse_cut(const rn_value *x, size_t images, size_t count, size_t *k, size_t *pixels, size_t *group)
{
    const int nhwc = x->layout == RN_LAYOUT_NHWC;
    *k = nhwc ? (size_t)x->dims[1] : 1;
    *pixels = nhwc ? rni_cpu_pixels(x) : count;
    *group = rni_ceil_div(PIXEL_ELEMENTS, *k);
    return (nhwc ? images : 1) * rni_ceil_div(*pixels, *group);
}

static rn_status mse_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]];
    size_t k, pixels, group;
    (void)cpu;
    info->workspace = mse_cut(x, (size_t)x->dims[0], rni_cpu_capacity(x), &k, &pixels, &group) * sizeof(partial);
    return RN_OK;
}

static rn_status mse_run(const rni_cpu_call *c)
{
    const rn_value *const x = rni_cpu_in_value(c, 0);
    const size_t count = rni_cpu_count(c, x);
    loss_task t = task_of(c, x);
    const size_t chunks = mse_cut(x, t.images, count, &t.k, &t.pixels, &t.group);
    t.factor = gradient_factor(c) / (double)count;
    RNI_TRY(rni_cpu_for(c, mse_chunk, &t, chunks, count));
    add_metrics(rni_cpu_out(c, 1), combine(&t, chunks).loss / (double)count, (int64_t)t.images, 0);
    return RN_OK;
}

const rni_cpu_driver rni_cpu_cross_entropy = {cross_entropy_query, cross_entropy_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_soft_cross_entropy = {cross_entropy_query, cross_entropy_run, RNI_BF16_WIDENED};
const rni_cpu_driver rni_cpu_mse = {mse_query, mse_run, RNI_BF16_WIDENED};
