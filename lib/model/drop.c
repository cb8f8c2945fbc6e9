/* SPDX-License-Identifier: MIT */
/* Models that let go of their values: a plan has all that it needs of them. */
#include "model/model.h"

static const char dropped[] = "the model's weights were given up to a plan with RN_PLAN_DROP_WEIGHTS";

rn_model *rni_model_use(rn_model *m)
{
    rni_reference(&m->users);
    return rn_model_retain(m);
}

void rni_model_unuse(rn_model *m)
{
    atomic_fetch_sub_explicit(&m->users, 1, memory_order_relaxed);
    rn_model_release(m);
}

static int is_held(const rn_tensor *t)
{
    return t && atomic_load_explicit(&t->references, memory_order_acquire) > 1;
}

/* References to the storages that are not the model's own: of slices. */
static int64_t foreign_views(const rn_model *m)
{
    const rni_storage *const storages[] = {m->params, m->buffers, m->grads};
    int64_t views = 0;
    for (int i = 0; i < 3; i++)
        if (storages[i])
            views += atomic_load_explicit(&storages[i]->references, memory_order_acquire) - 1;
    for (size_t i = 0; i < m->num_states; i++)
        views -= 1 + (m->states[i].grad != NULL);
    return views;
}

rn_status rni_model_may_drop(const rn_model *m)
{
    RNI_TRY(rni_model_expect_values(m, "rn_plan_create"));
    if (atomic_load_explicit(&m->users, memory_order_acquire))
        return rni_fail(RN_E_STATE, "options.flags: RN_PLAN_DROP_WEIGHTS: another plan, optimizer or average uses the model");
    for (size_t i = 0; i < m->num_states; i++)
        if (is_held(m->states[i].value) || is_held(m->states[i].grad))
            return rni_fail(RN_E_STATE, "options.flags: RN_PLAN_DROP_WEIGHTS: '%s' is held by a reference or an export",
                            m->states[i].name);
    if (foreign_views(m))
        return rni_fail(RN_E_STATE, "options.flags: RN_PLAN_DROP_WEIGHTS: a slice of the weights is held");
    return RN_OK;
}

void rni_model_drop(rn_model *m)
{
    rni_storage_drop(m->params, dropped);
    rni_storage_drop(m->buffers, dropped);
    if (m->grads)
        rni_storage_drop(m->grads, dropped);
}

rn_status rni_model_expect_values(const rn_model *m, const char *call)
{
    if (m->params->dropped)
        return rni_fail(RN_E_STATE, "%s: %s", call, m->params->dropped);
    return RN_OK;
}
