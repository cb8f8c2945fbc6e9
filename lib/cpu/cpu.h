/* SPDX-License-Identifier: MIT */
/* The CPU device and how its op drivers are called. */
#ifndef RNI_CPU_H
#define RNI_CPU_H

#include <resnet/sys/backend.h>
#include <resnet/sys/cpu.h>

typedef struct rni_cpu_kernels rni_cpu_kernels;

enum { RNI_CPU_LEVELS = RN_CPU_AVX512BF16 + 1 };

/* The device. */
typedef struct rni_cpu {
    const rn_host_api *host;
    int32_t level;          /* of programs made from now on */
    const rni_cpu_kernels *kernels[RNI_CPU_LEVELS]; /* by level; the table of a level the processor lacks is the one below */
} rni_cpu;

/* One op of one run. */
typedef struct rni_cpu_call {
    const rni_cpu *cpu;
    const rni_cpu_kernels *kernels; /* of the program's level */
    int32_t level;
    const rn_op *op;
    const rn_value *values;
    const rn_run *run;
} rni_cpu_call;

/* Runs an op. All arguments were checked by op_query; what can still fail is what data decide (labels). */
typedef rn_status (*rni_cpu_run_fn)(const rni_cpu_call *call);
/* Says whether and with what memory an op runs. info is zeroed with in_place -1. */
typedef rn_status (*rni_cpu_query_fn)(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info);

/*
 * From which level on a driver computes bf16 itself. Below, and without a level, operands of bf16 are widened (widen.h). Those
 * of f16 are at every level, but for the drivers of ALWAYS, which move elements.
 */
enum { RNI_BF16_WIDENED = 0, RNI_BF16_AVX2 = RN_CPU_AVX2, RNI_BF16_ALWAYS = -1 };

typedef struct rni_cpu_driver {
    rni_cpu_query_fn query;
    rni_cpu_run_fn run;
    int32_t bf16;
} rni_cpu_driver;

static inline const rn_value *rni_cpu_in_value(const rni_cpu_call *c, uint32_t i)
{
    return i < c->op->num_in && c->op->in[i] != RN_NO_VALUE ? &c->values[c->op->in[i]] : NULL;
}

static inline const rn_value *rni_cpu_out_value(const rni_cpu_call *c, uint32_t i)
{
    return i < c->op->num_out && c->op->out[i] != RN_NO_VALUE ? &c->values[c->op->out[i]] : NULL;
}

static inline void *rni_cpu_address(const rni_cpu_call *c, const rn_value *v)
{
    return v ? (char *)c->run->base[v->role] + v->offset : NULL;
}

/* NULL for an absent operand. */
static inline const void *rni_cpu_in(const rni_cpu_call *c, uint32_t i)
{
    return rni_cpu_address(c, rni_cpu_in_value(c, i));
}

static inline void *rni_cpu_out(const rni_cpu_call *c, uint32_t i)
{
    return rni_cpu_address(c, rni_cpu_out_value(c, i));
}

static inline void *rni_cpu_workspace(const rni_cpu_call *c)
{
    return c->op->workspace == RN_NO_VALUE ? NULL : rni_cpu_address(c, &c->values[c->op->workspace]);
}

static inline rn_status rni_cpu_parallel(const rni_cpu_call *c, rn_task_fn task, void *arg, size_t count)
{
    return c->cpu->host->parallel(c->cpu->host->host, task, arg, count);
}

/* Drivers of the convolution family (conv.c): RN_OP_PACK, CONV_FORWARD, CONV_BACKWARD_DATA, CONV_BACKWARD_FILTER. */
extern const rni_cpu_driver rni_cpu_pack, rni_cpu_conv_forward, rni_cpu_conv_backward_data,
    rni_cpu_conv_backward_filter;

#endif
