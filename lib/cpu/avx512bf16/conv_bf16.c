/* SPDX-License-Identifier: MIT */
/* 32 registers: up to 28 sums, the rest for weights and inputs. */
#define RNI_BF16
#include "cpu/conv_kernels.h"

enum { MAX_PIXELS = 16, MAX_VECTORS = 2, MAX_CHANNELS = 16 };
#define LIST_1 UP_TO_16
#define LIST_2 UP_TO_12
#define WINDOWS_2 UP_TO_14
#include "cpu/vec/conv_bf16.h"

CONV_KERNELS_BF16(rni_conv_kernels_avx512bf16, rni_winograd_products_avx512)
