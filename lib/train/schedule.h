/* SPDX-License-Identifier: MIT */
/* Inside of schedules: one table of functions per kind. */
#ifndef RNI_TRAIN_SCHEDULE_H
#define RNI_TRAIN_SCHEDULE_H

#include "train/train.h"

enum { RNI_MAX_MILESTONES = 64, RNI_MAX_WARMUPS = 8 };

typedef struct rni_hold {
    rn_hold_schedule_options options;
    int32_t released;
} rni_hold;

typedef struct rni_schedule_class {
    const char *kind; /* "cosine" */
    double (*lr)(const rn_schedule *s, int64_t step);
    size_t (*settings)(const rn_schedule *s, rni_schedule_state *out, size_t capacity);
    /* Only schedules with a state have these; NULL elsewhere. */
    size_t (*progress)(const rn_schedule *s, rni_schedule_state *out, size_t capacity);
    rn_status (*set_progress)(rn_schedule *s, const double *values, size_t count);
    void (*observe)(rn_schedule *s, double metric);
} rni_schedule_class;

typedef struct rni_plateau {
    rn_plateau_schedule_options options;
    double lr, best;
    int64_t bad, cooldown;
} rni_plateau;

struct rn_schedule {
    atomic_int references;
    rn_context *ctx;
    const rni_schedule_class *class;
    rn_schedule *inner; /* of a warm-up or a hold, counted */
    int64_t milestones[RNI_MAX_MILESTONES]; /* of a multistep */
    union {
        rn_step_schedule_options step;
        rn_multistep_schedule_options multistep;
        rn_cosine_schedule_options cosine;
        rn_warmup_schedule_options warmup;
        rni_hold hold;
        rn_one_cycle_schedule_options one_cycle;
        rni_plateau plateau;
    } u;
};

/* A zeroed schedule of a class, one reference. */
rn_status rni_schedule_new(rn_context *ctx, const rni_schedule_class *class, rn_schedule **out);

/* Appends one number to a list that may be too short; returns the new length. */
size_t rni_schedule_put(rni_schedule_state *out, size_t capacity, size_t count, const char *name, double value);
/* The same for all settings of the inner schedule. */
size_t rni_schedule_put_inner(const rn_schedule *s, rni_schedule_state *out, size_t capacity, size_t count);

/* RN_E_INVALID unless `inner` is a function of the step, of this context, not too deep; `call` begins the message. */
rn_status rni_schedule_check_inner(const rn_context *ctx, const rn_schedule *inner, const char *call);

#endif
