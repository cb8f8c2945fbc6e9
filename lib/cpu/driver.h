/* SPDX-License-Identifier: MIT */
/* What the op drivers share. */
#ifndef RNI_CPU_DRIVER_H
#define RNI_CPU_DRIVER_H

#include "base/f16.h"
#include "base/half.h"
#include "cpu/bf16.h"
#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include <stddef.h>

/* Below so many elements an op runs on the calling thread alone. */
enum { RNI_SERIAL_ELEMENTS = 16384 };

/* Elements per chunk of flat work. Chunks depend on the problem only, so that sums have the same bits with any threads. */
enum { RNI_FLAT_CHUNK = 16384 };

static inline size_t rni_ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static inline size_t rni_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Images of a value in this run: dims[0], or the run's batch. */
size_t rni_cpu_images(const rni_cpu_call *c, const rn_value *v);
/* Elements of a value in this run. */
size_t rni_cpu_count(const rni_cpu_call *c, const rn_value *v);
/* Elements per image and channel: the product of dims from 2 on. */
size_t rni_cpu_pixels(const rn_value *v);
/* Elements of a value at its largest. */
size_t rni_cpu_capacity(const rn_value *v);

/* The call's kernels for an element type. */
const rni_typed_kernels *rni_cpu_typed(const rni_cpu_call *c, int32_t dtype);

/* task(arg, i) for all i, in parallel when there are enough elements to share. */
rn_status rni_cpu_for(const rni_cpu_call *c, rn_task_fn task, void *arg, size_t count, size_t elements);

/* Single elements of f32, f64, bf16 or f16 arrays. */
static inline double rni_get(int32_t dtype, const void *p, size_t i)
{
    if (dtype == RN_BF16)
        return (double)rni_bf16_value(((const uint16_t *)p)[i]);
    if (dtype == RN_F16)
        return (double)rni_f16_value(((const uint16_t *)p)[i]);
    return dtype == RN_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static inline void rni_set(int32_t dtype, void *p, size_t i, double v)
{
    if (dtype == RN_F64)
        ((double *)p)[i] = v;
    else if (dtype == RN_BF16)
        ((uint16_t *)p)[i] = rni_bf16_of((float)v);
    else if (dtype == RN_F16)
        ((uint16_t *)p)[i] = rni_f16_round((float)v);
    else
        ((float *)p)[i] = (float)v;
}

/* Address of element i. */
static inline void *rni_at(void *p, size_t i, size_t element_size)
{
    return p ? (char *)p + i * element_size : NULL;
}

static inline const void *rni_at_const(const void *p, size_t i, size_t element_size)
{
    return p ? (const char *)p + i * element_size : NULL;
}

/* bn_apply.c: y = x scale + shift of batch normalisation, per channel; gamma and beta may be NULL. */
typedef struct rni_bn_affine {
    const void *mean, *var;
    const float *gamma, *beta;
    double eps;
} rni_bn_affine;
void rni_bn_affine_of(const rni_bn_affine *b, int32_t dtype, size_t channels, void *scale, void *shift);

/* Drivers by family. A NULL query asks for no workspace. */
extern const rni_cpu_driver rni_cpu_convert, rni_cpu_fill, rni_cpu_bias_grad, rni_cpu_bn_stats, rni_cpu_bn_running,
    rni_cpu_bn_apply, rni_cpu_bn_backward, rni_cpu_bn_fold, rni_cpu_scale_shift, rni_cpu_relu, rni_cpu_relu_backward,
    rni_cpu_add, rni_cpu_accumulate, rni_cpu_maxpool, rni_cpu_maxpool_backward, rni_cpu_avgpool,
    rni_cpu_avgpool_backward, rni_cpu_linear, rni_cpu_linear_backward_data, rni_cpu_linear_backward_filter,
    rni_cpu_softmax, rni_cpu_softmax_backward, rni_cpu_dropout, rni_cpu_pad_shortcut,
    rni_cpu_pad_shortcut_backward, rni_cpu_cross_entropy, rni_cpu_soft_cross_entropy, rni_cpu_mse, rni_cpu_grad_norm,
    rni_cpu_grad_clip, rni_cpu_sgd, rni_cpu_adam, rni_cpu_lerp, rni_cpu_augment, rni_cpu_grad_unscale,
    rni_cpu_loss_scale;

#endif
