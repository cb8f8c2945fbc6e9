/* SPDX-License-Identifier: MIT */
/* y = x scale + shift (+ residual) (ReLU), with scale and shift given or made from batch normalisation's operands. */
#include "base/error.h"
#include "ops/operands.h"
#include "cpu/cut.h"
#include <math.h>

typedef struct affine_task {
    const rni_typed_kernels *kernels;
    rni_cut cut;
    size_t size; /* of an element */
    const void *x, *residual;
    void *y, *scale, *shift; /* scale and shift per column */
    int relu;
} affine_task;

static void affine_chunk(void *arg, size_t index)
{
    const affine_task *const t = arg;
    const rni_cut_rows r = rni_cut_chunk(&t->cut, index);
    const size_t at = r.first * t->cut.channels, rest = at + r.rows * t->cut.width;
    t->kernels->affine(rni_at(t->y, at, t->size), rni_at_const(t->x, at, t->size),
                       rni_at_const(t->residual, at, t->size), t->scale, t->shift, r.rows, t->cut.width, t->relu);
    if (r.rest)
        t->kernels->affine(rni_at(t->y, rest, t->size), rni_at_const(t->x, rest, t->size),
                           rni_at_const(t->residual, rest, t->size), t->scale, t->shift, 1, r.rest, t->relu);
}

/* The residual is input `residual`; scale and shift go into the workspace. */
static affine_task task_of(const rni_cpu_call *c, uint32_t residual)
{
    const rn_value *const x = rni_cpu_in_value(c, 0);
    const size_t channels = (size_t)x->dims[1];
    affine_task t = {.kernels = rni_cpu_typed(c, x->dtype), .size = rn_dtype_size(x->dtype)};
    t.cut = rni_cut_make(channels, rni_cpu_count(c, x) / channels);
    t.x = rni_cpu_in(c, 0);
    t.residual = c->op->flags & RN_OPF_ADD ? rni_cpu_in(c, residual) : NULL;
    t.y = rni_cpu_out(c, 0);
    t.scale = rni_cpu_workspace(c);
    t.shift = rni_at(t.scale, rni_cut_columns(channels), rn_dtype_size(rni_wide_dtype(x->dtype)));
    t.relu = (c->op->flags & RN_OPF_RELU) != 0;
    return t;
}

static rn_status run_affine(const rni_cpu_call *c, affine_task *t)
{
    const rn_value *const x = rni_cpu_in_value(c, 0);
    rni_cut_spread(&t->cut, rni_wide_dtype(x->dtype), t->scale);
    rni_cut_spread(&t->cut, rni_wide_dtype(x->dtype), t->shift);
    return rni_cpu_for(c, affine_chunk, t, t->cut.chunks, rni_cpu_count(c, x));
}

static rn_status query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]];
    (void)cpu;
    RNI_TRY(rni_ops_check_affine(op, values));
    info->workspace = 2 * rni_cut_columns((size_t)x->dims[1]) * rn_dtype_size(rni_wide_dtype(x->dtype));
    return RN_OK;
}

/* scale = gamma / sqrt(var + eps), shift = beta - mean scale. */
void rni_bn_affine_of(const rni_bn_affine *b, int32_t dtype, size_t channels, void *scale, void *shift)
{
    for (size_t i = 0; i < channels; i++) {
        const double mean = rni_get(dtype, b->mean, i), var = rni_get(dtype, b->var, i);
        const double k = (b->gamma ? (double)b->gamma[i] : 1) / sqrt(var + b->eps);
        rni_set(dtype, scale, i, k);
        rni_set(dtype, shift, i, (b->beta ? (double)b->beta[i] : 0) - mean * k);
    }
}

static rn_status bn_apply_run(const rni_cpu_call *c)
{
    const rn_bn_params *const p = c->op->params;
    const rni_bn_affine b = {rni_cpu_in(c, 1), rni_cpu_in(c, 2), rni_cpu_in(c, 3), rni_cpu_in(c, 4), p->eps};
    affine_task t = task_of(c, 5);
    rni_bn_affine_of(&b, rni_wide_dtype(rni_cpu_in_value(c, 0)->dtype), t.cut.channels, t.scale, t.shift);
    return run_affine(c, &t);
}

static rn_status scale_shift_run(const rni_cpu_call *c)
{
    const int32_t dtype = rni_wide_dtype(rni_cpu_in_value(c, 0)->dtype);
    affine_task t = task_of(c, 3);
    for (size_t i = 0; i < t.cut.channels; i++) {
        rni_set(dtype, t.scale, i, rni_get(dtype, rni_cpu_in(c, 1), i));
        rni_set(dtype, t.shift, i, rni_get(dtype, rni_cpu_in(c, 2), i));
    }
    return run_affine(c, &t);
}

static rn_status fold_run(const rni_cpu_call *c)
{
    const rn_bn_params *const p = c->op->params;
    const rn_value *const scale = rni_cpu_out_value(c, 0);
    const float *const gamma = rni_cpu_in(c, 0), *const beta = rni_cpu_in(c, 1), *const mean = rni_cpu_in(c, 2),
                *const var = rni_cpu_in(c, 3), *const bias = rni_cpu_in(c, 4);
    for (size_t i = 0; i < (size_t)scale->dims[0]; i++) {
        const double s = (gamma ? (double)gamma[i] : 1) / sqrt((double)var[i] + p->eps);
        const double centred = (bias ? (double)bias[i] : 0) - (double)mean[i];
        rni_set(scale->dtype, rni_cpu_out(c, 0), i, s);
        rni_set(scale->dtype, rni_cpu_out(c, 1), i, (beta ? (double)beta[i] : 0) + centred * s);
    }
    return RN_OK;
}

const rni_cpu_driver rni_cpu_bn_apply = {query, bn_apply_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_scale_shift = {query, scale_shift_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_bn_fold = {NULL, fold_run, RNI_BF16_WIDENED};
