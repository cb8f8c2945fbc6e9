/* SPDX-License-Identifier: MIT */
/* Drawing weights. */
#ifndef RNI_MODEL_INIT_H
#define RNI_MODEL_INIT_H

#include "layer/layer.h"

/*
 * Fills `count` values of the entry number `index`: element e comes from Philox
 * (seed, RNI_STREAM_INIT, 0, index, e / 4), so that it depends on nothing else.
 */
void rni_init_values(uint64_t seed, uint32_t index, const rni_state_decl *decl, float *out, int64_t count);

#endif
