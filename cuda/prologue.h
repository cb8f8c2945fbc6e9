/* SPDX-License-Identifier: MIT */
/*
 * Batch normalisation's scale, shift and ReLU inside the convolution behind it, and again inside the gradient of that
 * convolution's filter: the normalised activation is never in memory. In its memory are scale and shift instead, from
 * the op that would write it to the last that would read it; both convolutions read batch normalisation's input.
 */
#ifndef RNI_CUDA_PROLOGUE_H
#define RNI_CUDA_PROLOGUE_H

#include "dnn/conv.h"

/* Ops of a program: batch normalisation, the convolution, the gradient of its filter. */
typedef struct rni_prologue_ops {
    uint32_t apply, forward, filter;
    uint32_t x; /* the value that batch normalisation reads */
} rni_prologue_ops;

/*
 * 1 when op `apply` is a batch normalisation with ReLU whose output nobody but a convolution and the gradient of its filter
 * reads, and whose input is still in memory when the latter runs. Looks at operands and addresses, not at plans.
 * (prologue_match.c)
 */
int rni_prologue_match(const rn_program_desc *desc, uint32_t apply, rni_prologue_ops *out);

/* One that engines are there for, at the largest batch. */
typedef struct rni_prologue {
    rni_prologue_ops ops;
    rni_dnn_conv *forward, *filter;
} rni_prologue;

/* RN_OK with both convolutions prepared; RN_E_UNSUPPORTED when one has no engine. */
rn_status rni_prologue_prepare(rni_cuda_device *device, const rn_program_desc *desc, const rni_prologue_ops *ops,
                               rni_prologue *out);
void rni_prologue_release(rni_cuda_device *device, rni_prologue *p);

/*
 * RN_OK: in a run of `batch` images its ops run by rni_prologue_run(). RN_E_UNSUPPORTED: each as if it were alone. The answer
 * is the same for all three ops.
 */
rn_status rni_prologue_serves(const rni_prologue *p, int64_t batch);
/* One of its ops: call->op. */
rn_status rni_prologue_run(const rni_prologue *p, const rni_cuda_call *call);

#endif
