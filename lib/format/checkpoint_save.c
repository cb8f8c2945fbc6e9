/* SPDX-License-Identifier: MIT */
#include "format/checkpoint.h"

/* What is written must live until the file is. */
typedef struct saving {
    const rn_context *ctx;
    const rn_checkpoint *c;
    rni_st_builder builder;
    int64_t steps, updates, counters[RNI_CP_PLAN_COUNTERS], position[2], host[2];
    double sums[RNI_CP_PLAN_SUMS], progress[RNI_CP_MAX_PROGRESS];
} saving;

static rn_status put_numbers(saving *s, const char *name, rn_dtype dtype, int64_t count, const void *data)
{
    return rni_st_put_host(&s->builder, name, dtype, count > 0 ? 1 : 0, &count, data);
}

/* An entry of the model from one of its flat storages, named "<part>.<state>". */
static rn_status put_state(saving *s, const char *part, const rni_state *state, const rni_storage *storage,
                           uint64_t offset)
{
    rni_text name = {.allocator = s->builder.allocator};
    rni_text_append(&name, "%s.%s", part, state->name);
    const rn_tensor *const t = state->value;
    const rn_status status =
        name.failed ? rni_nomem("a name", name.length)
                    : rni_st_put_storage(&s->builder, name.data, t->dtype, t->rank, t->dims, storage, offset);
    rni_text_free(&name);
    return status;
}

static rn_status put_model(saving *s, const char *part, const rn_model *m)
{
    for (size_t i = 0; i < m->num_states; i++)
        RNI_TRY(put_state(s, part, &m->states[i], m->states[i].value->storage, m->states[i].value->offset));
    return RN_OK;
}

static rn_status put_ema(saving *s)
{
    RNI_TRY(put_model(s, "ema.model", s->c->ema->average));
    s->updates = s->c->ema->updates;
    return put_numbers(s, "ema.updates", RN_I64, 0, &s->updates);
}

/* One value per parameter, at the parameter's offset plus `shift`. */
static rn_status put_parameters(saving *s, const char *part, const rni_storage *storage, uint64_t shift)
{
    const rn_model *const m = s->c->model;
    for (size_t i = 0; i < m->num_states; i++)
        if (m->states[i].kind == RN_STATE_PARAMETER)
            RNI_TRY(put_state(s, part, &m->states[i], storage, m->states[i].offset + shift));
    return RN_OK;
}

static rn_status put_optimizer(saving *s)
{
    const rn_optimizer *const opt = s->c->optimizer;
    rni_cp_moment moments[2];
    const size_t count = rni_cp_moments(opt, moments);
    for (size_t i = 0; i < count; i++)
        RNI_TRY(put_parameters(s, moments[i].part, opt->state, moments[i].shift));
    s->steps = opt->steps;
    RNI_TRY(put_numbers(s, "optimizer.lr", RN_F64, 0, &opt->lr));
    return put_numbers(s, "optimizer.steps", RN_I64, 0, &s->steps);
}

static rn_status put_schedule(saving *s)
{
    rni_schedule_state progress[RNI_CP_MAX_PROGRESS];
    const size_t count = rni_schedule_progress(s->c->schedule, progress, RNI_CP_MAX_PROGRESS);
    if (count > RNI_CP_MAX_PROGRESS)
        return rni_fail(RN_E_INTERNAL, "a schedule with %zu numbers of progress", count);
    for (size_t i = 0; i < count; i++)
        s->progress[i] = progress[i].value;
    return count ? put_numbers(s, "schedule.progress", RN_F64, (int64_t)count, s->progress) : RN_OK;
}

static rn_status put_loader(saving *s)
{
    RNI_TRY(rn_loader_position(s->c->loader, &s->position[0], &s->position[1]));
    return put_numbers(s, "loader.position", RN_I64, 2, s->position);
}

/* Between two micro-batches the gradients are part of what must go on. */
static rn_status put_plan(saving *s)
{
    rni_plan_progress progress;
    RNI_TRY(rni_plan_get_progress(s->c->plan, &progress));
    rni_cp_pack_progress(&progress, s->counters, s->sums);
    RNI_TRY(put_numbers(s, "plan.progress", RN_I64, rni_cp_counters(&progress), s->counters));
    RNI_TRY(put_numbers(s, "plan.sums", RN_F64, rni_cp_sums(&progress), s->sums));
    return progress.micro > 0 && s->c->model->grads ? put_parameters(s, "gradient", s->c->model->grads, 0) : RN_OK;
}

static rn_status put_host(saving *s)
{
    s->host[0] = s->c->epoch;
    s->host[1] = s->c->step;
    RNI_TRY(put_numbers(s, "host.counters", RN_I64, 2, s->host));
    return put_numbers(s, "host.value", RN_F64, 4, s->c->value);
}

static rn_status put_field(void *user, const char *key, const char *value)
{
    return rni_st_put_metadata(user, key, value);
}

static rn_status put_all(saving *s)
{
    RNI_TRY(rni_st_put_metadata(&s->builder, "checkpoint", RNI_CP_VERSION));
    RNI_TRY(rni_cp_identity(s->ctx, s->c, put_field, &s->builder));
    RNI_TRY(put_model(s, "model", s->c->model));
    if (s->c->optimizer)
        RNI_TRY(put_optimizer(s));
    if (s->c->schedule)
        RNI_TRY(put_schedule(s));
    if (s->c->loader)
        RNI_TRY(put_loader(s));
    if (s->c->plan)
        RNI_TRY(put_plan(s));
    if (s->c->ema)
        RNI_TRY(put_ema(s));
    return put_host(s);
}

rn_status rn_checkpoint_save(rn_context *ctx, const char *path, const rn_checkpoint *c)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(path);
    RNI_REQUIRE(c);
    rn_checkpoint known;
    RNI_TRY(rni_cp_parts(ctx, c, &known));
    saving s = {.ctx = ctx, .c = &known};
    rni_st_begin(&s.builder, &ctx->allocator);
    rn_status status = put_all(&s);
    if (status >= 0)
        status = rni_st_save(&s.builder, path);
    rni_st_end(&s.builder);
    return status;
}
