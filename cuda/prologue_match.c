/* SPDX-License-Identifier: MIT */
#include "prologue.h"

/* Whether two values share memory. Other roles than the arena may have any addresses; what is asked about is in it. */
static int meet(const rn_value *a, const rn_value *b)
{
    return a->role == b->role && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static int any_meets(const rn_program_desc *desc, const uint32_t *operands, uint32_t count, const rn_value *v)
{
    for (uint32_t i = 0; i < count; i++)
        if (operands[i] != RN_NO_VALUE && meet(&desc->values[operands[i]], v))
            return 1;
    return 0;
}

static int writes(const rn_program_desc *desc, const rn_op *op, const rn_value *v)
{
    return any_meets(desc, op->out, op->num_out, v) || any_meets(desc, &op->workspace, 1, v);
}

/* In operands from `first` on. What an op adds to is among what it writes. */
static int reads(const rn_program_desc *desc, const rn_op *op, uint32_t first, const rn_value *v)
{
    return op->num_in > first && any_meets(desc, op->in + first, op->num_in - first, v);
}

static int mentions(const uint32_t *operands, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count; i++)
        if (operands[i] == value)
            return 1;
    return 0;
}

/* Images of f16 in the plan's own memory, which is aligned. */
static int is_image(const rn_value *v)
{
    return v->dtype == RN_F16 && v->role == RN_ROLE_ARENA && v->layout == RN_LAYOUT_NHWC && v->rank == 4;
}

/* Scale and shift have room in each image. */
static int may_be(const rn_program_desc *desc, const rn_op *op)
{
    if (op->kind != RN_OP_BN_APPLY || op->flags != RN_OPF_RELU)
        return 0;
    const rn_value *const x = &desc->values[op->in[0]], *const y = &desc->values[op->out[0]];
    return is_image(x) && is_image(y) && !meet(x, y) && y->dims[2] * y->dims[3] >= 2;
}

static int is_convolution(const rn_program_desc *desc, const rn_op *op)
{
    return op->kind == RN_OP_CONV_FORWARD && !(op->flags & ~RN_OPF_STATS) && is_image(&desc->values[op->out[0]]);
}

static int is_gradient(const rn_program_desc *desc, const rn_op *op)
{
    return op->kind == RN_OP_CONV_BACKWARD_FILTER && is_image(&desc->values[op->in[1]]);
}

/* The two readers, in this order, and no other. */
static int find_readers(const rn_program_desc *desc, uint32_t y, rni_prologue_ops *o)
{
    for (uint32_t i = 0; i < desc->num_ops; i++) {
        const rn_op *const op = &desc->ops[i];
        if (i != o->apply && mentions(op->out, op->num_out, y))
            return 0;
        if (!mentions(op->in, op->num_in, y))
            continue;
        if (i < o->apply || op->in[0] != y || mentions(op->in + 1, op->num_in - 1, y))
            return 0;
        if (is_convolution(desc, op) && o->forward == RN_NO_VALUE && o->filter == RN_NO_VALUE)
            o->forward = i;
        else if (is_gradient(desc, op) && o->forward != RN_NO_VALUE && o->filter == RN_NO_VALUE)
            o->filter = i;
        else
            return 0;
    }
    return o->filter != RN_NO_VALUE;
}

/* From batch normalisation to the filter's gradient nobody else touches y's memory, and nobody writes into x's. */
static int is_kept(const rn_program_desc *desc, const rni_prologue_ops *o, const rn_value *x, const rn_value *y)
{
    if (any_meets(desc, &desc->ops[o->apply].workspace, 1, x) || any_meets(desc, &desc->ops[o->apply].workspace, 1, y))
        return 0;
    for (uint32_t i = o->apply + 1; i <= o->filter; i++) {
        const rn_op *const op = &desc->ops[i];
        const int reader = i == o->forward || i == o->filter;
        if (writes(desc, op, x) || writes(desc, op, y) || reads(desc, op, reader, y))
            return 0;
    }
    return 1;
}

/* Whether an op before `end` and not before `from` writes the value. */
static int is_made(const rn_program_desc *desc, uint32_t from, uint32_t end, uint32_t value)
{
    for (uint32_t i = from; i < end; i++)
        if (mentions(desc->ops[i].out, desc->ops[i].num_out, value))
            return 1;
    return 0;
}

/* Whether all that an op takes from y's memory has been made between `from` and it. */
static int takes_what_is_made(const rn_program_desc *desc, uint32_t from, uint32_t i, const rn_value *y)
{
    const rn_op *const op = &desc->ops[i];
    for (uint32_t k = 0; k < op->num_in; k++)
        if (op->in[k] != RN_NO_VALUE && meet(&desc->values[op->in[k]], y) && !is_made(desc, from, i, op->in[k]))
            return 0;
    for (uint32_t k = 0; k < op->num_out && (op->flags & RN_OPF_ACCUMULATE); k++)
        if (op->out[k] != RN_NO_VALUE && meet(&desc->values[op->out[k]], y) && !is_made(desc, from, i, op->out[k]))
            return 0;
    return 1;
}

/* Nobody takes y by another name: what others read of its memory they have written there. */
static int is_private(const rn_program_desc *desc, const rni_prologue_ops *o, const rn_value *y)
{
    for (uint32_t i = 0; i < o->apply; i++)
        if (!takes_what_is_made(desc, 0, i, y))
            return 0;
    for (uint32_t i = o->filter + 1; i < desc->num_ops; i++)
        if (!takes_what_is_made(desc, o->filter + 1, i, y))
            return 0;
    return 1;
}

int rni_prologue_match(const rn_program_desc *desc, uint32_t apply, rni_prologue_ops *out)
{
    const rn_op *const op = &desc->ops[apply];
    if (!may_be(desc, op))
        return 0;
    rni_prologue_ops o = {apply, RN_NO_VALUE, RN_NO_VALUE, op->in[0]};
    const rn_value *const x = &desc->values[op->in[0]], *const y = &desc->values[op->out[0]];
    if (!find_readers(desc, op->out[0], &o) || !is_kept(desc, &o, x, y) || !is_private(desc, &o, y))
        return 0;
    *out = o;
    return 1;
}
