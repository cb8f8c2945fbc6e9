/* SPDX-License-Identifier: MIT */
/* 16 registers: up to 8 sums, the rest for halves of weights and inputs. */
#define RNI_BF16
#include "cpu/conv_kernels.h"

enum { MAX_PIXELS = 8, MAX_VECTORS = 2, MAX_CHANNELS = 8 };
#define LIST_1 UP_TO_8
#define LIST_2 UP_TO_4
#define WINDOWS_2 UP_TO_4
#include "cpu/vec/conv_bf16.h"

CONV_KERNELS_BF16(rni_conv_kernels_avx2_bf16, rni_winograd_products_avx2)
