/* SPDX-License-Identifier: MIT */
/* The f32 kernels of one level: written once over vec.h, compiled per level. */
#include "cpu/vec/activations.h"
#include "cpu/vec/linear.h"
#include "cpu/vec/transpose.h"
#include "cpu/vec/update.h"

static void fill_table(struct rni_cpu_kernels *k)
{
    rni_typed_kernels *const f = &k->f32;
    fill_activations(f);
    f->scale = scale;
    f->sum_squares = sum_squares;
    f->linear = linear;
    f->linear_data = linear_data;
    f->linear_filter = linear_filter;
    f->transpose = transpose;
    k->update.sgd = sgd;
    k->update.adam = adam;
    k->update.lerp = lerp;
}
