/* SPDX-License-Identifier: MIT */
/* Steps down: torch's StepLR and MultiStepLR, as closed forms. */
#include "base/abi.h"
#include "train/option.h"
#include "train/schedule.h"
#include <math.h>

static const rn_step_schedule_options step_defaults = RN_STEP_SCHEDULE_OPTIONS_INIT;
static const rn_multistep_schedule_options multistep_defaults = RN_MULTISTEP_SCHEDULE_OPTIONS_INIT;

rn_status rn_step_schedule_options_init(rn_step_schedule_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &step_defaults, sizeof step_defaults, sizeof step_defaults,
                        "rn_step_schedule_options");
}

rn_status rn_multistep_schedule_options_init(rn_multistep_schedule_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &multistep_defaults, sizeof multistep_defaults, sizeof multistep_defaults,
                        "rn_multistep_schedule_options");
}

static double step_lr(const rn_schedule *s, int64_t step)
{
    const rn_step_schedule_options *const o = &s->u.step;
    return o->lr * pow(o->gamma, (double)(step / o->period));
}

static size_t step_settings(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    size_t n = rni_schedule_put(out, capacity, 0, "step.lr", s->u.step.lr);
    n = rni_schedule_put(out, capacity, n, "step.gamma", s->u.step.gamma);
    return rni_schedule_put(out, capacity, n, "step.period", (double)s->u.step.period);
}

static const rni_schedule_class step_class = {.kind = "step", .lr = step_lr, .settings = step_settings};

rn_status rn_step_schedule_create(rn_context *ctx, const rn_step_schedule_options *options, rn_schedule **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_step_schedule_options o = step_defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_step_schedule_options"));
    RNI_TRY(rni_option_flags(o.flags, 0, "rn_step_schedule_options.flags"));
    RNI_TRY(rni_option_not_negative("rn_step_schedule_options.lr", o.lr));
    RNI_TRY(rni_option_positive("rn_step_schedule_options.gamma", o.gamma));
    RNI_TRY(rni_option_at_least("rn_step_schedule_options.period", o.period, 1));
    rn_schedule *s;
    RNI_TRY(rni_schedule_new(ctx, &step_class, &s));
    s->u.step = o;
    *out = s;
    return RN_OK;
}

static double multistep_lr(const rn_schedule *s, int64_t step)
{
    const rn_multistep_schedule_options *const o = &s->u.multistep;
    size_t passed = 0;
    while (passed < o->num_milestones && s->milestones[passed] <= step)
        passed++;
    return o->lr * pow(o->gamma, (double)passed);
}

static size_t multistep_settings(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    size_t n = rni_schedule_put(out, capacity, 0, "multistep.lr", s->u.multistep.lr);
    n = rni_schedule_put(out, capacity, n, "multistep.gamma", s->u.multistep.gamma);
    for (size_t i = 0; i < s->u.multistep.num_milestones; i++)
        n = rni_schedule_put(out, capacity, n, "multistep.milestone", (double)s->milestones[i]);
    return n;
}

static const rni_schedule_class multistep_class = {
    .kind = "multistep", .lr = multistep_lr, .settings = multistep_settings};

static rn_status check_milestones(const rn_multistep_schedule_options *o)
{
    if (o->num_milestones > RNI_MAX_MILESTONES)
        return rni_fail(RN_E_INVALID, "rn_multistep_schedule_options.num_milestones is %zu, expected %d or fewer",
                        o->num_milestones, (int)RNI_MAX_MILESTONES);
    if (o->num_milestones && !o->milestones)
        return rni_fail(RN_E_INVALID, "rn_multistep_schedule_options.milestones is NULL, expected %zu numbers",
                        o->num_milestones);
    int64_t least = 0;
    for (size_t i = 0; i < o->num_milestones; i++) {
        if (o->milestones[i] < least)
            return rni_fail(RN_E_INVALID,
                            "rn_multistep_schedule_options.milestones[%zu] is %lld, expected %lld or more", i,
                            (long long)o->milestones[i], (long long)least);
        least = o->milestones[i];
    }
    return RN_OK;
}

rn_status rn_multistep_schedule_create(rn_context *ctx, const rn_multistep_schedule_options *options, rn_schedule **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_multistep_schedule_options o = multistep_defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_multistep_schedule_options"));
    RNI_TRY(rni_option_flags(o.flags, 0, "rn_multistep_schedule_options.flags"));
    RNI_TRY(rni_option_not_negative("rn_multistep_schedule_options.lr", o.lr));
    RNI_TRY(rni_option_positive("rn_multistep_schedule_options.gamma", o.gamma));
    RNI_TRY(check_milestones(&o));
    rn_schedule *s;
    RNI_TRY(rni_schedule_new(ctx, &multistep_class, &s));
    for (size_t i = 0; i < o.num_milestones; i++)
        s->milestones[i] = o.milestones[i];
    o.milestones = NULL; /* the caller's: it may go away */
    s->u.multistep = o;
    *out = s;
    return RN_OK;
}
