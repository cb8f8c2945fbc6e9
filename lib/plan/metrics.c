/* SPDX-License-Identifier: MIT */
/* What a plan counted, and its progress for checkpoints. */
#include "base/abi.h"
#include "plan/internal.h"
#include <stddef.h>

/* Of rn_metrics as first released. */
enum { FIRST_SIZE = offsetof(rn_metrics, loss_scale) };

rn_status rni_plan_clear_metrics(rn_plan *p, size_t at, size_t bytes)
{
    return p->dev->backend->fill(p->dev->dev, p->dev->queue, (char *)p->metrics_storage->data + at, bytes);
}

static rn_status read_metrics(rn_plan *p, rn_step_metrics *out)
{
    RNI_TRY(rni_device_wait(p->dev));
    RNI_TRY(p->dev->backend->copy_out(p->dev->dev, p->dev->queue, out, p->metrics_storage->data, sizeof *out));
    if (!p->scales || !out->uncounted)
        return RN_OK;
    /* Now the host learns which of the updates that it counted were skipped. */
    p->optimizer->steps -= out->uncounted;
    out->uncounted = 0;
    return rni_plan_clear_metrics(p, offsetof(rn_step_metrics, uncounted), sizeof out->uncounted);
}

/* The mark of a running accumulation stays: it decides about the update. So does the loss scale. */
static rn_status reset_metrics(rn_plan *p)
{
    RNI_TRY(rni_plan_clear_metrics(p, 0, offsetof(rn_step_metrics, step_nonfinite)));
    return p->scales ? rni_plan_clear_metrics(p, offsetof(rn_step_metrics, skipped), sizeof(int64_t)) : RN_OK;
}

rn_status rn_plan_metrics(rn_plan *p, rn_metrics *out, int32_t reset)
{
    rn_step_metrics m;
    RNI_REQUIRE(p);
    RNI_REQUIRE(out);
    RNI_TRY(read_metrics(p, &m));
    const rn_metrics known = {sizeof known, m.loss_sum,  m.last_loss, m.grad_norm, m.count, m.correct, m.steps,
                              m.nonfinite,  p->scales ? m.loss_scale : 1.0, m.skipped};
    RNI_TRY(rni_abi_write(out, &known, sizeof known, FIRST_SIZE, "rn_metrics"));
    return reset ? reset_metrics(p) : RN_OK;
}

rn_status rni_plan_get_progress(rn_plan *p, rni_plan_progress *out)
{
    rni_plan_progress progress = {.step = p->step, .micro = p->micro, .scales = p->scales, .seed = p->seed};
    progress.scaling = rni_plan_loss_scaling(p);
    progress.accumulate = p->options.accumulate > 1 ? p->options.accumulate : 1;
    RNI_TRY(read_metrics(p, &progress.metrics));
    *out = progress;
    return RN_OK;
}

rn_status rni_plan_set_progress(rn_plan *p, const rni_plan_progress *progress)
{
    RNI_TRY(p->dev->backend->copy_in(p->dev->dev, p->dev->queue, p->metrics_storage->data, &progress->metrics,
                                     sizeof progress->metrics));
    p->step = progress->step;
    p->micro = progress->micro;
    p->last_batch = 0;
    return RN_OK;
}
