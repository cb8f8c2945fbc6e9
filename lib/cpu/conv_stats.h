/* SPDX-License-Identifier: MIT */
/* Statistics that a convolution delivers with its output: moments of chunks of pixels, added up in order. */
#ifndef RNI_CPU_CONV_STATS_H
#define RNI_CPU_CONV_STATS_H

#include "cpu/conv.h"

typedef struct rni_conv_stats {
    const rni_conv *c;
    const rni_conv_kernels *k;
    float *moments;   /* [chunk][3][lanes of all groups] */
    int64_t chunks;
    int64_t outs;     /* channels per group */
    int64_t blocks;   /* of all groups */
    int64_t stride;   /* lanes of all groups */
    const void *user;
    int64_t (*pixels)(const void *user, int64_t chunk);
} rni_conv_stats;

/* Floats of the moments. */
int64_t rni_conv_stats_floats(int64_t chunks, int64_t stride);
/* Of rows that were just written: `count` pixels of a slice. */
void rni_conv_stats_take(const rni_conv_stats *s, const rni_conv_slice *slice, int64_t chunk, const void *y,
                         int64_t count, int64_t pixel);
/* Mean and variance per channel into c->mean and c->var. */
rn_status rni_conv_stats_finish(const rni_conv_stats *s);

#endif
