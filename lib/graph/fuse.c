/* SPDX-License-Identifier: MIT */
/*
 * Fusion: pairs of neighbouring FORWARD ops become one where the device has it. Each rule looks at one op, its only
 * consumer or its producer; what no longer runs gets kind 0.
 */
#include "graph/graph.h"
#include <string.h>

uint32_t rni_graph_producer(const rni_lowering *low, uint32_t value)
{
    for (uint32_t i = low->p.num_ops; i-- > 0;)
        for (uint32_t k = 0; k < low->p.ops[i].num_out; k++)
            if (low->p.ops[i].kind && low->p.ops[i].out[k] == value)
                return i;
    return RN_NO_VALUE;
}

/* The op that reads the memory of `value`, when there is just one and it reads it as it is; else RN_NO_VALUE. */
static uint32_t only_consumer(const rni_lowering *low, uint32_t value)
{
    uint32_t found = RN_NO_VALUE;
    for (uint32_t i = 0; i < low->p.num_ops; i++) {
        const rn_op *const op = &low->p.ops[i];
        for (uint32_t k = 0; op->kind && k < op->num_in; k++) {
            if (op->in[k] == RN_NO_VALUE || low->p.root[op->in[k]] != low->p.root[value])
                continue;
            if (found != RN_NO_VALUE || op->in[k] != value)
                return RN_NO_VALUE;
            found = i;
        }
    }
    return found;
}

rn_status rni_graph_ask(const rni_lowering *low, const rn_op *op, rn_op_info *info)
{
    memset(info, 0, sizeof *info);
    info->struct_size = sizeof *info;
    info->in_place = -1;
    return low->dev->backend->op_query(low->dev->dev, op, low->p.values, info);
}

/* The op with flags added, an operand set and another output, if the device takes it; else RN_E_UNSUPPORTED. */
static rn_status try_change(rni_lowering *low, rn_op *op, uint32_t flags, uint32_t operand, uint32_t value,
                            uint32_t out)
{
    uint32_t *const in = rni_program_memory(&low->p, op->num_in * sizeof *in);
    uint32_t *const outs = rni_program_memory(&low->p, op->num_out * sizeof *outs);
    rn_op_info info;
    if (!in || !outs)
        return rni_nomem("fusion", op->num_in * sizeof *in);
    memcpy(in, op->in, op->num_in * sizeof *in);
    memcpy(outs, op->out, op->num_out * sizeof *outs);
    outs[0] = out;
    if (operand != RN_NO_VALUE)
        in[operand] = value;
    rn_op changed = *op;
    changed.flags |= flags;
    changed.in = in;
    changed.out = outs;
    const rn_status status = rni_graph_ask(low, &changed, &info);
    if (status == RN_OK)
        *op = changed;
    return status;
}

/* Where an op takes a residual operand; RN_NO_VALUE when it has none. */
static uint32_t residual_operand(const rn_op *op)
{
    switch (op->kind) {
    case RN_OP_CONV_FORWARD:
        return 3;
    case RN_OP_BN_APPLY:
        return 5;
    case RN_OP_SCALE_SHIFT:
        return 3;
    default:
        return RN_NO_VALUE;
    }
}

/* Training keeps convolution and linear outputs as they are: their backward has no mask. */
static int may_end_in(const rni_lowering *low, const rn_op *op)
{
    if (op->flags & RN_OPF_RELU)
        return 0;
    if (op->kind == RN_OP_BN_APPLY || op->kind == RN_OP_SCALE_SHIFT || op->kind == RN_OP_ADD)
        return 1;
    return !low->train && (op->kind == RN_OP_CONV_FORWARD || op->kind == RN_OP_LINEAR);
}

/* UNSUPPORTED means "leave it": only other failures end the pass. */
static rn_status unless_unsupported(rn_status status)
{
    return status == RN_E_UNSUPPORTED ? RN_OK : status;
}

/* op -> RELU */
static rn_status fuse_relu(rni_lowering *low, uint32_t i)
{
    rn_op *const op = &low->p.ops[i];
    if (!may_end_in(low, op))
        return RN_OK;
    const uint32_t next = only_consumer(low, op->out[0]);
    if (next == RN_NO_VALUE || low->p.ops[next].kind != RN_OP_RELU)
        return RN_OK;
    const rn_status status = try_change(low, op, RN_OPF_RELU, RN_NO_VALUE, RN_NO_VALUE, low->p.ops[next].out[0]);
    if (status == RN_OK)
        low->p.ops[next].kind = 0;
    return unless_unsupported(status);
}

/* op -> ADD(op, other), with `other` there before op runs */
static rn_status fuse_add(rni_lowering *low, uint32_t i)
{
    rn_op *const op = &low->p.ops[i];
    const uint32_t operand = residual_operand(op);
    if (operand == RN_NO_VALUE || (op->flags & RN_OPF_ADD) || !may_end_in(low, op))
        return RN_OK;
    const uint32_t next = only_consumer(low, op->out[0]);
    if (next == RN_NO_VALUE || low->p.ops[next].kind != RN_OP_ADD || (low->p.ops[next].flags & RN_OPF_RELU))
        return RN_OK;
    const rn_op *const add = &low->p.ops[next];
    const uint32_t other = add->in[0] == op->out[0] ? add->in[1] : add->in[0];
    const uint32_t producer = rni_graph_producer(low, low->p.root[other]);
    if (other == op->out[0] || (producer != RN_NO_VALUE && producer > i))
        return RN_OK;
    const rn_status status = try_change(low, op, RN_OPF_ADD, operand, other, add->out[0]);
    if (status == RN_OK)
        low->p.ops[next].kind = 0;
    return unless_unsupported(status);
}

/* CONV_FORWARD -> BN_STATS: the statistics come out of the convolution. */
static rn_status fuse_stats(rni_lowering *low, uint32_t i)
{
    rn_op *const stats = &low->p.ops[i];
    if (stats->kind != RN_OP_BN_STATS)
        return RN_OK;
    const uint32_t producer = rni_graph_producer(low, stats->in[0]);
    if (producer == RN_NO_VALUE || low->p.ops[producer].kind != RN_OP_CONV_FORWARD)
        return RN_OK;
    rn_op *const conv = &low->p.ops[producer];
    if (conv->flags & (RN_OPF_ADD | RN_OPF_RELU | RN_OPF_STATS))
        return RN_OK;
    rn_op changed = *conv;
    rn_op_info info;
    uint32_t *const out = rni_program_memory(&low->p, 3 * sizeof *out);
    if (!out)
        return rni_nomem("fusion", 3 * sizeof *out);
    out[0] = conv->out[0];
    out[1] = stats->out[0];
    out[2] = stats->out[1];
    changed.out = out;
    changed.flags |= RN_OPF_STATS;
    const rn_status status = rni_graph_ask(low, &changed, &info);
    if (status == RN_OK) {
        *conv = changed;
        stats->kind = 0;
    }
    return unless_unsupported(status);
}

/* The bias parameter behind a convolution's bias operand. */
static uint32_t bias_source(const rni_lowering *low, uint32_t bias)
{
    if (bias == RN_NO_VALUE || low->p.values[bias].role == RN_ROLE_PARAM)
        return bias;
    const uint32_t cast = rni_graph_producer(low, bias);
    return cast == RN_NO_VALUE ? RN_NO_VALUE : low->p.ops[cast].in[0];
}

/* The PREPARE ops must follow what they read: the scale is made before the weight is packed with it. */
static void swap_ops(rni_lowering *low, uint32_t a, uint32_t b)
{
    const rn_op op = low->p.ops[a];
    low->p.ops[a] = low->p.ops[b];
    low->p.ops[b] = op;
}

/* CONV_FORWARD -> SCALE_SHIFT: the scale goes into the packed weight, the shift becomes the bias. */
static rn_status fold_batchnorm(rni_lowering *low, uint32_t i)
{
    rn_op *const conv = &low->p.ops[i];
    if (conv->kind != RN_OP_CONV_FORWARD || (conv->flags & (RN_OPF_ADD | RN_OPF_RELU)))
        return RN_OK;
    const uint32_t next = only_consumer(low, conv->out[0]);
    if (next == RN_NO_VALUE || low->p.ops[next].kind != RN_OP_SCALE_SHIFT || low->p.ops[next].flags)
        return RN_OK;
    rn_op *const affine = &low->p.ops[next];
    const uint32_t pack = rni_graph_producer(low, conv->in[1]), fold = rni_graph_producer(low, affine->in[1]);
    if (pack == RN_NO_VALUE || fold == RN_NO_VALUE || low->p.ops[fold].kind != RN_OP_BN_FOLD || pack > fold)
        return RN_OK;
    const uint32_t bias = bias_source(low, conv->in[2]);
    rn_op scaled = low->p.ops[pack], folded = low->p.ops[fold];
    uint32_t *const pack_in = rni_program_memory(&low->p, 2 * sizeof *pack_in);
    uint32_t *const fold_in = rni_program_memory(&low->p, 5 * sizeof *fold_in);
    if (!pack_in || !fold_in)
        return rni_nomem("fusion", 7 * sizeof *pack_in);
    pack_in[0] = scaled.in[0];
    pack_in[1] = affine->in[1];
    memcpy(fold_in, folded.in, 5 * sizeof *fold_in);
    fold_in[4] = bias;
    scaled.in = pack_in;
    folded.in = fold_in;
    rn_op_info info;
    rn_status status = rni_graph_ask(low, &scaled, &info);
    if (status == RN_OK)
        status = rni_graph_ask(low, &folded, &info);
    if (status == RN_OK)
        status = try_change(low, conv, RN_OPF_BIAS, 2, affine->in[2], affine->out[0]);
    if (status != RN_OK)
        return unless_unsupported(status);
    affine->kind = 0;
    low->p.ops[pack] = scaled;
    low->p.ops[fold] = folded;
    swap_ops(low, pack, fold);
    return RN_OK;
}

typedef rn_status (*rule)(rni_lowering *low, uint32_t i);

static rn_status apply(rni_lowering *low, rule try_rule)
{
    for (uint32_t i = 0; i < low->p.num_ops; i++)
        if (low->section[i] == RNI_SECTION_FORWARD && low->p.ops[i].kind)
            RNI_TRY(try_rule(low, i));
    return RN_OK;
}

rn_status rni_graph_fuse(rni_lowering *low)
{
    if (!low->train)
        RNI_TRY(apply(low, fold_batchnorm));
    RNI_TRY(apply(low, fuse_add));
    RNI_TRY(apply(low, fuse_relu));
    return low->train ? apply(low, fuse_stats) : RN_OK;
}
