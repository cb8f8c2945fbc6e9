/* SPDX-License-Identifier: MIT */
/* Programs as text. */
#include "plan/internal.h"
#include "train/segments.h"

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

rn_status rni_plan_give_text(rni_text *text, rn_write_fn write, void *user)
{
    const rn_status status = text->failed ? rni_nomem("a report", text->capacity)
                                          : write(user, text->data ? text->data : "", text->length);
    rni_text_free(text);
    return status;
}

rni_traffic rni_plan_section_traffic(const rn_plan *p, int section)
{
    rni_traffic sum = {0, 0};
    for (uint32_t i = p->first[section]; i < p->first[section + 1]; i++) {
        const rni_traffic op = rni_op_traffic(&p->low.p, &p->low.p.ops[i], 1.0);
        sum.bytes += op.bytes;
        sum.flops += op.flops;
    }
    return sum;
}

rni_traffic rni_plan_step_traffic(const rn_plan *p)
{
    static const int sections[] = {RNI_SECTION_PREPARE, RNI_SECTION_INPUT,    RNI_SECTION_FORWARD,
                                   RNI_SECTION_LOSS,    RNI_SECTION_BACKWARD, RNI_SECTION_UPDATE};
    rni_traffic sum = {(double)rni_parameter_bytes(p->model), 0};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const rni_traffic section = rni_plan_section_traffic(p, sections[i]);
        sum.bytes += section.bytes;
        sum.flops += section.flops;
    }
    return sum;
}

static void add_traffic(rni_text *text, const char *what, rni_traffic t)
{
    rni_text_append(text, "%s: at least %.0f bytes moved, %.0f floating-point operations\n", what, t.bytes, t.flops);
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
    if (p->loss && p->optimizer)
        add_traffic(&text, "a train step", rni_plan_step_traffic(p));
    for (int s = 0; s < RNI_SECTION_COUNT; s++) {
        if (p->first[s] == p->first[s + 1])
            continue;
        add_traffic(&text, section_names[s], rni_plan_section_traffic(p, s));
        for (uint32_t i = p->first[s]; i < p->first[s + 1]; i++)
            add_op(&text, &p->low.p, i);
    }
    return rni_plan_give_text(&text, write, user);
}
