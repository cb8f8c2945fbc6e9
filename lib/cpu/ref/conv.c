/* SPDX-License-Identifier: MIT */
#include "cpu/conv.h"

#define T float
#define NAME(name) name##_f32
#include "cpu/ref/conv_loops.h"
#undef T
#undef NAME

#define T double
#define NAME(name) name##_f64
#include "cpu/ref/conv_loops.h"
