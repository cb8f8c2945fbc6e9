/* SPDX-License-Identifier: MIT */
/* The identity of a training: what must be the same when a checkpoint is loaded, field by field. */
#include "format/checkpoint.h"
#include "data/data.h"
#include <stdio.h>
#include <string.h>

typedef struct visitor {
    rni_cp_field_fn field;
    void *user;
} visitor;

static rn_status tell(const visitor *v, const char *key, const char *value)
{
    return v->field(v->user, key, value);
}

static rn_status tell_number(const visitor *v, const char *key, double value)
{
    char text[RNI_CP_NUMBER];
    return tell(v, key, rni_cp_number(text, value));
}

static rn_status tell_count(const visitor *v, const char *key, uint64_t value)
{
    char text[RNI_CP_NUMBER];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return tell(v, key, text);
}

static rn_status tell_sgd(const visitor *v, const rn_sgd_options *o)
{
    RNI_TRY(tell(v, "optimizer.kind", "sgd"));
    RNI_TRY(tell_number(v, "optimizer.momentum", o->momentum));
    RNI_TRY(tell_number(v, "optimizer.dampening", o->dampening));
    return tell(v, "optimizer.nesterov", (o->flags & RN_SGD_NESTEROV) ? "1" : "0");
}

static rn_status tell_adam(const visitor *v, const rn_adam_options *o)
{
    RNI_TRY(tell(v, "optimizer.kind", (o->flags & RN_ADAM_DECOUPLED) ? "adamw" : "adam"));
    RNI_TRY(tell_number(v, "optimizer.beta1", o->beta1));
    RNI_TRY(tell_number(v, "optimizer.beta2", o->beta2));
    return tell_number(v, "optimizer.eps", o->eps);
}

static rn_status tell_group(const visitor *v, const rni_group *group, size_t index)
{
    char key[64];
    snprintf(key, sizeof key, "optimizer.group.%zu.names", index);
    RNI_TRY(tell(v, key, group->glob ? group->glob : ""));
    snprintf(key, sizeof key, "optimizer.group.%zu.lr_factor", index);
    RNI_TRY(tell_number(v, key, group->lr_factor));
    snprintf(key, sizeof key, "optimizer.group.%zu.weight_decay", index);
    return tell_number(v, key, group->weight_decay);
}

static rn_status tell_optimizer(const visitor *v, const rn_optimizer *opt)
{
    RNI_TRY(opt->kind == RN_OP_SGD ? tell_sgd(v, &opt->sgd) : tell_adam(v, &opt->adam));
    RNI_TRY(tell_number(v, "optimizer.weight_decay", opt->groups[0].weight_decay));
    RNI_TRY(tell_count(v, "optimizer.groups", opt->num_groups - 1));
    for (size_t i = 1; i < opt->num_groups; i++)
        RNI_TRY(tell_group(v, &opt->groups[i], i));
    return RN_OK;
}

/* "schedule.step.gamma"; a name that came before gets its number: "schedule.multistep.milestone.2". */
static rn_status tell_setting(const visitor *v, const rni_schedule_state *settings, size_t index)
{
    char key[96];
    size_t before = 0;
    for (size_t i = 0; i < index; i++)
        before += strcmp(settings[i].name, settings[index].name) == 0;
    if (before)
        snprintf(key, sizeof key, "schedule.%s.%zu", settings[index].name, before + 1);
    else
        snprintf(key, sizeof key, "schedule.%s", settings[index].name);
    return tell_number(v, key, settings[index].value);
}

static rn_status tell_schedule(const visitor *v, const rn_schedule *s)
{
    rni_schedule_state settings[RNI_CP_MAX_SETTINGS];
    const size_t count = rni_schedule_settings(s, settings, RNI_CP_MAX_SETTINGS);
    if (count > RNI_CP_MAX_SETTINGS)
        return rni_fail(RN_E_INTERNAL, "a schedule with %zu settings", count);
    RNI_TRY(tell(v, "schedule.kind", rni_schedule_kind(s)));
    RNI_TRY(tell_count(v, "schedule.settings", count));
    for (size_t i = 0; i < count; i++)
        RNI_TRY(tell_setting(v, settings, i));
    return RN_OK;
}

static rn_status tell_loader(const rn_context *ctx, const visitor *v, const rn_loader *loader)
{
    rni_text text = {.allocator = &ctx->allocator};
    rn_status status = rni_loader_identity(loader, &text);
    if (status >= 0)
        status = text.failed ? rni_nomem("the loader's identity", text.length)
                             : tell(v, "loader", text.data ? text.data : "");
    rni_text_free(&text);
    return status;
}

static rn_status tell_ema(const visitor *v, const rn_ema *ema)
{
    RNI_TRY(tell_number(v, "ema.decay", ema->decay));
    RNI_TRY(tell(v, "ema.average_buffers", (ema->flags & RN_EMA_AVERAGE_BUFFERS) ? "1" : "0"));
    return tell(v, "ema.warmup", (ema->flags & RN_EMA_WARMUP) ? "1" : "0");
}

static rn_status tell_loss_scaling(const visitor *v, const rn_loss_scale_params *s)
{
    RNI_TRY(tell_number(v, "plan.loss_scale_growth", s->growth));
    RNI_TRY(tell_number(v, "plan.loss_scale_backoff", s->backoff));
    return tell_count(v, "plan.loss_scale_interval", (uint64_t)s->interval);
}

static rn_status tell_plan(const visitor *v, rn_plan *plan)
{
    rni_plan_progress progress;
    RNI_TRY(rni_plan_get_progress(plan, &progress));
    RNI_TRY(tell_count(v, "plan.seed", progress.seed));
    RNI_TRY(tell_count(v, "plan.accumulate", (uint64_t)progress.accumulate));
    return progress.scales ? tell_loss_scaling(v, &progress.scaling) : RN_OK;
}

rn_status rni_cp_identity(const rn_context *ctx, const rn_checkpoint *c, rni_cp_field_fn field, void *user)
{
    const visitor v = {field, user};
    if (c->optimizer)
        RNI_TRY(tell_optimizer(&v, c->optimizer));
    if (c->schedule)
        RNI_TRY(tell_schedule(&v, c->schedule));
    if (c->loader)
        RNI_TRY(tell_loader(ctx, &v, c->loader));
    if (c->ema)
        RNI_TRY(tell_ema(&v, c->ema));
    return c->plan ? tell_plan(&v, c->plan) : RN_OK;
}
