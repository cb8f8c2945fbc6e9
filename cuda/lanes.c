/* SPDX-License-Identifier: MIT */
#include "lanes.h"

/* An op that needs more workspace stays in its lane: convolutions of that size fill a device. */
enum { RNI_SIDE_WORKSPACE = 64 << 20 };

static uint64_t workspace_of(const rn_program_desc *desc, const rn_op *op)
{
    return op->workspace == RN_NO_VALUE ? 0 : desc->values[op->workspace].bytes;
}

static int may_run_aside(const rn_program_desc *desc, const rn_op *op)
{
    return op->kind == RN_OP_CONV_BACKWARD_FILTER && workspace_of(desc, op) <= RNI_SIDE_WORKSPACE;
}

uint64_t rni_lanes_workspace(const rn_program_desc *desc)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < desc->num_ops; i++) {
        const uint64_t bytes = workspace_of(desc, &desc->ops[i]);
        if (may_run_aside(desc, &desc->ops[i]) && bytes > most)
            most = bytes;
    }
    return most;
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

static int touch(range a, range b)
{
    return a.from < b.to && b.from < a.to;
}

static int touches_any(const rn_program_desc *desc, const rn_run *run, range written, const uint32_t *operands,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (touch(written, range_of(desc, run, operands[i])))
            return 1;
    return 0;
}

/* Whether `writer` writes what `other` reads, writes or, unless it is in the second lane, works in. */
static int writes_into(const rn_program_desc *desc, const rn_run *run, const rn_op *writer, int writer_aside,
                       const rn_op *other, int other_aside)
{
    for (uint32_t i = 0; i <= writer->num_out; i++) {
        if (i == writer->num_out && writer_aside)
            break;
        const range written = range_of(desc, run, i < writer->num_out ? writer->out[i] : writer->workspace);
        if (touches_any(desc, run, written, other->in, other->num_in) ||
            touches_any(desc, run, written, other->out, other->num_out) ||
            (!other_aside && touches_any(desc, run, written, &other->workspace, 1)))
            return 1;
    }
    return 0;
}

static int conflict(const rn_program_desc *desc, const rn_run *run, const rn_op *main, const rn_op *side)
{
    return writes_into(desc, run, main, 0, side, 1) || writes_into(desc, run, side, 1, main, 0);
}

/* The last op of the other lane before op i that it has to follow, but not up to `seen`; -1: none. */
static int64_t last_conflict(const rn_program_desc *desc, const rn_run *run, const rni_lane_step *steps, int64_t i,
                             int64_t seen)
{
    const rn_op *const ops = desc->ops + run->first_op;
    for (int64_t j = i - 1; j > seen; j--) {
        if (steps[j].side == steps[i].side)
            continue;
        if (steps[i].side ? conflict(desc, run, &ops[j], &ops[i]) : conflict(desc, run, &ops[i], &ops[j]))
            return j;
    }
    return -1;
}

int32_t rni_lanes_arrange(const rn_program_desc *desc, const rn_run *run, uint64_t workspace, rni_lane_step *steps,
                          int64_t *join)
{
    int64_t seen[RNI_LANES] = {-1, -1}; /* by lane: up to which op it follows the other one */
    int64_t last = -1;
    int32_t aside = 0;
    for (int64_t i = 0; i < (int64_t)run->num_ops; i++) {
        const rn_op *const op = &desc->ops[run->first_op + i];
        const int side = may_run_aside(desc, op) && workspace_of(desc, op) <= workspace;
        steps[i] = (rni_lane_step){.side = side, .after = -1};
        steps[i].after = last_conflict(desc, run, steps, i, seen[side]);
        if (steps[i].after >= 0) {
            seen[side] = steps[i].after;
            steps[steps[i].after].marked = 1;
        }
        if (side) {
            aside++;
            last = i;
        }
    }
    *join = last > seen[0] ? last : -1;
    if (*join >= 0)
        steps[*join].marked = 1;
    return aside;
}
