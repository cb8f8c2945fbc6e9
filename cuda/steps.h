/* SPDX-License-Identifier: MIT */
/* The ops of a program with what their drivers prepared, and which of them share a launch. */
#ifndef RNI_CUDA_STEPS_H
#define RNI_CUDA_STEPS_H

#include "cuda.h"
#include "ops/filters.h"
#include "prologue.h"

/* By kind. (drivers.c) */
const rni_cuda_driver *rni_cuda_driver_of(int32_t kind);

/*
 * Gradients of filters wait side by side in memory of the program until they are added to those that are there, many in
 * one launch: before an op that may look at them, at the end of a run, and when the memory is full.
 */
enum { RNI_LEFT_BYTES = 16 << 20 };

typedef struct rni_cuda_step {
    void *state;    /* of an op alone */
    void *joint;    /* of the ops that it can run with; that of the first of them is released */
    uint32_t together; /* from this op on */
    uint32_t left;  /* its part in the list of what is left, or RN_NO_VALUE */
    int32_t adds_first; /* 1: what is left is added before it runs */
    uint32_t also; /* a value that it may read besides its operands, or RN_NO_VALUE */
    const rni_prologue *prologue; /* that it is part of, or NULL */
} rni_cuda_step;

typedef struct rni_cuda_steps {
    rni_cuda_device *device;
    const rn_program_desc *desc;
    rni_cuda_step *step; /* one an op */
    rni_filters left;    /* in the order of ops */
    char *left_memory;
    int32_t left_dtype;
    rni_prologue *prologues; /* room for one an op */
    uint32_t num_prologues;
} rni_cuda_steps;

/* RN_E_NOMEM, or what a driver says. A failure leaves nothing. */
rn_status rni_steps_make(rni_cuda_device *device, const rn_program_desc *desc, rni_cuda_steps *out);
void rni_steps_release(rni_cuda_steps *steps);

/* Enqueues the ops of a run in one stream. `call` is rni_cuda_program_call()'s. */
rn_status rni_steps_run(const rni_cuda_steps *steps, const rni_cuda_call *call);

/* The same piece by piece. Parts of the list that are there and not yet added; zeroed at the beginning of a run. */
typedef struct rni_steps_left {
    uint32_t first, count;
} rni_steps_left;

/* Whether they have to be added before op i runs. */
int rni_steps_add_first(const rni_cuda_steps *steps, const rni_steps_left *left, uint32_t i);
/* Adds them, if there are any: after whatever left them. */
rn_status rni_steps_add(const rni_cuda_steps *steps, const rni_cuda_call *call, rni_steps_left *left);
/* Enqueues op i, with those before `end` that it can run with; call->num_ops is then how many. */
rn_status rni_steps_run_op(const rni_cuda_steps *steps, rni_cuda_call *call, uint32_t i, uint32_t end,
                           rni_steps_left *left);

#endif
