/* SPDX-License-Identifier: MIT */
/* One convolution of the CPU backend alone: an op with random operands that can be run again and again. */
#ifndef CONV_CASE_H
#define CONV_CASE_H

#include <resnet/sys/backend.h>

/* Images, channels, height and width, window. */
typedef struct conv_shape {
    int32_t images, in, out, size, kernel, stride, padding;
} conv_shape;

/* Layers of the CIFAR nets at batch 100 and of the ImageNet nets at batch 16. */
extern const conv_shape conv_shapes[];
extern const int conv_shape_count;

enum { CONV_FORWARD, CONV_BACKWARD_DATA, CONV_BACKWARD_FILTER, CONV_DIRECTIONS };
extern const char *const conv_direction_names[CONV_DIRECTIONS]; /* "fwd", "bwd_data", "bwd_filter" */

typedef struct conv_setup {
    conv_shape shape;
    int32_t direction, threads;
    rn_dtype dtype; /* RN_F32 or RN_BF16, of images and packed weights */
    int32_t direct; /* 1: no Winograd */
    char level[16]; /* kernel level; "": the highest there is */
} conv_setup;

rn_conv_params conv_params_of(const conv_shape *shape, int direct);
/* Whether there is an output, and sizes are positive. */
int conv_shape_valid(const conv_shape *shape);

typedef struct conv_case conv_case;
/* NULL and a line of text when the backend cannot. Weights are packed already. */
conv_case *conv_case_open(const conv_setup *setup, char message[300]);
void conv_case_close(conv_case *c);
/* One run; ends the program when it fails. `c` is a conv_case. */
void conv_case_run(void *c);
/* "avx512", ... : what the kernels run at. And as a number. */
const char *conv_case_level(const conv_case *c);
int conv_case_level_number(const conv_case *c);

#endif
