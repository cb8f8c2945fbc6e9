/* SPDX-License-Identifier: MIT */
/* Loss scaling, as torch.amp.GradScaler does it. */
#include "train/segments.h"

rn_status rni_unscale_append(rn_model *m, rni_program *p, uint32_t metrics)
{
    rn_segments_params params = {.clip_norm = 0.0};
    RNI_TRY(rni_segments(p, m, NULL, &params.segments, &params.num_segments));
    uint32_t out[2] = {0, metrics};
    RNI_TRY(rni_flat_value(p, RN_ROLE_PARAM_GRAD, rni_parameter_bytes(m), &out[0]));
    return rni_program_append(p, RN_OP_GRAD_UNSCALE, 0, NULL, 0, out, 2, &params, sizeof params, "loss scale");
}

rn_status rni_loss_scale_append(rni_program *p, const rn_loss_scale_params *scaling, uint32_t metrics)
{
    return rni_program_append(p, RN_OP_LOSS_SCALE, 0, NULL, 0, &metrics, 1, scaling, sizeof *scaling, "loss scale");
}
