/* SPDX-License-Identifier: MIT */
/*
 * Plans that take over a model's weights. Each is derived in turn and then left to the system where the device can do that,
 * so that both forms together never take up much more than one.
 */
#include "plan/internal.h"

static rn_status clear_outputs(rn_plan *p, const rn_op *op)
{
    for (uint32_t k = 0; k < op->num_out; k++) {
        if (op->out[k] == RN_NO_VALUE)
            continue;
        const rn_value *const v = &p->low.p.values[op->out[k]];
        RNI_TRY(rni_device_clear(p->dev, (char *)p->derived + v->offset, v->bytes));
    }
    return RN_OK;
}

static int is_read_after(const rn_plan *p, uint32_t i, uint32_t value)
{
    for (uint32_t later = i + 1; later < p->first[RNI_SECTION_PREPARE + 1]; later++)
        for (uint32_t k = 0; k < p->low.p.ops[later].num_in; k++)
            if (p->low.p.ops[later].in[k] == value)
                return 1;
    return 0;
}

/* What op i was the last to read of the model. */
static rn_status discard_inputs(rn_plan *p, uint32_t i, const rn_run *run)
{
    const rn_op *const op = &p->low.p.ops[i];
    if (!rni_device_discards(p->dev))
        return RN_OK;
    RNI_TRY(rni_device_wait(p->dev));
    for (uint32_t k = 0; k < op->num_in; k++) {
        const rn_value *const v = op->in[k] == RN_NO_VALUE ? NULL : &p->low.p.values[op->in[k]];
        if (v && v->role == RN_ROLE_PARAM && !is_read_after(p, i, op->in[k]))
            rni_device_discard(p->dev, (char *)run->base[v->role] + v->offset, v->bytes);
    }
    return RN_OK;
}

static rn_status derive(rn_plan *p, uint32_t i, rn_run *run)
{
    RNI_TRY(clear_outputs(p, &p->low.p.ops[i]));
    RNI_TRY(rni_plan_run_ops(p, run, i, 1));
    return discard_inputs(p, i, run);
}

rn_status rni_plan_drop_weights(rn_plan *p)
{
    void *base[RN_ROLE_COUNT];
    rn_run run;
    rn_status status = RN_OK;
    const uint32_t count = p->first[RNI_SECTION_PREPARE + 1];
    rni_plan_start_run(p, &run, base, 1);
    uint32_t i = 0;
    while (i < count && (status = derive(p, i, &run)) == RN_OK)
        i++;
    if (status == RN_OK)
        status = rni_device_wait(p->dev);
    /* After a failure some may be gone already. */
    if (status == RN_OK || (i > 0 && rni_device_discards(p->dev)))
        rni_model_drop(p->model);
    p->made[count] = p->model->clock;
    return status;
}
