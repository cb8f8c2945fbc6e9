/* SPDX-License-Identifier: MIT */
/* The points of Winograd's transforms: 0, a, -a, b, -b and infinity. */
#ifndef RNI_CPU_VEC_WINOGRAD_POINTS_H
#define RNI_CPU_VEC_WINOGRAD_POINTS_H

#include "cpu/vec/conv_vector.h"
#include "cpu/winograd_kernels.h"

#define POINT_A (2.0f / 3.0f)
#define POINT_B (3.0f / 2.0f)
#define POINT_A2 (4.0f / 9.0f)
#define POINT_B2 (9.0f / 4.0f)
#define POINT_S (97.0f / 36.0f)

#endif
