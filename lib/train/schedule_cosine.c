/* SPDX-License-Identifier: MIT */
/* Smooth curves: torch's CosineAnnealingLR in closed form (Loshchilov and Hutter 2017, eq. 5) and OneCycleLR. */
#include "base/abi.h"
#include "train/option.h"
#include "train/schedule.h"
#include <math.h>

static const rn_cosine_schedule_options cosine_defaults = RN_COSINE_SCHEDULE_OPTIONS_INIT;
static const rn_one_cycle_schedule_options one_cycle_defaults = RN_ONE_CYCLE_SCHEDULE_OPTIONS_INIT;
static const double pi = 3.14159265358979323846;

rn_status rn_cosine_schedule_options_init(rn_cosine_schedule_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &cosine_defaults, sizeof cosine_defaults, sizeof cosine_defaults,
                        "rn_cosine_schedule_options");
}

rn_status rn_one_cycle_schedule_options_init(rn_one_cycle_schedule_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &one_cycle_defaults, sizeof one_cycle_defaults, sizeof one_cycle_defaults,
                        "rn_one_cycle_schedule_options");
}

static double cosine_lr(const rn_schedule *s, int64_t step)
{
    const rn_cosine_schedule_options *const o = &s->u.cosine;
    if (step >= o->steps)
        return o->min_lr;
    return o->min_lr + (o->lr - o->min_lr) * (1.0 + cos(pi * (double)step / (double)o->steps)) / 2.0;
}

static size_t cosine_settings(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    size_t n = rni_schedule_put(out, capacity, 0, "cosine.lr", s->u.cosine.lr);
    n = rni_schedule_put(out, capacity, n, "cosine.min_lr", s->u.cosine.min_lr);
    return rni_schedule_put(out, capacity, n, "cosine.steps", (double)s->u.cosine.steps);
}

static const rni_schedule_class cosine_class = {.kind = "cosine", .lr = cosine_lr, .settings = cosine_settings};

rn_status rn_cosine_schedule_create(rn_context *ctx, const rn_cosine_schedule_options *options, rn_schedule **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_cosine_schedule_options o = cosine_defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_cosine_schedule_options"));
    RNI_TRY(rni_option_flags(o.flags, 0, "rn_cosine_schedule_options.flags"));
    RNI_TRY(rni_option_not_negative("rn_cosine_schedule_options.lr", o.lr));
    RNI_TRY(rni_option_not_negative("rn_cosine_schedule_options.min_lr", o.min_lr));
    RNI_TRY(rni_option_at_least("rn_cosine_schedule_options.steps", o.steps, 1));
    rn_schedule *s;
    RNI_TRY(rni_schedule_new(ctx, &cosine_class, &s));
    s->u.cosine = o;
    *out = s;
    return RN_OK;
}

/* From `from` to `to` as `part` goes from 0 to 1. */
static double anneal(double from, double to, double part, int linear)
{
    return linear ? from + (to - from) * part : to + (from - to) / 2.0 * (1.0 + cos(pi * part));
}

/* The peak is at step pct_start * steps - 1, which need not be a whole number: torch's definition. */
static double one_cycle_lr(const rn_schedule *s, int64_t step)
{
    const rn_one_cycle_schedule_options *const o = &s->u.one_cycle;
    const int linear = (o->flags & RN_ONE_CYCLE_LINEAR) != 0;
    const double last = (double)(o->steps - 1), peak = o->pct_start * (double)o->steps - 1.0;
    const double at = (double)step < last ? (double)step : last;
    const double first_lr = o->max_lr / o->div, last_lr = first_lr / o->final_div;
    if (at <= peak)
        return peak > 0.0 ? anneal(first_lr, o->max_lr, at / peak, linear) : o->max_lr;
    return anneal(o->max_lr, last_lr, (at - peak) / (last - peak), linear);
}

static size_t one_cycle_settings(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    const rn_one_cycle_schedule_options *const o = &s->u.one_cycle;
    size_t n = rni_schedule_put(out, capacity, 0, "one_cycle.linear", (o->flags & RN_ONE_CYCLE_LINEAR) ? 1.0 : 0.0);
    n = rni_schedule_put(out, capacity, n, "one_cycle.max_lr", o->max_lr);
    n = rni_schedule_put(out, capacity, n, "one_cycle.pct_start", o->pct_start);
    n = rni_schedule_put(out, capacity, n, "one_cycle.div", o->div);
    n = rni_schedule_put(out, capacity, n, "one_cycle.final_div", o->final_div);
    return rni_schedule_put(out, capacity, n, "one_cycle.steps", (double)o->steps);
}

static const rni_schedule_class one_cycle_class = {
    .kind = "one_cycle", .lr = one_cycle_lr, .settings = one_cycle_settings};

static rn_status check_one_cycle(const rn_one_cycle_schedule_options *o)
{
    static const char *const least = "a finite number, 1 or more";
    RNI_TRY(rni_option_flags(o->flags, RN_ONE_CYCLE_LINEAR, "rn_one_cycle_schedule_options.flags"));
    RNI_TRY(rni_option_positive("rn_one_cycle_schedule_options.max_lr", o->max_lr));
    RNI_TRY(rni_option(o->pct_start >= 0.0 && o->pct_start <= 1.0, "rn_one_cycle_schedule_options.pct_start",
                       o->pct_start, "0 to 1"));
    RNI_TRY(rni_option(isfinite(o->div) && o->div >= 1.0, "rn_one_cycle_schedule_options.div", o->div, least));
    RNI_TRY(rni_option(isfinite(o->final_div) && o->final_div >= 1.0, "rn_one_cycle_schedule_options.final_div",
                       o->final_div, least));
    return rni_option_at_least("rn_one_cycle_schedule_options.steps", o->steps, 2);
}

rn_status rn_one_cycle_schedule_create(rn_context *ctx, const rn_one_cycle_schedule_options *options, rn_schedule **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_one_cycle_schedule_options o = one_cycle_defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_one_cycle_schedule_options"));
    RNI_TRY(check_one_cycle(&o));
    rn_schedule *s;
    RNI_TRY(rni_schedule_new(ctx, &one_cycle_class, &s));
    s->u.one_cycle = o;
    *out = s;
    return RN_OK;
}
