/* SPDX-License-Identifier: MIT */
/* Tiles are smaller than 32 registers allow: without dot products bf16 saves memory but not time, and code should be small. */
#define RNI_BF16
#include "cpu/conv_kernels.h"

enum { MAX_PIXELS = 16, MAX_VECTORS = 2, MAX_CHANNELS = 16 };
#define LIST_1 UP_TO_8
#define LIST_2 UP_TO_6
#define WINDOWS_2 UP_TO_6
#include "cpu/vec/conv_bf16.h"

CONV_KERNELS_BF16(rni_conv_kernels_avx512_bf16, rni_winograd_products_avx512)
