/* SPDX-License-Identifier: MIT */
/* Inside of plans, for data (layout of the input) and format (checkpoints). */
#ifndef RNI_PLAN_H
#define RNI_PLAN_H

#include "train/train.h"
#include <resnet/plan.h>

/* Layout, dtype and dims (largest batch first) of the images a plan reads without conversion. */
rn_status rni_plan_input_layout(const rn_plan *p, int32_t *layout, rn_dtype *dtype, int32_t *rank, int64_t *dims);

/* What a checkpoint keeps of a plan. */
typedef struct rni_plan_progress {
    int64_t step;         /* forwards done, the counter of dropout */
    int64_t micro;        /* micro-batches since the last update */
    int64_t accumulate;   /* of so many; not changed by rni_plan_set_progress() */
    int scales;           /* train steps scale the loss; not changed either */
    rn_loss_scale_params scaling; /* how; not changed */
    rn_step_metrics metrics;
    uint64_t seed;
} rni_plan_progress;
rn_status rni_plan_get_progress(rn_plan *p, rni_plan_progress *out);
rn_status rni_plan_set_progress(rn_plan *p, const rni_plan_progress *progress);

#endif
