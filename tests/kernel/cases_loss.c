/* SPDX-License-Identifier: MIT */
/* Softmax and losses. */
#include "op_case.h"
#include <math.h>
#include <string.h>

enum { LOSS_SCALE = 512 };

static void begin(oc_case *c, const char *name)
{
    const int64_t batch = c->run.batch;
    oc_begin(c, name);
    c->run.batch = batch;
}

/* Softmax and what is added up in it are at most 1. */
static void fill_scale(oc_case *c, uint32_t value, double scale)
{
    double *const s = oc_scale(c, value);
    for (size_t i = 0; i < c->values[value].count; i++)
        s[i] = scale;
}

/* In every other case with a gradient the loss is scaled. Returns what the gradient is multiplied by in all. */
static double scaled(oc_case *c, int index)
{
    if (index % 3 == 2 || index % 2 == 0)
        return c->run.grad_scale;
    c->ops[0].flags |= RN_OPF_LOSS_SCALE;
    return c->run.grad_scale * LOSS_SCALE;
}

static uint32_t loss_metrics(oc_case *c, oc_rng *rng, double scale)
{
    const uint32_t metrics = oc_metrics(c, rng);
    c->values[metrics].data[8] = scale == c->run.grad_scale ? 0 : LOSS_SCALE;
    return metrics;
}

static void make_softmax(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    begin(c, "softmax");
    oc_op(c, RN_OP_SOFTMAX, 0, 0);
    const uint32_t x = index & 1 ? oc_matrix(c, rng, dims[0], dims[1], OC_NORMAL) : oc_image(c, rng, dims, OC_NORMAL);
    if (index % 4 == 2) /* exp must not overflow */
        for (size_t i = 0; i < c->values[x].count; i++)
            c->values[x].data[i] = (double)(float)(c->values[x].data[i] * 1000);
    oc_in(c, x);
    const uint32_t y = index & 1 ? oc_matrix(c, rng, dims[0], dims[1], OC_UNSET) : oc_image(c, rng, dims, OC_UNSET);
    oc_out(c, y, OC_BOUND);
    fill_scale(c, y, 1);
    c->per_image = 1;
}

static void make_softmax_backward(oc_case *c, oc_rng *rng, int index)
{
    const int64_t rows = oc_range(rng, 1, 9), k = index + 1;
    c->run.batch = oc_range(rng, 1, rows);
    begin(c, "softmax_backward");
    oc_op(c, RN_OP_SOFTMAX_BACKWARD, 0, 0);
    const uint32_t dy = oc_matrix(c, rng, rows, k, OC_NORMAL), y = oc_matrix(c, rng, rows, k, OC_POSITIVE);
    const uint32_t dx = oc_matrix(c, rng, rows, k, OC_UNSET);
    oc_in(c, dy);
    oc_in(c, y);
    oc_out(c, dx, OC_BOUND);
    double *const scale = oc_scale(c, dx);
    for (int64_t r = 0; r < rows; r++) {
        double s = 0;
        for (int64_t j = 0; j < k; j++)
            s += fabs(c->values[dy].data[r * k + j] * c->values[y].data[r * k + j]);
        for (int64_t j = 0; j < k; j++)
            scale[r * k + j] = c->values[y].data[r * k + j] * (fabs(c->values[dy].data[r * k + j]) + s);
    }
    c->terms = (double)k;
}

static void cross_entropy_of(oc_case *c, oc_rng *rng, int64_t rows, int64_t k, int index)
{
    begin(c, index % 3 == 2 ? "cross_entropy no_grad" : "cross_entropy");
    oc_op(c, RN_OP_CROSS_ENTROPY, index % 3 == 2 ? RN_OPF_NO_GRAD : 0, sizeof(rn_cross_entropy_params));
    c->params.cross_entropy.label_smoothing = index % 2 ? 0.1 : 0;
    c->run.grad_scale = index % 4 == 1 ? 128 : 1;
    const double scale = scaled(c, index);
    oc_in(c, oc_matrix(c, rng, rows, k, index % 5 == 4 ? OC_TIES : OC_NORMAL));
    const uint32_t labels = oc_add(c, rng, RN_I64, RN_LAYOUT_PLAIN, 1, &rows, 1, OC_GIVEN);
    for (int64_t i = 0; i < rows; i++)
        c->values[labels].data[i] = (double)oc_range(rng, 0, k - 1);
    oc_in(c, labels);
    const uint32_t dx = index % 3 == 2 ? RN_NO_VALUE : oc_matrix(c, rng, rows, k, OC_UNSET);
    oc_out(c, dx, OC_BOUND);
    if (dx != RN_NO_VALUE)
        fill_scale(c, dx, scale / (double)c->run.batch);
    oc_out(c, loss_metrics(c, rng, scale), OC_METRICS);
    c->bytes = 8.0 * (double)(rows * k);
}

/* Targets that sum to 1, and in every fourth case to something else. */
static uint32_t probabilities(oc_case *c, oc_rng *rng, int64_t rows, int64_t k, int index)
{
    const uint32_t t = oc_matrix(c, rng, rows, k, OC_POSITIVE);
    for (int64_t r = 0; index % 4 != 3 && r < rows; r++) {
        double sum = 0;
        for (int64_t j = 0; j < k; j++)
            sum += c->values[t].data[r * k + j];
        for (int64_t j = 0; j < k; j++)
            c->values[t].data[r * k + j] = (double)(float)(c->values[t].data[r * k + j] / sum);
    }
    return t;
}

static void soft_cross_entropy_of(oc_case *c, oc_rng *rng, int64_t rows, int64_t k, int index)
{
    const int no_grad = index % 3 == 2;
    begin(c, no_grad ? "soft_cross_entropy no_grad" : "soft_cross_entropy");
    oc_op(c, RN_OP_SOFT_CROSS_ENTROPY, no_grad ? RN_OPF_NO_GRAD : 0, sizeof(rn_cross_entropy_params));
    c->params.cross_entropy.label_smoothing = index % 2 ? 0.1 : 0;
    c->run.grad_scale = index % 4 == 1 ? 128 : 1;
    const double scale = scaled(c, index);
    oc_in(c, oc_matrix(c, rng, rows, k, index % 5 == 4 ? OC_TIES : OC_NORMAL));
    oc_in(c, probabilities(c, rng, rows, k, index));
    const uint32_t dx = no_grad ? RN_NO_VALUE : oc_matrix(c, rng, rows, k, OC_UNSET);
    oc_out(c, dx, OC_BOUND);
    if (!no_grad) /* the softmax times the sum of targets, which are at most 2, minus a target */
        fill_scale(c, dx, scale / (double)c->run.batch * (index % 4 == 3 ? 2.0 * (double)k + 2 : 2));
    oc_out(c, loss_metrics(c, rng, scale), OC_METRICS);
    c->bytes = 12.0 * (double)(rows * k);
}

static void make_soft_cross_entropy(oc_case *c, oc_rng *rng, int index)
{
    const int64_t rows = index % 8 == 7 ? oc_range(rng, 100, 300) : oc_range(rng, 1, 9);
    c->run.batch = oc_range(rng, 1, rows);
    soft_cross_entropy_of(c, rng, rows, index + 1, index);
}

static int bench_soft_cross_entropy(oc_case *c, oc_rng *rng, int index)
{
    if (index > 0)
        return 0;
    c->run.batch = 256;
    soft_cross_entropy_of(c, rng, 256, 1000, 0);
    return 1;
}

static void make_cross_entropy(oc_case *c, oc_rng *rng, int index)
{
    const int64_t rows = index % 8 == 7 ? oc_range(rng, 100, 300) : oc_range(rng, 1, 9);
    c->run.batch = oc_range(rng, 1, rows);
    cross_entropy_of(c, rng, rows, index + 1, index);
}

static int bench_cross_entropy(oc_case *c, oc_rng *rng, int index)
{
    static const int64_t shapes[][2] = {{100, 10}, {16, 1000}};
    if (index >= 2)
        return 0;
    c->run.batch = shapes[index][0];
    cross_entropy_of(c, rng, shapes[index][0], shapes[index][1], 0);
    return 1;
}

static void make_mse(oc_case *c, oc_rng *rng, int index)
{
    int64_t dims[4];
    oc_shape(c, rng, index, dims);
    begin(c, "mse");
    oc_op(c, RN_OP_MSE, index % 3 == 2 ? RN_OPF_NO_GRAD : 0, 0);
    c->run.grad_scale = index % 4 == 1 ? 128 : 1;
    const double scale = scaled(c, index);
    const int image = index % 2;
    const uint32_t x = image ? oc_image(c, rng, dims, OC_NORMAL) : oc_matrix(c, rng, dims[0], dims[1], OC_NORMAL);
    oc_in(c, x);
    oc_in(c, image ? oc_add(c, rng, OC_T, RN_LAYOUT_PLAIN, 4, dims, 1, OC_NORMAL)
                   : oc_matrix(c, rng, dims[0], dims[1], OC_NORMAL));
    const uint32_t dx = index % 3 == 2 ? RN_NO_VALUE
                        : image        ? oc_image(c, rng, dims, OC_UNSET)
                                       : oc_matrix(c, rng, dims[0], dims[1], OC_UNSET);
    oc_out(c, dx, OC_BOUND);
    if (dx != RN_NO_VALUE)
        fill_scale(c, dx, 8 * scale / (double)c->values[x].count * (double)dims[0] / (double)c->run.batch);
    oc_out(c, loss_metrics(c, rng, scale), OC_METRICS);
}

const oc_family oc_loss_families[] = {
    {"softmax", make_softmax, NULL},
    {"softmax_backward", make_softmax_backward, NULL},
    {"cross_entropy", make_cross_entropy, bench_cross_entropy},
    {"soft_cross_entropy", make_soft_cross_entropy, bench_soft_cross_entropy},
    {"mse", make_mse, NULL},
    {NULL, NULL, NULL},
};
