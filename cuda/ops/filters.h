/* SPDX-License-Identifier: MIT */
/* Lists of filters for kernels/filters.cu, kept on the device. */
#ifndef RNI_CUDA_OPS_FILTERS_H
#define RNI_CUDA_OPS_FILTERS_H

#include "cuda.h"
#include "kernels/kernels.h"

/* Zeroed, it is empty. */
typedef struct rni_filters {
    rni_filters_part *parts; /* on the host; one more than count */
    rni_filters_part *on_device;
    uint32_t count;
} rni_filters;

/* Parts of a list at most: a launch has blocks for as many. */
enum { RNI_FILTERS_MOST_PARTS = 2000 };

/* 0: too large for a list; rni_k_filter_pack() and rni_k_filter_add() take them. */
int rni_filters_serve(const rn_conv_params *params);

/* Room for so many parts. RN_E_NOMEM. */
rn_status rni_filters_start(rni_cuda_device *device, uint32_t count, rni_filters *out);
/* Sets a part; in order. Addresses are bytes from the arrays' beginnings; `scale` may be RNI_FILTERS_NO_SCALE. */
void rni_filters_set(rni_filters *list, uint32_t index, const rn_conv_params *params, uint64_t plain, uint64_t packed,
                     uint64_t scale);
/* To the device. */
rn_status rni_filters_upload(rni_cuda_device *device, rni_filters *list);
void rni_filters_release(rni_cuda_device *device, rni_filters *list);

/* The blocks of parts first..first + count - 1. */
rni_filters_run rni_filters_of(const rni_filters *list, uint32_t first, uint32_t count);

#endif
