/* SPDX-License-Identifier: MIT */
/*
 * A dataset in the memory of a loader's device, and the op that makes batches of it there (RN_OP_AUGMENT): the same
 * bits that batch.c makes on the host.
 */
#ifndef RNI_DATA_RESIDENT_H
#define RNI_DATA_RESIDENT_H

#include "data/loader.h"
#include "program/program.h"

/* The dataset as it lies in the device's memory: offsets of its parts, and their end. */
typedef struct rni_resident_map {
    uint64_t images, labels, order, key, table, fill, mean, after, total;
} rni_resident_map;

struct rni_resident {
    rn_device *dev;
    rni_resident_map map;
    char *memory; /* on the device */
    rni_program program; /* one op */
    rn_augment_step steps[RNI_MAX_STEPS];
    uint32_t num_steps;
    int64_t *order; /* of a shard's images, on its way to the device */
    int64_t epoch; /* whose order is there; -1: none */
};

/* As options.residency has it: l->resident, or NULL for batches from the host. */
rn_status rni_resident_choose(rn_loader *l);
void rni_resident_free(rn_loader *l);

/* Enqueues the batch that `slot` was assigned. */
rn_status rni_resident_make(rn_loader *l, const rni_slot *slot, rn_tensor *images, rn_tensor *labels);

/*
 * resident_steps.c. Steps of the op for those of a pipeline; RN_E_UNSUPPORTED, naming the step, for one it cannot do.
 */
rn_status rni_resident_steps(const rni_pipeline *p, rn_augment_step *steps, uint32_t *count);
/* Rows of the op's operand `after`; 0 without a mean image. */
int64_t rni_resident_after(const rni_pipeline *p);
/* Its operands table, fill and after. */
void rni_resident_numbers(const rni_pipeline *p, float *table, float *fill, float *after);

#endif
