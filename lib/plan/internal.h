/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. */
#ifndef RNI_PLAN_INTERNAL_H
#define RNI_PLAN_INTERNAL_H

#include "graph/graph.h"
#include "plan/plan.h"
#include "plan/profile.h"
#include "program/traffic.h"

struct rn_plan {
    atomic_int references;
    rn_context *ctx;
    rn_device *dev;
    rn_model *model;     /* counted, as are loss and optimizer */
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_plan_options options; /* pointers in it are not used */
    int64_t max_batch;
    rn_dtype dtype;
    uint64_t seed;
    rni_lowering low; /* the program */
    uint32_t first[RNI_SECTION_COUNT + 1];
    rni_placement placement;
    rni_compiled *compiled;

    uint32_t *param_of_state, *grad_of_state; /* values; RN_NO_VALUE until needed */
    uint32_t x, input, target, y, metrics;    /* values */
    uint32_t soft_target;                     /* a value; RN_NO_VALUE: the loss or the device has no such form */
    int wants_dx;                             /* a DX section was made */
    uint64_t *made;      /* per PREPARE op: generation of its sources when it ran; 0: never */
    uint64_t *wanted;    /* per PREPARE op: scratch */

    void *arena, *derived;
    rni_storage *input_storage; /* the plan's own input */
    rn_tensor *input_tensor;
    rni_storage *metrics_storage;
    rn_tensor *bound_x;  /* x of the last forward, when it is read where it lies */
    int64_t last_batch;  /* of the last forward; 0: none to go back through */

    int64_t step;        /* forwards of a TRAIN plan */
    int64_t micro;       /* micro-batches since the last update */
    int scales;          /* train steps scale the loss */
    uint64_t trainable_clock;
    rni_profile *profile; /* NULL: no profiling */
};

/* compile.c: from the layer tree to a placed program. Everything it made is in the plan, also when it fails. */
rn_status rni_plan_compile(rn_plan *p);

/* loss_scale.c: the options of loss scaling, whether a plan scales, how, and the scale it begins with. */
rn_status rni_plan_check_loss_scale(const rn_plan_options *o);
int rni_plan_scales(const rn_plan_options *o);
rn_loss_scale_params rni_plan_loss_scaling(const rn_plan *p);
rn_status rni_plan_start_loss_scale(rn_plan *p);

/* run.c: what every run shares; `base` has RN_ROLE_COUNT entries. */
void rni_plan_start_run(rn_plan *p, rn_run *run, void **base, int64_t batch);

/* prepare.c: runs the PREPARE ops whose sources changed. `run` has bases and batch. */
rn_status rni_plan_prepare(rn_plan *p, rn_run *run);

/* drop.c: derives all weights and gives the model's back. When the device fails over that they may be lost. */
rn_status rni_plan_drop_weights(rn_plan *p);

/* metrics.c: zeroes a part of them. */
rn_status rni_plan_clear_metrics(rn_plan *p, size_t at, size_t bytes);

/* run.c: the ops of sections first..last, timed when profiling. */
rn_status rni_plan_run_sections(rn_plan *p, rn_run *run, int first, int last);
rn_status rni_plan_run_ops(rn_plan *p, rn_run *run, uint32_t first, uint32_t count);

/* report.c: what a section's ops must move and compute at least with the largest batch; and a train step, zeroing of gradients
   included. */
rni_traffic rni_plan_section_traffic(const rn_plan *p, int section);
rni_traffic rni_plan_step_traffic(const rn_plan *p);

/* report.c: a text goes to the caller, and then its memory. */
rn_status rni_plan_give_text(rni_text *text, rn_write_fn write, void *user);

#endif
