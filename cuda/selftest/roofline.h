/* SPDX-License-Identifier: MIT */
/* What a training step must move and compute at least, counted from its program. */
#ifndef SELFTEST_ROOFLINE_H
#define SELFTEST_ROOFLINE_H

#include <resnet/plan.h>

typedef struct st_traffic {
    double bytes, flops;
    int ops;
} st_traffic;

/*
 * Each op reads its inputs and writes its outputs once; what is added to is read as well, and batch normalisation's
 * backward pass reads its inputs twice. FLOPs are those of convolutions and products.
 */
st_traffic st_traffic_of(const rn_plan *plan);

#endif
