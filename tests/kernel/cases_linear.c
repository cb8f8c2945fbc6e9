/* SPDX-License-Identifier: MIT */
/* Fully connected layers. */
#include "op_case.h"
#include <string.h>

/* Rows, inputs, outputs: heads of the tutorial net and of ResNet-50. */
static const int64_t bench_shapes[][3] = {{100, 64, 10}, {1, 2048, 1000}, {16, 2048, 1000}, {128, 512, 1000}};

typedef struct sizes {
    int64_t rows, inputs, outputs;
} sizes;

static sizes random_sizes(oc_case *c, oc_rng *rng, int index)
{
    static const int64_t inputs[] = {64, 100, 127, 256, 512}, outputs[] = {1, 10, 33, 100};
    sizes s = {oc_range(rng, 1, 21), index < 40 ? index + 1 : oc_pick(rng, inputs, 5),
               index % 2 ? oc_range(rng, 1, 9) : oc_pick(rng, outputs, 4)};
    c->run.batch = oc_range(rng, 1, s.rows);
    return s;
}

static int bench_sizes(oc_case *c, int index, sizes *s)
{
    if (index >= (int)(sizeof bench_shapes / sizeof *bench_shapes))
        return 0;
    *s = (sizes){bench_shapes[index][0], bench_shapes[index][1], bench_shapes[index][2]};
    c->run.batch = s->rows;
    return 1;
}

static uint32_t weight(oc_case *c, oc_rng *rng, const sizes *s)
{
    const int64_t dims[2] = {s->outputs, s->inputs};
    return oc_add(c, rng, RN_F32, RN_LAYOUT_PLAIN, 2, dims, 0, OC_NORMAL);
}

/* All operands are absolute in the run for the scale. */
static void finish(oc_case *c, const sizes *s, int64_t terms)
{
    for (uint32_t i = 0; i < c->num_values; i++)
        c->values[i].absolute = 1;
    c->terms = (double)terms;
    c->flops = 2.0 * (double)(s->rows * s->inputs * s->outputs);
}

static void begin(oc_case *c, const char *name)
{
    const int64_t batch = c->run.batch;
    oc_begin(c, name);
    c->run.batch = batch;
}

static void forward_of(oc_case *c, oc_rng *rng, const sizes *s, uint32_t flags)
{
    begin(c, "linear");
    if (flags & RN_OPF_BIAS)
        strcat(c->name, " bias");
    if (flags & RN_OPF_RELU)
        strcat(c->name, " relu");
    oc_op(c, RN_OP_LINEAR, flags, 0);
    oc_in(c, oc_matrix(c, rng, s->rows, s->inputs, OC_NORMAL));
    oc_in(c, weight(c, rng, s));
    oc_in(c, flags & RN_OPF_BIAS ? oc_vector(c, rng, RN_F32, s->outputs, OC_NORMAL) : RN_NO_VALUE);
    finish(c, s, s->inputs);
    oc_out(c, oc_matrix(c, rng, s->rows, s->outputs, OC_UNSET), OC_BOUND);
    c->per_image = 1;
}

static void make_forward(oc_case *c, oc_rng *rng, int index)
{
    const sizes s = random_sizes(c, rng, index);
    forward_of(c, rng, &s, (index % 3 ? RN_OPF_BIAS : 0) | (index % 4 == 3 ? RN_OPF_RELU : 0));
}

static int bench_forward(oc_case *c, oc_rng *rng, int index)
{
    sizes s;
    if (!bench_sizes(c, index, &s))
        return 0;
    forward_of(c, rng, &s, RN_OPF_BIAS);
    return 1;
}

static void data_of(oc_case *c, oc_rng *rng, const sizes *s)
{
    begin(c, "linear_backward_data");
    oc_op(c, RN_OP_LINEAR_BACKWARD_DATA, 0, 0);
    oc_in(c, oc_matrix(c, rng, s->rows, s->outputs, OC_NORMAL));
    oc_in(c, weight(c, rng, s));
    finish(c, s, s->outputs);
    oc_out(c, oc_matrix(c, rng, s->rows, s->inputs, OC_UNSET), OC_BOUND);
    c->per_image = 1;
}

static void make_data(oc_case *c, oc_rng *rng, int index)
{
    const sizes s = random_sizes(c, rng, index);
    data_of(c, rng, &s);
}

static int bench_data(oc_case *c, oc_rng *rng, int index)
{
    sizes s;
    if (!bench_sizes(c, index, &s))
        return 0;
    data_of(c, rng, &s);
    return 1;
}

static void filter_of(oc_case *c, oc_rng *rng, const sizes *s)
{
    begin(c, "linear_backward_filter");
    oc_op(c, RN_OP_LINEAR_BACKWARD_FILTER, 0, 0);
    oc_in(c, oc_matrix(c, rng, s->rows, s->inputs, OC_NORMAL));
    oc_in(c, oc_matrix(c, rng, s->rows, s->outputs, OC_NORMAL));
    oc_out(c, weight(c, rng, s), OC_BOUND);
    finish(c, s, s->rows);
}

static void make_filter(oc_case *c, oc_rng *rng, int index)
{
    const sizes s = random_sizes(c, rng, index);
    filter_of(c, rng, &s);
}

static int bench_filter(oc_case *c, oc_rng *rng, int index)
{
    sizes s;
    if (!bench_sizes(c, index, &s))
        return 0;
    filter_of(c, rng, &s);
    return 1;
}

const oc_family oc_linear_families[] = {
    {"linear", make_forward, bench_forward},
    {"linear_backward_data", make_data, bench_data},
    {"linear_backward_filter", make_filter, bench_filter},
    {NULL, NULL, NULL},
};
