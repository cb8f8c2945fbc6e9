/* SPDX-License-Identifier: MIT */
/* The launcher of augment.cu: batches of images that lie on the device. */
#ifndef RNI_CUDA_AUGMENT_H
#define RNI_CUDA_AUGMENT_H

#include "cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Steps are handed over with the launch. */
enum { RNI_AUGMENT_STEPS = 8 };

/* Operands of RN_OP_AUGMENT. */
typedef struct rni_k_augment {
    const uint8_t *images;
    const int64_t *labels, *order, *key;
    const float *table, *fill, *mean, *after; /* mean: NULL for none */
    void *x;
    int64_t *y;
    int64_t rows;
    int32_t channels, in_height, in_width, out_height, out_width, mean_height, mean_width;
    int32_t num_after, nhwc, dtype, processors, num_steps;
    rn_augment_step steps[RNI_AUGMENT_STEPS];
} rni_k_augment;
cudaError_t rni_k_augment_rows(cudaStream_t stream, const rni_k_augment *a);

#ifdef __cplusplus
}
#endif

#endif
