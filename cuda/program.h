/* SPDX-License-Identifier: MIT */
/* Programs: ops with what their drivers prepared, run in streams or as captured graphs. */
#ifndef RNI_CUDA_PROGRAM_H
#define RNI_CUDA_PROGRAM_H

#include "device.h"
#include "queue.h"
#include "steps.h"

/* What a captured graph depends on. */
typedef struct rni_graph_key {
    const rni_cuda_queue *queue;
    const rni_cuda_scalars *scalars;
    uint32_t first_op, num_ops;
    int64_t batch;
    void *base[RN_ROLE_COUNT]; /* of the roles that its ops use */
} rni_graph_key;

/* A part of a program that ran: with the second run it is captured. */
typedef struct rni_graph {
    rni_graph_key key;
    cudaGraphExec_t exec; /* NULL: ran once */
    uint64_t used; /* when: the longest unused one makes room */
} rni_graph;

enum { RNI_GRAPHS = 16, RNI_GRAPH_LEAST_OPS = 3 };
typedef struct rni_graphs {
    rni_graph graph[RNI_GRAPHS];
    int32_t count;
    uint64_t clock;
    int32_t off; /* not wanted, or capture was refused */
} rni_graphs;

struct rni_cuda_program {
    rni_cuda_opened *opened;
    const rn_program_desc *desc;
    rni_cuda_steps steps;
    uint32_t first_ticket;
    int32_t groups; /* of optimizers: so many rates are read */
    rni_graphs graphs;
    void *lanes; /* what captures note of ops: rni_lanes_bytes() */
    void *lane_workspace[RNI_LANES]; /* of the other lanes of graphs (lanes.h), one block; NULL: none yet */
    uint64_t lane_bytes; /* of each */
    rni_cuda_queue *queue; /* the last one it ran in */
    rni_cuda_program *next;
};

rn_status rni_cuda_op_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info);
rn_status rni_cuda_op_run(rni_cuda_device *device, rni_cuda_queue *queue, const rn_op *op, const rn_value *values,
                          const rn_run *run);
rn_status rni_cuda_program_create(rni_cuda_device *device, const rn_program_desc *desc, rni_cuda_program **out);
rn_status rni_cuda_program_run(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run);
void rni_cuda_program_destroy(rni_cuda_program *program);

/* Enqueues the run's ops one by one in a stream: the queue's, or the one that is captured. */
rn_status rni_cuda_program_enqueue(rni_cuda_program *program, rni_cuda_queue *queue, cudaStream_t stream,
                                   const rn_run *run);
/* What all ops of a run share; the ticket is that of the program's first op. */
rni_cuda_call rni_cuda_program_call(const rni_cuda_program *program, rni_cuda_queue *queue, cudaStream_t stream,
                                    const rn_run *run);
/* The path of an op of a living program; "?" when there is none. Under the device's lock. */
const char *rni_cuda_program_path(const rni_cuda_opened *opened, uint32_t ticket);
/* The queue goes: programs forget what they captured of it. */
void rni_cuda_programs_forget(rni_cuda_queue *queue);

/* graph.c */
rn_status rni_graphs_run(rni_cuda_program *program, rni_cuda_queue *queue, const rn_run *run);
void rni_graphs_clear(rni_graphs *graphs);
/* Drops what was captured for a queue. */
void rni_graphs_forget(rni_graphs *graphs, const rni_cuda_queue *queue);

#endif
