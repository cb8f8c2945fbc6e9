/* SPDX-License-Identifier: MIT */
/* Convolutions by plain loops, sums in double, for the simulated cuDNN. */
#ifndef RNI_SIMULATOR_CONVOLVE_H
#define RNI_SIMULATOR_CONVOLVE_H

#include "dnn/shape.h"

/* Addresses of a plan's tensors; NULL where it has none. */
typedef struct convolve_tensors {
    void *x, *w, *y, *bias, *residual;
    void *totals, *squares; /* f32 per output channel */
    void *scale, *shift; /* per input channel */
} convolve_tensors;

/* 0, or -1 when the host has no memory for it. */
int convolve(const rni_dnn_shape *shape, const convolve_tensors *tensors);

#endif
