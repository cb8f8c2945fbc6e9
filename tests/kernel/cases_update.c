/* SPDX-License-Identifier: MIT */
/* Gradient norm, clipping and optimizer steps over segments of flat buffers; averages of weights. */
#include "op_case.h"
#include <math.h>
#include <string.h>

/* Segments with gaps between them; frozen parameters lie in the gaps. Returns the length of the flat buffer. */
static int64_t cut_segments(oc_case *c, oc_rng *rng, int index, uint64_t *num)
{
    int64_t at = 0;
    *num = (uint64_t)oc_range(rng, 1, 5);
    for (uint64_t i = 0; i < *num; i++) {
        at += oc_range(rng, 0, 3) * 16;
        const int64_t count = i == 0 ? index + 1 : oc_range(rng, 1, index % 8 == 7 ? 40000 : 100);
        c->segments[i] = (rn_segment){.offset = (uint64_t)at, .count = (uint64_t)count};
        c->segments[i].group = (uint32_t)oc_range(rng, 0, OC_MAX_GROUPS - 1);
        c->segments[i].weight_decay = index % 2 ? 0.01 * (double)oc_range(rng, 0, 2) : 0;
        at += (count + 15) / 16 * 16;
    }
    for (int i = 0; i < OC_MAX_GROUPS; i++)
        c->lr[i] = 0.1 / (i + 1);
    return at + 16;
}

static int64_t one_segment(oc_case *c, int64_t count, uint64_t *num)
{
    *num = 1;
    c->segments[0] = (rn_segment){.count = (uint64_t)count, .weight_decay = 1e-4};
    c->lr[0] = 0.1;
    return count;
}

/* What SGD multiplies and adds, in absolute values, is at most this. */
static void sgd_scales(oc_case *c, uint32_t g, uint32_t p, uint32_t buf, double momentum)
{
    double *const scale = oc_scale(c, p), *const buf_scale = buf == RN_NO_VALUE ? NULL : oc_scale(c, buf);
    for (size_t i = 0; i < c->values[p].count; i++) {
        const double d = fabs(c->values[g].data[i]) + 0.02 * fabs(c->values[p].data[i]);
        const double b = buf_scale ? momentum * fabs(c->values[buf].data[i]) + d : 0;
        if (buf_scale)
            buf_scale[i] = b;
        scale[i] = fabs(c->values[p].data[i]) + 0.1 * (d + b);
    }
}

static void sgd_of(oc_case *c, oc_rng *rng, int64_t length, uint64_t num, int index)
{
    rn_sgd_params *const p = &c->params.sgd;
    *p = (rn_sgd_params){.momentum = index % 4 ? 0.9 : 0, .num_segments = num, .segments = c->segments};
    p->nesterov = index % 4 == 3;
    p->dampening = index % 4 == 2 ? 0.5 : 0;
    const int64_t uncounted = index % 5 == 4 ? 3 : 0;
    c->run.optimizer_step = uncounted + (index % 3 == 2 ? 1 : 5);
    oc_op(c, RN_OP_SGD, 0, sizeof *p);
    const uint32_t g = oc_vector(c, rng, RN_F32, length, OC_NORMAL), metrics = oc_metrics(c, rng);
    c->values[metrics].data[7] = index % 8 == 6; /* step_nonfinite: skipped */
    c->values[metrics].data[11] = (double)uncounted;
    const uint32_t params = oc_vector(c, rng, RN_F32, length, OC_NORMAL);
    const uint32_t buf = p->momentum > 0 ? oc_vector(c, rng, RN_F32, length, OC_NORMAL) : RN_NO_VALUE;
    oc_in(c, g);
    oc_in(c, metrics);
    oc_out(c, params, OC_BOUND);
    oc_out(c, buf, OC_BOUND);
    sgd_scales(c, g, params, buf, p->momentum);
    c->bytes = 4.0 * (double)length * (p->momentum > 0 ? 5 : 3);
}

static void make_sgd(oc_case *c, oc_rng *rng, int index)
{
    uint64_t num;
    oc_begin(c, "sgd");
    const int64_t length = cut_segments(c, rng, index, &num);
    sgd_of(c, rng, length, num, index);
}

static int bench_sgd(oc_case *c, oc_rng *rng, int index)
{
    uint64_t num;
    if (index > 0)
        return 0;
    oc_begin(c, "sgd");
    const int64_t length = one_segment(c, 11700000, &num);
    sgd_of(c, rng, length, num, 1);
    return 1;
}

static void adam_scales(oc_case *c, uint32_t g, uint32_t p, uint32_t state, uint64_t stride, int64_t uncounted)
{
    const rn_adam_params *const a = &c->params.adam;
    const double t = (double)(c->run.optimizer_step - uncounted), c1 = 1 - pow(a->beta1, t), c2 = 1 - pow(a->beta2, t);
    double *const scale = oc_scale(c, p), *const moments = oc_scale(c, state);
    for (size_t i = 0; i < c->values[p].count; i++) {
        const double w = fabs(c->values[p].data[i]), d = fabs(c->values[g].data[i]) + 0.02 * w;
        const double v = c->values[state].data[i + stride], signed_d = fabs(fabs(c->values[g].data[i]) - 0.02 * w);
        moments[i] = a->beta1 * fabs(c->values[state].data[i]) + (1 - a->beta1) * d;
        moments[i + stride] = a->beta2 * v + (1 - a->beta2) * d * d;
        const double least = a->beta2 * v + (a->decoupled ? 0 : (1 - a->beta2) * signed_d * signed_d);
        scale[i] = w + 0.1 / c1 * moments[i] / sqrt(least / c2) * (moments[i + stride] / least);
    }
}

static void adam_of(oc_case *c, oc_rng *rng, int64_t length, uint64_t num, int index)
{
    rn_adam_params *const p = &c->params.adam;
    *p = (rn_adam_params){.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decoupled = index % 2, .num_segments = num};
    p->segments = c->segments;
    p->state_stride = (uint64_t)length;
    const int64_t uncounted = index % 5 == 4 ? 3 : 0;
    c->run.optimizer_step = uncounted + (index % 3 == 2 ? 1 : 7);
    oc_op(c, RN_OP_ADAM, 0, sizeof *p);
    const uint32_t g = oc_vector(c, rng, RN_F32, length, OC_NORMAL), metrics = oc_metrics(c, rng);
    c->values[metrics].data[7] = index % 8 == 6;
    c->values[metrics].data[11] = (double)uncounted;
    const uint32_t params = oc_vector(c, rng, RN_F32, length, OC_NORMAL);
    const uint32_t state = oc_vector(c, rng, RN_F32, 2 * length, OC_POSITIVE);
    oc_in(c, g);
    oc_in(c, metrics);
    oc_out(c, params, OC_BOUND);
    oc_out(c, state, OC_BOUND);
    adam_scales(c, g, params, state, p->state_stride, uncounted);
    c->bytes = 4.0 * (double)length * 7;
}

static void make_adam(oc_case *c, oc_rng *rng, int index)
{
    uint64_t num;
    oc_begin(c, index % 2 ? "adam decoupled" : "adam");
    const int64_t length = cut_segments(c, rng, index, &num);
    adam_of(c, rng, length, num, index);
}

static int bench_adam(oc_case *c, oc_rng *rng, int index)
{
    static const int64_t sizes[] = {195738, 11700000};
    uint64_t num;
    if (index > 1)
        return 0;
    oc_begin(c, "adam");
    const int64_t length = one_segment(c, sizes[index], &num);
    adam_of(c, rng, length, num, 0);
    return 1;
}

static void norm_of(oc_case *c, oc_rng *rng, int64_t length, uint64_t num)
{
    c->params.segments = (rn_segments_params){.num_segments = num, .segments = c->segments};
    oc_op(c, RN_OP_GRAD_NORM, 0, sizeof(rn_segments_params));
    oc_in(c, oc_vector(c, rng, RN_F32, length, OC_NORMAL));
    oc_out(c, oc_metrics(c, rng), OC_METRICS);
    c->bytes = 4.0 * (double)length;
}

static void make_norm(oc_case *c, oc_rng *rng, int index)
{
    uint64_t num;
    oc_begin(c, "grad_norm");
    const int64_t length = cut_segments(c, rng, index, &num);
    norm_of(c, rng, length, num);
}

static int bench_norm(oc_case *c, oc_rng *rng, int index)
{
    uint64_t num;
    if (index > 0)
        return 0;
    oc_begin(c, "grad_norm");
    const int64_t length = one_segment(c, 11700000, &num);
    norm_of(c, rng, length, num);
    return 1;
}

static void clip_of(oc_case *c, oc_rng *rng, int64_t length, uint64_t num, double norm)
{
    c->params.segments = (rn_segments_params){norm, num, c->segments};
    oc_op(c, RN_OP_GRAD_CLIP, 0, sizeof(rn_segments_params));
    oc_in(c, oc_metrics(c, rng));
    oc_out(c, oc_vector(c, rng, RN_F32, length, OC_NORMAL), OC_BOUND);
    c->values[1].absolute = 1;
    c->bytes = 8.0 * (double)length;
}

static void make_clip(oc_case *c, oc_rng *rng, int index)
{
    uint64_t num;
    oc_begin(c, "grad_clip");
    const int64_t length = cut_segments(c, rng, index, &num);
    clip_of(c, rng, length, num, index % 2 ? 1.0 : 100.0);
}

static int bench_clip(oc_case *c, oc_rng *rng, int index)
{
    uint64_t num;
    if (index > 0)
        return 0;
    oc_begin(c, "grad_clip");
    const int64_t length = one_segment(c, 11700000, &num);
    clip_of(c, rng, length, num, 1.0);
    return 1;
}

/* In every third case a gradient that is not finite, or is not once it is divided. */
static void make_unscale(oc_case *c, oc_rng *rng, int index)
{
    static const double bad[] = {INFINITY, NAN, -INFINITY, 0x1.fp127};
    uint64_t num;
    oc_begin(c, "grad_unscale");
    const int64_t length = cut_segments(c, rng, index, &num);
    c->params.segments = (rn_segments_params){.num_segments = num, .segments = c->segments};
    oc_op(c, RN_OP_GRAD_UNSCALE, 0, sizeof(rn_segments_params));
    const uint32_t grads = oc_vector(c, rng, RN_F32, length, OC_NORMAL), metrics = oc_metrics(c, rng);
    const rn_segment *const s = &c->segments[oc_range(rng, 0, (int64_t)num - 1)];
    c->values[metrics].data[8] = index % 4 == 1 ? 3000 : index % 4 == 3 ? 0x1p-20 : 65536;
    c->values[metrics].data[7] = index % 16 == 15;
    if (index % 3 == 2)
        c->values[grads].data[s->offset + (uint64_t)oc_range(rng, 0, (int64_t)s->count - 1)] = bad[index / 3 % 4];
    oc_out(c, grads, OC_BOUND);
    oc_out(c, metrics, OC_METRICS);
    c->values[grads].absolute = 1;
    c->bytes = 8.0 * (double)length;
}

/* Growth, backoff, and both ends. */
static void make_loss_scale(oc_case *c, oc_rng *rng, int index)
{
    oc_begin(c, "loss_scale");
    c->params.loss_scale = (rn_loss_scale_params){2, 0.5, 0x1p-24, 0x1p24, oc_range(rng, 1, 8), index % 3 == 0, 0};
    if (index % 5 == 4)
        c->params.loss_scale.growth = c->params.loss_scale.backoff = 1;
    oc_op(c, RN_OP_LOSS_SCALE, 0, sizeof(rn_loss_scale_params));
    const uint32_t metrics = oc_metrics(c, rng);
    static const double scales[] = {65536, 0x1p-24, 0x1p24, 3000};
    c->values[metrics].data[7] = index % 2;
    c->values[metrics].data[8] = scales[index / 2 % 4];
    c->values[metrics].data[9] = (double)oc_range(rng, 0, 7);
    oc_out(c, metrics, OC_METRICS);
}

static void lerp_of(oc_case *c, oc_rng *rng, int64_t length, double weight)
{
    oc_begin(c, "lerp");
    c->lr[0] = weight;
    oc_op(c, RN_OP_LERP, 0, 0);
    /* At the ends one side is all there is, whatever the other holds: with infinities and NaN, too. */
    const int end = weight == 0 || weight == 1, kind = end ? OC_CORNERS : OC_NORMAL;
    const uint32_t b = oc_vector(c, rng, RN_F32, length, kind), a = oc_vector(c, rng, RN_F32, length, kind);
    oc_in(c, b);
    oc_out(c, a, end ? OC_EXACT : OC_BOUND);
    double *const scale = oc_scale(c, a);
    for (size_t i = 0; i < c->values[a].count; i++)
        scale[i] = fabs(c->values[a].data[i]) + fabs(c->values[b].data[i]);
    c->bytes = 12.0 * (double)length;
}

static void make_lerp(oc_case *c, oc_rng *rng, int index)
{
    static const double weights[] = {1e-4, 1, 0.1, 0, 0.5, 0.9};
    lerp_of(c, rng, index % 8 == 7 ? oc_range(rng, 20000, 60000) : index + 1, weights[index % 6]);
}

static int bench_lerp(oc_case *c, oc_rng *rng, int index)
{
    if (index > 0)
        return 0;
    lerp_of(c, rng, 11700000, 1e-3);
    return 1;
}

const oc_family oc_update_families[] = {
    {"grad_norm", make_norm, bench_norm},
    {"grad_clip", make_clip, bench_clip},
    {"sgd", make_sgd, bench_sgd},
    {"adam", make_adam, bench_adam},
    {"lerp", make_lerp, bench_lerp},
    {"grad_unscale", make_unscale, NULL},
    {"loss_scale", make_loss_scale, NULL},
    {NULL, NULL, NULL},
};
