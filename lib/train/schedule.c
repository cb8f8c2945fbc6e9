/* SPDX-License-Identifier: MIT */
/* What all schedules have in common. */
#include "train/schedule.h"
#include "train/option.h"

rn_status rni_schedule_new(rn_context *ctx, const rni_schedule_class *class, rn_schedule **out)
{
    rn_schedule *const s = rni_calloc(&ctx->allocator, 1, sizeof *s);
    if (!s)
        return rni_nomem("a schedule", sizeof *s);
    atomic_init(&s->references, 1);
    s->ctx = rn_context_retain(ctx);
    s->class = class;
    *out = s;
    return RN_OK;
}

rn_schedule *rn_schedule_retain(rn_schedule *s)
{
    if (s)
        rni_reference(&s->references);
    return s;
}

void rn_schedule_release(rn_schedule *s)
{
    while (s && rni_unreference(&s->references)) {
        rn_context *const ctx = s->ctx;
        rn_schedule *const inner = s->inner;
        rni_free(&ctx->allocator, s);
        rn_context_release(ctx);
        s = inner;
    }
}

rn_status rn_schedule_lr(const rn_schedule *s, int64_t step, double *lr)
{
    RNI_REQUIRE(s);
    RNI_REQUIRE(lr);
    RNI_TRY(rni_option_at_least("rn_schedule_lr: step", step, 0));
    *lr = s->class->lr(s, step);
    return RN_OK;
}

rn_status rn_schedule_apply(rn_schedule *s, int64_t step, rn_optimizer *opt)
{
    RNI_REQUIRE(s);
    RNI_REQUIRE(opt);
    double lr;
    RNI_TRY(rn_schedule_lr(s, step, &lr));
    return rn_optimizer_set_lr(opt, lr);
}

rn_status rn_schedule_observe(rn_schedule *s, double metric)
{
    RNI_REQUIRE(s);
    if (s->class->observe)
        s->class->observe(s, metric);
    return RN_OK;
}

const char *rni_schedule_kind(const rn_schedule *s)
{
    return s->class->kind;
}

size_t rni_schedule_settings(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    return s->class->settings(s, out, capacity);
}

size_t rni_schedule_progress(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    return s->class->progress ? s->class->progress(s, out, capacity) : 0;
}

rn_status rni_schedule_set_progress(rn_schedule *s, const double *values, size_t count)
{
    const size_t expected = rni_schedule_progress(s, NULL, 0);
    if (count != expected)
        return rni_fail(RN_E_FORMAT, "the progress of a %s schedule has %zu numbers, expected %zu", s->class->kind,
                        count, expected);
    return s->class->set_progress ? s->class->set_progress(s, values, count) : RN_OK;
}

size_t rni_schedule_put(rni_schedule_state *out, size_t capacity, size_t count, const char *name, double value)
{
    if (count < capacity)
        out[count] = (rni_schedule_state){name, value};
    return count + 1;
}

size_t rni_schedule_put_inner(const rn_schedule *s, rni_schedule_state *out, size_t capacity, size_t count)
{
    const size_t used = count < capacity ? count : capacity;
    return count + rni_schedule_settings(s->inner, out ? out + used : NULL, capacity - used);
}

rn_status rni_schedule_check_inner(const rn_context *ctx, const rn_schedule *inner, const char *call)
{
    if (inner->ctx != ctx)
        return rni_fail(RN_E_INVALID, "%s: inner is of another context", call);
    if (inner->class->observe)
        return rni_fail(RN_E_INVALID, "%s: inner is a %s schedule, expected a function of the step", call,
                        inner->class->kind);
    int depth = 0;
    for (const rn_schedule *s = inner; s->inner; s = s->inner)
        if (++depth >= RNI_MAX_WARMUPS)
            return rni_fail(RN_E_INVALID, "%s: inner is %d warm-ups deep, expected fewer", call, depth);
    return RN_OK;
}
