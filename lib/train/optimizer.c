/* SPDX-License-Identifier: MIT */
#include "base/abi.h"
#include "train/option.h"
#include "train/segments.h"

static const rn_group_options group_defaults = RN_GROUP_OPTIONS_INIT;

rn_status rn_group_options_init(rn_group_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &group_defaults, sizeof group_defaults, sizeof group_defaults,
                        "rn_group_options");
}

/* group_of of all entries is 0, the optimizer's own group. */
static rn_status make_tables(rn_optimizer *opt, double weight_decay)
{
    const rn_allocator *const allocator = &opt->ctx->allocator;
    opt->groups = rni_calloc(allocator, 1, sizeof *opt->groups);
    opt->group_lr = rni_calloc(allocator, 1, sizeof *opt->group_lr);
    opt->group_of = rni_calloc(allocator, opt->model->num_states + 1, sizeof *opt->group_of);
    if (!opt->groups || !opt->group_lr || !opt->group_of)
        return rni_nomem("an optimizer", opt->model->num_states * sizeof *opt->group_of);
    opt->groups[0] = (rni_group){.lr_factor = 1.0, .weight_decay = weight_decay};
    opt->num_groups = 1;
    return RN_OK;
}

rn_status rni_optimizer_create(rn_model *m, int32_t kind, double lr, double weight_decay, uint64_t moments,
                               rn_optimizer **out)
{
    rn_optimizer *const opt = rni_calloc(&m->ctx->allocator, 1, sizeof *opt);
    if (!opt)
        return rni_nomem("an optimizer", sizeof *opt);
    atomic_init(&opt->references, 1);
    opt->ctx = m->ctx;
    opt->model = rni_model_use(m);
    opt->kind = kind;
    opt->lr = lr;
    const uint64_t bytes = moments * rni_parameter_bytes(m);
    rn_status status = make_tables(opt, weight_decay);
    if (status >= 0 && bytes)
        status = rni_storage_create(m->dev, bytes, "the optimizer's state", &opt->state);
    if (status < 0) {
        rn_optimizer_release(opt);
        return status;
    }
    *out = opt;
    return RN_OK;
}

rn_optimizer *rn_optimizer_retain(rn_optimizer *opt)
{
    if (opt)
        rni_reference(&opt->references);
    return opt;
}

void rn_optimizer_release(rn_optimizer *opt)
{
    if (!opt || !rni_unreference(&opt->references))
        return;
    rn_model *const model = opt->model;
    const rn_allocator *const allocator = &opt->ctx->allocator;
    rni_own_free(&opt->own);
    if (opt->state)
        rni_storage_release(opt->state);
    for (size_t i = 0; i < opt->num_groups; i++)
        rni_free(allocator, opt->groups[i].glob);
    rni_free(allocator, opt->groups);
    rni_free(allocator, opt->group_lr);
    rni_free(allocator, opt->group_of);
    rni_free(allocator, opt);
    rni_model_unuse(model); /* it keeps the context, and so the allocator */
}

/* Room for one more group; what grew stays valid when the rest fails. */
static rn_status grow_groups(rn_optimizer *opt)
{
    const rn_allocator *const allocator = &opt->ctx->allocator;
    const size_t count = opt->num_groups + 1;
    rni_group *const groups = rni_realloc(allocator, opt->groups, count * sizeof *groups);
    if (groups)
        opt->groups = groups;
    double *const lrs = groups ? rni_realloc(allocator, opt->group_lr, count * sizeof *lrs) : NULL;
    if (lrs)
        opt->group_lr = lrs;
    return lrs ? RN_OK : rni_nomem("a parameter group", count * sizeof *groups);
}

static int matches(const rni_state *s, const char *name_glob)
{
    return s->kind == RN_STATE_PARAMETER && rni_glob(name_glob, s->name);
}

static rn_status check_match(const rn_model *m, const char *name_glob)
{
    for (size_t i = 0; i < m->num_states; i++)
        if (matches(&m->states[i], name_glob))
            return RN_OK;
    return rni_fail(RN_E_NOT_FOUND, "rn_optimizer_add_group: no parameter's name matches \"%s\"", name_glob);
}

static rn_status add_group(rn_optimizer *opt, const char *name_glob, const rn_group_options *o)
{
    RNI_TRY(grow_groups(opt));
    char *const glob = rni_strdup(&opt->ctx->allocator, name_glob);
    if (!glob)
        return rni_nomem("a parameter group", sizeof *opt->groups);
    const uint32_t index = (uint32_t)opt->num_groups++;
    opt->groups[index] = (rni_group){.lr_factor = o->lr_factor, .weight_decay = o->weight_decay, .glob = glob};
    for (size_t i = 0; i < opt->model->num_states; i++)
        if (matches(&opt->model->states[i], name_glob))
            opt->group_of[i] = index;
    return RN_OK;
}

rn_status rn_optimizer_add_group(rn_optimizer *opt, const char *name_glob, const rn_group_options *options)
{
    RNI_REQUIRE(opt);
    RNI_REQUIRE(name_glob);
    rn_group_options o = group_defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_group_options"));
    RNI_TRY(rni_option_flags(o.flags, 0, "rn_group_options.flags"));
    RNI_TRY(rni_option_not_negative("rn_group_options.lr_factor", o.lr_factor));
    RNI_TRY(rni_option_not_negative("rn_group_options.weight_decay", o.weight_decay));
    if (opt->frozen)
        return rni_fail(RN_E_STATE, "rn_optimizer_add_group: too late, a plan or a step already uses the optimizer");
    RNI_TRY(check_match(opt->model, name_glob));
    return add_group(opt, name_glob, &o);
}

/* A parameter of this group that is to lose its decay. */
static int is_excluded(const rn_optimizer *opt, size_t state, size_t group, int32_t max_rank)
{
    const rni_state *const s = &opt->model->states[state];
    return s->kind == RN_STATE_PARAMETER && opt->group_of[state] == group && s->value->rank <= max_rank &&
           opt->groups[group].weight_decay > 0.0;
}

static size_t count_excluded(const rn_optimizer *opt, size_t group, int32_t max_rank)
{
    size_t count = 0;
    for (size_t i = 0; i < opt->model->num_states; i++)
        count += is_excluded(opt, i, group, max_rank) != 0;
    return count;
}

/* A group like another but without decay; its "glob" is for the identity in checkpoints only. */
static rn_status add_twin(rn_optimizer *opt, size_t group, int32_t max_rank)
{
    const char *const glob = opt->groups[group].glob;
    rni_text name = {.allocator = &opt->ctx->allocator};
    rni_text_append(&name, "rank 0 to %d of %s", (int)max_rank, glob ? glob : "*");
    char *const copy = name.failed ? NULL : rni_strdup(name.allocator, name.data);
    rni_text_free(&name);
    const rn_status status = copy ? grow_groups(opt) : rni_nomem("a parameter group", sizeof *opt->groups);
    if (status < 0) {
        rni_free(&opt->ctx->allocator, copy);
        return status;
    }
    opt->groups[opt->num_groups++] = (rni_group){.lr_factor = opt->groups[group].lr_factor, .glob = copy};
    return RN_OK;
}

/* One twin for each of the first `count` groups that needs one, in their order. */
static rn_status add_twins(rn_optimizer *opt, size_t count, int32_t max_rank)
{
    for (size_t g = 0; g < count; g++)
        if (count_excluded(opt, g, max_rank))
            RNI_TRY(add_twin(opt, g, max_rank));
    return RN_OK;
}

static size_t move_to_twins(rn_optimizer *opt, size_t count, int32_t max_rank)
{
    size_t moved = 0, twin = count;
    for (size_t g = 0; g < count; g++) {
        const size_t before = moved;
        for (size_t i = 0; i < opt->model->num_states; i++) {
            if (!is_excluded(opt, i, g, max_rank))
                continue;
            opt->group_of[i] = (uint32_t)twin;
            moved++;
        }
        twin += moved > before;
    }
    return moved;
}

rn_status rn_optimizer_exclude_from_decay(rn_optimizer *opt, int32_t max_rank, size_t *excluded)
{
    RNI_REQUIRE(opt);
    RNI_TRY(rni_option_at_least("rn_optimizer_exclude_from_decay: max_rank", max_rank, 0));
    if (opt->frozen)
        return rni_fail(RN_E_STATE,
                        "rn_optimizer_exclude_from_decay: too late, a plan or a step already uses the optimizer");
    const size_t count = opt->num_groups;
    const rn_status status = add_twins(opt, count, max_rank);
    if (status < 0) {
        while (opt->num_groups > count)
            rni_free(&opt->ctx->allocator, opt->groups[--opt->num_groups].glob);
        return status;
    }
    const size_t moved = move_to_twins(opt, count, max_rank);
    if (excluded)
        *excluded = moved;
    return RN_OK;
}

uint64_t rni_optimizer_state_bytes(const rn_optimizer *opt)
{
    return opt && opt->state ? opt->state->bytes : 0;
}

rn_status rni_optimizer_append(rn_optimizer *opt, rni_program *p, double clip_norm, const rn_loss_scale_params *scaling,
                               uint32_t metrics)
{
    if (scaling)
        RNI_TRY(rni_unscale_append(opt->model, p, metrics));
    if (clip_norm > 0.0)
        RNI_TRY(rni_clip_append(opt->model, p, clip_norm, metrics));
    RNI_TRY(opt->kind == RN_OP_SGD ? rni_sgd_append(opt, p, metrics) : rni_adam_append(opt, p, metrics));
    if (scaling)
        RNI_TRY(rni_loss_scale_append(p, scaling, metrics));
    opt->frozen = 1;
    return RN_OK;
}

const double *rni_optimizer_lrs(rn_optimizer *opt)
{
    for (size_t i = 0; i < opt->num_groups; i++)
        opt->group_lr[i] = opt->lr * opt->groups[i].lr_factor;
    return opt->group_lr;
}

static rn_status build(rn_optimizer *opt)
{
    RNI_TRY(rni_optimizer_append(opt, &opt->own.program, 0.0, NULL, opt->own.metrics_value));
    return rni_own_compile(&opt->own);
}

/* The own program is for the parameters that were trainable when it was made. */
static rn_status prepare(rn_optimizer *opt)
{
    if (opt->own.compiled && opt->own_clock == opt->model->trainable_clock)
        return rni_device_check(opt->model->dev);
    rni_own_free(&opt->own);
    RNI_TRY(rni_own_begin(&opt->own, opt->model->dev));
    const rn_status status = build(opt);
    if (status < 0)
        rni_own_free(&opt->own);
    opt->own_clock = opt->model->trainable_clock;
    return status;
}

rn_status rn_optimizer_step(rn_optimizer *opt)
{
    RNI_REQUIRE(opt);
    rn_model *const m = opt->model;
    if (!m->grads)
        return rni_fail(RN_E_STATE, "rn_optimizer_step: the model has no gradients yet; a TRAIN plan makes them");
    RNI_TRY(prepare(opt));
    void *base[RN_ROLE_COUNT] = {NULL};
    base[RN_ROLE_PARAM] = m->params->data;
    base[RN_ROLE_PARAM_GRAD] = m->grads->data;
    base[RN_ROLE_STATE] = opt->state ? opt->state->data : NULL;
    const rn_run run = {.batch = 1, .lr = rni_optimizer_lrs(opt), .optimizer_step = opt->steps + 1, .grad_scale = 1.0};
    RNI_TRY(rni_own_run(&opt->own, base, &run));
    opt->steps++;
    rni_model_stepped(m);
    return RN_OK;
}

rn_status rn_optimizer_set_lr(rn_optimizer *opt, double lr)
{
    RNI_REQUIRE(opt);
    RNI_TRY(rni_option_not_negative("rn_optimizer_set_lr: lr", lr));
    opt->lr = lr;
    return RN_OK;
}

double rn_optimizer_lr(const rn_optimizer *opt)
{
    return opt ? opt->lr : 0.0;
}

int64_t rn_optimizer_steps(const rn_optimizer *opt)
{
    return opt ? opt->steps : 0;
}
