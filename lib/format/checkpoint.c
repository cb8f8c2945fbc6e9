/* SPDX-License-Identifier: MIT */
/* What saving and loading checkpoints share: the parts, and their progress as numbers. */
#include "format/checkpoint.h"
#include "base/abi.h"
#include <stdio.h>
#include <stdlib.h>

rn_status rni_cp_parts(const rn_context *ctx, const rn_checkpoint *given, rn_checkpoint *known)
{
    const rn_checkpoint none = RN_CHECKPOINT_INIT;
    *known = none;
    RNI_TRY(rni_abi_read(known, sizeof *known, RNI_CP_FIRST_SIZE, given, "rn_checkpoint"));
    if (known->flags)
        return rni_fail(RN_E_INVALID, "rn_checkpoint.flags has the unknown bits 0x%llx",
                        (unsigned long long)known->flags);
    if (!known->model)
        return rni_fail(RN_E_INVALID, "rn_checkpoint.model is NULL");
    if (known->model->ctx != ctx)
        return rni_fail(RN_E_INVALID, "rn_checkpoint.model is of another context");
    if (known->optimizer && known->optimizer->model != known->model)
        return rni_fail(RN_E_INVALID, "rn_checkpoint.optimizer is another model's");
    if (known->ema && known->ema->model != known->model)
        return rni_fail(RN_E_INVALID, "rn_checkpoint.ema is another model's");
    RNI_TRY(rni_model_expect_values(known->model, "rn_checkpoint.model"));
    return rni_device_check(known->model->dev);
}

size_t rni_cp_moments(const rn_optimizer *opt, rni_cp_moment out[2])
{
    if (!opt->state)
        return 0;
    const int sgd = opt->kind == RN_OP_SGD;
    out[0] = (rni_cp_moment){sgd ? "optimizer.momentum" : "optimizer.exp_avg", 0};
    out[1] = (rni_cp_moment){"optimizer.exp_avg_sq", opt->model->params->bytes};
    return sgd ? 1 : 2;
}

const char *rni_cp_number(char buffer[RNI_CP_NUMBER], double value)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buffer, RNI_CP_NUMBER, "%.*g", digits, value);
        if (strtod(buffer, NULL) == value)
            break;
    }
    /* What is neither digit, sign nor letter is the locale's decimal point, of one or more bytes. */
    char *to = buffer;
    int point = 0;
    for (const char *from = buffer; *from; from++) {
        const char c = *from;
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '+' || c == '-')
            *to++ = c;
        else if (!point++)
            *to++ = '.';
    }
    *to = '\0';
    return buffer;
}

void rni_cp_pack_progress(const rni_plan_progress *p, int64_t counters[RNI_CP_PLAN_COUNTERS],
                          double sums[RNI_CP_PLAN_SUMS])
{
    const rn_step_metrics *const m = &p->metrics;
    const int64_t c[RNI_CP_PLAN_COUNTERS] = {p->step,      p->micro,          m->count,      m->correct, m->steps,
                                             m->nonfinite, m->step_nonfinite, m->good_steps, m->skipped};
    for (int i = 0; i < RNI_CP_PLAN_COUNTERS; i++)
        counters[i] = c[i];
    sums[0] = m->loss_sum;
    sums[1] = m->last_loss;
    sums[2] = m->grad_norm;
    sums[3] = m->loss_scale;
}

void rni_cp_unpack_progress(rni_plan_progress *p, const int64_t counters[RNI_CP_PLAN_COUNTERS],
                            const double sums[RNI_CP_PLAN_SUMS])
{
    p->step = counters[0];
    p->micro = counters[1];
    p->metrics = (rn_step_metrics){
        .loss_sum = sums[0],
        .last_loss = sums[1],
        .grad_norm = sums[2],
        .count = counters[2],
        .correct = counters[3],
        .steps = counters[4],
        .nonfinite = counters[5],
        .step_nonfinite = counters[6],
        .loss_scale = sums[3],
        .good_steps = counters[7],
        .skipped = counters[8],
    };
}

int rni_cp_counters(const rni_plan_progress *p)
{
    return p->scales ? RNI_CP_PLAN_COUNTERS : RNI_CP_PLAN_COUNTERS - 2;
}

int rni_cp_sums(const rni_plan_progress *p)
{
    return p->scales ? RNI_CP_PLAN_SUMS : RNI_CP_PLAN_SUMS - 1;
}
