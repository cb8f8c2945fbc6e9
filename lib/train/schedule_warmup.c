/* SPDX-License-Identifier: MIT */
/* Linear warm-up in front of another schedule (Goyal et al. 2017, arXiv 1706.02677). */
#include "base/abi.h"
#include "train/option.h"
#include "train/schedule.h"

static const rn_warmup_schedule_options defaults = RN_WARMUP_SCHEDULE_OPTIONS_INIT;

rn_status rn_warmup_schedule_options_init(rn_warmup_schedule_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults,
                        "rn_warmup_schedule_options");
}

static double lr(const rn_schedule *s, int64_t step)
{
    const rn_warmup_schedule_options *const o = &s->u.warmup;
    const double whole = s->inner->class->lr(s->inner, step);
    if (step >= o->steps)
        return whole;
    return whole * (o->start_factor + (1.0 - o->start_factor) * (double)step / (double)o->steps);
}

static size_t settings(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    size_t n = rni_schedule_put(out, capacity, 0, "warmup.start_factor", s->u.warmup.start_factor);
    n = rni_schedule_put(out, capacity, n, "warmup.steps", (double)s->u.warmup.steps);
    return rni_schedule_put_inner(s, out, capacity, n);
}

static const rni_schedule_class warmup_class = {.kind = "warmup", .lr = lr, .settings = settings};

rn_status rn_warmup_schedule_create(rn_context *ctx, rn_schedule *inner, const rn_warmup_schedule_options *options,
                                    rn_schedule **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(inner);
    RNI_REQUIRE(out);
    rn_warmup_schedule_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_warmup_schedule_options"));
    RNI_TRY(rni_option_flags(o.flags, 0, "rn_warmup_schedule_options.flags"));
    RNI_TRY(rni_option(o.start_factor >= 0.0 && o.start_factor <= 1.0, "rn_warmup_schedule_options.start_factor",
                       o.start_factor, "0 to 1"));
    RNI_TRY(rni_option_at_least("rn_warmup_schedule_options.steps", o.steps, 1));
    RNI_TRY(rni_schedule_check_inner(ctx, inner, "rn_warmup_schedule_create"));
    rn_schedule *s;
    RNI_TRY(rni_schedule_new(ctx, &warmup_class, &s));
    s->inner = rn_schedule_retain(inner);
    s->u.warmup = o;
    *out = s;
    return RN_OK;
}
