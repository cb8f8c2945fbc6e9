/* SPDX-License-Identifier: MIT */
/* Derived weights: packed, cast and folded forms are made anew when what they come from was written. */
#include "plan/internal.h"

/* The newest generation among an op's sources. */
static uint64_t wanted_generation(const rn_plan *p, uint32_t i)
{
    const rn_op *const op = &p->low.p.ops[i];
    uint64_t newest = 1;
    for (uint32_t k = 0; k < op->num_in; k++) {
        uint64_t generation = 0;
        const uint32_t value = op->in[k];
        if (value == RN_NO_VALUE)
            continue;
        if (p->low.p.values[value].role == RN_ROLE_DERIVED) {
            generation = p->wanted[rni_graph_producer(&p->low, value)];
        } else {
            for (size_t s = 0; s < p->model->num_states; s++)
                if (p->param_of_state[s] == value)
                    generation = p->model->states[s].generation;
        }
        newest = generation > newest ? generation : newest;
    }
    return newest;
}

rn_status rni_plan_prepare(rn_plan *p, rn_run *run)
{
    const uint32_t count = p->first[RNI_SECTION_PREPARE + 1];
    if (p->model->clock == p->made[count])
        return RN_OK;
    for (uint32_t i = 0; i < count; i++)
        p->wanted[i] = wanted_generation(p, i);
    for (uint32_t i = 0, end; i < count; i = end) {
        for (end = i; end < count && p->wanted[end] != p->made[end]; end++)
            p->made[end] = 0;
        if (end > i)
            RNI_TRY(rni_plan_run_ops(p, run, i, end - i));
        for (uint32_t k = i; k < end; k++)
            p->made[k] = p->wanted[k];
        end += end == i;
    }
    p->made[count] = p->model->clock;
    return RN_OK;
}
