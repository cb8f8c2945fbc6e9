/* SPDX-License-Identifier: MIT */
/*
 * Lanes for the ops of a run that is captured: gradients of filters run beside the rest and beside one another, because
 * nothing before the optimizer waits for them. Small convolutions leave most of a device idle, and a captured graph
 * tells it what may run at once. Lanes that wait for one another cost time, so some gradients begin together.
 */
#ifndef RNI_CUDA_LANES_H
#define RNI_CUDA_LANES_H

#include "program.h"

/*
 * Gradients that begin together, and for how many ops the operands of one keep their memory (rn_op_info::late): while
 * it waits for the others, three ops for each of them, and while they run.
 */
enum { RNI_LANES_GROUP = 6, RNI_LANES_LATE = 3 * RNI_LANES_GROUP + 6 };

typedef struct rni_lane_step {
    uint32_t op; /* of the run */
    int32_t lane; /* 0: the first one */
    int32_t fork; /* before it the other lanes wait for the first one */
    int32_t join; /* before it the first lane waits for the other ones */
} rni_lane_step;

/* Whether an op may run in a lane of its own: it is small, and nobody waits for it soon. */
int rni_lanes_aside(const rn_op *op, const rn_value *values);

/*
 * The steps of a run in the order in which they are enqueued; returns how many, at most run->num_ops. An op that shares a launch
 * with the ones behind it (rni_cuda_step::together; plan NULL: none) is one step. Two ops keep their order when one
 * writes bytes that the other touches; workspaces of all lanes but the first are taken to be their own, of so many bytes.
 */
uint32_t rni_lanes_arrange(const rn_program_desc *desc, const rni_cuda_step *plan, const rn_run *run,
                           uint64_t workspace, rni_lane_step *steps);

/* Bytes that a capture needs of the host, which the program has from its beginning. */
size_t rni_lanes_bytes(const rn_program_desc *desc);

/* Before a capture: memory for the other lanes, unless the program has it. */
void rni_lanes_prepare(rni_cuda_program *program);

/* Enqueues the run's ops in the streams that the queue captures. */
rn_status rni_lanes_enqueue(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run);

#endif
