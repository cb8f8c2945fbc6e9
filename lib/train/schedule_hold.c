/* SPDX-License-Identifier: MIT */
/* A lower rate until training has begun to work: section 4.2 of He et al. 2015, for 110 layers. */
#include "base/abi.h"
#include "train/option.h"
#include "train/schedule.h"
#include <math.h>

static const rn_hold_schedule_options defaults = RN_HOLD_SCHEDULE_OPTIONS_INIT;

rn_status rn_hold_schedule_options_init(rn_hold_schedule_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_hold_schedule_options");
}

static double lr(const rn_schedule *s, int64_t step)
{
    const rni_hold *const h = &s->u.hold;
    return s->inner->class->lr(s->inner, step) * (h->released ? 1.0 : h->options.factor);
}

/* A metric that is no number releases nothing. */
static void observe(rn_schedule *s, double metric)
{
    rni_hold *const h = &s->u.hold;
    if (h->options.flags & RN_HOLD_UNTIL_ABOVE ? metric > h->options.threshold : metric < h->options.threshold)
        h->released = 1;
}

static size_t settings(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    const rn_hold_schedule_options *const o = &s->u.hold.options;
    size_t n = rni_schedule_put(out, capacity, 0, "hold.above", (o->flags & RN_HOLD_UNTIL_ABOVE) ? 1.0 : 0.0);
    n = rni_schedule_put(out, capacity, n, "hold.factor", o->factor);
    n = rni_schedule_put(out, capacity, n, "hold.threshold", o->threshold);
    return rni_schedule_put_inner(s, out, capacity, n);
}

static size_t progress(const rn_schedule *s, rni_schedule_state *out, size_t capacity)
{
    return rni_schedule_put(out, capacity, 0, "released", (double)s->u.hold.released);
}

static rn_status set_progress(rn_schedule *s, const double *values, size_t count)
{
    (void)count; /* checked by the caller */
    if (values[0] != 0.0 && values[0] != 1.0)
        return rni_fail(RN_E_FORMAT, "the progress of a hold schedule is %g, expected 0 or 1", values[0]);
    s->u.hold.released = values[0] != 0.0;
    return RN_OK;
}

static const rni_schedule_class hold_class = {
    .kind = "hold",
    .lr = lr,
    .settings = settings,
    .progress = progress,
    .set_progress = set_progress,
    .observe = observe,
};

rn_status rn_hold_schedule_create(rn_context *ctx, rn_schedule *inner, const rn_hold_schedule_options *options,
                                  rn_schedule **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(inner);
    RNI_REQUIRE(out);
    rn_hold_schedule_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_hold_schedule_options"));
    RNI_TRY(rni_option_flags(o.flags, RN_HOLD_UNTIL_ABOVE, "rn_hold_schedule_options.flags"));
    RNI_TRY(rni_option(o.factor >= 0.0 && o.factor <= 1.0, "rn_hold_schedule_options.factor", o.factor, "0 to 1"));
    RNI_TRY(rni_option(isfinite(o.threshold), "rn_hold_schedule_options.threshold", o.threshold, "a finite number"));
    RNI_TRY(rni_schedule_check_inner(ctx, inner, "rn_hold_schedule_create"));
    rn_schedule *s;
    RNI_TRY(rni_schedule_new(ctx, &hold_class, &s));
    s->inner = rn_schedule_retain(inner);
    s->u.hold = (rni_hold){.options = o};
    *out = s;
    return RN_OK;
}
