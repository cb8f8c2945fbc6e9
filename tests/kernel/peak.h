/* SPDX-License-Identifier: MIT */
/* What this machine can do at best, measured now, for --bench to compare with. */
#ifndef PEAK_H
#define PEAK_H

#include "op_runner.h"

/* f32 multiply-adds of a kernel level on all threads, in GFLOP/s; 0 when the compiler has no such level. */
double oc_peak_flops(oc_host *host, int level);
/* Bytes read and written by copying memory that no cache holds, in GB/s. */
double oc_peak_bandwidth(oc_host *host);

#endif
