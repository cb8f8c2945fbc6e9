/* SPDX-License-Identifier: MIT */
/* Weight gradients as sums over chunks of rows, each in a copy of the weights of its own. */
#ifndef RNI_CPU_CONV_FILTER_H
#define RNI_CPU_CONV_FILTER_H

#include "cpu/conv.h"

typedef struct rni_filter_job {
    const rni_conv *c;
    const rni_conv_kernels *k;
    rni_conv_filter g;
    int32_t block_vectors;
    int64_t vectors, blocks; /* per group; of all groups */
    int64_t rows, chunks;    /* rows of dy, of all images */
    int64_t copy;            /* floats of one copy of the weights: [block][row of taps][tap][channel][lanes] */
    float *sums;             /* the copies */
} rni_filter_job;

rni_filter_job rni_filter_plan(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch);
/* Weights that lead to an output channel. */
int64_t rni_filter_weights(const rni_filter_job *j);
/* Adds up the copies and adds them to dw. */
rn_status rni_filter_add(rni_filter_job *j);

#endif
