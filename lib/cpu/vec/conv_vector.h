/* SPDX-License-Identifier: MIT */
/* What the convolution kernels add to vec.h: loops that are unrolled until their sums stay in registers. */
#ifndef RNI_CPU_VEC_CONV_VECTOR_H
#define RNI_CPU_VEC_CONV_VECTOR_H

#include "cpu/vec/factor.h"

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

/* X(n, a, b) for n from 1 on. */
#define UP_TO_4(X, a, b) X(1, a, b) X(2, a, b) X(3, a, b) X(4, a, b)
#define UP_TO_6(X, a, b) UP_TO_4(X, a, b) X(5, a, b) X(6, a, b)
#define UP_TO_8(X, a, b) UP_TO_6(X, a, b) X(7, a, b) X(8, a, b)
#define UP_TO_12(X, a, b) UP_TO_8(X, a, b) X(9, a, b) X(10, a, b) X(11, a, b) X(12, a, b)
#define UP_TO_14(X, a, b) UP_TO_12(X, a, b) X(13, a, b) X(14, a, b)
#define UP_TO_16(X, a, b) UP_TO_14(X, a, b) X(15, a, b) X(16, a, b)

#endif
