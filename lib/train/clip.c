/* SPDX-License-Identifier: MIT */
/* Gradient-norm clipping, as torch.nn.utils.clip_grad_norm_ does it. */
#include "train/option.h"
#include "train/segments.h"

rn_status rni_clip_append(rn_model *m, rni_program *p, double clip_norm, uint32_t metrics)
{
    rn_segments_params params = {.clip_norm = clip_norm};
    RNI_TRY(rni_segments(p, m, NULL, &params.segments, &params.num_segments));
    uint32_t grads;
    RNI_TRY(rni_flat_value(p, RN_ROLE_PARAM_GRAD, rni_parameter_bytes(m), &grads));
    RNI_TRY(rni_program_append(p, RN_OP_GRAD_NORM, 0, &grads, 1, &metrics, 1, &params, sizeof params, "clip"));
    return rni_program_append(p, RN_OP_GRAD_CLIP, 0, &metrics, 1, &grads, 1, &params, sizeof params, "clip");
}

static rn_status clip(rn_model *m, rni_own *own, double max_norm, double *norm)
{
    RNI_TRY(rni_clip_append(m, &own->program, max_norm, own->metrics_value));
    RNI_TRY(rni_own_compile(own));
    void *base[RN_ROLE_COUNT] = {NULL};
    base[RN_ROLE_PARAM_GRAD] = m->grads->data;
    const rn_run run = {.batch = 1, .grad_scale = 1.0};
    RNI_TRY(rni_own_run(own, base, &run));
    if (!norm)
        return RN_OK;
    rn_step_metrics metrics;
    RNI_TRY(rni_own_metrics(own, &metrics));
    *norm = metrics.grad_norm;
    return RN_OK;
}

rn_status rn_model_clip_grad_norm(rn_model *m, double max_norm, double *norm)
{
    RNI_REQUIRE(m);
    RNI_TRY(rni_option_positive("rn_model_clip_grad_norm: max_norm", max_norm));
    RNI_TRY(rni_model_expect_values(m, "rn_model_clip_grad_norm"));
    if (!m->grads)
        return rni_fail(RN_E_STATE, "rn_model_clip_grad_norm: the model has no gradients yet; a TRAIN plan makes them");
    rni_own own;
    RNI_TRY(rni_own_begin(&own, m->dev));
    const rn_status status = clip(m, &own, max_norm, norm);
    rni_own_free(&own);
    return status;
}
