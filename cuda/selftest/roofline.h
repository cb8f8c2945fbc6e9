/* SPDX-License-Identifier: MIT */
/* What a training step must move and compute at least, counted from its program. */
#ifndef SELFTEST_ROOFLINE_H
#define SELFTEST_ROOFLINE_H

#include <resnet/plan.h>

typedef struct st_traffic {
    double bytes, flops;
    int ops;
} st_traffic;

/* As lib/program/traffic.h counts, for the largest batch. */
st_traffic st_traffic_of(const rn_plan *plan);

#endif
