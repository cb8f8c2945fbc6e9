/* SPDX-License-Identifier: MIT */
/**
 * @file schedule.h
 * Learning-rate schedules: closed forms of a step number that the caller counts, in epochs or iterations.
 */
#ifndef RESNET_SCHEDULE_H
#define RESNET_SCHEDULE_H

#include <resnet/optimizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_schedule rn_schedule;

/** lr gamma^floor(step / period): torch's StepLR. */
typedef struct rn_step_schedule_options {
    size_t struct_size;
    uint64_t flags; /**< 0 */
    double lr;      /**< at step 0 */
    double gamma;   /**< above 0 */
    int64_t period; /**< 1 or more */
} rn_step_schedule_options;
#define RN_STEP_SCHEDULE_OPTIONS_INIT {sizeof(rn_step_schedule_options), 0, 0.1, 0.1, 30}

/** lr gamma^(number of milestones <= step): torch's MultiStepLR. */
typedef struct rn_multistep_schedule_options {
    size_t struct_size;
    uint64_t flags;            /**< 0 */
    double lr;                 /**< at step 0 */
    double gamma;              /**< above 0 */
    const int64_t *milestones; /**< ascending, 0 or more; copied */
    size_t num_milestones;     /**< at most 64 */
} rn_multistep_schedule_options;
#define RN_MULTISTEP_SCHEDULE_OPTIONS_INIT {sizeof(rn_multistep_schedule_options), 0, 0.1, 0.1, NULL, 0}

/** min_lr + (lr - min_lr) (1 + cos(pi step / steps)) / 2, and min_lr after: torch's CosineAnnealingLR, closed form. */
typedef struct rn_cosine_schedule_options {
    size_t struct_size;
    uint64_t flags; /**< 0 */
    double lr;      /**< at step 0 */
    double min_lr;  /**< at the end */
    int64_t steps;  /**< 1 or more */
} rn_cosine_schedule_options;
#define RN_COSINE_SCHEDULE_OPTIONS_INIT {sizeof(rn_cosine_schedule_options), 0, 0.1, 0.0, 200}

/** Rises linearly from start_factor times to the whole of what `inner` says over the first steps. */
typedef struct rn_warmup_schedule_options {
    size_t struct_size;
    uint64_t flags;      /**< 0 */
    double start_factor; /**< at step 0; 0 to 1 */
    int64_t steps;       /**< 1 or more */
} rn_warmup_schedule_options;
#define RN_WARMUP_SCHEDULE_OPTIONS_INIT {sizeof(rn_warmup_schedule_options), 0, 0.1, 5}

/**
 * `factor` times what `inner` says until a metric told to rn_schedule_observe() is below the threshold, then the whole
 * of it, for good. He et al. 2015 train 110 layers so: a tenth of the rate until the training error is below 80 %
 * (about 400 steps); these are the defaults, for errors from 0 to 1.
 */
typedef struct rn_hold_schedule_options {
    size_t struct_size;
    uint64_t flags;   /**< RN_HOLD_UNTIL_ABOVE */
    double factor;    /**< 0 to 1 */
    double threshold; /**< finite */
} rn_hold_schedule_options;
#define RN_HOLD_UNTIL_ABOVE 1u /**< until the metric, an accuracy for example, is above the threshold */
#define RN_HOLD_SCHEDULE_OPTIONS_INIT {sizeof(rn_hold_schedule_options), 0, 0.1, 0.8}

/** torch's OneCycleLR: from max_lr/div up to max_lr at pct_start steps - 1, down to max_lr/div/final_div; cosine. */
typedef struct rn_one_cycle_schedule_options {
    size_t struct_size;
    uint64_t flags;   /**< RN_ONE_CYCLE_LINEAR */
    double max_lr;    /**< above 0 */
    double pct_start; /**< 0 to 1 */
    double div;       /**< 1 or more */
    double final_div; /**< 1 or more */
    int64_t steps;    /**< 2 or more */
} rn_one_cycle_schedule_options;
#define RN_ONE_CYCLE_LINEAR 1u
#define RN_ONE_CYCLE_SCHEDULE_OPTIONS_INIT {sizeof(rn_one_cycle_schedule_options), 0, 0.1, 0.3, 25.0, 1e4, 100}

/** torch's ReduceLROnPlateau, relative threshold. Driven by rn_schedule_observe(). */
typedef struct rn_plateau_schedule_options {
    size_t struct_size;
    uint64_t flags;   /**< RN_PLATEAU_MAXIMIZE */
    double lr;        /**< at the start */
    double factor;    /**< 0 < factor < 1 */
    double threshold; /**< relative: better means below best (1 - threshold) */
    double min_lr;
    double eps;       /**< a change of lr not above it is not made */
    int64_t patience; /**< reduces when the number of bad observations exceeds it */
    int64_t cooldown;
} rn_plateau_schedule_options;
#define RN_PLATEAU_MAXIMIZE 1u
#define RN_PLATEAU_SCHEDULE_OPTIONS_INIT {sizeof(rn_plateau_schedule_options), 0, 0.1, 0.1, 1e-4, 0.0, 1e-8, 10, 0}

RN_API rn_status rn_step_schedule_options_init(rn_step_schedule_options *options, size_t struct_size);
RN_API rn_status rn_multistep_schedule_options_init(rn_multistep_schedule_options *options, size_t struct_size);
RN_API rn_status rn_cosine_schedule_options_init(rn_cosine_schedule_options *options, size_t struct_size);
RN_API rn_status rn_warmup_schedule_options_init(rn_warmup_schedule_options *options, size_t struct_size);
RN_API rn_status rn_hold_schedule_options_init(rn_hold_schedule_options *options, size_t struct_size);
RN_API rn_status rn_one_cycle_schedule_options_init(rn_one_cycle_schedule_options *options, size_t struct_size);
RN_API rn_status rn_plateau_schedule_options_init(rn_plateau_schedule_options *options, size_t struct_size);

RN_API rn_status rn_step_schedule_create(rn_context *ctx, const rn_step_schedule_options *options, rn_schedule **out);
RN_API rn_status rn_multistep_schedule_create(rn_context *ctx, const rn_multistep_schedule_options *options,
                                              rn_schedule **out);
RN_API rn_status rn_cosine_schedule_create(rn_context *ctx, const rn_cosine_schedule_options *options,
                                           rn_schedule **out);
/** @param inner any schedule but a plateau or hold; a reference is taken. It is asked with the same step number. */
RN_API rn_status rn_warmup_schedule_create(rn_context *ctx, rn_schedule *inner,
                                           const rn_warmup_schedule_options *options, rn_schedule **out);
/** @param inner as of a warm-up; steps are counted through, so its milestones do not move */
RN_API rn_status rn_hold_schedule_create(rn_context *ctx, rn_schedule *inner, const rn_hold_schedule_options *options,
                                         rn_schedule **out);
RN_API rn_status rn_one_cycle_schedule_create(rn_context *ctx, const rn_one_cycle_schedule_options *options,
                                              rn_schedule **out);
RN_API rn_status rn_plateau_schedule_create(rn_context *ctx, const rn_plateau_schedule_options *options,
                                            rn_schedule **out);
RN_API rn_schedule *rn_schedule_retain(rn_schedule *s);
RN_API void rn_schedule_release(rn_schedule *s);

/**
 * The learning rate at a step (0 or more): a pure function of it, but for plateau, which ignores it, and hold, which
 * also goes by what it was told.
 */
RN_API rn_status rn_schedule_lr(const rn_schedule *s, int64_t step, double *lr);

/** rn_schedule_lr() and rn_optimizer_set_lr() in one. Call it before the step. */
RN_API rn_status rn_schedule_apply(rn_schedule *s, int64_t step, rn_optimizer *opt);

/** Tells a plateau the metric of an epoch, a hold that of some steps; others ignore it. Their state is checkpointed. */
RN_API rn_status rn_schedule_observe(rn_schedule *s, double metric);

#ifdef __cplusplus
}
#endif
#endif
