/* SPDX-License-Identifier: MIT */
/* What the convolution drivers, the plain loops and the fast path share. */
#ifndef RNI_CPU_CONV_H
#define RNI_CPU_CONV_H

#include "cpu/conv_kernels.h"
#include "cpu/driver.h"

/* One convolution op of one run. Which pointers are set depends on its kind. */
typedef struct rni_conv {
    const rni_cpu_call *call;
    const rn_conv_params *p;
    int64_t batch;
    int64_t in_per_group, out_per_group; /* channels */
    int64_t in_pixel; /* forward: elements between pixels of x that overlap; 0: they do not */
    uint32_t flags;
    const void *x, *w, *dy;        /* w: packed */
    const void *bias, *residual;   /* NULL: none */
    void *y, *dx, *mean, *var;
    float *dw;
    void *workspace;
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

/* The fast path's kernels of a level for activations of a type; NULL when there are none and the reference serves it. */
const rni_conv_kernels *rni_conv_kernels_of(int32_t level, int32_t dtype);

/*
 * conv_part.c. The passes of the fast path: a forward convolution is one, a data gradient with stride is one for each
 * remainder of the position by the stride, each a stride-1 convolution of dy with the taps that can reach it.
 */
typedef struct rni_conv_pass {
    const rni_conv_kernels *k;
    const rn_conv_params *p;
    int backward_data;
    int64_t sums, outs;       /* channels summed over and produced, per group */
    int64_t packed;           /* sums filled up to whole steps, as packed weights are */
    int64_t vectors, blocks;  /* of outs, per group */
    int64_t parts;
    int triple;               /* weights laid out for the three-tap kernel */
    int64_t in_pixel;         /* elements between pixels of x; forward */
} rni_conv_pass;

typedef struct rni_conv_part {
    rni_conv_windows g;
    int64_t tap[2], tap_step[2]; /* the kernel's tap of window tap 0, and from one to the next */
    int64_t out_height;
    int64_t out_offset;          /* from an image's first element */
    int64_t weights;             /* elements of packed weights before this part's */
} rni_conv_part;

rni_conv_pass rni_conv_pass_of(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data);
rni_conv_part rni_conv_part_of(const rni_conv_pass *pass, int64_t index);
/* Elements of all packed weights. */
int64_t rni_conv_packed_count(const rni_conv_pass *pass);
/* A group's block: its first output channel in the group, vectors, channels in the last vector. */
typedef struct rni_conv_slice {
    int64_t group, first;
    int32_t vectors, tail;
    int64_t lane; /* lanes of all vectors before it */
} rni_conv_slice;
rni_conv_slice rni_conv_slice_of(int64_t outs, int32_t lanes, int32_t max_vectors, int64_t index);

/* conv_pack.c, conv_windows.c, conv_filter.c */
rn_status rni_conv_fast_pack(const rni_cpu_call *call, const rni_conv_pass *pass, const float *w, const float *scale,
                             void *packed);
uint64_t rni_conv_stats_bytes(const rni_conv_pass *pass, int64_t batch);
rn_status rni_conv_fast_forward(const rni_conv *c, const rni_conv_kernels *k);
rn_status rni_conv_fast_backward_data(const rni_conv *c, const rni_conv_kernels *k);
uint64_t rni_conv_filter_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch);
rn_status rni_conv_fast_backward_filter(const rni_conv *c, const rni_conv_kernels *k);

#endif
