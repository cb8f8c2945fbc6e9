/* SPDX-License-Identifier: MIT */
/* Pooling, in both directions. */
#include "op_case.h"
#include <string.h>

typedef struct shapes {
    int64_t in[4], out[4];
} shapes;

/* Random windows that fit the image; padding up to half the window. */
static void random_window(rn_pool_params *p, oc_rng *rng, shapes *s)
{
    for (int i = 0; i < 2; i++) {
        p->kernel[i] = oc_range(rng, 1, 4);
        p->stride[i] = oc_range(rng, 1, 4);
        p->padding[i] = oc_range(rng, 0, p->kernel[i] / 2);
        if (s->in[2 + i] + 2 * p->padding[i] < p->kernel[i])
            s->in[2 + i] = p->kernel[i];
        s->out[2 + i] = (s->in[2 + i] + 2 * p->padding[i] - p->kernel[i]) / p->stride[i] + 1;
    }
}

static void begin(oc_case *c, oc_rng *rng, int index, const char *name, shapes *s)
{
    oc_shape(c, rng, index, s->in);
    const int64_t batch = c->run.batch;
    oc_begin(c, name);
    c->run.batch = batch;
    random_window(&c->params.pool, rng, s);
    s->out[0] = s->in[0];
    s->out[1] = s->in[1];
}

static void maxpool_of(oc_case *c, oc_rng *rng, const shapes *s, int fill)
{
    oc_op(c, RN_OP_MAXPOOL, 0, sizeof(rn_pool_params));
    oc_in(c, oc_image(c, rng, s->in, fill));
    oc_out(c, oc_image(c, rng, s->out, OC_UNSET), OC_EXACT);
    c->per_image = 1;
    c->bytes = 4.0 * (double)(s->in[0] * s->in[1]) * (double)(s->in[2] * s->in[3] + s->out[2] * s->out[3]);
}

static void make_maxpool(oc_case *c, oc_rng *rng, int index)
{
    shapes s;
    begin(c, rng, index, "maxpool", &s);
    maxpool_of(c, rng, &s, index % 2 ? OC_CORNERS : OC_NORMAL);
}

/* ResNet-50's stem. */
static const shapes stem = {{8, 64, 112, 112}, {8, 64, 56, 56}};

static int bench_maxpool(oc_case *c, oc_rng *rng, int index)
{
    if (index > 0)
        return 0;
    oc_begin(c, "maxpool");
    c->run.batch = stem.in[0];
    c->params.pool = (rn_pool_params){{3, 3}, {2, 2}, {1, 1}};
    maxpool_of(c, rng, &stem, OC_NORMAL);
    return 1;
}

/* y must be what the forward op gives: a first op of the case makes it. */
static void maxpool_backward_of(oc_case *c, oc_rng *rng, const shapes *s, int fill)
{
    maxpool_of(c, rng, s, fill);
    const uint32_t x = c->in[0][0], y = c->out[0][0];
    oc_op(c, RN_OP_MAXPOOL_BACKWARD, 0, sizeof(rn_pool_params));
    const uint32_t dy = oc_image(c, rng, s->out, OC_NORMAL);
    c->values[dy].absolute = 1;
    oc_in(c, dy);
    oc_in(c, x);
    oc_in(c, y);
    oc_out(c, oc_image(c, rng, s->in, OC_UNSET), OC_BOUND);
    c->terms = 16;
    c->rounds_again = 1;
    for (int axis = 0; axis < 2; axis++)
        c->rounds_again *= (int)((c->params.pool.kernel[axis] - 1) / c->params.pool.stride[axis]) + 1;
    c->per_image = 0;
    c->bytes *= 2; /* the gradients are as large as the values */
}

static void make_maxpool_backward(oc_case *c, oc_rng *rng, int index)
{
    shapes s;
    begin(c, rng, index, "maxpool_backward", &s);
    maxpool_backward_of(c, rng, &s, index % 2 ? OC_TIES : OC_NORMAL);
}

static int bench_maxpool_backward(oc_case *c, oc_rng *rng, int index)
{
    if (index > 0)
        return 0;
    oc_begin(c, "maxpool_backward");
    c->run.batch = stem.in[0];
    c->params.pool = (rn_pool_params){{3, 3}, {2, 2}, {1, 1}};
    maxpool_backward_of(c, rng, &stem, OC_NORMAL);
    return 1;
}

static void average_of(oc_case *c, oc_rng *rng, const shapes *s, int backward, int global, uint32_t flags)
{
    const int32_t kind = global ? backward ? RN_OP_GLOBAL_AVGPOOL_BACKWARD : RN_OP_GLOBAL_AVGPOOL
                         : backward ? RN_OP_AVGPOOL_BACKWARD
                                    : RN_OP_AVGPOOL;
    oc_op(c, kind, flags, global ? 0 : sizeof(rn_pool_params));
    oc_in(c, oc_image(c, rng, backward ? s->out : s->in, OC_NORMAL));
    c->values[0].absolute = 1;
    oc_out(c, oc_image(c, rng, backward ? s->in : s->out, OC_UNSET), OC_BOUND);
    c->terms = 81;
    c->per_image = 1;
    c->bytes = 4.0 * (double)(s->in[0] * s->in[1]) * (double)(s->in[2] * s->in[3] + s->out[2] * s->out[3]);
}

static void make_avgpool(oc_case *c, oc_rng *rng, int index)
{
    shapes s;
    begin(c, rng, index, index & 1 ? "avgpool_backward" : "avgpool", &s);
    average_of(c, rng, &s, index & 1, 0, index & 2 ? RN_OPF_EXCLUDE_PADDING : 0);
}

/* The pools of a 14x14 stage and, without overlap, of a 56x56 one. */
static int bench_avgpool(oc_case *c, oc_rng *rng, int index)
{
    static const shapes all[] = {{{8, 256, 14, 14}, {8, 256, 7, 7}}, {{8, 64, 56, 56}, {8, 64, 28, 28}}};
    static const int64_t kernel[] = {3, 2};
    const int k = index / 2;
    if (k > 1)
        return 0;
    oc_begin(c, index & 1 ? "avgpool_backward" : "avgpool");
    c->run.batch = all[k].in[0];
    c->params.pool = (rn_pool_params){{kernel[k], kernel[k]}, {2, 2}, {kernel[k] == 3, kernel[k] == 3}};
    average_of(c, rng, &all[k], index & 1, 0, 0);
    return 1;
}

static void make_global(oc_case *c, oc_rng *rng, int index)
{
    shapes s;
    begin(c, rng, index, index & 1 ? "global_avgpool_backward" : "global_avgpool", &s);
    s.out[2] = s.out[3] = 1;
    average_of(c, rng, &s, index & 1, 1, 0);
}

/* Any sizes: windows that overlap, and outputs that repeat pixels. */
static void make_adaptive(oc_case *c, oc_rng *rng, int index)
{
    shapes s;
    begin(c, rng, index, index & 1 ? "adaptive_avgpool_backward" : "adaptive_avgpool", &s);
    for (int i = 2; i < 4; i++)
        s.out[i] = oc_range(rng, 1, 9);
    average_of(c, rng, &s, index & 1, 0, RN_OPF_ADAPTIVE);
}

static int bench_global(oc_case *c, oc_rng *rng, int index)
{
    static const shapes all[] = {{{100, 64, 8, 8}, {100, 64, 1, 1}}, {{8, 2048, 7, 7}, {8, 2048, 1, 1}}};
    if (index >= 4)
        return 0;
    oc_begin(c, index & 1 ? "global_avgpool_backward" : "global_avgpool");
    c->run.batch = all[index / 2].in[0];
    average_of(c, rng, &all[index / 2], index & 1, 1, 0);
    return 1;
}

const oc_family oc_pool_families[] = {
    {"maxpool", make_maxpool, bench_maxpool},
    {"maxpool_backward", make_maxpool_backward, bench_maxpool_backward},
    {"avgpool", make_avgpool, bench_avgpool},
    {"global_avgpool", make_global, bench_global},
    {"adaptive_avgpool", make_adaptive, NULL},
    {NULL, NULL, NULL},
};
