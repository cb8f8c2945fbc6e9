/* SPDX-License-Identifier: MIT */
/*
 * A small program of one or two ops that runs outside any plan: for calls such as rn_loss_compute() and
 * rn_optimizer_step(), on any backend. It owns the memory of its workspaces and one rn_step_metrics.
 */
#ifndef RNI_TRAIN_OWN_H
#define RNI_TRAIN_OWN_H

#include "backend/context.h"
#include "program/program.h"

typedef struct rni_own {
    rn_device *dev; /* NULL: empty */
    rni_program program;
    rn_program_desc desc; /* the compiled form points here: never move a compiled rni_own */
    rni_compiled *compiled;
    void *workspace, *metrics; /* on the device */
    uint64_t workspace_bytes;
    uint32_t metrics_value;
} rni_own;

/* Begins a program; its first value is the METRICS. On failure it is empty again. */
rn_status rni_own_begin(rni_own *own, rn_device *dev);
/* Asks the backend about every op, gives workspaces and compiles. */
rn_status rni_own_compile(rni_own *own);
/* Runs all ops. Of `run`, base, struct_size and the range of ops are set here; bases: per role, own ones filled in. */
rn_status rni_own_run(rni_own *own, void *const *bases, const rn_run *run);
/* Waits and reads the metrics. */
rn_status rni_own_metrics(rni_own *own, rn_step_metrics *out);
/* Waits for enqueued work and frees; an empty one is accepted. */
void rni_own_free(rni_own *own);

#endif
