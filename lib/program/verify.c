/* SPDX-License-Identifier: MIT */
#include "program/program.h"

/* Name, operands and size of params of every kind. */
typedef struct kind_rule {
    const char *name;
    uint32_t min_in, max_in, min_out, max_out;
    size_t params;
} kind_rule;

static const kind_rule rules[RN_OP_COUNT_] = {
    [RN_OP_CONVERT] = {"convert", 1, 1, 1, 1, 0},
    [RN_OP_FILL] = {"fill", 0, 0, 1, 1, 0},
    [RN_OP_PACK] = {"pack", 1, 2, 1, 1, sizeof(rn_conv_params)},
    [RN_OP_CONV_FORWARD] = {"conv_forward", 2, 4, 1, 3, sizeof(rn_conv_params)},
    [RN_OP_CONV_BACKWARD_DATA] = {"conv_backward_data", 2, 2, 1, 1, sizeof(rn_conv_params)},
    [RN_OP_CONV_BACKWARD_FILTER] = {"conv_backward_filter", 2, 2, 1, 1, sizeof(rn_conv_params)},
    [RN_OP_BIAS_GRAD] = {"bias_grad", 1, 1, 1, 1, 0},
    [RN_OP_BN_STATS] = {"bn_stats", 1, 1, 2, 2, 0},
    [RN_OP_BN_RUNNING] = {"bn_running", 2, 2, 3, 3, sizeof(rn_bn_params)},
    [RN_OP_BN_APPLY] = {"bn_apply", 5, 6, 1, 1, sizeof(rn_bn_params)},
    [RN_OP_BN_BACKWARD] = {"bn_backward", 5, 7, 3, 4, sizeof(rn_bn_params)},
    [RN_OP_BN_FOLD] = {"bn_fold", 5, 5, 2, 2, sizeof(rn_bn_params)},
    [RN_OP_SCALE_SHIFT] = {"scale_shift", 3, 4, 1, 1, 0},
    [RN_OP_RELU] = {"relu", 1, 1, 1, 1, 0},
    [RN_OP_RELU_BACKWARD] = {"relu_backward", 2, 2, 1, 1, 0},
    [RN_OP_ADD] = {"add", 2, 2, 1, 1, 0},
    [RN_OP_ACCUMULATE] = {"accumulate", 1, 1, 1, 1, 0},
    [RN_OP_MAXPOOL] = {"maxpool", 1, 1, 1, 1, sizeof(rn_pool_params)},
    [RN_OP_MAXPOOL_BACKWARD] = {"maxpool_backward", 3, 3, 1, 1, sizeof(rn_pool_params)},
    [RN_OP_AVGPOOL] = {"avgpool", 1, 1, 1, 1, sizeof(rn_pool_params)},
    [RN_OP_AVGPOOL_BACKWARD] = {"avgpool_backward", 1, 1, 1, 1, sizeof(rn_pool_params)},
    [RN_OP_GLOBAL_AVGPOOL] = {"global_avgpool", 1, 1, 1, 1, 0},
    [RN_OP_GLOBAL_AVGPOOL_BACKWARD] = {"global_avgpool_backward", 1, 1, 1, 1, 0},
    [RN_OP_LINEAR] = {"linear", 2, 3, 1, 1, 0},
    [RN_OP_LINEAR_BACKWARD_DATA] = {"linear_backward_data", 2, 2, 1, 1, 0},
    [RN_OP_LINEAR_BACKWARD_FILTER] = {"linear_backward_filter", 2, 2, 1, 1, 0},
    [RN_OP_SOFTMAX] = {"softmax", 1, 1, 1, 1, 0},
    [RN_OP_SOFTMAX_BACKWARD] = {"softmax_backward", 2, 2, 1, 1, 0},
    [RN_OP_DROPOUT] = {"dropout", 1, 1, 1, 1, sizeof(rn_dropout_params)},
    [RN_OP_DROPOUT_BACKWARD] = {"dropout_backward", 1, 1, 1, 1, sizeof(rn_dropout_params)},
    [RN_OP_PAD_SHORTCUT] = {"pad_shortcut", 1, 1, 1, 1, sizeof(rn_pad_shortcut_params)},
    [RN_OP_PAD_SHORTCUT_BACKWARD] = {"pad_shortcut_backward", 1, 1, 1, 1, sizeof(rn_pad_shortcut_params)},
    [RN_OP_CROSS_ENTROPY] = {"cross_entropy", 2, 2, 2, 2, sizeof(rn_cross_entropy_params)},
    [RN_OP_SOFT_CROSS_ENTROPY] = {"soft_cross_entropy", 2, 2, 2, 2, sizeof(rn_cross_entropy_params)},
    [RN_OP_MSE] = {"mse", 2, 2, 2, 2, 0},
    [RN_OP_GRAD_NORM] = {"grad_norm", 1, 1, 1, 1, sizeof(rn_segments_params)},
    [RN_OP_GRAD_CLIP] = {"grad_clip", 1, 1, 1, 1, sizeof(rn_segments_params)},
    [RN_OP_SGD] = {"sgd", 2, 2, 1, 2, sizeof(rn_sgd_params)},
    [RN_OP_ADAM] = {"adam", 2, 2, 2, 2, sizeof(rn_adam_params)},
    [RN_OP_LERP] = {"lerp", 1, 1, 1, 1, 0},
    [RN_OP_AUGMENT] = {"augment", 6, 8, 2, 2, sizeof(rn_augment_params)},
    [RN_OP_GRAD_UNSCALE] = {"grad_unscale", 0, 0, 2, 2, sizeof(rn_segments_params)},
    [RN_OP_LOSS_SCALE] = {"loss_scale", 0, 0, 1, 1, sizeof(rn_loss_scale_params)},
};

const char *rni_op_name(int32_t kind)
{
    return kind > 0 && kind < RN_OP_COUNT_ && rules[kind].name ? rules[kind].name : "?";
}

static rn_status broken(const rni_program *p, uint32_t i, const char *what)
{
    return rni_fail(RN_E_INTERNAL, "op %u (%s, %s): %s", (unsigned)i, rni_op_name(p->ops[i].kind), p->ops[i].path,
                    what);
}

static rn_status verify_operands(const rni_program *p, uint32_t i, unsigned char *written)
{
    const rn_op *const op = &p->ops[i];
    for (uint32_t k = 0; k < op->num_in; k++) {
        if (op->in[k] == RN_NO_VALUE)
            continue;
        if (op->in[k] >= p->num_values)
            return broken(p, i, "an input is no value");
        if (p->values[op->in[k]].role == RN_ROLE_ARENA && !written[p->root[op->in[k]]])
            return broken(p, i, "reads a value that nothing wrote");
    }
    for (uint32_t k = 0; k < op->num_out; k++) {
        if (op->out[k] == RN_NO_VALUE)
            continue;
        if (op->out[k] >= p->num_values)
            return broken(p, i, "an output is no value");
        written[p->root[op->out[k]]] = 1;
    }
    if (op->workspace != RN_NO_VALUE && op->workspace >= p->num_values)
        return broken(p, i, "its workspace is no value");
    return RN_OK;
}

static rn_status verify_ops(const rni_program *p, unsigned char *written)
{
    for (uint32_t i = 0; i < p->num_ops; i++) {
        const rn_op *const op = &p->ops[i];
        if (op->kind <= 0 || op->kind >= RN_OP_COUNT_ || !rules[op->kind].name)
            return broken(p, i, "unknown kind");
        const kind_rule *const rule = &rules[op->kind];
        if (op->num_in < rule->min_in || op->num_in > rule->max_in)
            return broken(p, i, "wrong number of inputs");
        if (op->num_out < rule->min_out || op->num_out > rule->max_out)
            return broken(p, i, "wrong number of outputs");
        if (op->params_size != rule->params)
            return broken(p, i, "params of the wrong size");
        RNI_TRY(verify_operands(p, i, written));
    }
    return RN_OK;
}

rn_status rni_program_verify(const rni_program *p)
{
    unsigned char *const written = rni_calloc(p->allocator, p->num_values ? p->num_values : 1, 1);
    if (!written)
        return rni_nomem("verifying a program", p->num_values);
    const rn_status status = verify_ops(p, written);
    rni_free(p->allocator, written);
    return status;
}
