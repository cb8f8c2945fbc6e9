/* SPDX-License-Identifier: MIT */
/*
 * Batch normalisation, backward (Ioffe, Szegedy 2015): with g the masked gradient, d = x - mean, r = 1/sqrt(var + eps),
 *   dbeta = sum g, dgamma = r sum(g d), dx = gamma r (g - sum(g)/n - d r^2 sum(g d)/n).
 * One pass sums, one writes dx. Where mean and var are constants (frozen), dx = gamma r g.
 */
#include "base/error.h"
#include "ops/operands.h"
#include "cpu/cut.h"
#include <math.h>
#include <string.h>

/* Arrays per column: mean, the three factors of dx, scale and shift. */
enum { PER_COLUMN = 6 };

typedef struct backward_task {
    const rni_typed_kernels *kernels;
    rni_cut cut;
    size_t size, column_size; /* of elements, and of values per column */
    rni_bn_rows all; /* pointers to the first pixel */
    double *partial; /* [chunk][2][channels]: sum g, sum g d */
} backward_task;

/* The same operands from element `at` and column `column` on. */
static rni_bn_rows rows_from(const backward_task *t, size_t at, size_t column, size_t rows, size_t width)
{
    const rni_bn_rows *const a = &t->all;
    const size_t s = t->size, c = t->column_size;
    return (rni_bn_rows){
        .dy = rni_at_const(a->dy, at, s),
        .x = rni_at_const(a->x, at, s),
        .y = rni_at_const(a->y, at, s),
        .masked = rni_at(a->masked, at, s),
        .dx = rni_at(a->dx, at, s),
        .dres = rni_at(a->dres, at, s),
        .mean = rni_at_const(a->mean, column, c),
        .scale = rni_at_const(a->scale, column, c),
        .shift = rni_at_const(a->shift, column, c),
        .a = rni_at_const(a->a, column, c),
        .b = rni_at_const(a->b, column, c),
        .c = rni_at_const(a->c, column, c),
        .rows = rows,
        .stride = t->cut.width,
        .width = width,
    };
}

static void reduce_chunk(void *arg, size_t index)
{
    const backward_task *const t = arg;
    const rni_cut *const cut = &t->cut;
    const rni_cut_rows r = rni_cut_chunk(cut, index / cut->blocks);
    const size_t column = index % cut->blocks * cut->block, width = rni_min_size(cut->block, cut->width - column);
    const size_t channels = cut->repeat > 1 ? cut->channels : width, at = r.first * cut->channels + column;
    double s1[RNI_CUT_JOINED] = {0}, s2[RNI_CUT_JOINED] = {0};
    const rni_bn_rows whole = rows_from(t, at, column, r.rows, width);
    t->kernels->bn_reduce(&whole, s1, s2);
    if (r.rest) {
        const rni_bn_rows rest = rows_from(t, at + r.rows * cut->width, column, 1, r.rest);
        t->kernels->bn_reduce(&rest, s1, s2);
    }
    rni_cut_gather(cut, s1);
    rni_cut_gather(cut, s2);
    double *const out = t->partial + index / cut->blocks * 2 * cut->channels + column;
    memcpy(out, s1, channels * sizeof *out);
    memcpy(out + cut->channels, s2, channels * sizeof *out);
}

static void dx_chunk(void *arg, size_t index)
{
    const backward_task *const t = arg;
    const rni_cut_rows r = rni_cut_chunk(&t->cut, index);
    const size_t at = r.first * t->cut.channels;
    const rni_bn_rows whole = rows_from(t, at, 0, r.rows, t->cut.width);
    t->kernels->bn_dx(&whole);
    if (r.rest) {
        const rni_bn_rows rest = rows_from(t, at + r.rows * t->cut.width, 0, 1, r.rest);
        t->kernels->bn_dx(&rest);
    }
}

static double sum_of(const backward_task *t, size_t c, size_t which)
{
    double s = 0;
    for (size_t i = 0; i < t->cut.chunks; i++)
        s += t->partial[(i * 2 + which) * t->cut.channels + c];
    return s;
}

/* Adds to the gradients of gamma and beta, and leaves what dx needs per column. */
static void finish_channels(const rni_cpu_call *c, const backward_task *t, int32_t dtype, void *a, void *b, void *shift)
{
    const rn_bn_params *const p = c->op->params;
    const float *const gamma = rni_cpu_in(c, 4);
    float *const dgamma = rni_cpu_out(c, 1), *const dbeta = rni_cpu_out(c, 2);
    const double n = (double)t->cut.pixels;
    const int frozen = (c->op->flags & RN_OPF_FROZEN) != 0;
    for (size_t i = 0; i < t->cut.channels; i++) {
        const double s1 = sum_of(t, i, 0), s2 = sum_of(t, i, 1);
        const double r = 1 / sqrt(rni_get(dtype, rni_cpu_in(c, 3), i) + p->eps);
        const double k = (gamma ? (double)gamma[i] : 1) * r;
        if (dgamma)
            dgamma[i] = (float)((double)dgamma[i] + s2 * r);
        if (dbeta)
            dbeta[i] = (float)((double)dbeta[i] + s1);
        rni_set(dtype, a, i, k);
        rni_set(dtype, b, i, frozen ? 0 : -k * r * r * s2 / n);
        rni_set(dtype, shift, i, frozen ? 0 : -k * s1 / n);
    }
    rni_cut_spread(&t->cut, dtype, a);
    rni_cut_spread(&t->cut, dtype, b);
    rni_cut_spread(&t->cut, dtype, shift);
}

static rn_status query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]];
    (void)cpu;
    RNI_TRY(rni_ops_check_bn_backward(op, values));
    const size_t channels = (size_t)x->dims[1];
    const rni_cut cut = rni_cut_make(channels, rni_cpu_capacity(x) / channels);
    info->workspace = PER_COLUMN * rni_cut_columns(channels) * sizeof(double) + cut.chunks * 2 * channels * sizeof(double);
    return RN_OK;
}

static backward_task task_of(const rni_cpu_call *c, const rn_value *x)
{
    const size_t channels = (size_t)x->dims[1];
    backward_task t = {.kernels = rni_cpu_typed(c, x->dtype), .size = rn_dtype_size(x->dtype)};
    t.column_size = rn_dtype_size(rni_wide_dtype(x->dtype));
    t.cut = rni_cut_make(channels, rni_cpu_count(c, x) / channels);
    t.all.dy = rni_cpu_in(c, 0);
    t.all.x = rni_cpu_in(c, 1);
    t.all.y = c->op->flags & RN_OPF_RELU && !rni_cpu_in(c, 6) ? rni_cpu_in(c, 5) : NULL;
    t.all.dx = rni_cpu_out(c, 0);
    t.partial = (double *)rni_cpu_workspace(c) + PER_COLUMN * rni_cut_columns(channels);
    return t;
}

/* What tells from x where y is positive. */
static void make_mask(const rni_cpu_call *c, backward_task *t, void *scale, void *shift)
{
    const rn_bn_params *const p = c->op->params;
    const int32_t dtype = rni_wide_dtype(rni_cpu_in_value(c, 1)->dtype);
    const rni_bn_affine b = {rni_cpu_in(c, 2), rni_cpu_in(c, 3), rni_cpu_in(c, 4), rni_cpu_in(c, 6), p->eps};
    rni_bn_affine_of(&b, dtype, t->cut.channels, scale, shift);
    rni_cut_spread(&t->cut, dtype, scale);
    rni_cut_spread(&t->cut, dtype, shift);
    t->all.scale = scale;
    t->all.shift = shift;
}

/* The sums per channel, and the masked gradient where it is wanted. Frozen without weights to train needs none. */
static rn_status reduce(const rni_cpu_call *c, backward_task *t, size_t count)
{
    if (!(c->op->flags & RN_OPF_FROZEN) || rni_cpu_out(c, 1) || rni_cpu_out(c, 2) || t->all.masked)
        return rni_cpu_for(c, reduce_chunk, t, t->cut.chunks * t->cut.blocks, count);
    memset(t->partial, 0, t->cut.chunks * 2 * t->cut.channels * sizeof *t->partial);
    return RN_OK;
}

static rn_status run(const rni_cpu_call *c)
{
    const rn_value *const x = rni_cpu_in_value(c, 1);
    const int32_t dtype = rni_wide_dtype(x->dtype);
    backward_task t = task_of(c, x);
    const size_t columns = rni_cut_columns(t.cut.channels), count = rni_cpu_count(c, x);
    char *const work = rni_cpu_workspace(c);
    void *const mean = work, *const a = work + columns * t.column_size, *const b = work + 2 * columns * t.column_size,
         *const shift = work + 3 * columns * t.column_size;
    memcpy(mean, rni_cpu_in(c, 2), t.cut.channels * t.column_size);
    rni_cut_spread(&t.cut, dtype, mean);
    t.all.mean = mean;
    if (rni_cpu_in(c, 6))
        make_mask(c, &t, work + 4 * columns * t.column_size, work + 5 * columns * t.column_size);
    const int residual = (c->op->flags & RN_OPF_ADD) != 0, adds = (c->op->flags & RN_OPF_ACCUMULATE) != 0;
    if (residual && !adds)
        t.all.masked = rni_cpu_out(c, 3);
    RNI_TRY(reduce(c, &t, count));
    finish_channels(c, &t, dtype, a, b, shift);
    if (residual && !adds) { /* already masked: spares reading y again */
        t.all.dy = t.all.masked;
        t.all.y = NULL;
    }
    t.all.dres = residual && adds ? rni_cpu_out(c, 3) : NULL;
    t.all.a = a;
    t.all.b = b;
    t.all.c = shift;
    return rni_cpu_for(c, dx_chunk, &t, t.cut.chunks, count);
}

const rni_cpu_driver rni_cpu_bn_backward = {query, run, RNI_BF16_AVX2};
