/* SPDX-License-Identifier: MIT */
/* Moving averages of weights: a model of their own, and a small program of LERP ops from one to the other. */
#include "base/abi.h"
#include "train/option.h"
#include "train/segments.h"

static const rn_ema_options defaults = RN_EMA_OPTIONS_INIT;

rn_status rn_ema_options_init(rn_ema_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_ema_options");
}

/* Roles of the four storages in the program. */
enum { FROM_PARAMS = RN_ROLE_X, FROM_BUFFERS = RN_ROLE_INPUT, TO_PARAMS = RN_ROLE_PARAM, TO_BUFFERS = RN_ROLE_BUFFER };

static rn_status append_parameters(rn_ema *ema)
{
    rni_program *const p = &ema->own.program;
    uint32_t from, to;
    RNI_TRY(rni_flat_value(p, FROM_PARAMS, rni_parameter_bytes(ema->model), &from));
    RNI_TRY(rni_flat_value(p, TO_PARAMS, rni_parameter_bytes(ema->model), &to));
    return rni_program_append(p, RN_OP_LERP, 0, &from, 1, &to, 1, NULL, 0, "ema");
}

static int is_averaged_buffer(const rn_ema *ema, const rni_state *s)
{
    return (ema->flags & RN_EMA_AVERAGE_BUFFERS) && s->kind == RN_STATE_BUFFER && s->value->dtype == RN_F32 &&
           s->value->count > 0;
}

static rn_status append_buffer(rn_ema *ema, const rni_state *s)
{
    rni_program *const p = &ema->own.program;
    uint32_t from, to;
    RNI_TRY(rni_flat_value(p, FROM_BUFFERS, s->value->nbytes, &from));
    RNI_TRY(rni_flat_value(p, TO_BUFFERS, s->value->nbytes, &to));
    p->values[from].offset = p->values[to].offset = s->offset;
    return rni_program_append(p, RN_OP_LERP, 0, &from, 1, &to, 1, NULL, 0, s->name);
}

static rn_status build(rn_ema *ema)
{
    RNI_TRY(rni_own_begin(&ema->own, ema->model->dev));
    RNI_TRY(append_parameters(ema));
    for (size_t i = 0; i < ema->model->num_states; i++)
        if (is_averaged_buffer(ema, &ema->model->states[i]))
            RNI_TRY(append_buffer(ema, &ema->model->states[i]));
    return rni_own_compile(&ema->own);
}

rn_status rn_ema_create(rn_model *m, const rn_ema_options *options, rn_ema **out)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(out);
    rn_ema_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_ema_options"));
    RNI_TRY(rni_option_flags(o.flags, RN_EMA_AVERAGE_BUFFERS | RN_EMA_WARMUP, "rn_ema_options.flags"));
    RNI_TRY(rni_option(o.decay >= 0.0 && o.decay <= 1.0, "rn_ema_options.decay", o.decay, "0 to 1"));
    rn_ema *const ema = rni_calloc(&m->ctx->allocator, 1, sizeof *ema);
    if (!ema)
        return rni_nomem("an average of weights", sizeof *ema);
    atomic_init(&ema->references, 1);
    ema->ctx = rn_context_retain(m->ctx);
    ema->model = rn_model_retain(m);
    ema->flags = o.flags;
    ema->decay = o.decay;
    rn_status status = rn_model_copy(m, m->dev, &ema->average);
    if (status >= 0)
        status = build(ema);
    if (status < 0) {
        rn_ema_release(ema);
        return status;
    }
    *out = ema;
    return RN_OK;
}

rn_ema *rn_ema_retain(rn_ema *ema)
{
    if (ema)
        rni_reference(&ema->references);
    return ema;
}

void rn_ema_release(rn_ema *ema)
{
    if (!ema || !rni_unreference(&ema->references))
        return;
    rn_context *const ctx = ema->ctx;
    rni_own_free(&ema->own);
    rn_model_release(ema->average);
    rn_model_release(ema->model);
    rni_free(&ctx->allocator, ema);
    rn_context_release(ctx);
}

static rn_status copy(rn_ema *ema, rni_storage *to, const rni_storage *from, uint64_t offset, uint64_t bytes)
{
    rn_device *const dev = ema->model->dev;
    return dev->backend->copy(dev->dev, dev->queue, (char *)to->data + offset, (const char *)from->data + offset,
                              bytes);
}

static rn_status copy_buffers(rn_ema *ema)
{
    for (size_t i = 0; i < ema->model->num_states; i++) {
        const rni_state *const s = &ema->model->states[i];
        if (s->kind == RN_STATE_BUFFER && !is_averaged_buffer(ema, s))
            RNI_TRY(copy(ema, ema->average->buffers, ema->model->buffers, s->offset, s->value->nbytes));
    }
    return RN_OK;
}

static rn_status average(rn_ema *ema)
{
    void *base[RN_ROLE_COUNT] = {NULL};
    base[FROM_PARAMS] = ema->model->params->data;
    base[FROM_BUFFERS] = ema->model->buffers->data;
    base[TO_PARAMS] = ema->average->params->data;
    base[TO_BUFFERS] = ema->average->buffers->data;
    const double warm = (1.0 + (double)ema->updates) / (10.0 + (double)ema->updates);
    const double decay = (ema->flags & RN_EMA_WARMUP) && warm < ema->decay ? warm : ema->decay;
    const double weight = 1.0 - decay;
    const rn_run run = {.batch = 1, .lr = &weight, .grad_scale = 1.0};
    RNI_TRY(rni_own_run(&ema->own, base, &run));
    return copy_buffers(ema);
}

static rn_status copy_all(rn_ema *ema)
{
    const rn_model *const m = ema->model;
    RNI_TRY(copy(ema, ema->average->params, m->params, 0, m->params->bytes));
    return copy(ema, ema->average->buffers, m->buffers, 0, m->buffers->bytes);
}

rn_status rn_ema_update(rn_ema *ema)
{
    RNI_REQUIRE(ema);
    RNI_TRY(rni_device_check(ema->model->dev));
    RNI_TRY(ema->updates ? average(ema) : copy_all(ema));
    ema->updates++;
    return rn_model_mark_written(ema->average);
}

rn_model *rn_ema_model(rn_ema *ema)
{
    return ema ? ema->average : NULL;
}

int64_t rn_ema_updates(const rn_ema *ema)
{
    return ema ? ema->updates : 0;
}
