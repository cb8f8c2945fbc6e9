/* SPDX-License-Identifier: MIT */
/* The f32 kernels of one level: written once over vec.h, compiled per level. */
#include "cpu/kernels.h"
#include "cpu/pool_window.h"
#include "cpu/vec/elem.h"
#include <math.h>
#include <string.h>

#include "cpu/vec/elementwise.h"
#include "cpu/vec/linear.h"
#include "cpu/vec/norm.h"
#include "cpu/vec/pool.h"
#include "cpu/vec/transpose.h"
#include "cpu/vec/update.h"

static void fill_table(struct rni_cpu_kernels *k)
{
    rni_typed_kernels *const f = &k->f32;
    f->sum = sum;
    f->moments = moments;
    f->affine = affine;
    f->bn_reduce = bn_reduce;
    f->bn_dx = bn_dx;
    f->relu = relu;
    f->relu_backward = relu_backward;
    f->add = add;
    f->scale = scale;
    f->sum_squares = sum_squares;
    f->maxpool = maxpool;
    f->avgpool = avgpool;
    f->maxpool_backward = maxpool_backward;
    f->avgpool_backward = avgpool_backward;
    f->linear = linear;
    f->linear_data = linear_data;
    f->linear_filter = linear_filter;
    f->transpose = transpose;
    k->update.sgd = sgd;
    k->update.adam = adam;
}
