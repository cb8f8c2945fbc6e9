/* SPDX-License-Identifier: MIT */
/* State entries: finding, freezing, gradients, generations. */
#include "base/abi.h"
#include "model/model.h"
#include <string.h>

size_t rni_model_index(const rn_model *m, const char *name)
{
    size_t low = 0, high = m->num_states;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const int order = strcmp(name, m->states[m->by_name[middle]].name);
        if (order == 0)
            return m->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return SIZE_MAX;
}

size_t rn_model_state_count(const rn_model *m)
{
    return m ? m->num_states : 0;
}

static rn_status describe(const rni_state *s, rn_state_entry *out)
{
    const rn_state_entry known = {sizeof known, s->name, s->value, s->grad, s->kind, s->trainable};
    return rni_abi_write(out, &known, sizeof known, sizeof known, "rn_state_entry");
}

rn_status rn_model_state(rn_model *m, size_t index, rn_state_entry *out)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(out);
    if (index >= m->num_states)
        return rni_fail(RN_E_NOT_FOUND, "index: expected below %zu, got %zu", m->num_states, index);
    return describe(&m->states[index], out);
}

rn_status rn_model_find_state(rn_model *m, const char *name, rn_state_entry *out)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(name);
    RNI_REQUIRE(out);
    const size_t index = rni_model_index(m, name);
    if (index == SIZE_MAX)
        return rni_fail(RN_E_NOT_FOUND, "name: the model has no state '%s'", name);
    return describe(&m->states[index], out);
}

int64_t rn_model_parameter_count(const rn_model *m, int32_t trainable_only)
{
    int64_t count = 0;
    for (size_t i = 0; m && i < m->num_states; i++)
        if (m->states[i].kind == RN_STATE_PARAMETER && (m->states[i].trainable || !trainable_only))
            count += rn_tensor_count(m->states[i].value);
    return count;
}

int rni_glob(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return 0;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

rn_status rn_model_set_trainable(rn_model *m, const char *name_glob, int32_t trainable, size_t *matched)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(name_glob);
    size_t found = 0;
    int changed = 0;
    for (size_t i = 0; i < m->num_states; i++) {
        rni_state *const s = &m->states[i];
        if (s->kind != RN_STATE_PARAMETER || !rni_glob(name_glob, s->name))
            continue;
        found++;
        changed |= s->trainable != (trainable != 0);
        s->trainable = trainable != 0;
    }
    if (!found)
        return rni_fail(RN_E_NOT_FOUND, "name_glob: no parameter matches '%s'", name_glob);
    if (changed)
        m->trainable_clock++;
    if (matched)
        *matched = found;
    return RN_OK;
}

void rni_model_written(rn_model *m, size_t index)
{
    m->states[index].generation = ++m->clock;
}

void rni_model_stepped(rn_model *m)
{
    const uint64_t now = ++m->clock;
    for (size_t i = 0; i < m->num_states; i++)
        if (m->states[i].kind == RN_STATE_PARAMETER && m->states[i].trainable)
            m->states[i].generation = now;
}

void rni_model_buffers_updated(rn_model *m)
{
    const uint64_t now = ++m->clock;
    for (size_t i = 0; i < m->num_states; i++)
        if (m->states[i].kind == RN_STATE_BUFFER)
            m->states[i].generation = now;
}

rn_status rn_model_mark_written(rn_model *m)
{
    RNI_REQUIRE(m);
    RNI_TRY(rni_model_expect_values(m, "rn_model_mark_written"));
    const uint64_t now = ++m->clock;
    for (size_t i = 0; i < m->num_states; i++)
        m->states[i].generation = now;
    return RN_OK;
}

static rn_status make_gradients(rn_model *m, rni_storage *grads)
{
    for (size_t i = 0; i < m->num_states; i++) {
        rni_state *const s = &m->states[i];
        if (s->kind == RN_STATE_PARAMETER)
            RNI_TRY(rni_tensor_view(grads, s->offset, RN_F32, RN_LAYOUT_PLAIN, s->value->rank, s->value->dims,
                                    &s->grad));
    }
    return RN_OK;
}

rn_status rni_model_ensure_gradients(rn_model *m)
{
    if (m->grads)
        return RN_OK;
    rni_storage *grads = NULL;
    RNI_TRY(rni_storage_create(m->dev, m->params->bytes, "the gradients of a model", &grads));
    const rn_status status = make_gradients(m, grads);
    if (status < 0) {
        for (size_t i = 0; i < m->num_states; i++) {
            rn_tensor_release(m->states[i].grad);
            m->states[i].grad = NULL;
        }
        rni_storage_release(grads);
        return status;
    }
    m->grads = grads;
    return RN_OK;
}

rn_status rn_model_zero_grad(rn_model *m)
{
    RNI_REQUIRE(m);
    RNI_TRY(rni_model_expect_values(m, "rn_model_zero_grad"));
    if (!m->grads)
        return RN_OK;
    RNI_TRY(rni_device_check(m->dev));
    return m->dev->backend->fill(m->dev->dev, m->dev->queue, m->grads->data, m->grads->bytes);
}
