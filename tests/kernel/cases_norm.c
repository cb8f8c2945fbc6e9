/* SPDX-License-Identifier: MIT */
/* Batch normalisation and per-channel sums. */
#include "op_case.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Shapes of the tutorial net at batch 100 and of a ResNet-50's ends. */
static const int64_t bench_shapes[][4] = {{100, 16, 32, 32}, {100, 32, 16, 16}, {100, 64, 8, 8},
                                          {8, 64, 112, 112}, {8, 2048, 7, 7},   {16, 3, 32, 32}};

static int bench_shape(oc_case *c, int index, int64_t dims[4])
{
    if (index >= (int)(sizeof bench_shapes / sizeof *bench_shapes))
        return 0;
    memcpy(dims, bench_shapes[index], sizeof bench_shapes[index]);
    c->run.batch = dims[0];
    return 1;
}

static size_t count_of(const int64_t dims[4])
{
    return (size_t)(dims[0] * dims[1] * dims[2] * dims[3]);
}

/* Channel of element i of an image in plain order. */
static size_t channel_of(const int64_t dims[4], size_t i)
{
    return i / (size_t)(dims[2] * dims[3]) % (size_t)dims[1];
}

/* Elements within the run's batch. */
static size_t used(const oc_case *c, const int64_t dims[4])
{
    return count_of(dims) / (size_t)dims[0] * (size_t)c->run.batch;
}

/* f16 holds all of them. */
enum { MOST_SHIFTS = 200 };

static double shift_of(size_t channel)
{
    return 300 * (double)(channel % MOST_SHIFTS + 1);
}

/* Shifts the channels far away from zero: what E[x^2] - E[x]^2 would not survive. */
static void shift_channels(oc_case *c, uint32_t x, const int64_t dims[4])
{
    double *const data = c->values[x].data;
    for (size_t i = 0; i < c->values[x].count; i++)
        data[i] = (double)(float)(data[i] + shift_of(channel_of(dims, i)));
}

static void stats_of(oc_case *c, oc_rng *rng, const int64_t dims[4], int shifted)
{
    const int64_t batch = c->run.batch;
    oc_begin(c, "bn_stats");
    c->run.batch = batch;
    oc_op(c, RN_OP_BN_STATS, 0, 0);
    const uint32_t x = oc_image(c, rng, dims, OC_NORMAL);
    const uint32_t mean = oc_vector(c, rng, OC_T, dims[1], OC_UNSET), var = oc_vector(c, rng, OC_T, dims[1], OC_UNSET);
    oc_in(c, x);
    oc_out(c, mean, OC_BOUND);
    oc_out(c, var, OC_BOUND);
    if (shifted)
        shift_channels(c, x, dims);
    double *const m = oc_scale(c, mean), *const v = oc_scale(c, var);
    const double n = (double)(batch * dims[2] * dims[3]);
    for (size_t i = 0; i < used(c, dims); i++)
        m[channel_of(dims, i)] += fabs(c->values[x].data[i]) / n;
    for (size_t i = 0; i < used(c, dims); i++)
        v[channel_of(dims, i)] += pow(fabs(c->values[x].data[i]) - m[channel_of(dims, i)], 2) / n;
    for (int64_t i = 0; i < dims[1]; i++)
        v[i] = shifted ? v[i] + 0.1 : v[i] + m[i] * m[i];
    const double most = shifted ? 300 * (double)(dims[1] < MOST_SHIFTS ? dims[1] + 1 : MOST_SHIFTS + 1) : 0;
    c->values[var].bf16_scale = pow(most * 0x1p-8, 2);
    c->values[var].f16_scale = pow(most * 0x1p-11, 2);
    c->terms = 64;
    c->bytes = 4.0 * (double)count_of(dims);
}

static void make_stats(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    stats_of(c, rng, dims, index % 2);
}

static int bench_stats(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!bench_shape(c, index, dims))
        return 0;
    stats_of(c, rng, dims, 0);
    return 1;
}

static void bias_grad_of(oc_case *c, oc_rng *rng, const int64_t dims[4])
{
    const int64_t batch = c->run.batch;
    oc_begin(c, "bias_grad");
    c->run.batch = batch;
    oc_op(c, RN_OP_BIAS_GRAD, 0, 0);
    oc_in(c, oc_image(c, rng, dims, OC_NORMAL));
    oc_out(c, oc_vector(c, rng, RN_F32, dims[1], OC_NORMAL), OC_BOUND);
    c->values[0].absolute = c->values[1].absolute = 1;
    c->terms = 64;
    c->bytes = 4.0 * (double)count_of(dims);
}

static void make_bias_grad(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    bias_grad_of(c, rng, dims);
}

static int bench_bias_grad(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!bench_shape(c, index, dims))
        return 0;
    bias_grad_of(c, rng, dims);
    return 1;
}

static void make_running(oc_case *c, oc_rng *rng, int index)
{
    const int64_t channels = 1 + index;
    oc_begin(c, "bn_running");
    oc_op(c, RN_OP_BN_RUNNING, index % 3 == 2 ? RN_OPF_CUMULATIVE : 0, sizeof(rn_bn_params));
    c->params.bn = (rn_bn_params){1e-5, 0.1, oc_range(rng, 1, 9)};
    c->run.batch = oc_range(rng, 1, 5);
    oc_in(c, oc_vector(c, rng, OC_T, channels, OC_NORMAL));
    oc_in(c, oc_vector(c, rng, OC_T, channels, OC_POSITIVE));
    oc_out(c, oc_vector(c, rng, RN_F32, channels, OC_NORMAL), OC_BOUND);
    oc_out(c, oc_vector(c, rng, RN_F32, channels, OC_POSITIVE), OC_BOUND);
    const uint32_t batches = oc_vector(c, rng, RN_I64, 1, OC_GIVEN);
    c->values[batches].data[0] = (double)oc_range(rng, 0, 9);
    oc_out(c, batches, OC_EXACT);
    for (int i = 0; i < 4; i++)
        c->values[i].absolute = 1;
}

/* Operands that forward and backward share: mean, var, gamma, beta. */
typedef struct channel_operands {
    uint32_t mean, var, gamma, beta;
} channel_operands;

static channel_operands add_channels(oc_case *c, oc_rng *rng, int64_t channels, int affine, int with_beta)
{
    channel_operands o;
    o.mean = oc_vector(c, rng, OC_T, channels, OC_NORMAL);
    o.var = oc_vector(c, rng, OC_T, channels, OC_POSITIVE);
    o.gamma = affine ? oc_vector(c, rng, RN_F32, channels, OC_NORMAL) : RN_NO_VALUE;
    o.beta = affine && with_beta ? oc_vector(c, rng, RN_F32, channels, OC_NORMAL) : RN_NO_VALUE;
    oc_in(c, o.mean);
    oc_in(c, o.var);
    oc_in(c, o.gamma);
    if (with_beta)
        oc_in(c, o.beta);
    return o;
}

static double at(const oc_case *c, uint32_t value, size_t i, double otherwise)
{
    return value == RN_NO_VALUE ? otherwise : c->values[value].data[i];
}

static void name_flags(oc_case *c, uint32_t flags)
{
    if (flags & RN_OPF_ADD)
        strcat(c->name, " add");
    if (flags & RN_OPF_RELU)
        strcat(c->name, " relu");
    if (flags & RN_OPF_ACCUMULATE)
        strcat(c->name, " accumulate");
    if (flags & RN_OPF_FROZEN)
        strcat(c->name, " frozen");
}

static void apply_of(oc_case *c, oc_rng *rng, const int64_t dims[4], uint32_t flags, int affine)
{
    const int64_t batch = c->run.batch;
    oc_begin(c, "bn_apply");
    name_flags(c, flags);
    c->run.batch = batch;
    oc_op(c, RN_OP_BN_APPLY, flags, sizeof(rn_bn_params));
    c->params.bn = (rn_bn_params){1e-5, 0.1, dims[2] * dims[3]};
    const uint32_t x = oc_image(c, rng, dims, OC_NORMAL);
    oc_in(c, x);
    const channel_operands o = add_channels(c, rng, dims[1], affine, 1);
    const uint32_t residual = flags & RN_OPF_ADD ? oc_image(c, rng, dims, OC_NORMAL) : RN_NO_VALUE;
    oc_in(c, residual);
    const uint32_t y = oc_image(c, rng, dims, OC_UNSET);
    oc_out(c, y, OC_BOUND);
    double *const scale = oc_scale(c, y);
    for (size_t i = 0; i < c->values[y].count; i++) {
        const size_t k = channel_of(dims, i);
        const double s = at(c, o.gamma, k, 1) / sqrt(c->values[o.var].data[k] + 1e-5);
        scale[i] = fabs(c->values[x].data[i] * s) + fabs(c->values[o.mean].data[k] * s) + fabs(at(c, o.beta, k, 0)) +
                   fabs(at(c, residual, i, 0));
    }
    c->per_image = 1;
    c->bytes = 4.0 * (double)count_of(dims) * (flags & RN_OPF_ADD ? 3 : 2);
}

static void make_apply(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    apply_of(c, rng, dims, (index & 1 ? RN_OPF_ADD : 0) | (index & 2 ? RN_OPF_RELU : 0) | (index & 4 ? RN_OPF_FROZEN : 0),
             index % 5 != 4);
}

static int bench_apply(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!bench_shape(c, index / 2, dims))
        return 0;
    apply_of(c, rng, dims, RN_OPF_RELU | (index & 1 ? RN_OPF_ADD : 0), 1);
    return 1;
}

static void scale_shift_of(oc_case *c, oc_rng *rng, const int64_t dims[4], uint32_t flags)
{
    const int64_t batch = c->run.batch;
    oc_begin(c, "scale_shift");
    name_flags(c, flags);
    c->run.batch = batch;
    oc_op(c, RN_OP_SCALE_SHIFT, flags, 0);
    oc_in(c, oc_image(c, rng, dims, OC_NORMAL));
    oc_in(c, oc_vector(c, rng, OC_T, dims[1], OC_NORMAL));
    oc_in(c, oc_vector(c, rng, OC_T, dims[1], OC_NORMAL));
    oc_in(c, flags & RN_OPF_ADD ? oc_image(c, rng, dims, OC_NORMAL) : RN_NO_VALUE);
    for (uint32_t i = 0; i < c->num_values; i++)
        c->values[i].absolute = 1;
    oc_out(c, oc_image(c, rng, dims, OC_UNSET), OC_BOUND);
    c->per_image = 1;
    c->bytes = 4.0 * (double)count_of(dims) * (flags & RN_OPF_ADD ? 3 : 2);
}

static void make_scale_shift(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    scale_shift_of(c, rng, dims, (index & 1 ? RN_OPF_ADD : 0) | (index & 2 ? RN_OPF_RELU : 0));
}

static int bench_scale_shift(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!bench_shape(c, index / 2, dims))
        return 0;
    scale_shift_of(c, rng, dims, RN_OPF_RELU | (index & 1 ? RN_OPF_ADD : 0));
    return 1;
}

static void make_fold(oc_case *c, oc_rng *rng, int index)
{
    const int64_t channels = 1 + index;
    oc_begin(c, "bn_fold");
    oc_op(c, RN_OP_BN_FOLD, 0, sizeof(rn_bn_params));
    c->params.bn = (rn_bn_params){1e-5, 0.1, 1};
    const uint32_t gamma = index % 4 == 3 ? RN_NO_VALUE : oc_vector(c, rng, RN_F32, channels, OC_NORMAL);
    const uint32_t beta = index % 4 == 3 ? RN_NO_VALUE : oc_vector(c, rng, RN_F32, channels, OC_NORMAL);
    const uint32_t mean = oc_vector(c, rng, RN_F32, channels, OC_NORMAL);
    const uint32_t var = oc_vector(c, rng, RN_F32, channels, OC_POSITIVE);
    const uint32_t bias = index % 2 ? oc_vector(c, rng, RN_F32, channels, OC_NORMAL) : RN_NO_VALUE;
    const uint32_t scale = oc_vector(c, rng, OC_T, channels, OC_UNSET), shift = oc_vector(c, rng, OC_T, channels, OC_UNSET);
    oc_in(c, gamma);
    oc_in(c, beta);
    oc_in(c, mean);
    oc_in(c, var);
    oc_in(c, bias);
    oc_out(c, scale, OC_BOUND);
    oc_out(c, shift, OC_BOUND);
    double *const s = oc_scale(c, scale), *const t = oc_scale(c, shift);
    for (size_t i = 0; i < (size_t)channels; i++) {
        s[i] = fabs(at(c, gamma, i, 1)) / sqrt(c->values[var].data[i] + 1e-5);
        t[i] = fabs(at(c, beta, i, 0)) + (fabs(at(c, bias, i, 0)) + fabs(c->values[mean].data[i])) * s[i];
    }
}

/* Operands of the backward op, for its scales. */
typedef struct backward_operands {
    uint32_t dy, x, y, dx, dgamma, dbeta, dres;
    channel_operands channels;
    int64_t dims[4];
    int relu, from_x, frozen;
} backward_operands;

/* What y is made of when beta is given. */
static double y_of(const oc_case *c, const backward_operands *o, size_t i)
{
    const size_t k = channel_of(o->dims, i);
    const double scale = at(c, o->channels.gamma, k, 1) / sqrt(c->values[o->channels.var].data[k] + 1e-5);
    return (c->values[o->x].data[i] - c->values[o->channels.mean].data[k]) * scale + c->values[o->channels.beta].data[k];
}

/* Moves x where the sign of y would be a matter of rounding. */
static void clear_signs(oc_case *c, const backward_operands *o)
{
    for (size_t i = 0; i < used(c, o->dims); i++)
        for (int tries = 0; fabs(y_of(c, o, i)) < 1e-3 && tries < 100; tries++)
            c->values[o->x].data[i] += 0.0625;
}

static double masked(const oc_case *c, const backward_operands *o, size_t i)
{
    if (o->from_x)
        return y_of(c, o, i) > 0 ? c->values[o->dy].data[i] : 0;
    return o->relu && !(c->values[o->y].data[i] > 0) ? 0 : c->values[o->dy].data[i];
}

/* Sums of |g| and |g d| per channel: g1, g2. */
static void channel_sums(const oc_case *c, const backward_operands *o, double *g1, double *g2)
{
    const size_t n = used(c, o->dims);
    for (size_t i = 0; i < n; i++) {
        const size_t k = channel_of(o->dims, i);
        const double g = fabs(masked(c, o, i)), d = c->values[o->x].data[i] - c->values[o->channels.mean].data[k];
        g1[k] += g;
        g2[k] += g * fabs(d);
    }
}

static void image_scales(oc_case *c, const backward_operands *o, const double *g1, const double *g2)
{
    const size_t n = used(c, o->dims);
    const double count = (double)n / (double)o->dims[1];
    double *const dx = oc_scale(c, o->dx);
    double *const dres = o->dres == RN_NO_VALUE ? NULL : oc_scale(c, o->dres);
    for (size_t i = 0; i < n; i++) {
        const size_t k = channel_of(o->dims, i);
        const double r = 1 / sqrt(c->values[o->channels.var].data[k] + 1e-5), g = fabs(masked(c, o, i));
        const double d = c->values[o->x].data[i] - c->values[o->channels.mean].data[k];
        const double follows = o->frozen ? 0 : g1[k] / count + fabs(d) * r * r * g2[k] / count;
        dx[i] = fabs(at(c, o->channels.gamma, k, 1)) * r * (g + follows);
        if (dres)
            dres[i] = fabs(c->values[o->dres].data[i]) + g;
    }
}

static void backward_scales(oc_case *c, const backward_operands *o)
{
    const size_t channels = (size_t)o->dims[1];
    double *const g1 = calloc(channels, sizeof *g1), *const g2 = calloc(channels, sizeof *g2);
    channel_sums(c, o, g1, g2);
    image_scales(c, o, g1, g2);
    double *const dbeta = o->dbeta == RN_NO_VALUE ? NULL : oc_scale(c, o->dbeta);
    double *const dgamma = o->dgamma == RN_NO_VALUE ? NULL : oc_scale(c, o->dgamma);
    for (size_t k = 0; dbeta && k < channels; k++) {
        dbeta[k] = g1[k] + fabs(c->values[o->dbeta].data[k]);
        dgamma[k] = g2[k] / sqrt(c->values[o->channels.var].data[k] + 1e-5) + fabs(c->values[o->dgamma].data[k]);
    }
    free(g1);
    free(g2);
}

static void backward_of(oc_case *c, oc_rng *rng, const int64_t dims[4], uint32_t flags, int affine, int from_x,
                        int trained)
{
    const int64_t batch = c->run.batch;
    backward_operands o = {.relu = (flags & RN_OPF_RELU) != 0, .from_x = from_x, .frozen = (flags & RN_OPF_FROZEN) != 0};
    memcpy(o.dims, dims, sizeof o.dims);
    oc_begin(c, "bn_backward");
    name_flags(c, flags);
    c->run.batch = batch;
    oc_op(c, RN_OP_BN_BACKWARD, flags, sizeof(rn_bn_params));
    c->params.bn = (rn_bn_params){1e-5, 0.1, dims[2] * dims[3]};
    oc_in(c, o.dy = oc_image(c, rng, dims, OC_NORMAL));
    oc_in(c, o.x = oc_image(c, rng, dims, OC_NORMAL));
    o.channels = add_channels(c, rng, dims[1], affine, 0);
    oc_in(c, o.y = o.relu && !from_x ? oc_image(c, rng, dims, OC_NORMAL) : RN_NO_VALUE);
    o.channels.beta = from_x ? oc_vector(c, rng, RN_F32, dims[1], OC_NORMAL) : RN_NO_VALUE;
    oc_in(c, o.channels.beta);
    if (from_x)
        clear_signs(c, &o);
    oc_out(c, o.dx = oc_image(c, rng, dims, OC_UNSET), OC_BOUND);
    oc_out(c, o.dgamma = trained ? oc_vector(c, rng, RN_F32, dims[1], OC_NORMAL) : RN_NO_VALUE, OC_BOUND);
    oc_out(c, o.dbeta = trained ? oc_vector(c, rng, RN_F32, dims[1], OC_NORMAL) : RN_NO_VALUE, OC_BOUND);
    o.dres = flags & RN_OPF_ADD ? oc_image(c, rng, dims, flags & RN_OPF_ACCUMULATE ? OC_NORMAL : OC_UNSET)
                                : RN_NO_VALUE;
    oc_out(c, o.dres, flags & RN_OPF_ACCUMULATE ? OC_BOUND : OC_EXACT);
    backward_scales(c, &o);
    c->terms = 64;
    /* Two reads of dy and x and one write of dx; the mask is read twice, or once with the residual's gradient written
       and read back in place of dy. */
    c->bytes = 4.0 * (double)count_of(dims) * (5 + (flags & RN_OPF_ADD ? 1 : 0) + (o.relu && !from_x ? (flags & RN_OPF_ADD ? 1 : 2) : 0));
}

static void make_backward(oc_case *c, oc_rng *rng, int index)
{
    static const uint32_t flags[] = {0, RN_OPF_RELU, RN_OPF_ADD, RN_OPF_RELU | RN_OPF_ADD, RN_OPF_ADD | RN_OPF_ACCUMULATE,
                                     RN_OPF_RELU | RN_OPF_ADD | RN_OPF_ACCUMULATE};
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    const int affine = index % 7 != 6, frozen = index % 5 > 2;
    backward_of(c, rng, dims, flags[index % 6] | (frozen ? RN_OPF_FROZEN : 0), affine,
                affine && flags[index % 6] == RN_OPF_RELU && index % 12 > 5, index % 5 != 4);
}

static int bench_backward(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    if (!bench_shape(c, index / 2, dims))
        return 0;
    backward_of(c, rng, dims, RN_OPF_RELU | (index & 1 ? RN_OPF_ADD : 0), 1, !(index & 1), 1);
    return 1;
}

const oc_family oc_norm_families[] = {
    {"bn_stats", make_stats, bench_stats},
    {"bn_running", make_running, NULL},
    {"bn_apply", make_apply, bench_apply},
    {"bn_fold", make_fold, NULL},
    {"bn_backward", make_backward, bench_backward},
    {"scale_shift", make_scale_shift, bench_scale_shift},
    {"bias_grad", make_bias_grad, bench_bias_grad},
    {NULL, NULL, NULL},
};
