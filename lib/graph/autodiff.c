/* SPDX-License-Identifier: MIT */
/*
 * Reverse-mode differentiation: the FORWARD ops are walked from the last to the first; each turns the gradient of its
 * output into contributions to the gradients of its inputs. A value used twice gets its contributions added up.
 */
#include "graph/graph.h"
#include <string.h>

typedef struct autodiff {
    rni_lowering *low;
    uint32_t num_values; /* of the forward program */
    uint32_t num_ops;
    uint8_t *needs;      /* per root value: a trainable parameter or x is upstream */
    uint32_t *grad;      /* per root value: its gradient so far */
    uint32_t *pending;   /* per gradient's root: for how many values it waits to be used */
    uint32_t cap_pending;
} autodiff;

static uint32_t root_of(const autodiff *ad, uint32_t value)
{
    return ad->low->p.root[value];
}

static int needs(const autodiff *ad, uint32_t value)
{
    return value != RN_NO_VALUE && ad->needs[root_of(ad, value)];
}

/* How many values wait for the gradient in this memory. */
static uint32_t *waiting(autodiff *ad, uint32_t gradient)
{
    return &ad->pending[root_of(ad, gradient)];
}

/* Room for the counters of values made meanwhile. */
static rn_status reserve_pending(autodiff *ad)
{
    const uint32_t wanted = ad->low->p.num_values;
    if (wanted <= ad->cap_pending)
        return RN_OK;
    uint32_t *const grown = rni_realloc(ad->low->p.allocator, ad->pending, wanted * 2 * sizeof *grown);
    if (!grown)
        return rni_nomem("differentiation", wanted * 2 * sizeof *grown);
    memset(grown + ad->cap_pending, 0, (wanted * 2 - ad->cap_pending) * sizeof *grown);
    ad->pending = grown;
    ad->cap_pending = wanted * 2;
    return RN_OK;
}

/* A gradient value of the shape and layout of `like`. */
static rn_status fresh(autodiff *ad, uint32_t like, uint32_t *out)
{
    const rn_value v = ad->low->p.values[like];
    RNI_TRY(rni_program_value(&ad->low->p, v.dtype, RN_ROLE_ARENA, v.layout, v.rank, v.dims, v.batch_axis == 0, out));
    return reserve_pending(ad);
}

/* `gradient` seen with the shape and layout of `like`. */
static rn_status seen_as(autodiff *ad, uint32_t gradient, uint32_t like, uint32_t *out)
{
    const rn_value v = ad->low->p.values[like], *const g = &ad->low->p.values[gradient];
    if (g->rank == v.rank && g->layout == v.layout && memcmp(g->dims, v.dims, sizeof v.dims) == 0) {
        *out = gradient;
        return RN_OK;
    }
    RNI_TRY(rni_program_view(&ad->low->p, gradient, v.layout, v.rank, v.dims, out));
    return reserve_pending(ad);
}

static rn_status append(autodiff *ad, int32_t kind, uint32_t flags, const uint32_t *in, uint32_t num_in,
                        const uint32_t *out, uint32_t num_out, const rn_op *forward)
{
    return rni_lower_op(ad->low, RNI_SECTION_BACKWARD, kind, flags, in, num_in, out, num_out, forward->params,
                        forward->params_size, forward->path);
}

static rn_status append_plain(autodiff *ad, int32_t kind, const uint32_t *in, uint32_t num_in, uint32_t out,
                              const char *path)
{
    return rni_lower_op(ad->low, RNI_SECTION_BACKWARD, kind, 0, in, num_in, &out, 1, NULL, 0, path);
}

/* Where an op puts its contribution to a gradient. */
typedef struct slot {
    uint32_t target;   /* forward value; RN_NO_VALUE when no gradient is wanted */
    uint32_t value;    /* to write, shaped like target */
    int accumulate;    /* 1: the op must add to it */
} slot;

/* can_add: the op has RN_OPF_ACCUMULATE for this output. */
static rn_status open_slot(autodiff *ad, uint32_t target, int can_add, slot *s)
{
    *s = (slot){RN_NO_VALUE, RN_NO_VALUE, 0};
    if (!needs(ad, target))
        return RN_OK;
    s->target = target;
    const uint32_t existing = ad->grad[root_of(ad, target)];
    if (existing != RN_NO_VALUE && can_add && *waiting(ad, existing) == 1) {
        s->accumulate = 1;
        return seen_as(ad, existing, target, &s->value);
    }
    return fresh(ad, target, &s->value);
}

/* Makes `contribution`, shaped like the root, part of the root's gradient. */
static rn_status add_contribution(autodiff *ad, uint32_t root, uint32_t contribution, const char *path)
{
    const uint32_t existing = ad->grad[root];
    if (existing == RN_NO_VALUE) {
        ad->grad[root] = contribution;
        ++*waiting(ad, contribution);
        return RN_OK;
    }
    if (*waiting(ad, existing) == 1)
        return append_plain(ad, RN_OP_ACCUMULATE, &contribution, 1, existing, path);
    uint32_t sum;
    RNI_TRY(fresh(ad, root, &sum));
    const uint32_t both[2] = {existing, contribution};
    RNI_TRY(append_plain(ad, RN_OP_ADD, both, 2, sum, path));
    --*waiting(ad, existing);
    ad->grad[root] = sum;
    *waiting(ad, sum) = 1;
    return RN_OK;
}

static rn_status close_slot(autodiff *ad, const slot *s, const char *path)
{
    uint32_t as_root;
    if (s->target == RN_NO_VALUE || s->accumulate)
        return RN_OK;
    const uint32_t root = root_of(ad, s->target);
    RNI_TRY(seen_as(ad, s->value, root, &as_root));
    return add_contribution(ad, root, as_root, path);
}

/* The gradient of the output goes to an input unchanged. */
static rn_status pass_on(autodiff *ad, uint32_t gradient, uint32_t target, const char *path)
{
    uint32_t as_root;
    if (!needs(ad, target))
        return RN_OK;
    const uint32_t root = root_of(ad, target);
    RNI_TRY(seen_as(ad, gradient, root, &as_root));
    return add_contribution(ad, root, as_root, path);
}

/* The parameter behind a packed or cast value. */
static uint32_t source_param(const autodiff *ad, uint32_t value)
{
    const rni_program *const p = &ad->low->p;
    if (value == RN_NO_VALUE || p->values[value].role == RN_ROLE_PARAM)
        return value;
    const uint32_t op = rni_graph_producer(ad->low, value);
    return op == RN_NO_VALUE ? RN_NO_VALUE : p->ops[op].in[0];
}

static rn_status param_gradient(autodiff *ad, uint32_t param, uint32_t *grad)
{
    *grad = RN_NO_VALUE;
    if (param == RN_NO_VALUE || ad->low->p.values[param].role != RN_ROLE_PARAM)
        return RN_OK;
    RNI_TRY(ad->low->gradient(ad->low, param, grad));
    return reserve_pending(ad);
}

/* The packed form that the forward convolution reads, where the device packs one way for both directions. */
static uint32_t packed_already(const autodiff *ad, const rn_op *conv)
{
    const uint32_t producer = rni_graph_producer(ad->low, conv->in[1]);
    rn_op_info info;
    if (producer == RN_NO_VALUE)
        return RN_NO_VALUE;
    const rn_op *const pack = &ad->low->p.ops[producer];
    const int usable = pack->kind == RN_OP_PACK && pack->in[1] == RN_NO_VALUE &&
                       rni_graph_ask(ad->low, pack, &info) == RN_OK && info.one_packing;
    return usable ? conv->in[1] : RN_NO_VALUE;
}

static rn_status pack_backward(autodiff *ad, uint32_t weight, const rn_op *conv, uint32_t *packed)
{
    *packed = packed_already(ad, conv);
    if (*packed != RN_NO_VALUE)
        return RN_OK;
    RNI_TRY(rni_lower_pack(ad->low, weight, RN_NO_VALUE, conv->params, RN_OPF_BACKWARD_DATA, conv->path, packed));
    return reserve_pending(ad);
}

/* in: x, packed, bias */
static rn_status diff_conv(autodiff *ad, const rn_op *op, uint32_t dy)
{
    uint32_t dw, db, packed;
    slot dx;
    const uint32_t weight = source_param(ad, op->in[1]);
    RNI_TRY(param_gradient(ad, weight, &dw));
    RNI_TRY(param_gradient(ad, source_param(ad, op->in[2]), &db));
    if (db != RN_NO_VALUE)
        RNI_TRY(append_plain(ad, RN_OP_BIAS_GRAD, &dy, 1, db, op->path));
    const uint32_t pair[2] = {op->in[0], dy};
    if (dw != RN_NO_VALUE)
        RNI_TRY(append(ad, RN_OP_CONV_BACKWARD_FILTER, 0, pair, 2, &dw, 1, op));
    RNI_TRY(open_slot(ad, op->in[0], 1, &dx));
    if (dx.target == RN_NO_VALUE)
        return RN_OK;
    RNI_TRY(pack_backward(ad, weight, op, &packed));
    const uint32_t in[2] = {dy, packed};
    RNI_TRY(append(ad, RN_OP_CONV_BACKWARD_DATA, dx.accumulate ? RN_OPF_ACCUMULATE : 0, in, 2, &dx.value, 1, op));
    return close_slot(ad, &dx, op->path);
}

/* in: x, mean, var, gamma, beta, residual */
static rn_status diff_batchnorm(autodiff *ad, const rn_op *op, uint32_t dy)
{
    const int relu = (op->flags & RN_OPF_RELU) != 0;
    const uint32_t residual = op->flags & RN_OPF_ADD ? op->in[5] : RN_NO_VALUE;
    uint32_t dgamma, dbeta, flags = op->flags & (RN_OPF_RELU | RN_OPF_FROZEN);
    slot dx, dres = {RN_NO_VALUE, RN_NO_VALUE, 0};
    RNI_TRY(param_gradient(ad, op->in[3], &dgamma));
    RNI_TRY(param_gradient(ad, op->in[4], &dbeta));
    if (relu)
        RNI_TRY(open_slot(ad, residual, 1, &dres));
    if (dres.target != RN_NO_VALUE)
        flags |= RN_OPF_ADD | (dres.accumulate ? RN_OPF_ACCUMULATE : 0);
    RNI_TRY(open_slot(ad, op->in[0], 0, &dx));
    if (dx.target == RN_NO_VALUE)
        RNI_TRY(fresh(ad, op->in[0], &dx.value));
    /* Without a residual y follows from x, which is read anyway. */
    const int from_x = relu && residual == RN_NO_VALUE && op->in[4] != RN_NO_VALUE;
    const uint32_t in[7] = {dy,        op->in[0], op->in[1], op->in[2],
                            op->in[3], relu && !from_x ? op->out[0] : RN_NO_VALUE, from_x ? op->in[4] : RN_NO_VALUE};
    const uint32_t out[4] = {dx.value, dgamma, dbeta, dres.value};
    RNI_TRY(append(ad, RN_OP_BN_BACKWARD, flags, in, 7, out, 4, op));
    RNI_TRY(close_slot(ad, &dx, op->path));
    if (!relu)
        return pass_on(ad, dy, residual, op->path);
    return close_slot(ad, &dres, op->path);
}

/* in: x, w, b */
static rn_status diff_linear(autodiff *ad, const rn_op *op, uint32_t dy)
{
    uint32_t dw, db;
    slot dx;
    RNI_TRY(param_gradient(ad, op->in[1], &dw));
    RNI_TRY(param_gradient(ad, op->in[2], &db));
    const uint32_t pair[2] = {op->in[0], dy}, back[2] = {dy, op->in[1]};
    if (db != RN_NO_VALUE)
        RNI_TRY(append_plain(ad, RN_OP_BIAS_GRAD, &dy, 1, db, op->path));
    if (dw != RN_NO_VALUE)
        RNI_TRY(append_plain(ad, RN_OP_LINEAR_BACKWARD_FILTER, pair, 2, dw, op->path));
    RNI_TRY(open_slot(ad, op->in[0], 0, &dx));
    if (dx.target == RN_NO_VALUE)
        return RN_OK;
    RNI_TRY(append_plain(ad, RN_OP_LINEAR_BACKWARD_DATA, back, 2, dx.value, op->path));
    return close_slot(ad, &dx, op->path);
}

static rn_status diff_add(autodiff *ad, const rn_op *op, uint32_t dy)
{
    uint32_t g = dy;
    if (op->flags & RN_OPF_RELU) {
        const uint32_t in[2] = {dy, op->out[0]};
        RNI_TRY(fresh(ad, op->out[0], &g));
        RNI_TRY(append_plain(ad, RN_OP_RELU_BACKWARD, in, 2, g, op->path));
    }
    RNI_TRY(pass_on(ad, g, op->in[0], op->path));
    return pass_on(ad, g, op->in[1], op->path);
}

/* Ops with one input: which op goes back and what it reads besides dy. */
typedef struct simple_rule {
    int32_t backward;
    int reads_x, reads_y;
} simple_rule;

static const simple_rule simple_rules[RN_OP_COUNT_] = {
    [RN_OP_CONVERT] = {RN_OP_CONVERT, 0, 0},
    [RN_OP_RELU] = {RN_OP_RELU_BACKWARD, 0, 1},
    [RN_OP_MAXPOOL] = {RN_OP_MAXPOOL_BACKWARD, 1, 1},
    [RN_OP_AVGPOOL] = {RN_OP_AVGPOOL_BACKWARD, 0, 0},
    [RN_OP_GLOBAL_AVGPOOL] = {RN_OP_GLOBAL_AVGPOOL_BACKWARD, 0, 0},
    [RN_OP_SOFTMAX] = {RN_OP_SOFTMAX_BACKWARD, 0, 1},
    [RN_OP_DROPOUT] = {RN_OP_DROPOUT_BACKWARD, 0, 0},
    [RN_OP_PAD_SHORTCUT] = {RN_OP_PAD_SHORTCUT_BACKWARD, 0, 0},
};

static rn_status diff_simple(autodiff *ad, const rn_op *op, uint32_t dy)
{
    const simple_rule *const rule = &simple_rules[op->kind];
    uint32_t in[3] = {dy}, num_in = 1;
    slot dx;
    if (!rule->backward)
        return rni_fail(RN_E_INTERNAL, "%s: %s has no gradient", op->path, rni_op_name(op->kind));
    if (rule->reads_x)
        in[num_in++] = op->in[0];
    if (rule->reads_y)
        in[num_in++] = op->out[0];
    RNI_TRY(open_slot(ad, op->in[0], 0, &dx));
    if (dx.target == RN_NO_VALUE)
        return RN_OK;
    RNI_TRY(append(ad, rule->backward, op->flags, in, num_in, &dx.value, 1, op));
    return close_slot(ad, &dx, op->path);
}

static rn_status diff_op(autodiff *ad, const rn_op *op, uint32_t dy)
{
    switch (op->kind) {
    case RN_OP_CONV_FORWARD:
        return diff_conv(ad, op, dy);
    case RN_OP_BN_APPLY:
        return diff_batchnorm(ad, op, dy);
    case RN_OP_LINEAR:
        return diff_linear(ad, op, dy);
    case RN_OP_ADD:
        return diff_add(ad, op, dy);
    default:
        return diff_simple(ad, op, dy);
    }
}

/* Statistics carry no gradient of their own: RN_OP_BN_BACKWARD goes through them. */
static int carries_gradient(int32_t kind)
{
    return kind != 0 && kind != RN_OP_BN_STATS && kind != RN_OP_BN_RUNNING;
}

static rn_status op_needs(autodiff *ad, const rn_op *op, uint8_t *out)
{
    *out = 0;
    for (uint32_t k = 0; k < op->num_in; k++) {
        uint32_t grad;
        const uint32_t in = op->in[k];
        if (in == RN_NO_VALUE)
            continue;
        if (ad->low->p.values[in].role == RN_ROLE_ARENA || ad->low->p.values[in].role == RN_ROLE_INPUT) {
            *out |= ad->needs[root_of(ad, in)];
            continue;
        }
        RNI_TRY(param_gradient(ad, source_param(ad, in), &grad));
        *out |= grad != RN_NO_VALUE;
    }
    return RN_OK;
}

static rn_status find_needs(autodiff *ad)
{
    for (uint32_t i = 0; i < ad->num_ops; i++) {
        const rn_op op = ad->low->p.ops[i];
        uint8_t need;
        if (ad->low->section[i] != RNI_SECTION_FORWARD || !carries_gradient(op.kind))
            continue;
        RNI_TRY(op_needs(ad, &op, &need));
        ad->needs[root_of(ad, op.out[0])] = need;
    }
    return RN_OK;
}

static rn_status walk_back(autodiff *ad)
{
    for (uint32_t i = ad->num_ops; i-- > 0;) {
        const rn_op op = ad->low->p.ops[i]; /* a copy: the array grows */
        uint32_t dy;
        if (ad->low->section[i] != RNI_SECTION_FORWARD || !carries_gradient(op.kind))
            continue;
        const uint32_t root = root_of(ad, op.out[0]), gradient = ad->grad[root];
        if (gradient == RN_NO_VALUE || !ad->needs[root])
            continue;
        RNI_TRY(seen_as(ad, gradient, op.out[0], &dy));
        RNI_TRY(diff_op(ad, &op, dy));
        --*waiting(ad, gradient);
    }
    return RN_OK;
}

static rn_status differentiate(autodiff *ad, uint32_t y, uint32_t dy, uint32_t x, uint32_t *dx)
{
    uint32_t seed;
    const uint32_t root = root_of(ad, y);
    RNI_TRY(reserve_pending(ad));
    if (x != RN_NO_VALUE)
        ad->needs[x] = 1;
    RNI_TRY(find_needs(ad));
    RNI_TRY(seen_as(ad, dy, root, &seed));
    ad->grad[root] = seed;
    *waiting(ad, seed) = 1;
    RNI_TRY(walk_back(ad));
    *dx = x == RN_NO_VALUE ? RN_NO_VALUE : ad->grad[x];
    return RN_OK;
}

rn_status rni_graph_backward(rni_lowering *low, uint32_t y, uint32_t dy, uint32_t x, uint32_t *dx)
{
    const rn_allocator *const allocator = low->p.allocator;
    /* Parameter gradients become values on the way: room for as many again. */
    const uint32_t room = low->p.num_values * 2 + 16;
    autodiff ad = {.low = low, .num_values = low->p.num_values, .num_ops = low->p.num_ops};
    ad.needs = rni_calloc(allocator, room, sizeof *ad.needs);
    ad.grad = rni_alloc(allocator, room * sizeof *ad.grad);
    rn_status status = RN_OK;
    if (!ad.needs || !ad.grad) {
        status = rni_nomem("differentiation", room * sizeof *ad.grad);
    } else {
        memset(ad.grad, 0xff, room * sizeof *ad.grad);
        status = differentiate(&ad, y, dy, x, dx);
    }
    rni_free(allocator, ad.needs);
    rni_free(allocator, ad.grad);
    rni_free(allocator, ad.pending);
    return status;
}
