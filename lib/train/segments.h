/* SPDX-License-Identifier: MIT */
/* Tables of trainable parameters, and what sgd.c, adam.c and optimizer.c share. */
#ifndef RNI_TRAIN_SEGMENTS_H
#define RNI_TRAIN_SEGMENTS_H

#include "train/train.h"

/*
 * The trainable parameters of a model as runs of the flat buffers; neighbours of equal settings make one run. With
 * `opt` NULL they are all alike (norm, clipping). The table lives in the program's memory.
 */
rn_status rni_segments(rni_program *p, const rn_model *m, const rn_optimizer *opt, const rn_segment **segments,
                       uint64_t *count);

/* A flat f32 value over the whole of a storage; one element when there is none. */
rn_status rni_flat_value(rni_program *p, int32_t role, uint64_t bytes, uint32_t *out);

/* Bytes of the model's flat parameters. */
uint64_t rni_parameter_bytes(const rn_model *m);

/* An optimizer of a kind with `moments` flat buffers of state. Its options are set by the caller. */
rn_status rni_optimizer_create(rn_model *m, int32_t kind, double lr, double weight_decay, uint64_t moments,
                               rn_optimizer **out);

/* The update op alone. */
rn_status rni_sgd_append(const rn_optimizer *opt, rni_program *p, uint32_t metrics);
rn_status rni_adam_append(const rn_optimizer *opt, rni_program *p, uint32_t metrics);

#endif
