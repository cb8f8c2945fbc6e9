/* SPDX-License-Identifier: MIT */
/* Which tile of the kernels that multiply in f32, without tensor cores, serves a convolution. */
#ifndef RNI_CUDA_OPS_CONV_F32_H
#define RNI_CUDA_OPS_CONV_F32_H

#include "kernels/kernels.h"

/* A tile: pixels x channels forward and backward data, outputs x terms (taps x channels) of the filter gradient. */
typedef struct rni_f32_tile {
    int32_t rows, columns, threads;
    int32_t single; /* reads single terms, so that x may have any channels; not for backward data */
    int32_t halves; /* filter: takes operands of 16 bits, too */
    float efficiency; /* the share of the peak that it comes to where there are blocks enough */
} rni_f32_tile;

/* By number of the kernels' launchers. */
enum { RNI_F32_GATHER_TILES = 12, RNI_F32_FILTER_TILES = 6 };
const rni_f32_tile *rni_f32_tiles(int32_t kind, int32_t *count);

/* 1: tile `number` can compute it. kind: RN_OP_CONV_FORWARD, RN_OP_CONV_BACKWARD_DATA, RN_OP_CONV_BACKWARD_FILTER. */
int rni_f32_serves(int32_t kind, int32_t dtype, const rni_conv_shape *shape, int32_t number);
/* 1: cuDNN measured is faster: Winograd's way takes fewer products, and tensor cores are fast where there are many channels. */
int rni_f32_prefers_dnn(const rn_conv_params *params, int32_t kind, int32_t dtype, int64_t images);
/* Shares of the pixels that filter tile `number` should take: few, and so that the last blocks do not wait for few others. */
int32_t rni_f32_shares(const rni_conv_shape *shape, int32_t number, int32_t processors, int64_t most);
/* The tile that should be the fastest on so many processors; -1: none serves. */
int32_t rni_f32_choose(int32_t kind, int32_t dtype, const rni_conv_shape *shape, int32_t processors);

#endif
