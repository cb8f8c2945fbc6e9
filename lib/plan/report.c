/* SPDX-License-Identifier: MIT */
/* Programs and profiles as text. */
#include "plan/internal.h"
#include <stdio.h>
#include <string.h>

static const char *const role_names[RN_ROLE_COUNT] = {
    "x",  "target", "y", "dy", "dx", "input", "arena", "param", "grad", "buffer", "state", "derived", "metrics",
};
static const char *const mode_names[] = {"infer", "train", "statistics"};
static const char *const section_names[RNI_SECTION_COUNT] = {
    "prepare (weights that changed)", "input", "forward", "output", "loss", "loss of class probabilities",
    "output gradient", "backward", "input gradient", "update",
};

static void add_value(rni_text *text, const rni_program *prog, uint32_t index)
{
    if (index == RN_NO_VALUE) {
        rni_text_append(text, " -");
        return;
    }
    const rn_value *const v = &prog->values[index];
    char shape[RNI_SHAPE_TEXT];
    rni_text_append(text, " %%%u:%s%s%s%s@%llu", (unsigned)index, role_names[v->role], rn_dtype_name(v->dtype),
                    rni_shape_text(shape, v->rank, v->dims),
                    v->layout == RN_LAYOUT_NHWC ? "nhwc" : v->layout == RN_LAYOUT_PACKED ? "packed" : "",
                    (unsigned long long)v->offset);
}

static void add_flags(rni_text *text, uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {{RN_OPF_BIAS, "+bias"},         {RN_OPF_ADD, "+add"},
                 {RN_OPF_RELU, "+relu"},         {RN_OPF_STATS, "+stats"},
                 {RN_OPF_ACCUMULATE, "+accumulate"}, {RN_OPF_BACKWARD_DATA, "+backward_data"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & names[i].flag)
            rni_text_append(text, "%s", names[i].name);
}

static void add_op(rni_text *text, const rni_program *prog, uint32_t i)
{
    const rn_op *const op = &prog->ops[i];
    rni_text_append(text, "%4u %s", (unsigned)i, rni_op_name(op->kind));
    add_flags(text, op->flags);
    rni_text_append(text, " [%s]\n       in: ", *op->path ? op->path : "(root)");
    for (uint32_t k = 0; k < op->num_in; k++)
        add_value(text, prog, op->in[k]);
    rni_text_append(text, "\n       out:");
    for (uint32_t k = 0; k < op->num_out; k++)
        add_value(text, prog, op->out[k]);
    if (op->workspace != RN_NO_VALUE)
        rni_text_append(text, "\n       workspace: %llu bytes at %llu",
                        (unsigned long long)prog->values[op->workspace].bytes,
                        (unsigned long long)prog->values[op->workspace].offset);
    rni_text_append(text, "\n");
}

static rn_status give(rni_text *text, rn_write_fn write, void *user)
{
    const rn_status status = text->failed ? rni_nomem("a report", text->capacity)
                                          : write(user, text->data ? text->data : "", text->length);
    rni_text_free(text);
    return status;
}

rn_status rn_plan_describe(const rn_plan *p, rn_write_fn write, void *user)
{
    rn_memory memory = RN_MEMORY_INIT;
    RNI_REQUIRE(p);
    RNI_REQUIRE(write);
    RNI_TRY(rn_plan_memory(p, &memory));
    rni_text text = {.allocator = &p->ctx->allocator};
    rni_text_append(&text, "%s plan on %s, %s, batch %lld: %u ops, %u values\n", mode_names[p->options.mode],
                    rn_device_name(p->dev), rn_dtype_name(p->dtype), (long long)p->max_batch,
                    (unsigned)p->low.p.num_ops, (unsigned)p->low.p.num_values);
    rni_text_append(&text, "arena %llu bytes (lower bound %llu), derived weights %llu, total %llu\n",
                    (unsigned long long)memory.arena, (unsigned long long)memory.lower_bound,
                    (unsigned long long)memory.derived, (unsigned long long)memory.total);
    for (int s = 0; s < RNI_SECTION_COUNT; s++) {
        if (p->first[s] == p->first[s + 1])
            continue;
        rni_text_append(&text, "%s\n", section_names[s]);
        for (uint32_t i = p->first[s]; i < p->first[s + 1]; i++)
            add_op(&text, &p->low.p, i);
    }
    return give(&text, write, user);
}

rn_status rn_plan_set_profiling(rn_plan *p, int32_t on)
{
    RNI_REQUIRE(p);
    rni_op_time *times = NULL;
    if (on) {
        times = rni_calloc(&p->ctx->allocator, p->low.p.num_ops + 1, sizeof *times);
        if (!times)
            return rni_nomem("a profile", p->low.p.num_ops * sizeof *times);
    }
    rni_free(&p->ctx->allocator, p->times);
    p->times = times;
    return RN_OK;
}

/* Nominal floating-point operations of one image: taps in the padding count. */
static double op_flops(const rni_program *prog, const rn_op *op)
{
    if (op->kind == RN_OP_CONV_FORWARD || op->kind == RN_OP_CONV_BACKWARD_DATA ||
        op->kind == RN_OP_CONV_BACKWARD_FILTER) {
        const rn_conv_params *const c = op->params;
        return 2.0 * (double)(c->out_channels * c->out_height * c->out_width) *
               (double)(c->in_channels / c->groups * c->kernel[0] * c->kernel[1]);
    }
    if (op->kind == RN_OP_LINEAR || op->kind == RN_OP_LINEAR_BACKWARD_DATA)
        return 2.0 * (double)(prog->values[op->in[1]].dims[0] * prog->values[op->in[1]].dims[1]);
    if (op->kind == RN_OP_LINEAR_BACKWARD_FILTER)
        return 2.0 * (double)(prog->values[op->out[0]].dims[0] * prog->values[op->out[0]].dims[1]);
    return 0;
}

/* Bytes of all operands for a run of n of max images. */
static double op_bytes(const rn_plan *p, const rn_op *op, double share)
{
    double bytes = 0;
    for (uint32_t k = 0; k < op->num_in + op->num_out; k++) {
        const uint32_t index = k < op->num_in ? op->in[k] : op->out[k - op->num_in];
        if (index != RN_NO_VALUE) {
            const rn_value *const v = &p->low.p.values[index];
            bytes += (double)v->bytes * (v->batch_axis == 0 ? share : 1.0);
        }
    }
    return bytes;
}

static void add_time(rni_text *text, const rn_plan *p, uint32_t i, double all)
{
    const rn_op *const op = &p->low.p.ops[i];
    const rni_op_time *const t = &p->times[i];
    const double per_call = t->seconds / (double)t->calls, images = (double)t->images / (double)t->calls;
    const double flops = op_flops(&p->low.p, op) * images;
    const double bytes = op_bytes(p, op, images / (double)p->max_batch);
    char name[80] = "";
    snprintf(name, sizeof name, "%s%s%s%s%s", rni_op_name(op->kind), op->flags & RN_OPF_ADD ? "+add" : "",
             op->flags & RN_OPF_RELU ? "+relu" : "", op->flags & RN_OPF_STATS ? "+stats" : "",
             op->flags & RN_OPF_ACCUMULATE ? "+acc" : "");
    rni_text_append(text, "%-32s %-28s %7llu %10.4f %6.2f%% %10.1f %8.1f\n", name, op->path,
                    (unsigned long long)t->calls, per_call * 1e3, 100 * t->seconds / all,
                    flops > 0 ? flops / per_call * 1e-9 : 0.0, bytes / per_call * 1e-9);
}

rn_status rn_plan_profile(const rn_plan *p, rn_write_fn write, void *user)
{
    double all = 0;
    RNI_REQUIRE(p);
    RNI_REQUIRE(write);
    if (!p->times)
        return rni_fail(RN_E_STATE, "plan: rn_plan_set_profiling() was not called");
    for (uint32_t i = 0; i < p->low.p.num_ops; i++)
        all += p->times[i].seconds;
    rni_text text = {.allocator = &p->ctx->allocator};
    rni_text_append(&text, "%-32s %-28s %7s %10s %7s %10s %8s\n", "op", "layer", "calls", "ms", "share", "GFLOP/s",
                    "GB/s");
    for (uint32_t i = 0; i < p->low.p.num_ops; i++)
        if (p->times[i].calls)
            add_time(&text, p, i, all > 0 ? all : 1);
    rni_text_append(&text, "all ops: %.3f ms\n", all * 1e3);
    return give(&text, write, user);
}
