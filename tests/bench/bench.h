/* SPDX-License-Identifier: MIT */
/* What the programs of this folder share: time, order statistics, counts of operations. */
#ifndef BENCH_H
#define BENCH_H

#include "plan/internal.h"
#include <stddef.h>
#include <stdint.h>

/* Ends the program with the library's message when a call failed. */
#define BENCH_CHECK(call)                                                                                              \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            bench_die(rn_error_message());                                                                             \
    } while (0)

void bench_die(const char *message);

/* Seconds of a clock that never jumps. */
double bench_now(void);
void bench_sleep(double seconds);

/* Order statistics: extremes, quartiles and the middle. */
typedef struct bench_spread {
    double smallest, quarter, median, three_quarters, largest;
} bench_spread;

/* Sorts them. count >= 1. */
bench_spread bench_spread_of(double *values, int count);

/* The value of a flag, a whole number from `least` to `most`; else says so for the program and exits with 2. */
int bench_number(const char *program, const char *flag, const char *text, int least, int most);

/* Seconds per call over at least `seconds`; one call more before the clock starts. */
double bench_time(void (*run)(void *arg), void *arg, double seconds);

/* Most bytes that this process has had in memory so far. */
long long bench_peak_rss(void);

/*
 * Processor seconds that everything but this process has used since the machine started, and the share of all
 * processors that this is since an earlier moment. 0 where /proc/stat is missing; its clock is coarse, so that a short
 * time can give less than 0.
 */
typedef struct bench_moment {
    double wall, foreign;
} bench_moment;
bench_moment bench_moment_now(void);
double bench_foreign_share(const bench_moment *since);

/* "fp32" or "bf16" to RN_F32 or RN_BF16; ends the program for another. */
rn_dtype bench_dtype(const char *name);
const char *bench_dtype_name(rn_dtype dtype);

/*
 * Floating-point operations of a direct convolution or a matrix product, whatever algorithm computes it. `real` leaves
 * out the taps that fall into the padding, `nominal` counts them.
 */
typedef struct bench_flops {
    double real, nominal;
} bench_flops;

/* The same for forward, data gradient and filter gradient. */
bench_flops bench_conv_flops(const rn_conv_params *p, double images);
/* Of one run of all the plan's ops with its largest batch. */
bench_flops bench_plan_flops(const rn_plan *plan);

#endif
