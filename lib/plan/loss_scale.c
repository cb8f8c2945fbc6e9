/* SPDX-License-Identifier: MIT */
/* Options of loss scaling, and where it begins. */
#include "plan/internal.h"
#include <math.h>
#include <stddef.h>

/* Gradients that are all zero must not let a scale grow for ever, nor weights that are NaN let it vanish. */
#define LEAST 0x1p-24
#define MOST 0x1p24

static const double f16_default = 65536;

static rn_status check_scale(const rn_plan_options *o)
{
    const int scales = o->loss_scale != 0;
    if (scales && !(o->loss_scale >= LEAST && o->loss_scale <= MOST))
        return rni_fail(RN_E_INVALID, "options.loss_scale: expected 0, or 2^-24 to 2^24, got %g", o->loss_scale);
    if (scales && !o->optimizer)
        return rni_fail(RN_E_INVALID, "options.loss_scale: only a plan with an optimizer scales");
    if ((o->flags & RN_PLAN_STATIC_LOSS_SCALE) && !rni_plan_scales(o))
        return rni_fail(RN_E_INVALID, "options.flags: RN_PLAN_STATIC_LOSS_SCALE needs a loss scale");
    return RN_OK;
}

rn_status rni_plan_check_loss_scale(const rn_plan_options *o)
{
    RNI_TRY(check_scale(o));
    if (!(o->loss_scale_growth > 1) || !isfinite(o->loss_scale_growth))
        return rni_fail(RN_E_INVALID, "options.loss_scale_growth: expected above 1, got %g", o->loss_scale_growth);
    if (!(o->loss_scale_backoff > 0 && o->loss_scale_backoff < 1))
        return rni_fail(RN_E_INVALID, "options.loss_scale_backoff: expected between 0 and 1, got %g",
                        o->loss_scale_backoff);
    if (o->loss_scale_interval < 1)
        return rni_fail(RN_E_INVALID, "options.loss_scale_interval: expected 1 or more, got %lld",
                        (long long)o->loss_scale_interval);
    return RN_OK;
}

int rni_plan_scales(const rn_plan_options *o)
{
    return o->optimizer && (o->compute_dtype == RN_F16 || o->loss_scale > 0);
}

rn_loss_scale_params rni_plan_loss_scaling(const rn_plan *p)
{
    const rn_plan_options *const o = &p->options;
    const int fixed = (o->flags & RN_PLAN_STATIC_LOSS_SCALE) != 0;
    return (rn_loss_scale_params){
        .growth = fixed ? 1 : o->loss_scale_growth,
        .backoff = fixed ? 1 : o->loss_scale_backoff,
        .least = LEAST,
        .most = MOST,
        .interval = o->loss_scale_interval,
        .host_counts = !p->dev->info.host_memory,
    };
}

rn_status rni_plan_start_loss_scale(rn_plan *p)
{
    const double scale = p->options.loss_scale > 0 ? p->options.loss_scale : f16_default;
    char *const metrics = p->metrics_storage->data;
    if (!p->scales)
        return RN_OK;
    return p->dev->backend->copy_in(p->dev->dev, p->dev->queue, metrics + offsetof(rn_step_metrics, loss_scale), &scale,
                                    sizeof scale);
}
