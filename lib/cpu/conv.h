/* SPDX-License-Identifier: MIT */
/* What the convolution drivers and their reference loops share. */
#ifndef RNI_CPU_CONV_H
#define RNI_CPU_CONV_H

#include "cpu/cpu.h"

/* One convolution op of one run. Which pointers are set depends on its kind. */
typedef struct rni_conv {
    const rni_cpu_call *call;
    const rn_conv_params *p;
    int64_t batch;
    int64_t in_per_group, out_per_group; /* channels */
    uint32_t flags;
    const void *x, *w, *dy;            /* w: packed */
    const void *bias, *residual;       /* NULL: none */
    void *y, *dx, *mean, *var;
    float *dw;
} rni_conv;


static inline int64_t rni_conv_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t rni_conv_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t rni_conv_divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Reference: plain loops, sums in double. Packed weights are [O][kh][kw][I/g], for data gradients [I][kh][kw][O/g]. */
typedef struct rni_conv_reference {
    void (*pack)(const rn_conv_params *p, int backward_data, const float *w, const void *scale, void *packed);
    rn_status (*forward)(const rni_conv *c);
    rn_status (*backward_data)(const rni_conv *c);
    rn_status (*backward_filter)(const rni_conv *c);
} rni_conv_reference;

extern const rni_conv_reference rni_conv_reference_f32, rni_conv_reference_f64;

#endif
