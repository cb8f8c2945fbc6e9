/* SPDX-License-Identifier: MIT */
/*
 * Mean and variance per channel. Each chunk gives its mean and its sum of squared deviations from it, which are then
 * combined (Chan, Golub, LeVeque 1979): no difference of large squares anywhere.
 */
#include "base/error.h"
#include "ops/operands.h"
#include "cpu/cut.h"
#include <math.h>
#include <string.h>

typedef struct stats_task {
    const rni_typed_kernels *kernels;
    rni_cut cut;
    int32_t dtype;
    const void *x;
    double *partial; /* [chunk][2][channels]: mean, sum of squared deviations */
} stats_task;

/* Sums of one chunk's columns from `first` on. */
typedef struct block {
    rni_cut_rows rows;
    size_t first, width, channels;
    const char *x;
} block;

static block block_of(const rni_cut *cut, size_t index, const void *x, size_t size)
{
    block b = {.rows = rni_cut_chunk(cut, index / cut->blocks), .first = index % cut->blocks * cut->block};
    b.width = rni_min_size(cut->block, cut->width - b.first);
    b.channels = cut->repeat > 1 ? cut->channels : b.width;
    b.x = (const char *)x + (b.rows.first * cut->channels + b.first) * size;
    return b;
}

static void chunk_sums(const stats_task *t, const block *b, double *sum)
{
    const size_t size = rn_dtype_size(t->dtype);
    memset(sum, 0, t->cut.block * sizeof *sum);
    t->kernels->sum(b->x, b->rows.rows, t->cut.width, b->width, sum);
    if (b->rows.rest)
        t->kernels->sum(b->x + b->rows.rows * t->cut.width * size, 1, t->cut.width, b->rows.rest, sum);
    rni_cut_gather(&t->cut, sum);
}

static void stats_chunk(void *arg, size_t index)
{
    const stats_task *const t = arg;
    const rni_cut *const cut = &t->cut;
    const size_t size = rn_dtype_size(t->dtype);
    const int32_t channel = rni_wide_dtype(t->dtype);
    const block b = block_of(cut, index, t->x, size);
    double m1[RNI_CUT_JOINED], m2[RNI_CUT_JOINED], centre[RNI_CUT_JOINED];
    chunk_sums(t, &b, m1);
    for (size_t c = 0; c < b.channels; c++)
        rni_set(channel, centre, c, m1[c] / (double)b.rows.pixels);
    rni_cut_spread(cut, channel, centre);
    memset(m1, 0, cut->block * sizeof *m1);
    memset(m2, 0, cut->block * sizeof *m2);
    t->kernels->moments(b.x, b.rows.rows, cut->width, b.width, centre, m1, m2);
    if (b.rows.rest)
        t->kernels->moments(b.x + b.rows.rows * cut->width * size, 1, cut->width, b.rows.rest, centre, m1, m2);
    rni_cut_gather(cut, m1);
    rni_cut_gather(cut, m2);
    double *const out = t->partial + index / cut->blocks * 2 * cut->channels + b.first;
    for (size_t c = 0; c < b.channels; c++) {
        const double off = m1[c] / (double)b.rows.pixels; /* the centre was rounded to T */
        out[c] = rni_get(channel, centre, c) + off;
        out[cut->channels + c] = fmax(m2[c] - m1[c] * off, 0);
    }
}

static void combine_channel(const stats_task *t, size_t c, double *mean, double *var)
{
    const rni_cut *const cut = &t->cut;
    const double n = (double)cut->pixels;
    double m = 0, m2 = 0;
    for (size_t i = 0; i < cut->chunks; i++)
        m += (double)rni_min_size(cut->chunk, cut->pixels - i * cut->chunk) / n * t->partial[i * 2 * cut->channels + c];
    for (size_t i = 0; i < cut->chunks; i++) {
        const double *const p = t->partial + i * 2 * cut->channels + c;
        const double d = p[0] - m;
        m2 += p[cut->channels] + (double)rni_min_size(cut->chunk, cut->pixels - i * cut->chunk) * d * d;
    }
    *mean = m;
    *var = m2 / n;
}

static rn_status stats_query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]];
    (void)cpu;
    RNI_TRY(rni_ops_check_channels(op, values));
    const size_t channels = (size_t)x->dims[1];
    const rni_cut cut = rni_cut_make(channels, rni_cpu_capacity(x) / channels);
    info->workspace = cut.chunks * 2 * channels * sizeof(double);
    return RN_OK;
}

static stats_task stats_task_of(const rni_cpu_call *c, const rn_value *x)
{
    const size_t channels = (size_t)x->dims[1];
    return (stats_task){rni_cpu_typed(c, x->dtype), rni_cut_make(channels, rni_cpu_count(c, x) / channels), x->dtype,
                        rni_cpu_in(c, 0), rni_cpu_workspace(c)};
}

static rn_status stats_run(const rni_cpu_call *c)
{
    const rn_value *const x = rni_cpu_in_value(c, 0);
    stats_task t = stats_task_of(c, x);
    RNI_TRY(rni_cpu_for(c, stats_chunk, &t, t.cut.chunks * t.cut.blocks, rni_cpu_count(c, x)));
    for (size_t i = 0; i < t.cut.channels; i++) {
        double mean, var;
        combine_channel(&t, i, &mean, &var);
        rni_set(rni_wide_dtype(x->dtype), rni_cpu_out(c, 0), i, mean);
        rni_set(rni_wide_dtype(x->dtype), rni_cpu_out(c, 1), i, var);
    }
    return RN_OK;
}

const rni_cpu_driver rni_cpu_bn_stats = {stats_query, stats_run, RNI_BF16_AVX2};

/* torch.nn.BatchNorm2d: r = (1 - m) r + m s with the unbiased variance; without momentum the mean of all updates. */
static rn_status running_run(const rni_cpu_call *c)
{
    const rn_bn_params *const p = c->op->params;
    const rn_value *const mean = rni_cpu_in_value(c, 0);
    const double count = (double)c->run->batch * (double)p->pixels;
    float *const running_mean = rni_cpu_out(c, 0), *const running_var = rni_cpu_out(c, 1);
    int64_t *const batches = rni_cpu_out(c, 2);
    *batches += 1;
    const double m = c->op->flags & RN_OPF_CUMULATIVE ? 1 / (double)*batches : p->momentum;
    const double unbiased = count > 1 ? count / (count - 1) : 1;
    for (size_t i = 0; i < (size_t)mean->dims[0]; i++) {
        const double s = rni_get(mean->dtype, rni_cpu_in(c, 0), i);
        const double v = rni_get(mean->dtype, rni_cpu_in(c, 1), i) * unbiased;
        running_mean[i] = (float)((1 - m) * (double)running_mean[i] + m * s);
        running_var[i] = (float)((1 - m) * (double)running_var[i] + m * v);
    }
    return RN_OK;
}

const rni_cpu_driver rni_cpu_bn_running = {NULL, running_run, RNI_BF16_WIDENED};

/* Sums over all but channels, for biases; partial is [chunk][channels] here. */
static void bias_chunk(void *arg, size_t index)
{
    const stats_task *const t = arg;
    const block b = block_of(&t->cut, index, t->x, rn_dtype_size(t->dtype));
    double sum[RNI_CUT_JOINED];
    chunk_sums(t, &b, sum);
    memcpy(t->partial + index / t->cut.blocks * t->cut.channels + b.first, sum, b.channels * sizeof *sum);
}

static rn_status bias_run(const rni_cpu_call *c)
{
    const rn_value *const dy = rni_cpu_in_value(c, 0);
    stats_task t = stats_task_of(c, dy);
    float *const db = rni_cpu_out(c, 0);
    RNI_TRY(rni_cpu_for(c, bias_chunk, &t, t.cut.chunks * t.cut.blocks, rni_cpu_count(c, dy)));
    for (size_t i = 0; i < t.cut.channels; i++) {
        double s = 0;
        for (size_t k = 0; k < t.cut.chunks; k++)
            s += t.partial[k * t.cut.channels + i];
        db[i] = (float)((double)db[i] + s);
    }
    return RN_OK;
}

const rni_cpu_driver rni_cpu_bias_grad = {stats_query, bias_run, RNI_BF16_AVX2};
