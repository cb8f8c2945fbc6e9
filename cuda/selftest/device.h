/* SPDX-License-Identifier: MIT */
/* A device as CUDA's own calls tell of it. */
#ifndef SELFTEST_DEVICE_H
#define SELFTEST_DEVICE_H

#include <stdint.h>

/* What a device can do at most, and where from; all zero when CUDA's runtime sees no such device. */
typedef struct st_limits {
    double bytes_per_second;
    double f32_flops, half_flops;
    char derivation[240];
} st_limits;

void st_limits_of(int32_t device, st_limits *out);

#endif
