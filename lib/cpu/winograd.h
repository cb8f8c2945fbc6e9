/* SPDX-License-Identifier: MIT */
/* Winograd convolutions: when they are taken, packed weights, forward and data gradients, filter gradients. */
#ifndef RNI_CPU_WINOGRAD_H
#define RNI_CPU_WINOGRAD_H

#include "cpu/conv.h"

/* Whether a convolution, its data gradient or its filter's gradient is done so. Decided by params, flags and the level. */
int rni_winograd_suits(const rni_conv_kernels *k, const rn_conv_params *p, uint32_t flags);
int rni_winograd_suits_filter(const rni_conv_kernels *k, const rn_conv_params *p);

/* Planes start so many bytes later than their size says, at different cache sets. */
enum { RNI_WINOGRAD_GAP = 64 };

/* A convolution with `channels` summed over, `outs` produced; forward, or backwards over the gradient. */
typedef struct rni_winograd_pass {
    const rni_winograd_form *form;
    rni_winograd g;
    int64_t group_images, group_rows; /* what a task takes: so many images, or so many tile rows of one */
    int64_t groups;                   /* per image when a group is of one image */
    int64_t span_tiles;               /* tiles of the largest group */
    int64_t parts;                    /* tasks per group, by channels */
    int64_t vectors, blocks;          /* of outs */
} rni_winograd_pass;

/* Cuts the images into groups of about so many tiles. */
void rni_winograd_cut(rni_winograd_pass *pass, int64_t tiles, int64_t batch);
int64_t rni_winograd_groups(const rni_winograd_pass *pass, int64_t batch);
rni_winograd_span rni_winograd_span_of(const rni_winograd_pass *pass, int64_t batch, int64_t group);
/* Pixels of the output that a span covers, which lie one after the other. */
int64_t rni_winograd_pixels(const rni_winograd_pass *pass, const rni_winograd_span *s);
/* First and last element that a span reads, as far as the image goes. */
void rni_winograd_reads(const rni_winograd_pass *pass, const rni_winograd_span *s, int64_t *first, int64_t *last);
/* Cache lines of so many elements of a size for each plane. */
int64_t rni_winograd_lines(const rni_winograd_form *form, int64_t elements, int64_t size);
/* Channels filled up to whole vectors. */
int64_t rni_winograd_padded(int64_t channels, int64_t lanes);
/* Elements from one plane to the next. */
int64_t rni_winograd_plane(int64_t elements, int64_t size);

/* The form that forward convolutions and data gradients take. */
const rni_winograd_form *rni_winograd_form_of(const rni_conv_kernels *k, const rn_conv_params *p);
rni_winograd_pass rni_winograd_pass_of(const rni_conv_kernels *k, const rni_winograd_form *form, const rn_conv_params *p,
                                       int backward_data);
/*
 * Packed weights: transformed, [block][plane][channel][vectors of lanes]; many of floats only as taps,
 * [block][vector][channel][9 taps][lanes], which a task transforms when it needs them: 36 numbers instead of nine would
 * take longer to read and four times the memory. The 16 of bf16 take less than nine floats.
 */
int rni_winograd_keeps_taps(const rni_winograd_form *form, const rn_conv_params *p);
/* Elements from one plane of a block's transformed weights to the next. */
int64_t rni_winograd_weight_plane(const rni_winograd_form *form, int64_t channels, int64_t width);
/* A block of the packed weights. */
const void *rni_winograd_block_of(const rni_winograd_form *form, const rn_conv_params *p, const void *packed,
                                  const rni_conv_slice *slice, int64_t block, int64_t channels);
/* Transforms the taps of a block, for the form of floats. */
void rni_winograd_transform(const rni_conv_kernels *k, const float *taps, int64_t channels, int32_t vectors,
                            int backward_data, float *u);
uint64_t rni_winograd_packed_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data);
rn_status rni_winograd_pack(const rni_cpu_call *call, const rni_conv_kernels *k, int backward_data, const float *w,
                            const float *scale, void *packed);
/* `threads`: tasks that may run at once, each in memory of its own. */
uint64_t rni_winograd_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data, int stats,
                            int64_t batch, int32_t threads);
rn_status rni_winograd_forward(const rni_conv *c, const rni_conv_kernels *k);
rn_status rni_winograd_backward_data(const rni_conv *c, const rni_conv_kernels *k);
uint64_t rni_winograd_filter_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch, int32_t threads);
rn_status rni_winograd_backward_filter(const rni_conv *c, const rni_conv_kernels *k);

#endif
