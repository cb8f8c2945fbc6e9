/* SPDX-License-Identifier: MIT */
/* Elementwise work over flat arrays: ReLU, addition, zeroing. */
#include "base/error.h"
#include "cpu/driver.h"
#include <string.h>

typedef struct flat_task {
    const rni_typed_kernels *kernels;
    const rni_cpu_call *call;
    size_t count, size;
    const void *a, *b;
    void *y;
} flat_task;

/* The piece `index` of the arrays. */
typedef struct piece {
    const void *a, *b;
    void *y;
    size_t n;
} piece;

static piece piece_of(const flat_task *t, size_t index)
{
    const size_t first = index * RNI_FLAT_CHUNK;
    return (piece){rni_at_const(t->a, first, t->size), rni_at_const(t->b, first, t->size), rni_at(t->y, first, t->size),
                   rni_min_size(RNI_FLAT_CHUNK, t->count - first)};
}

static void relu_piece(void *arg, size_t index)
{
    const flat_task *const t = arg;
    const piece p = piece_of(t, index);
    t->kernels->relu(p.y, p.a, p.n);
}

static void relu_backward_piece(void *arg, size_t index)
{
    const flat_task *const t = arg;
    const piece p = piece_of(t, index);
    t->kernels->relu_backward(p.y, p.a, p.b, p.n);
}

static void add_piece(void *arg, size_t index)
{
    const flat_task *const t = arg;
    const piece p = piece_of(t, index);
    t->kernels->add(p.y, p.a, p.b, p.n, (t->call->op->flags & RN_OPF_RELU) != 0);
}

static rn_status run_flat(const rni_cpu_call *c, rn_task_fn task, const void *a, const void *b, void *y)
{
    const rn_value *const v = rni_cpu_in_value(c, 0);
    flat_task t = {rni_cpu_typed(c, v->dtype), c, rni_cpu_count(c, v), rn_dtype_size(v->dtype), a, b, y};
    return rni_cpu_for(c, task, &t, rni_ceil_div(t.count, RNI_FLAT_CHUNK), t.count);
}

static rn_status relu_run(const rni_cpu_call *c)
{
    return run_flat(c, relu_piece, rni_cpu_in(c, 0), NULL, rni_cpu_out(c, 0));
}

static rn_status relu_backward_run(const rni_cpu_call *c)
{
    return run_flat(c, relu_backward_piece, rni_cpu_in(c, 0), rni_cpu_in(c, 1), rni_cpu_out(c, 0));
}

static rn_status add_run(const rni_cpu_call *c)
{
    return run_flat(c, add_piece, rni_cpu_in(c, 0), rni_cpu_in(c, 1), rni_cpu_out(c, 0));
}

static rn_status accumulate_run(const rni_cpu_call *c)
{
    return run_flat(c, add_piece, rni_cpu_in(c, 0), rni_cpu_out(c, 0), rni_cpu_out(c, 0));
}

const rni_cpu_driver rni_cpu_relu = {NULL, relu_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_relu_backward = {NULL, relu_backward_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_add = {NULL, add_run, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_accumulate = {NULL, accumulate_run, RNI_BF16_AVX2};

enum { FILL_CHUNK = 1 << 18 };

typedef struct fill_task {
    char *bytes;
    size_t count;
} fill_task;

static void fill_piece(void *arg, size_t index)
{
    const fill_task *const t = arg;
    const size_t first = index * FILL_CHUNK;
    memset(t->bytes + first, 0, rni_min_size(FILL_CHUNK, t->count - first));
}

static rn_status fill_run(const rni_cpu_call *c)
{
    fill_task t = {rni_cpu_out(c, 0), (size_t)rni_cpu_out_value(c, 0)->bytes};
    return rni_cpu_for(c, fill_piece, &t, rni_ceil_div(t.count, FILL_CHUNK), t.count);
}

const rni_cpu_driver rni_cpu_fill = {NULL, fill_run, RNI_BF16_ALWAYS};
