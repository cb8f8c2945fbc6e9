/* SPDX-License-Identifier: MIT */
/* torch's ReduceLROnPlateau with a relative threshold. */
#include "base/abi.h"
#include "train/option.h"
#include "train/schedule.h"
#include <math.h>

static const rn_plateau_schedule_options defaults = RN_PLATEAU_SCHEDULE_OPTIONS_INIT;

rn_status rn_plateau_schedule_options_init(rn_plateau_schedule_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults,
                        "rn_plateau_schedule_options");
}

static double lr(const rn_schedule *s, int64_t step)
{
    (void)step;
    return s->u.plateau.lr;
}

/* A metric that is no number is not better. */
static int better(const rni_plateau *p, double metric)
{
    if (p->options.flags & RN_PLATEAU_MAXIMIZE)
        return metric > p->best * (1.0 + p->options.threshold);
    return metric < p->best * (1.0 - p->options.threshold);
}

static void reduce(rni_plateau *p)
{
    const double product = p->lr * p->options.factor;
    const double wanted = product > p->options.min_lr ? product : p->options.min_lr;
    if (p->lr - wanted > p->options.eps)
        p->lr = wanted;
}

static void observe(rn_schedule *s, double metric)
{
    rni_plateau *const p = &s->u.plateau;
    if (better(p, metric)) {
        p->best = metric;
        p->bad = 0;
    } else {
        p->bad++;
    }
    if (p->cooldown > 0) {
        p->cooldown--;
        p->bad = 0;
    }
    if (p->bad > p->options.patience) {
        reduce(p);
        p->cooldown = p->options.cooldown;
        p->bad = 0;
    }
}

static size_t settings(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    const rn_plateau_schedule_options *const o = &s->u.plateau.options;
    size_t n = rni_schedule_put(out, capacity, 0, "plateau.maximize", (o->flags & RN_PLATEAU_MAXIMIZE) ? 1.0 : 0.0);
    n = rni_schedule_put(out, capacity, n, "plateau.lr", o->lr);
    n = rni_schedule_put(out, capacity, n, "plateau.factor", o->factor);
    n = rni_schedule_put(out, capacity, n, "plateau.threshold", o->threshold);
    n = rni_schedule_put(out, capacity, n, "plateau.min_lr", o->min_lr);
    n = rni_schedule_put(out, capacity, n, "plateau.eps", o->eps);
    n = rni_schedule_put(out, capacity, n, "plateau.patience", (double)o->patience);
    return rni_schedule_put(out, capacity, n, "plateau.cooldown", (double)o->cooldown);
}

static size_t progress(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    const rni_plateau *const p = &s->u.plateau;
    size_t n = rni_schedule_put(out, capacity, 0, "lr", p->lr);
    n = rni_schedule_put(out, capacity, n, "best", p->best);
    n = rni_schedule_put(out, capacity, n, "bad", (double)p->bad);
    return rni_schedule_put(out, capacity, n, "cooldown", (double)p->cooldown);
}

/* A count: a whole number that a double holds exactly. */
static int is_count(double value)
{
    return value >= 0.0 && value <= 9007199254740992.0 && value == floor(value);
}

static rn_status set_progress(rn_schedule *s, const double *values, size_t count)
{
    (void)count; /* checked by the caller */
    rni_plateau *const p = &s->u.plateau;
    if (!isfinite(values[0]) || values[0] < 0.0 || isnan(values[1]) || !is_count(values[2]) || !is_count(values[3]))
        return rni_fail(RN_E_FORMAT, "the progress of a plateau schedule is lr %g, best %g, bad %g, cooldown %g",
                        values[0], values[1], values[2], values[3]);
    p->lr = values[0];
    p->best = values[1];
    p->bad = (int64_t)values[2];
    p->cooldown = (int64_t)values[3];
    return RN_OK;
}

static const rni_schedule_class plateau_class = {
    .kind = "plateau",
    .lr = lr,
    .settings = settings,
    .progress = progress,
    .set_progress = set_progress,
    .observe = observe,
};

static rn_status check(const rn_plateau_schedule_options *o)
{
    RNI_TRY(rni_option_flags(o->flags, RN_PLATEAU_MAXIMIZE, "rn_plateau_schedule_options.flags"));
    RNI_TRY(rni_option_not_negative("rn_plateau_schedule_options.lr", o->lr));
    RNI_TRY(rni_option(o->factor > 0.0 && o->factor < 1.0, "rn_plateau_schedule_options.factor", o->factor,
                       "above 0 and below 1"));
    RNI_TRY(rni_option_not_negative("rn_plateau_schedule_options.threshold", o->threshold));
    RNI_TRY(rni_option_not_negative("rn_plateau_schedule_options.min_lr", o->min_lr));
    RNI_TRY(rni_option_not_negative("rn_plateau_schedule_options.eps", o->eps));
    RNI_TRY(rni_option_at_least("rn_plateau_schedule_options.patience", o->patience, 0));
    return rni_option_at_least("rn_plateau_schedule_options.cooldown", o->cooldown, 0);
}

rn_status rn_plateau_schedule_create(rn_context *ctx, const rn_plateau_schedule_options *options, rn_schedule **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_plateau_schedule_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_plateau_schedule_options"));
    RNI_TRY(check(&o));
    rn_schedule *s;
    RNI_TRY(rni_schedule_new(ctx, &plateau_class, &s));
    const double worst = (o.flags & RN_PLATEAU_MAXIMIZE) ? -HUGE_VAL : HUGE_VAL;
    s->u.plateau = (rni_plateau){.options = o, .lr = o.lr, .best = worst};
    *out = s;
    return RN_OK;
}
