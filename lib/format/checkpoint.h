/* SPDX-License-Identifier: MIT */
/*
 * What a checkpoint file holds.
 *
 *   model.<state>                          weights and buffers
 *   optimizer.momentum.<parameter>         SGD; Adam: optimizer.exp_avg.<...> and optimizer.exp_avg_sq.<...>
 *   optimizer.lr f64, optimizer.steps i64
 *   ema.model.<state>, ema.updates i64
 *   gradient.<parameter>                   between two micro-batches only
 *   schedule.progress f64 [n]              plateau, hold
 *   plan.progress i64 [7], plan.sums f64 [3]   of a plan that scales its loss [9] and [4]
 *   loader.position i64 [2]
 *   host.counters i64 [2], host.value f64 [4]
 *   __metadata__                           the identity: texts that must be the same when it is loaded
 *
 * Numbers that are restored are tensors, so that they come back bit for bit; the identity's numbers are decimal texts
 * that read back the same.
 */
#ifndef RNI_FORMAT_CHECKPOINT_H
#define RNI_FORMAT_CHECKPOINT_H

#include "format/safetensors.h"
#include "plan/plan.h"
#include "train/train.h"
#include <resnet/checkpoint.h>
#include <stddef.h>

enum { RNI_CP_PLAN_COUNTERS = 9, RNI_CP_PLAN_SUMS = 4, RNI_CP_MAX_PROGRESS = 16, RNI_CP_MAX_SETTINGS = 128 };

/* The text of metadata "checkpoint". */
#define RNI_CP_VERSION "resnet 1"

/* Of rn_checkpoint as first released. */
enum { RNI_CP_FIRST_SIZE = offsetof(rn_checkpoint, ema) };

/* Reads the caller's struct and checks that its parts belong together. `known` is a copy with all fields. */
rn_status rni_cp_parts(const rn_context *ctx, const rn_checkpoint *given, rn_checkpoint *known);

/* Called once per field of the identity: "optimizer.momentum", "0.9". */
typedef rn_status (*rni_cp_field_fn)(void *user, const char *key, const char *value);
/* The identity of the parts that are there. */
rn_status rni_cp_identity(const rn_context *ctx, const rn_checkpoint *c, rni_cp_field_fn field, void *user);

/* The optimizer's flat buffers of state: "optimizer.momentum", where each begins in bytes. Returns 0 to 2. */
typedef struct rni_cp_moment {
    const char *part;
    uint64_t shift;
} rni_cp_moment;
size_t rni_cp_moments(const rn_optimizer *opt, rni_cp_moment out[2]);

/* Shortest decimal text that reads back as the same number, with a point in every locale. */
enum { RNI_CP_NUMBER = 40 };
const char *rni_cp_number(char buffer[RNI_CP_NUMBER], double value);

/* plan.progress and plan.sums, and how many of these numbers a plan has. */
void rni_cp_pack_progress(const rni_plan_progress *p, int64_t counters[RNI_CP_PLAN_COUNTERS],
                          double sums[RNI_CP_PLAN_SUMS]);
void rni_cp_unpack_progress(rni_plan_progress *p, const int64_t counters[RNI_CP_PLAN_COUNTERS],
                            const double sums[RNI_CP_PLAN_SUMS]);
int rni_cp_counters(const rni_plan_progress *p);
int rni_cp_sums(const rni_plan_progress *p);

#endif
