/* SPDX-License-Identifier: MIT */
/*
 * Two lanes for the ops of a run that is captured: gradients of filters run beside the rest, because nothing before the
 * optimizer waits for them. Small convolutions leave most of a device idle, and a captured graph tells it what may
 * run at once.
 */
#ifndef RNI_CUDA_LANES_H
#define RNI_CUDA_LANES_H

#include "program.h"

enum { RNI_LANES = 2 };

/* Where an op runs, and what it waits for. */
typedef struct rni_lane_step {
    int32_t side; /* in the second lane */
    int32_t marked; /* the other lane waits for its end */
    int64_t after; /* the last op of the other lane that it has to follow; -1: none that its lane does not follow yet */
} rni_lane_step;

/*
 * The steps of a run's ops, [run->num_ops], in the order of the program. Two ops keep their order when one writes bytes
 * that the other touches; workspaces of the second lane are taken to be its own. Returns how many ops are in it;
 * `join` is the last of them that the first lane does not follow yet, or -1.
 */
int32_t rni_lanes_arrange(const rn_program_desc *desc, const rn_run *run, uint64_t workspace, rni_lane_step *steps,
                          int64_t *join);

/* Bytes of workspace for the ops that may run in the second lane; 0 when there are none. */
uint64_t rni_lanes_workspace(const rn_program_desc *desc);

/* Bytes that a capture needs of the host, which the program has from its beginning. */
size_t rni_lanes_bytes(const rn_program_desc *desc);

/* Before a capture: memory for the second lane, unless the program has it. */
void rni_lanes_prepare(rni_cuda_program *program);

/* Enqueues the run's ops in the stream that the queue captures, and in its second one. */
rn_status rni_lanes_enqueue(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run);

#endif
