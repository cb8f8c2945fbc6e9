/* SPDX-License-Identifier: MIT */
/* Passes over a lowered program, in the order they are used: fuse, backward, detach, sort, workspace, place. */
#ifndef RNI_GRAPH_H
#define RNI_GRAPH_H

#include "layer/layer.h"

/*
 * Rewrites known sequences of FORWARD ops where the device has the fused form. Training: BN+ReLU, BN+add(+ReLU),
 * add+ReLU, convolution+statistics. Inference: BN folded into the convolution, residual add and ReLU in its epilogue,
 * ReLU after linear and scale-shift.
 */
rn_status rni_graph_fuse(rni_lowering *low);

/*
 * Appends BACKWARD ops that turn `dy`, the gradient of value `y`, into gradients of all trainable parameters (added)
 * and, when `x` is not RN_NO_VALUE, of value x. `dx` is RN_NO_VALUE when x does not reach y.
 */
rn_status rni_graph_backward(rni_lowering *low, uint32_t y, uint32_t dy, uint32_t x, uint32_t *dx);

/* Gives ops outside PREPARE copies of the parameters and buffers that they read: DERIVED values, made by PREPARE ops. */
rn_status rni_graph_detach(rni_lowering *low);

/* Drops deleted ops (kind 0) and sorts the rest by section, keeping their order. first[s] is the first op of section s. */
rn_status rni_graph_sort(rni_lowering *low, uint32_t first[RNI_SECTION_COUNT + 1]);

/* Asks the device about every op: what it lacks is RN_E_UNSUPPORTED with the path; sizes of packed values; workspaces. */
rn_status rni_graph_query(rni_lowering *low);

typedef struct rni_placement {
    uint64_t arena, lower_bound, derived;
} rni_placement;

/* Gives every ARENA and DERIVED value its offset. ARENA values that are never alive together share memory. */
rn_status rni_graph_place(rni_lowering *low, rni_placement *out);

/* Index of the op that writes a value, or RN_NO_VALUE. */
uint32_t rni_graph_producer(const rni_lowering *low, uint32_t value);

/* Asks the device about one op; RN_E_UNSUPPORTED without a message of ours. */
rn_status rni_graph_ask(const rni_lowering *low, const rn_op *op, rn_op_info *info);

#endif
