/* SPDX-License-Identifier: MIT */
/* Dropout (Srivastava et al. 2014), inverted: kept elements are times 1/(1-p). Backward is the same op on dy. */
#include "base/rng.h"
#include "ops/operands.h"
#include "cpu/driver.h"

enum { TASK_ELEMENTS = 4096 }; /* a multiple of 4: elements of one Philox block stay together */

typedef struct dropout_task {
    const rni_typed_kernels *kernels;
    rni_dropout dropout;
    const void *x;
    void *y;
    size_t count;
} dropout_task;

static rn_status query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return rni_ops_check_dropout(op, values);
}

static void piece(void *arg, size_t index)
{
    const dropout_task *const t = arg;
    const size_t first = index * TASK_ELEMENTS;
    t->kernels->dropout(&t->dropout, t->x, t->y, first, rni_min_size(first + TASK_ELEMENTS, t->count));
}

static rn_status run(const rni_cpu_call *c)
{
    const rn_dropout_params *const p = c->op->params;
    const rn_value *const x = rni_cpu_in_value(c, 0);
    const int nhwc = x->layout == RN_LAYOUT_NHWC;
    dropout_task t = {.kernels = rni_cpu_typed(c, x->dtype), .x = rni_cpu_in(c, 0), .y = rni_cpu_out(c, 0)};
    t.dropout = (rni_dropout){.seed = c->run->seed,
                              .stream = RNI_STREAM_DROPOUT + p->stream,
                              .step = (uint32_t)c->run->step,
                              .p = p->p,
                              .factor = p->p < 1 ? 1 / (1 - p->p) : 0,
                              .channels = nhwc ? (size_t)x->dims[1] : 1,
                              .pixels = nhwc ? rni_cpu_pixels(x) : 1};
    t.count = rni_cpu_count(c, x);
    return rni_cpu_for(c, piece, &t, rni_ceil_div(t.count, TASK_ELEMENTS), t.count * 4);
}

const rni_cpu_driver rni_cpu_dropout = {query, run, RNI_BF16_WIDENED};
