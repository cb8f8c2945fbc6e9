/* SPDX-License-Identifier: MIT */
/* Loading: everything is read and checked into memory of its own first; only then the parts are written. */
#include "format/checkpoint.h"
#include <math.h>
#include <string.h>

typedef struct loading {
    const rn_context *ctx;
    rn_checkpoint *c;
    rni_st_file *file;
    char *states, *averages; /* of the model and the EMA, entry after entry */
    char *moments[2]; /* flat, as the parameters are */
    char *gradients; /* flat; NULL when the file has none */
    double lr, sums[RNI_CP_PLAN_SUMS], progress[RNI_CP_MAX_PROGRESS];
    int64_t steps, updates, counters[RNI_CP_PLAN_COUNTERS], position[2], host[2];
    size_t num_progress;
    double value[4];
} loading;

/* Cuts a long text to the piece that differs: from the separator before the difference to the one after it. */
static void differing_piece(const char *text, size_t same, int *start, int *length)
{
    size_t from = same;
    while (from > 0 && text[from - 1] != ';' && text[from - 1] != ',')
        from--;
    while (text[from] == ' ')
        from++;
    *start = (int)from;
    *length = (int)(same > from ? same - from : 0);
    *length += (int)strcspn(text + from + *length, ";,");
    *length = *length < 120 ? *length : 120;
}

static rn_status differs(const loading *l, const char *key, const char *saved, const char *here)
{
    size_t same = 0;
    while (saved[same] && saved[same] == here[same])
        same++;
    int saved_start, saved_length, here_start, here_length;
    differing_piece(saved, same, &saved_start, &saved_length);
    differing_piece(here, same, &here_start, &here_length);
    return rni_fail(RN_E_STATE, "%s: %s is \"%.*s\" in the checkpoint and \"%.*s\" here", rni_st_path(l->file), key,
                    saved_length, saved + saved_start, here_length, here + here_start);
}

static rn_status compare_field(void *user, const char *key, const char *value)
{
    const loading *const l = user;
    const char *const saved = rni_st_metadata(l->file, key);
    if (!saved)
        return rni_fail(RN_E_STATE, "%s: %s is not in the checkpoint; here it is \"%.120s\"", rni_st_path(l->file), key,
                        value);
    return strcmp(saved, value) == 0 ? RN_OK : differs(l, key, saved, value);
}

static rn_status check_version(const loading *l)
{
    const char *const version = rni_st_metadata(l->file, "checkpoint");
    if (!version)
        return rni_fail(RN_E_FORMAT, "%s: a safetensors file, but no checkpoint", rni_st_path(l->file));
    if (strcmp(version, RNI_CP_VERSION) != 0)
        return rni_fail(RN_E_VERSION, "%s: a checkpoint of version \"%.60s\", expected \"%s\"", rni_st_path(l->file),
                        version, RNI_CP_VERSION);
    return RN_OK;
}

static rn_status check_tensor(const loading *l, const char *name, rn_dtype dtype, int32_t rank, const int64_t *dims,
                              const rni_st_tensor **out)
{
    char saved[RNI_SHAPE_TEXT], here[RNI_SHAPE_TEXT];
    const rni_st_tensor *const t = rni_st_find(l->file, name);
    if (!t)
        return rni_fail(RN_E_STATE, "%s: %s is not in the checkpoint; here it has shape %s", rni_st_path(l->file), name,
                        rni_shape_text(here, rank, dims));
    if (!rni_shape_equal(t->rank, t->dims, rank, dims))
        return rni_fail(RN_E_STATE, "%s: %s has shape %s in the checkpoint and %s here", rni_st_path(l->file), name,
                        rni_st_shape_text(saved, t), rni_shape_text(here, rank, dims));
    if (t->dtype != dtype)
        return rni_fail(RN_E_FORMAT, "%s: %s is %s, expected %s", rni_st_path(l->file), name, t->dtype_name,
                        rn_dtype_name(dtype));
    *out = t;
    return RN_OK;
}

static rn_status read_numbers(const loading *l, const char *name, rn_dtype dtype, int64_t count, void *dst)
{
    const rni_st_tensor *t;
    RNI_TRY(check_tensor(l, name, dtype, count > 0 ? 1 : 0, &count, &t));
    return rni_st_read(l->file, t, 0, dst, t->count);
}

/* "<part>.<state>" of the file, of the state's type and shape. */
static rn_status read_state(const loading *l, const char *part, const rni_state *state, void *dst)
{
    const rn_tensor *const v = state->value;
    const rni_st_tensor *t;
    rni_text name = {.allocator = &l->ctx->allocator};
    rni_text_append(&name, "%s.%s", part, state->name);
    rn_status status =
        name.failed ? rni_nomem("a name", name.length) : check_tensor(l, name.data, v->dtype, v->rank, v->dims, &t);
    rni_text_free(&name);
    if (status >= 0)
        status = rni_st_read(l->file, t, 0, dst, t->count);
    return status;
}

/* Where the entry after `s` stands in loading.states. */
static size_t place_after(size_t place, const rni_state *s)
{
    return place + (s->value->nbytes + 63) / 64 * 64;
}

/* Every "<part>.<state>", entry after entry. */
static rn_status read_model(const loading *l, const char *part, const rn_model *m, char **states)
{
    size_t bytes = 0;
    for (size_t i = 0; i < m->num_states; i++)
        bytes = place_after(bytes, &m->states[i]);
    *states = rni_alloc(&l->ctx->allocator, bytes);
    if (!*states)
        return rni_nomem("the weights of a checkpoint", bytes);
    size_t place = 0;
    for (size_t i = 0; i < m->num_states; i++) {
        RNI_TRY(read_state(l, part, &m->states[i], *states + place));
        place = place_after(place, &m->states[i]);
    }
    return RN_OK;
}

/* A net with fewer entries than the saved one is another net. */
static rn_status check_no_more(const loading *l)
{
    static const char prefix[] = "model.";
    const size_t length = sizeof prefix - 1;
    for (size_t i = 0; i < rni_st_count(l->file); i++) {
        char text[RNI_ST_NAME_TEXT], shape[RNI_SHAPE_TEXT];
        const rni_st_tensor *const t = rni_st_at(l->file, i);
        if (strncmp(t->name, prefix, length) == 0 && rni_model_index(l->c->model, t->name + length) == SIZE_MAX)
            return rni_fail(RN_E_STATE, "%s: %s has shape %s in the checkpoint and is not in the model here",
                            rni_st_path(l->file), rni_st_name_text(text, t->name), rni_st_shape_text(shape, t));
    }
    return RN_OK;
}

/* A flat buffer like the parameters', filled with "<part>.<parameter>". */
static rn_status read_parameters(loading *l, const char *part, char **flat)
{
    const rn_model *const m = l->c->model;
    *flat = rni_calloc(&l->ctx->allocator, (size_t)m->params->bytes, 1);
    if (!*flat)
        return rni_nomem("a checkpoint", m->params->bytes);
    for (size_t i = 0; i < m->num_states; i++)
        if (m->states[i].kind == RN_STATE_PARAMETER)
            RNI_TRY(read_state(l, part, &m->states[i], *flat + m->states[i].offset));
    return RN_OK;
}

/* A value that no training can have had. */
static rn_status impossible(const loading *l, const char *name)
{
    return rni_fail(RN_E_FORMAT, "%s: %s holds numbers that cannot be", rni_st_path(l->file), name);
}

static int any_negative(const int64_t *numbers, int count)
{
    for (int i = 0; i < count; i++)
        if (numbers[i] < 0)
            return 1;
    return 0;
}

static rn_status read_optimizer(loading *l)
{
    rni_cp_moment moments[2];
    const size_t count = rni_cp_moments(l->c->optimizer, moments);
    for (size_t i = 0; i < count; i++)
        RNI_TRY(read_parameters(l, moments[i].part, &l->moments[i]));
    RNI_TRY(read_numbers(l, "optimizer.lr", RN_F64, 0, &l->lr));
    RNI_TRY(read_numbers(l, "optimizer.steps", RN_I64, 0, &l->steps));
    if (!isfinite(l->lr) || l->lr < 0.0)
        return impossible(l, "optimizer.lr");
    return l->steps < 0 ? impossible(l, "optimizer.steps") : RN_OK;
}

static rn_status read_schedule(loading *l)
{
    l->num_progress = rni_schedule_progress(l->c->schedule, NULL, 0);
    if (!l->num_progress)
        return RN_OK;
    return read_numbers(l, "schedule.progress", RN_F64, (int64_t)l->num_progress, l->progress);
}

static rn_status read_plan(loading *l)
{
    rni_plan_progress saved;
    RNI_TRY(rni_plan_get_progress(l->c->plan, &saved));
    RNI_TRY(read_numbers(l, "plan.progress", RN_I64, rni_cp_counters(&saved), l->counters));
    RNI_TRY(read_numbers(l, "plan.sums", RN_F64, rni_cp_sums(&saved), l->sums));
    if (any_negative(l->counters, RNI_CP_PLAN_COUNTERS))
        return impossible(l, "plan.progress");
    if (saved.scales && !(l->sums[3] >= saved.scaling.least && l->sums[3] <= saved.scaling.most))
        return impossible(l, "plan.sums");
    rni_cp_unpack_progress(&saved, l->counters, l->sums);
    return saved.micro > 0 ? read_parameters(l, "gradient", &l->gradients) : RN_OK;
}

static rn_status read_ema(loading *l)
{
    RNI_TRY(read_model(l, "ema.model", l->c->ema->average, &l->averages));
    RNI_TRY(read_numbers(l, "ema.updates", RN_I64, 0, &l->updates));
    return l->updates < 0 ? impossible(l, "ema.updates") : RN_OK;
}

static rn_status read_loader(loading *l)
{
    RNI_TRY(read_numbers(l, "loader.position", RN_I64, 2, l->position));
    return any_negative(l->position, 2) ? impossible(l, "loader.position") : RN_OK;
}

static rn_status read_all(loading *l)
{
    RNI_TRY(check_version(l));
    RNI_TRY(rni_cp_identity(l->ctx, l->c, compare_field, l));
    RNI_TRY(check_no_more(l));
    RNI_TRY(read_model(l, "model", l->c->model, &l->states));
    if (l->c->optimizer)
        RNI_TRY(read_optimizer(l));
    if (l->c->schedule)
        RNI_TRY(read_schedule(l));
    if (l->c->plan)
        RNI_TRY(read_plan(l));
    if (l->c->loader)
        RNI_TRY(read_loader(l));
    if (l->c->ema)
        RNI_TRY(read_ema(l));
    RNI_TRY(read_numbers(l, "host.counters", RN_I64, 2, l->host));
    return read_numbers(l, "host.value", RN_F64, 4, l->value);
}

static rn_status write_device(rn_device *dev, void *dst, const void *src, uint64_t bytes)
{
    return dev->backend->copy_in(dev->dev, dev->queue, dst, src, bytes);
}

static rn_status write_model(const rn_model *m, const char *states)
{
    size_t place = 0;
    for (size_t i = 0; i < m->num_states; i++) {
        RNI_TRY(rn_tensor_write(m->states[i].value, states + place, m->states[i].value->nbytes));
        place = place_after(place, &m->states[i]);
    }
    return RN_OK;
}

static rn_status write_weights(const loading *l)
{
    const rn_model *const m = l->c->model;
    RNI_TRY(write_model(m, l->states));
    for (size_t i = 0; l->gradients && i < m->num_states; i++)
        if (m->states[i].grad)
            RNI_TRY(rn_tensor_write(m->states[i].grad, l->gradients + m->states[i].offset, m->states[i].grad->nbytes));
    return RN_OK;
}

static rn_status write_ema(const loading *l)
{
    RNI_TRY(write_model(l->c->ema->average, l->averages));
    l->c->ema->updates = l->updates;
    return RN_OK;
}

static rn_status write_optimizer(const loading *l)
{
    rni_cp_moment moments[2];
    rn_optimizer *const opt = l->c->optimizer;
    const uint64_t bytes = opt->model->params->bytes;
    const size_t count = rni_cp_moments(opt, moments);
    for (size_t i = 0; i < count; i++)
        RNI_TRY(write_device(opt->model->dev, (char *)opt->state->data + moments[i].shift, l->moments[i], bytes));
    opt->lr = l->lr;
    opt->steps = l->steps;
    return RN_OK;
}

/* The parts of which a step can still be refused come last but one; weights in host memory cannot be. */
static rn_status write_plan(const loading *l)
{
    rni_plan_progress progress;
    if (l->gradients)
        RNI_TRY(rni_model_ensure_gradients(l->c->model));
    RNI_TRY(rni_plan_get_progress(l->c->plan, &progress)); /* keeps the seed, which is equal */
    rni_cp_unpack_progress(&progress, l->counters, l->sums);
    return rni_plan_set_progress(l->c->plan, &progress);
}

static rn_status write_tensors(const loading *l)
{
    RNI_TRY(write_weights(l));
    if (l->c->ema)
        RNI_TRY(write_ema(l));
    return l->c->optimizer ? write_optimizer(l) : RN_OK;
}

/* Schedule, loader, plan, tensors: when one refuses, those before it go back to where they were. */
static rn_status write_after_loader(const loading *l)
{
    rni_plan_progress before;
    if (!l->c->plan)
        return write_tensors(l);
    RNI_TRY(rni_plan_get_progress(l->c->plan, &before));
    rn_status status = write_plan(l);
    if (status >= 0)
        status = write_tensors(l);
    if (status < 0)
        (void)rni_plan_set_progress(l->c->plan, &before);
    return status;
}

static rn_status write_after_schedule(const loading *l)
{
    int64_t epoch, batch;
    rn_loader *const loader = l->c->loader;
    if (!loader)
        return write_after_loader(l);
    RNI_TRY(rn_loader_position(loader, &epoch, &batch));
    RNI_TRY(rn_loader_seek(loader, l->position[0], l->position[1]));
    const rn_status status = write_after_loader(l);
    if (status < 0)
        (void)rn_loader_seek(loader, epoch, batch);
    return status;
}

static rn_status write_all(const loading *l)
{
    rni_schedule_state saved[RNI_CP_MAX_PROGRESS];
    double before[RNI_CP_MAX_PROGRESS];
    rn_schedule *const schedule = l->c->schedule;
    if (!schedule || !l->num_progress)
        return write_after_schedule(l);
    rni_schedule_progress(schedule, saved, RNI_CP_MAX_PROGRESS);
    for (size_t i = 0; i < l->num_progress; i++)
        before[i] = saved[i].value;
    RNI_TRY(rni_schedule_set_progress(schedule, l->progress, l->num_progress));
    const rn_status status = write_after_schedule(l);
    if (status < 0)
        (void)rni_schedule_set_progress(schedule, before, l->num_progress);
    return status;
}

static rn_status load(loading *l, const char *path)
{
    RNI_TRY(rni_st_open(&l->ctx->allocator, path, &l->file));
    RNI_TRY(read_all(l));
    return write_all(l);
}

static void free_all(loading *l)
{
    const rn_allocator *const allocator = &l->ctx->allocator;
    rni_st_close(l->file);
    rni_free(allocator, l->states);
    rni_free(allocator, l->averages);
    rni_free(allocator, l->moments[0]);
    rni_free(allocator, l->moments[1]);
    rni_free(allocator, l->gradients);
}

rn_status rn_checkpoint_load(rn_context *ctx, const char *path, rn_checkpoint *c)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(path);
    RNI_REQUIRE(c);
    rn_checkpoint known;
    RNI_TRY(rni_cp_parts(ctx, c, &known));
    loading l = {.ctx = ctx, .c = &known};
    const rn_status status = load(&l, path);
    free_all(&l);
    if (status < 0)
        return status;
    c->epoch = l.host[0];
    c->step = l.host[1];
    memcpy(c->value, l.value, sizeof l.value);
    return RN_OK;
}
