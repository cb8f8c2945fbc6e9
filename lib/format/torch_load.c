/* SPDX-License-Identifier: MIT */
/* State of an optimizer from PyTorch: everything is read and compared before anything changes. */
#include "format/safetensors.h"
#include "format/torch_file.h"
#include "format/torch_optimizer.h"
#include <math.h>
#include <string.h>

typedef struct loading {
    rn_optimizer *opt;
    rni_torch_file *file;
    rni_torch_parameter *list;
    size_t count; /* of the list */
    const char *names[2];
    size_t num_moments;
    char *moments; /* flat, as the optimizer's state */
    double lr;
    int64_t steps; /* -1 until one is seen */
} loading;

/* Where training scripts keep it beside the weights. */
static const char *const keys[] = {"optimizer", "optimizer_state_dict", "optim", NULL};

/* --- settings --- */

static rn_status missing(const loading *l, size_t group, const char *key)
{
    return rni_fail(RN_E_STATE, "%s: param_groups[%zu] has no %s: it is no state of %s", rni_torch_path(l->file), group,
                    key, l->opt->kind == RN_OP_SGD ? "SGD" : "Adam");
}

static rn_status number_of(const loading *l, size_t group, const rni_py_value *dict, const char *key, double *out)
{
    const rni_py_value *const value = rni_py_get(dict, key);
    if (!value)
        return missing(l, group, key);
    if (!rni_py_number(value, out))
        return rni_fail(RN_E_FORMAT, "%s: param_groups[%zu]: %s is no number", rni_torch_path(l->file), group, key);
    return RN_OK;
}

static rn_status compare_number(const loading *l, size_t group, const char *key, double saved, double here)
{
    if (saved == here)
        return RN_OK;
    return rni_fail(RN_E_STATE, "%s: param_groups[%zu]: %s is %.9g in the file and %.9g here", rni_torch_path(l->file),
                    group, key, saved, here);
}

static rn_status check_number(const loading *l, size_t group, const rni_py_value *dict, const char *key, double here)
{
    double saved = 0;
    RNI_TRY(number_of(l, group, dict, key, &saved));
    return compare_number(l, group, key, saved, here);
}

/* A switch that older files do not have is off in them; `unknown`: they do not tell. */
static rn_status check_switch(const loading *l, size_t group, const rni_py_value *dict, const char *key, int here,
                              int unknown)
{
    const rni_py_value *const value = rni_py_get(dict, key);
    double saved = 0;
    if (!value && unknown)
        return RN_OK;
    if (value && !rni_py_number(value, &saved))
        return rni_fail(RN_E_FORMAT, "%s: param_groups[%zu]: %s is no number", rni_torch_path(l->file), group, key);
    if ((saved != 0) == here)
        return RN_OK;
    return rni_fail(RN_E_STATE, "%s: param_groups[%zu]: %s is %s in the file and %s here", rni_torch_path(l->file),
                    group, key, saved != 0 ? "True" : "False", here ? "True" : "False");
}

static rn_status check_sgd(const loading *l, size_t group, const rni_py_value *dict)
{
    const rn_sgd_options *const o = &l->opt->sgd;
    RNI_TRY(check_number(l, group, dict, "momentum", o->momentum));
    RNI_TRY(check_number(l, group, dict, "dampening", o->dampening));
    return check_switch(l, group, dict, "nesterov", (o->flags & RN_SGD_NESTEROV) != 0, 0);
}

static rn_status check_adam(const loading *l, size_t group, const rni_py_value *dict)
{
    const rn_adam_options *const o = &l->opt->adam;
    const rni_py_value *const betas = rni_py_get(dict, "betas");
    double saved[2];
    if (!betas)
        return missing(l, group, "betas");
    if (betas->kind != RNI_PY_TUPLE || betas->length != 2 || !rni_py_number(&betas->u.tuple[0], &saved[0]) ||
        !rni_py_number(&betas->u.tuple[1], &saved[1]))
        return rni_fail(RN_E_FORMAT, "%s: param_groups[%zu]: betas are no two numbers", rni_torch_path(l->file), group);
    RNI_TRY(compare_number(l, group, "betas[0]", saved[0], o->beta1));
    RNI_TRY(compare_number(l, group, "betas[1]", saved[1], o->beta2));
    RNI_TRY(check_number(l, group, dict, "eps", o->eps));
    RNI_TRY(check_switch(l, group, dict, "amsgrad", 0, 0));
    return check_switch(l, group, dict, "decoupled_weight_decay", (o->flags & RN_ADAM_DECOUPLED) != 0, 1);
}

/* The learning rate is taken over: the first group's, and the others' must be in proportion. */
static rn_status take_lr(loading *l, size_t group, const rni_py_value *dict, double factor)
{
    double saved = 0;
    RNI_TRY(number_of(l, group, dict, "lr", &saved));
    if (!isfinite(saved) || saved < 0.0)
        return rni_fail(RN_E_FORMAT, "%s: param_groups[%zu]: lr is %.9g", rni_torch_path(l->file), group, saved);
    if (l->lr < 0.0 && factor > 0.0)
        l->lr = saved / factor;
    const double here = factor > 0.0 ? l->lr * factor : 0.0;
    return fabs(saved - here) <= 1e-9 * here ? RN_OK : compare_number(l, group, "lr", saved, here);
}

static rn_status check_group(loading *l, size_t group, const rni_py_value *dict, const rni_group *here)
{
    RNI_TRY(l->opt->kind == RN_OP_SGD ? check_sgd(l, group, dict) : check_adam(l, group, dict));
    RNI_TRY(check_switch(l, group, dict, "maximize", 0, 0));
    RNI_TRY(check_number(l, group, dict, "weight_decay", here->weight_decay));
    return take_lr(l, group, dict, here->lr_factor);
}

/* --- moments --- */

static rn_status take_steps(loading *l, double steps, const char *name)
{
    if (!(steps >= 0.0 && steps < 9e15) || steps != floor(steps))
        return rni_fail(RN_E_FORMAT, "%s: the step of %s is %.9g", rni_torch_path(l->file), name, steps);
    if (l->steps >= 0 && l->steps != (int64_t)steps)
        return rni_fail(RN_E_UNSUPPORTED, "%s: the step of %s is %lld, expected %lld as before it",
                        rni_torch_path(l->file), name, (long long)steps, (long long)l->steps);
    l->steps = (int64_t)steps;
    return RN_OK;
}

/* A number, or since PyTorch 1.12 a tensor of one element. */
static rn_status read_step(loading *l, const rni_py_value *value, const char *name)
{
    double steps = 0;
    if (value && value->kind == RNI_PY_TENSOR && value->u.tensor->count == 1)
        RNI_TRY(rni_torch_read_as(l->file, value->u.tensor, "step", RN_F64, &steps));
    else if (!value || !rni_py_number(value, &steps))
        return rni_fail(RN_E_FORMAT, "%s: the state of %s has no step", rni_torch_path(l->file), name);
    return take_steps(l, steps, name);
}

static rn_status read_moment(loading *l, const rni_py_value *value, const rni_state *s, size_t moment)
{
    char saved[RNI_SHAPE_TEXT], here[RNI_SHAPE_TEXT];
    const rn_tensor *const v = s->value;
    if (value->kind != RNI_PY_TENSOR)
        return rni_fail(RN_E_FORMAT, "%s: %s of %s is no tensor", rni_torch_path(l->file), l->names[moment], s->name);
    const rni_py_tensor *const t = value->u.tensor;
    const rni_st_tensor shape = {.rank = t->rank, .dims = t->dims};
    if (!rni_shape_equal(t->rank, t->dims, v->rank, v->dims))
        return rni_fail(RN_E_SHAPE, "%s: %s of %s has shape %s, expected %s", rni_torch_path(l->file),
                        l->names[moment], s->name, rni_st_shape_text(saved, &shape),
                        rni_shape_text(here, v->rank, v->dims));
    return rni_torch_read_as(l->file, t, s->name, RN_F32,
                             l->moments + moment * l->opt->model->params->bytes + s->offset);
}

/* A parameter that was frozen, or never reached, has no state, or None in it: its moments are zero. */
static rn_status read_state(loading *l, const rni_py_value *dict, const rni_state *s)
{
    if (dict->kind != RNI_PY_DICT)
        return rni_fail(RN_E_FORMAT, "%s: the state of %s is no dictionary", rni_torch_path(l->file), s->name);
    if (l->opt->kind != RN_OP_SGD)
        RNI_TRY(read_step(l, rni_py_get(dict, "step"), s->name));
    for (size_t i = 0; i < l->num_moments; i++) {
        const rni_py_value *const value = rni_py_get(dict, l->names[i]);
        if (!value && l->opt->kind != RN_OP_SGD)
            return rni_fail(RN_E_STATE, "%s: the state of %s has no %s: it is no state of Adam", rni_torch_path(l->file),
                            s->name, l->names[i]);
        if (!value || value->kind == RNI_PY_NONE)
            continue;
        RNI_TRY(read_moment(l, value, s, i));
        if (l->opt->kind == RN_OP_SGD)
            l->steps = 1; /* not the first step, of which there is no count */
    }
    return RN_OK;
}

static const rni_py_value *state_of(const rni_py_value *states, int64_t number)
{
    for (size_t i = states->u.items->count; i >= 2; i -= 2) {
        const rni_py_value *const key = &states->u.items->at[i - 2];
        if (key->kind == RNI_PY_INT && key->u.number == number)
            return key + 1;
    }
    return NULL;
}

/* --- all of it --- */

/* The parameters of a group follow one another in the list from `first` on. */
static rn_status read_parameters(loading *l, const rni_py_value *states, size_t group, const rni_py_value *dict,
                                 size_t first, size_t count)
{
    const rni_py_value *const params = rni_py_get(dict, "params");
    if (!params || params->kind != RNI_PY_LIST)
        return rni_fail(RN_E_FORMAT, "%s: param_groups[%zu] has no list of params", rni_torch_path(l->file), group);
    if (params->u.items->count != count)
        return rni_fail(RN_E_STATE, "%s: param_groups[%zu] has %zu parameters in the file and %zu here",
                        rni_torch_path(l->file), group, params->u.items->count, count);
    for (size_t i = 0; i < count; i++) {
        const rni_py_value *const number = &params->u.items->at[i];
        if (number->kind != RNI_PY_INT)
            return rni_fail(RN_E_FORMAT, "%s: param_groups[%zu] has params that are no numbers",
                            rni_torch_path(l->file), group);
        const rni_py_value *const state = state_of(states, number->u.number);
        if (state)
            RNI_TRY(read_state(l, state, &l->opt->model->states[l->list[first + i].state]));
    }
    return RN_OK;
}

static size_t group_end(const loading *l, size_t first)
{
    size_t i = first;
    while (i < l->count && l->list[i].group == l->list[first].group)
        i++;
    return i;
}

static size_t count_groups(const loading *l)
{
    size_t groups = 0;
    for (size_t i = 0; i < l->count; i = group_end(l, i))
        groups++;
    return groups;
}

static rn_status read_groups(loading *l, const rni_py_value *states, const rni_py_value *groups)
{
    size_t group = 0;
    if (states->kind != RNI_PY_DICT || groups->kind != RNI_PY_LIST)
        return rni_fail(RN_E_FORMAT, "%s: state is no dictionary, or param_groups no list", rni_torch_path(l->file));
    if (groups->u.items->count != count_groups(l))
        return rni_fail(RN_E_STATE, "%s: param_groups has %zu groups in the file and %zu here", rni_torch_path(l->file),
                        groups->u.items->count, count_groups(l));
    for (size_t first = 0; first < l->count; first = group_end(l, first), group++) {
        const rni_py_value *const dict = &groups->u.items->at[group];
        RNI_TRY(check_group(l, group, dict, &l->opt->groups[l->list[first].group]));
        RNI_TRY(read_parameters(l, states, group, dict, first, group_end(l, first) - first));
    }
    return RN_OK;
}

static rn_status read_all(loading *l)
{
    const rni_py_value *const dict = rni_torch_find(l->file, keys, "state", "param_groups");
    if (!dict)
        return rni_fail(RN_E_FORMAT, "%s: there is no state of an optimizer in it", rni_torch_path(l->file));
    l->num_moments = rni_torch_moments(l->opt, l->names);
    RNI_TRY(rni_torch_parameters(l->opt, &l->list, &l->count));
    const size_t bytes = (size_t)rni_optimizer_state_bytes(l->opt);
    l->moments = rni_calloc(&l->opt->ctx->allocator, bytes, 1);
    if (!l->moments)
        return rni_nomem("the state of an optimizer", bytes);
    return read_groups(l, rni_py_get(dict, "state"), rni_py_get(dict, "param_groups"));
}

static rn_status write_all(const loading *l)
{
    rn_optimizer *const opt = l->opt;
    rn_device *const dev = opt->model->dev;
    if (opt->state)
        RNI_TRY(dev->backend->copy_in(dev->dev, dev->queue, opt->state->data, l->moments, opt->state->bytes));
    if (l->lr >= 0.0)
        opt->lr = l->lr;
    opt->steps = l->steps > 0 ? l->steps : 0;
    return RN_OK;
}

rn_status rn_optimizer_load_torch(rn_optimizer *opt, const char *path)
{
    RNI_REQUIRE(opt);
    RNI_REQUIRE(path);
    RNI_TRY(rni_device_check(opt->model->dev));
    loading l = {.opt = opt, .lr = -1.0, .steps = -1};
    RNI_TRY(rni_torch_open(&opt->ctx->allocator, path, &l.file));
    rn_status status = read_all(&l);
    if (status >= 0)
        status = write_all(&l);
    rni_torch_close(l.file);
    rni_free(&opt->ctx->allocator, l.list);
    rni_free(&opt->ctx->allocator, l.moments);
    return status;
}
