/* SPDX-License-Identifier: MIT */
#include "lanes.h"

/* Larger ones fill a device by themselves: multiply-adds of the convolution, and bytes of its workspace. */
static const double most_products = 2.5e9;
enum { MOST_WORKSPACE = 64 << 20 };

static uint64_t workspace_of(const rn_op *op, const rn_value *values)
{
    return op->workspace == RN_NO_VALUE ? 0 : values[op->workspace].bytes;
}

static double products_of(const rn_op *op, const rn_value *values)
{
    const rn_conv_params *const p = op->params;
    const rn_value *const dy = &values[op->in[1]];
    double n = (double)p->kernel[0] * (double)p->kernel[1] * (double)p->in_channels / (double)p->groups;
    for (int32_t i = 0; i < dy->rank; i++)
        n *= (double)dy->dims[i];
    return n;
}

int rni_lanes_aside(const rn_op *op, const rn_value *values)
{
    return op->kind == RN_OP_CONV_BACKWARD_FILTER && products_of(op, values) <= most_products &&
           workspace_of(op, values) <= MOST_WORKSPACE;
}

typedef struct range {
    const char *from, *to;
} range;

static range range_of(const rn_program_desc *desc, const rn_run *run, uint32_t value)
{
    if (value == RN_NO_VALUE)
        return (range){NULL, NULL};
    const rn_value *const v = &desc->values[value];
    const char *const from = (const char *)run->base[v->role] + v->offset;
    return (range){from, from + v->bytes};
}

static int touches_any(const rn_program_desc *desc, const rn_run *run, range written, const uint32_t *operands,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const range r = range_of(desc, run, operands[i]);
        if (written.from < r.to && r.from < written.to)
            return 1;
    }
    return 0;
}

/* An op, what it may read besides its operands, and where it runs: the plan's workspace is touched in the first lane only. */
typedef struct placed_op {
    const rn_op *op;
    uint32_t also;
    int aside;
} placed_op;

static int touches(const rn_program_desc *desc, const rn_run *run, range written, placed_op o)
{
    return touches_any(desc, run, written, o.op->in, o.op->num_in) ||
           touches_any(desc, run, written, o.op->out, o.op->num_out) || touches_any(desc, run, written, &o.also, 1) ||
           (!o.aside && touches_any(desc, run, written, &o.op->workspace, 1));
}

static int writes_into(const rn_program_desc *desc, const rn_run *run, placed_op writer, placed_op other)
{
    for (uint32_t i = 0; i < writer.op->num_out; i++)
        if (touches(desc, run, range_of(desc, run, writer.op->out[i]), other))
            return 1;
    return !writer.aside && touches(desc, run, range_of(desc, run, writer.op->workspace), other);
}

/* What is arranged so far. Ops aside are first held back, then under way until the first lane waits for them. */
typedef struct arrangement {
    const rn_program_desc *desc;
    const rni_cuda_step *plan;
    const rn_run *run;
    rni_lane_step *steps;
    uint32_t count;
    uint32_t held[RNI_LANES_GROUP], num_held;
    uint32_t under_way; /* of the steps, the first that may be */
    int32_t join, next_lane;
} arrangement;

static placed_op op_at(const arrangement *a, uint32_t i, int aside)
{
    const uint32_t at = a->run->first_op + i;
    return (placed_op){&a->desc->ops[at], a->plan ? a->plan[at].also : RN_NO_VALUE, aside};
}

static int conflict(const arrangement *a, placed_op x, placed_op y)
{
    return writes_into(a->desc, a->run, x, y) || writes_into(a->desc, a->run, y, x);
}

static int meets_held(const arrangement *a, placed_op op)
{
    for (uint32_t k = 0; k < a->num_held; k++)
        if (conflict(a, op, op_at(a, a->held[k], 1)))
            return 1;
    return 0;
}

static int meets_under_way(const arrangement *a, placed_op op)
{
    for (uint32_t k = a->under_way; k < a->count; k++)
        if (a->steps[k].lane && conflict(a, op, op_at(a, a->steps[k].op, 1)))
            return 1;
    return 0;
}

static void add(arrangement *a, uint32_t op, int32_t lane, int32_t fork)
{
    a->steps[a->count++] = (rni_lane_step){.op = op, .lane = lane, .fork = fork, .join = a->join};
    a->join = 0;
}

/* Those held back begin: in turn in the lanes. */
static void begin(arrangement *a)
{
    for (uint32_t k = 0; k < a->num_held; k++)
        add(a, a->held[k], 1 + a->next_lane++ % (RNI_LANES - 1), k == 0);
    a->num_held = 0;
}

/* Before the next step the first lane waits for what is under way. */
static void join(arrangement *a)
{
    a->join = 1;
    a->under_way = a->count;
}

static void hold(arrangement *a, uint32_t i)
{
    if (meets_held(a, op_at(a, i, 1)))
        begin(a);
    if (meets_under_way(a, op_at(a, i, 1)))
        join(a);
    a->held[a->num_held++] = i;
    if (a->num_held == RNI_LANES_GROUP)
        begin(a);
}

/* An op of the first lane, with `together - 1` behind it. */
static void keep(arrangement *a, uint32_t i, uint32_t together)
{
    int held = 0, under_way = 0;
    for (uint32_t k = i; k < i + together; k++)
        held |= meets_held(a, op_at(a, k, 0));
    if (held)
        begin(a);
    for (uint32_t k = i; k < i + together; k++)
        under_way |= meets_under_way(a, op_at(a, k, 0));
    if (under_way)
        join(a);
    add(a, i, 0, 0);
}

uint32_t rni_lanes_arrange(const rn_program_desc *desc, const rni_cuda_step *plan, const rn_run *run,
                           uint64_t workspace, rni_lane_step *steps)
{
    arrangement a = {.desc = desc, .plan = plan, .run = run, .steps = steps};
    uint32_t together = 1;
    for (uint32_t i = 0; i < run->num_ops; i += together) {
        const rn_op *const op = &desc->ops[run->first_op + i];
        const uint32_t most = run->num_ops - i;
        together = plan && plan[run->first_op + i].together < most ? plan[run->first_op + i].together : plan ? most : 1;
        if (plan && plan[run->first_op + i].adds_first)
            begin(&a); /* what they leave has its place among what is added then */
        if (rni_lanes_aside(op, desc->values) && workspace_of(op, desc->values) <= workspace)
            hold(&a, i);
        else
            keep(&a, i, together);
    }
    begin(&a);
    return a.count;
}
