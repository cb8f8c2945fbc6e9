/* SPDX-License-Identifier: MIT */
#include "cpu/widen.h"
#include "base/error.h"
#include "cpu/driver.h"

enum { MOST_IN = 8, MOST_OUT = 4, WORKSPACE = MOST_IN + MOST_OUT, CHUNK = 8192, ALIGN = 64 };

/* The same op over values of its own: those of bf16 and f16 are f32 in the workspace, one after the other. */
typedef struct widened {
    rn_op op;
    rn_value values[WORKSPACE + 1]; /* inputs, outputs from MOST_IN on, the driver's own workspace */
    uint32_t in[MOST_IN], out[MOST_OUT];
    rn_conv_params conv; /* the op's, changed */
    uint64_t bytes;      /* of the copies */
} widened;

static int has(int32_t dtype, const uint32_t *indexes, uint32_t count, const rn_value *values)
{
    for (uint32_t i = 0; i < count; i++)
        if (indexes[i] != RN_NO_VALUE && values[indexes[i]].dtype == dtype)
            return 1;
    return 0;
}

static int uses(int32_t dtype, const rn_op *op, const rn_value *values)
{
    return has(dtype, op->in, op->num_in, values) || has(dtype, op->out, op->num_out, values);
}

int rni_widen_wanted(const rni_cpu_driver *driver, int32_t level, const rn_op *op, const rn_value *values)
{
    if (driver->bf16 == RNI_BF16_ALWAYS)
        return 0;
    if (uses(RN_F16, op, values))
        return 1;
    return (driver->bf16 == RNI_BF16_WIDENED || level < driver->bf16) && uses(RN_BF16, op, values);
}

static void add_operands(widened *w, const uint32_t *from, uint32_t count, const rn_value *values, uint64_t base,
                         uint32_t first, uint32_t *to)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = from[i] == RN_NO_VALUE ? RN_NO_VALUE : first + i;
        if (from[i] == RN_NO_VALUE)
            continue;
        rn_value *const v = &w->values[first + i];
        *v = values[from[i]];
        if (!rni_is_half(v->dtype))
            continue;
        v->dtype = RN_F32;
        v->bytes *= 2;
        v->role = RN_ROLE_ARENA;
        v->offset = base + w->bytes;
        w->bytes += (v->bytes + ALIGN - 1) / ALIGN * ALIGN;
    }
}

/* Winograd's transformed weights are no numbers to round to f16: the kernels of bf16 know better, here it does without. */
static void avoid_transforms(widened *w, const rn_op *op, const rn_value *values)
{
    const int convolves = op->kind == RN_OP_PACK || op->kind == RN_OP_CONV_FORWARD || op->kind == RN_OP_CONV_BACKWARD_DATA ||
                          op->kind == RN_OP_CONV_BACKWARD_FILTER;
    if (!convolves || !uses(RN_F16, op, values))
        return;
    w->conv = *(const rn_conv_params *)op->params;
    w->conv.direct = 1;
    w->op.params = &w->conv;
}

/* `base`: where the workspace is in the arena. */
static void widen_op(widened *w, const rn_op *op, const rn_value *values, uint64_t base)
{
    w->op = *op;
    w->bytes = 0;
    add_operands(w, op->in, op->num_in, values, base, 0, w->in);
    add_operands(w, op->out, op->num_out, values, base, MOST_IN, w->out);
    w->op.in = w->in;
    w->op.out = w->out;
    avoid_transforms(w, op, values);
    if (op->workspace == RN_NO_VALUE)
        return;
    w->values[WORKSPACE] = values[op->workspace];
    w->values[WORKSPACE].offset = base + w->bytes;
    w->op.workspace = WORKSPACE;
}

rn_status rni_widen_query(const rni_cpu_driver *driver, const rni_cpu *cpu, const rn_op *op, const rn_value *values,
                          rn_op_info *info)
{
    widened w;
    if (op->num_in > MOST_IN || op->num_out > MOST_OUT)
        return rni_fail(RN_E_INTERNAL, "an op with %u inputs and %u outputs", (unsigned)op->num_in, (unsigned)op->num_out);
    widen_op(&w, op, values, 0);
    if (driver->query)
        RNI_TRY(driver->query(cpu, &w.op, w.values, info));
    if (op->kind == RN_OP_PACK) { /* its output's size was not known before */
        w.bytes += (info->out_bytes + ALIGN - 1) / ALIGN * ALIGN;
        info->out_bytes /= 2;
    }
    info->workspace += w.bytes;
    return RN_OK;
}

/* Pieces of one operand. */
typedef struct copy_task {
    const rni_half_kernels *kernels;
    uint16_t *narrow;
    float *wide;
    size_t count;
} copy_task;

static void widen_piece(void *arg, size_t index)
{
    const copy_task *const t = arg;
    const size_t first = index * CHUNK;
    t->kernels->widen(t->wide + first, t->narrow + first, rni_min_size(CHUNK, t->count - first));
}

static void narrow_piece(void *arg, size_t index)
{
    const copy_task *const t = arg;
    const size_t first = index * CHUNK;
    t->kernels->narrow(t->narrow + first, t->wide + first, rni_min_size(CHUNK, t->count - first));
}

static rn_status copy_operand(const rni_cpu_call *c, const rn_value *narrow, const rn_value *wide, rn_task_fn piece)
{
    const rni_half_kernels *const kernels = narrow->dtype == RN_F16 ? &c->kernels->convert_f16 : &c->kernels->convert;
    copy_task t = {kernels, rni_cpu_address(c, narrow), rni_cpu_address(c, wide), 0};
    t.count = narrow->layout == RN_LAYOUT_PACKED ? (size_t)(narrow->bytes / sizeof(uint16_t)) : rni_cpu_count(c, narrow);
    return rni_cpu_for(c, piece, &t, rni_ceil_div(t.count, CHUNK), t.count);
}

/* Copies the bf16 and f16 ones of some operands. */
static rn_status copy_operands(const rni_cpu_call *c, const widened *w, const uint32_t *indexes, uint32_t count,
                               uint32_t first, rn_task_fn piece)
{
    for (uint32_t i = 0; i < count; i++)
        if (indexes[i] != RN_NO_VALUE && rni_is_half(c->values[indexes[i]].dtype))
            RNI_TRY(copy_operand(c, &c->values[indexes[i]], &w->values[first + i], piece));
    return RN_OK;
}

rn_status rni_widen_run(const rni_cpu_driver *driver, const rni_cpu_call *call)
{
    const rn_op *const op = call->op;
    widened w;
    widen_op(&w, op, call->values, op->workspace == RN_NO_VALUE ? 0 : call->values[op->workspace].offset);
    rni_cpu_call inner = *call;
    inner.op = &w.op;
    inner.values = w.values;
    RNI_TRY(copy_operands(call, &w, op->in, op->num_in, 0, widen_piece));
    if ((op->flags & RN_OPF_ACCUMULATE) || op->kind == RN_OP_ACCUMULATE) /* outputs are read, too */
        RNI_TRY(copy_operands(call, &w, op->out, op->num_out, MOST_IN, widen_piece));
    RNI_TRY(driver->run(&inner));
    return copy_operands(call, &w, op->out, op->num_out, MOST_IN, narrow_piece);
}
