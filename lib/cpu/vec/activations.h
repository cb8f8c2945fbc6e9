/* SPDX-License-Identifier: MIT */
/* The kernels of activations for one level and element type; see elem.h. */
#include "cpu/kernels.h"
#include "cpu/pool_window.h"
#include "cpu/vec/elem.h"
#include <math.h>
#include <string.h>

#include "cpu/vec/elementwise.h"
#include "cpu/vec/norm.h"
#include "cpu/vec/pool.h"

static void fill_activations(rni_typed_kernels *k)
{
    k->sum = sum;
    k->moments = moments;
    k->affine = affine;
    k->bn_reduce = bn_reduce;
    k->bn_dx = bn_dx;
    k->relu = relu;
    k->relu_backward = relu_backward;
    k->add = add;
    k->maxpool = maxpool;
    k->avgpool = avgpool;
    k->maxpool_backward = maxpool_backward;
    k->avgpool_backward = avgpool_backward;
}
