/* SPDX-License-Identifier: MIT */
#include "ops/rules.h"
#include "base/error.h"
#include "base/half.h"
#include <stdarg.h>
#include <stdio.h>

/* What an operand must be. T and the dims of an activation are those of the op's first activation. */
enum {
    NONE = 0,
    ACT,     /* an activation of its own dims: T; rank 4 NHWC, else plain */
    SAME,    /* as the first activation */
    FLAT,    /* as the first activation but in plain layout */
    CHAN,    /* T [C], f32 beside bf16 and f16 */
    CHAN32,  /* f32 [C] */
    FLOATS,  /* f32, any dims */
    COUNTER, /* one i64 */
    LABELS,  /* i64 [N] */
    METRICS, /* room for rn_step_metrics */
    OTHER,   /* checked by the driver */
    OPTIONAL = 64
};

enum { MAX_IN = 8, MAX_OUT = 4 };

typedef struct op_rule {
    const char *name;
    uint32_t flags;
    size_t params;
    int32_t in_place; /* input that out[0] may share memory with, counted from 1; 0: none */
    uint8_t in[MAX_IN], out[MAX_OUT];
} op_rule;

#define OPT(what) ((what) | OPTIONAL)

static const op_rule rules[RN_OP_COUNT_] = {
    [RN_OP_CONVERT] = {"convert", RN_OPF_ACCUMULATE, 0, 0, {OTHER}, {OTHER}},
    [RN_OP_FILL] = {"fill", 0, 0, 0, {NONE}, {OTHER}},
    [RN_OP_PACK] = {"pack", RN_OPF_BACKWARD_DATA, sizeof(rn_conv_params), 0, {OTHER, OPT(OTHER)}, {OTHER}},
    [RN_OP_CONV_FORWARD] = {"conv_forward", RN_OPF_BIAS | RN_OPF_ADD | RN_OPF_RELU | RN_OPF_STATS,
                            sizeof(rn_conv_params), 0, {OTHER, OTHER, OPT(OTHER), OPT(OTHER)},
                            {OTHER, OPT(OTHER), OPT(OTHER)}},
    [RN_OP_CONV_BACKWARD_DATA] = {"conv_backward_data", RN_OPF_ACCUMULATE, sizeof(rn_conv_params), 0, {OTHER, OTHER},
                                  {OTHER}},
    [RN_OP_CONV_BACKWARD_FILTER] = {"conv_backward_filter", 0, sizeof(rn_conv_params), 0, {OTHER, OTHER}, {OTHER}},
    [RN_OP_BIAS_GRAD] = {"bias_grad", 0, 0, 0, {ACT}, {CHAN32}},
    [RN_OP_BN_STATS] = {"bn_stats", 0, 0, 0, {ACT}, {CHAN, CHAN}},
    [RN_OP_BN_RUNNING] = {"bn_running", RN_OPF_CUMULATIVE, sizeof(rn_bn_params), 0, {CHAN, CHAN},
                          {CHAN32, CHAN32, COUNTER}},
    [RN_OP_BN_APPLY] = {"bn_apply", RN_OPF_ADD | RN_OPF_RELU | RN_OPF_FROZEN, sizeof(rn_bn_params), 1,
                        {ACT, CHAN, CHAN, OPT(CHAN32), OPT(CHAN32), OPT(SAME)}, {SAME}},
    [RN_OP_BN_BACKWARD] = {"bn_backward", RN_OPF_ADD | RN_OPF_RELU | RN_OPF_ACCUMULATE | RN_OPF_FROZEN,
                           sizeof(rn_bn_params), 1,
                           {ACT, SAME, CHAN, CHAN, OPT(CHAN32), OPT(SAME), OPT(CHAN32)},
                           {SAME, OPT(CHAN32), OPT(CHAN32), OPT(SAME)}},
    [RN_OP_BN_FOLD] = {"bn_fold", 0, sizeof(rn_bn_params), 0,
                       {OPT(CHAN32), OPT(CHAN32), CHAN32, CHAN32, OPT(CHAN32)}, {CHAN, CHAN}},
    [RN_OP_SCALE_SHIFT] = {"scale_shift", RN_OPF_ADD | RN_OPF_RELU, 0, 1, {ACT, CHAN, CHAN, OPT(SAME)}, {SAME}},
    [RN_OP_RELU] = {"relu", 0, 0, 1, {ACT}, {SAME}},
    [RN_OP_RELU_BACKWARD] = {"relu_backward", 0, 0, 1, {ACT, SAME}, {SAME}},
    [RN_OP_ADD] = {"add", RN_OPF_RELU, 0, 1, {ACT, SAME}, {SAME}},
    [RN_OP_ACCUMULATE] = {"accumulate", 0, 0, 0, {ACT}, {SAME}},
    [RN_OP_MAXPOOL] = {"maxpool", 0, sizeof(rn_pool_params), 0, {ACT}, {ACT}},
    [RN_OP_MAXPOOL_BACKWARD] = {"maxpool_backward", 0, sizeof(rn_pool_params), 0, {ACT, ACT, ACT}, {ACT}},
    [RN_OP_AVGPOOL] = {"avgpool", RN_OPF_EXCLUDE_PADDING | RN_OPF_ADAPTIVE, sizeof(rn_pool_params), 0, {ACT}, {ACT}},
    [RN_OP_AVGPOOL_BACKWARD] = {"avgpool_backward", RN_OPF_EXCLUDE_PADDING | RN_OPF_ADAPTIVE, sizeof(rn_pool_params), 0,
                                {ACT}, {ACT}},
    [RN_OP_GLOBAL_AVGPOOL] = {"global_avgpool", 0, 0, 0, {ACT}, {ACT}},
    [RN_OP_GLOBAL_AVGPOOL_BACKWARD] = {"global_avgpool_backward", 0, 0, 0, {ACT}, {ACT}},
    [RN_OP_LINEAR] = {"linear", RN_OPF_BIAS | RN_OPF_RELU, 0, 0, {ACT, FLOATS, OPT(FLOATS)}, {ACT}},
    [RN_OP_LINEAR_BACKWARD_DATA] = {"linear_backward_data", 0, 0, 0, {ACT, FLOATS}, {ACT}},
    [RN_OP_LINEAR_BACKWARD_FILTER] = {"linear_backward_filter", 0, 0, 0, {ACT, ACT}, {FLOATS}},
    [RN_OP_SOFTMAX] = {"softmax", 0, 0, 1, {ACT}, {SAME}},
    [RN_OP_SOFTMAX_BACKWARD] = {"softmax_backward", 0, 0, 1, {ACT, SAME}, {SAME}},
    [RN_OP_DROPOUT] = {"dropout", 0, sizeof(rn_dropout_params), 1, {ACT}, {SAME}},
    [RN_OP_DROPOUT_BACKWARD] = {"dropout_backward", 0, sizeof(rn_dropout_params), 1, {ACT}, {SAME}},
    [RN_OP_PAD_SHORTCUT] = {"pad_shortcut", 0, sizeof(rn_pad_shortcut_params), 0, {ACT}, {ACT}},
    [RN_OP_PAD_SHORTCUT_BACKWARD] = {"pad_shortcut_backward", 0, sizeof(rn_pad_shortcut_params), 0, {ACT}, {ACT}},
    [RN_OP_CROSS_ENTROPY] = {"cross_entropy", RN_OPF_NO_GRAD | RN_OPF_LOSS_SCALE, sizeof(rn_cross_entropy_params), 0, {ACT, LABELS},
                             {OPT(SAME), METRICS}},
    [RN_OP_SOFT_CROSS_ENTROPY] = {"soft_cross_entropy", RN_OPF_NO_GRAD | RN_OPF_LOSS_SCALE, sizeof(rn_cross_entropy_params), 0, {ACT, FLAT},
                                  {OPT(SAME), METRICS}},
    [RN_OP_MSE] = {"mse", RN_OPF_NO_GRAD | RN_OPF_LOSS_SCALE, 0, 0, {ACT, FLAT}, {OPT(SAME), METRICS}},
    [RN_OP_GRAD_NORM] = {"grad_norm", 0, sizeof(rn_segments_params), 0, {FLOATS}, {METRICS}},
    [RN_OP_GRAD_CLIP] = {"grad_clip", 0, sizeof(rn_segments_params), 0, {METRICS}, {FLOATS}},
    [RN_OP_SGD] = {"sgd", 0, sizeof(rn_sgd_params), 0, {FLOATS, METRICS}, {FLOATS, OPT(FLOATS)}},
    [RN_OP_ADAM] = {"adam", 0, sizeof(rn_adam_params), 0, {FLOATS, METRICS}, {FLOATS, FLOATS}},
    [RN_OP_LERP] = {"lerp", 0, 0, 0, {FLOATS}, {FLOATS}},
    [RN_OP_AUGMENT] = {"augment", 0, sizeof(rn_augment_params), 0,
                       {OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OPT(OTHER), OPT(OTHER)}, {OTHER, OTHER}},
    [RN_OP_GRAD_UNSCALE] = {"grad_unscale", 0, sizeof(rn_segments_params), 0, {NONE}, {FLOATS, METRICS}},
    [RN_OP_LOSS_SCALE] = {"loss_scale", 0, sizeof(rn_loss_scale_params), 0, {NONE}, {METRICS}},
};

rn_status rni_ops_refuse(const rn_op *op, rn_status status, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rni_fail(status, "%s: %s: %s", op->path ? op->path : "?", rules[op->kind].name, text);
}

/* What the operands of one op share. */
typedef struct checking {
    const rn_op *op;
    const rn_value *values;
    const rn_value *act; /* the first activation */
    int32_t dtype;       /* T; 0 until known */
    int64_t channels;    /* -1 until known */
} checking;

/* Names an operand in a message. */
typedef struct operand {
    const char *side;
    uint32_t index;
} operand;

static rn_status wrong_dims(const checking *k, operand which, const rn_value *v, const char *expected)
{
    char text[RNI_SHAPE_TEXT];
    return rni_ops_refuse(k->op, RN_E_SHAPE, "%s %u: %s expected, got %s", which.side, (unsigned)which.index, expected,
                          rni_shape_text(text, v->rank, v->dims));
}

static rn_status check_dtype(const checking *k, operand which, const rn_value *v, int32_t dtype)
{
    if (v->dtype == dtype)
        return RN_OK;
    return rni_ops_refuse(k->op, RN_E_DTYPE, "%s %u: %s expected, got %s", which.side, (unsigned)which.index,
                          rn_dtype_name(dtype), rn_dtype_name(v->dtype));
}

/* The compute type: the first operand that has it decides. */
static rn_status check_compute_dtype(checking *k, operand which, const rn_value *v)
{
    if (k->dtype)
        return check_dtype(k, which, v, k->dtype);
    if (!rni_is_compute_dtype(v->dtype))
        return rni_ops_refuse(k->op, RN_E_UNSUPPORTED, "%s %u: computes in f32, f64, bf16 and f16, not in %s", which.side,
                              (unsigned)which.index, rn_dtype_name(v->dtype));
    k->dtype = v->dtype;
    return RN_OK;
}

static rn_status check_positive(const checking *k, operand which, const rn_value *v)
{
    for (int32_t i = 0; i < v->rank; i++)
        if (v->dims[i] < 1)
            return wrong_dims(k, which, v, "dims of at least 1");
    return RN_OK;
}

static rn_status check_activation(checking *k, operand which, const rn_value *v)
{
    RNI_TRY(check_compute_dtype(k, which, v));
    RNI_TRY(check_positive(k, which, v));
    if (v->rank < 1 || v->rank > RN_MAX_RANK)
        return wrong_dims(k, which, v, "rank 1 to 8");
    const int nhwc = v->layout == RN_LAYOUT_NHWC;
    if (nhwc ? v->rank != 4 : v->layout != RN_LAYOUT_PLAIN)
        return rni_ops_refuse(k->op, RN_E_UNSUPPORTED, "%s %u: layout %d of rank %d", which.side,
                              (unsigned)which.index, (int)v->layout, (int)v->rank);
    if (!k->act) {
        k->act = v;
        k->channels = v->rank > 1 ? v->dims[1] : -1;
    }
    return RN_OK;
}

static rn_status check_same(checking *k, operand which, const rn_value *v, int32_t layout)
{
    RNI_TRY(check_compute_dtype(k, which, v));
    int equal = v->rank == k->act->rank && v->batch_axis == k->act->batch_axis;
    for (int32_t i = 0; equal && i < v->rank; i++)
        equal = v->dims[i] == k->act->dims[i];
    if (!equal) {
        char text[RNI_SHAPE_TEXT];
        return wrong_dims(k, which, v, rni_shape_text(text, k->act->rank, k->act->dims));
    }
    if (v->layout != layout)
        return rni_ops_refuse(k->op, RN_E_SHAPE, "%s %u: layout %d expected, got %d", which.side,
                              (unsigned)which.index, (int)layout, (int)v->layout);
    return RN_OK;
}

static rn_status check_channels(checking *k, operand which, const rn_value *v)
{
    if (v->rank != 1 || v->dims[0] < 1 || (k->channels >= 0 && v->dims[0] != k->channels)) {
        char text[40];
        snprintf(text, sizeof text, k->channels >= 0 ? "[%lld]" : "one dimension", (long long)k->channels);
        return wrong_dims(k, which, v, text);
    }
    k->channels = v->dims[0];
    return RN_OK;
}

static rn_status check_labels(const checking *k, operand which, const rn_value *v)
{
    RNI_TRY(check_dtype(k, which, v, RN_I64));
    if (k->act->rank != 2)
        return wrong_dims(k, (operand){"in", 0}, k->act, "[N, K]");
    if (v->rank != 1 || v->dims[0] != k->act->dims[0])
        return wrong_dims(k, which, v, "one label per image");
    return RN_OK;
}

static rn_status check_operand(checking *k, operand which, const rn_value *v, uint8_t what)
{
    switch (what) {
    case ACT:
        return check_activation(k, which, v);
    case SAME:
        return check_same(k, which, v, k->act->layout);
    case FLAT:
        return check_same(k, which, v, RN_LAYOUT_PLAIN);
    case CHAN:
        RNI_TRY(rni_is_half(k->dtype) ? check_dtype(k, which, v, RN_F32) : check_compute_dtype(k, which, v));
        return check_channels(k, which, v);
    case CHAN32:
        RNI_TRY(check_dtype(k, which, v, RN_F32));
        return check_channels(k, which, v);
    case FLOATS:
        return check_dtype(k, which, v, RN_F32);
    case COUNTER:
        return check_dtype(k, which, v, RN_I64);
    case LABELS:
        return check_labels(k, which, v);
    case METRICS:
        return v->bytes >= sizeof(rn_step_metrics) ? RN_OK : wrong_dims(k, which, v, "room for rn_step_metrics");
    default:
        return RN_OK;
    }
}

static rn_status check_side(checking *k, const char *side, const uint8_t *what, uint32_t most, const uint32_t *indexes,
                            uint32_t count)
{
    for (uint32_t i = 0; i < most; i++) {
        const uint32_t index = i < count ? indexes[i] : RN_NO_VALUE;
        const uint8_t kind = what[i] & (OPTIONAL - 1);
        if (index == RN_NO_VALUE && kind != NONE && !(what[i] & OPTIONAL))
            return rni_ops_refuse(k->op, RN_E_INVALID, "%s %u is missing", side, (unsigned)i);
        if (index != RN_NO_VALUE && kind == NONE)
            return rni_ops_refuse(k->op, RN_E_INVALID, "%s %u is one too many", side, (unsigned)i);
        if (index != RN_NO_VALUE)
            RNI_TRY(check_operand(k, (operand){side, i}, &k->values[index], kind));
    }
    return count <= most ? RN_OK : rni_ops_refuse(k->op, RN_E_INVALID, "%u %s operands, at most %u expected",
                                                  (unsigned)count, side, (unsigned)most);
}

rn_status rni_ops_check(const rn_op *op, const rn_value *values, rn_op_info *info)
{
    if (op->kind <= 0 || op->kind >= RN_OP_COUNT_ || !rules[op->kind].name)
        return rni_fail(RN_E_UNSUPPORTED, "%s: op kind %d is not known", op->path ? op->path : "?", (int)op->kind);
    const op_rule *const rule = &rules[op->kind];
    if (op->flags & ~rule->flags)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "flags 0x%x", (unsigned)(op->flags & ~rule->flags));
    if (op->params_size < rule->params || (rule->params && !op->params))
        return rni_ops_refuse(op, RN_E_INVALID, "%zu bytes of params, %zu expected", op->params_size, rule->params);
    checking k = {.op = op, .values = values, .channels = -1};
    RNI_TRY(check_side(&k, "in", rule->in, MAX_IN, op->in, op->num_in));
    RNI_TRY(check_side(&k, "out", rule->out, MAX_OUT, op->out, op->num_out));
    info->in_place = rule->in_place - 1;
    return RN_OK;
}
