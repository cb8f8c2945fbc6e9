/* SPDX-License-Identifier: MIT */
/* The reference kernels in the type T: plain loops to be checked against the formulas; sums are double. */
#include "base/rng.h"
#include "cpu/kernels.h"
#include "cpu/pool_window.h"
#include <math.h>

#include "cpu/ref/norm.h"
#include "cpu/ref/elementwise.h"
#include "cpu/ref/pool.h"
#include "cpu/ref/linear.h"
#include "cpu/ref/loss.h"

static void fill_table(rni_typed_kernels *k)
{
    *k = (rni_typed_kernels){
        .sum = sum,
        .moments = moments,
        .affine = affine,
        .bn_reduce = bn_reduce,
        .bn_dx = bn_dx,
        .relu = relu,
        .relu_backward = relu_backward,
        .add = add,
        .scale = scale,
        .sum_squares = sum_squares,
        .maxpool = maxpool,
        .avgpool = avgpool,
        .maxpool_backward = maxpool_backward,
        .avgpool_backward = avgpool_backward,
        .linear = linear,
        .linear_data = linear_data,
        .linear_filter = linear_filter,
        .transpose = transpose,
        .softmax = softmax,
        .softmax_backward = softmax_backward,
        .cross_entropy = cross_entropy,
        .soft_cross_entropy = soft_cross_entropy,
        .squared_error = squared_error,
        .dropout = dropout,
    };
}
