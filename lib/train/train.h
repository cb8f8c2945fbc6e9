/* SPDX-License-Identifier: MIT */
/* Inside of losses, optimizers and schedules, for plan and format. */
#ifndef RNI_TRAIN_H
#define RNI_TRAIN_H

#include "model/model.h"
#include "program/program.h"
#include "train/own.h"
#include <resnet/ema.h>
#include <resnet/loss.h>
#include <resnet/optimizer.h>
#include <resnet/schedule.h>

struct rn_loss {
    atomic_int references;
    rn_context *ctx;
    int32_t op; /* RN_OP_CROSS_ENTROPY or RN_OP_MSE */
    double label_smoothing;
    rni_own own; /* program of rn_loss_compute(), kept while device, types and shapes stay the same */
    int own_gradient; /* whether it writes dpred */
    int own_form;     /* RNI_TARGET_* it compares with */
};

/* What a loss is compared with: labels i64 [N]; or values of pred's type and dims, for cross-entropy probabilities. */
enum { RNI_TARGET_LABELS, RNI_TARGET_VALUES };

/* Is there a form of the loss for such targets? */
int rni_loss_takes(const rn_loss *loss, int form);

/*
 * Lowers the loss: from `pred` (T, [N, K] or any) to metrics and to `dpred`, like pred, unless that is RN_NO_VALUE.
 * `target` is a TARGET value made by this call, in plain layout. scaled: the gradient is, by the metrics' loss scale.
 */
rn_status rni_loss_append(const rn_loss *loss, rni_program *p, int form, uint32_t pred, uint32_t dpred,
                          uint32_t metrics, int scaled, uint32_t *target);

/* RN_E_INVALID naming index and value of the first label outside 0..classes-1 (host memory only). */
rn_status rni_check_labels(const int64_t *labels, int64_t count, int64_t classes);

typedef struct rni_group {
    double lr_factor, weight_decay;
    char *glob; /* NULL for group 0, the optimizer's own */
} rni_group;

struct rn_optimizer {
    atomic_int references;
    rn_context *ctx;
    rn_model *model; /* counted */
    int32_t kind;    /* RN_OP_SGD or RN_OP_ADAM */
    rn_sgd_options sgd;
    rn_adam_options adam;
    double lr;
    int64_t steps;      /* updates done */
    rni_group *groups;  /* [0] is the optimizer's own */
    size_t num_groups;
    uint32_t *group_of; /* per state entry of the model */
    double *group_lr;   /* num_groups; filled by rni_optimizer_lrs() */
    rni_storage *state; /* flat: momentum; or m then v. NULL when SGD has no momentum */
    int32_t frozen;     /* no more groups: a plan or a step used it */
    rni_own own;        /* program of rn_optimizer_step(), made at its first use */
    uint64_t own_clock; /* model->trainable_clock it was made for */
};

/* Bytes of state; 0 when there is none. */
uint64_t rni_optimizer_state_bytes(const rn_optimizer *opt);
/*
 * Appends [GRAD_UNSCALE when `scaling` is not NULL], [GRAD_NORM, GRAD_CLIP when clip_norm > 0], the update over all trainable
 * parameters and [LOSS_SCALE] to a program. Makes the segment table in the program's memory and freezes the groups. `metrics`
 * is the METRICS value.
 */
rn_status rni_optimizer_append(rn_optimizer *opt, rni_program *p, double clip_norm, const rn_loss_scale_params *scaling,
                               uint32_t metrics);
/* Learning rate per group, for rn_run::lr. */
const double *rni_optimizer_lrs(rn_optimizer *opt);

/* GRAD_UNSCALE over the trainable parameters of a model; LOSS_SCALE. */
rn_status rni_unscale_append(rn_model *m, rni_program *p, uint32_t metrics);
rn_status rni_loss_scale_append(rni_program *p, const rn_loss_scale_params *scaling, uint32_t metrics);

/* GRAD_NORM and GRAD_CLIP over the trainable parameters of a model (also for rn_model_clip_grad_norm). */
rn_status rni_clip_append(rn_model *m, rni_program *p, double clip_norm, uint32_t metrics);

struct rn_ema {
    atomic_int references;
    rn_context *ctx;          /* counted */
    rn_model *model, *average; /* counted */
    uint64_t flags;           /* RN_EMA_* */
    double decay;
    int64_t updates;
    rni_own own;
};

/* State of a schedule as numbers, for checkpoints: name and value pairs. */
typedef struct rni_schedule_state {
    const char *name; /* static */
    double value;
} rni_schedule_state;
const char *rni_schedule_kind(const rn_schedule *s);
/* How many numbers describe its settings (compared) and its progress (restored). */
size_t rni_schedule_settings(const rn_schedule *s, rni_schedule_state *out, size_t capacity);
size_t rni_schedule_progress(const rn_schedule *s, rni_schedule_state *out, size_t capacity);
/* RN_E_FORMAT, with nothing changed, when the numbers cannot be a progress of this schedule. */
rn_status rni_schedule_set_progress(rn_schedule *s, const double *values, size_t count);

#endif
