/* SPDX-License-Identifier: MIT */
/* Drivers of the convolution family: they check operands, gather them and hand over to the fast or the plain loops. */
#include "cpu/conv.h"
#include "base/error.h"
#include "ops/operands.h"
#include "cpu/filter_bands.h"
#include "cpu/gathered.h"
#include "cpu/narrow.h"
#include "cpu/pointwise.h"
#include "cpu/winograd.h"

static const rni_conv_reference *reference(int32_t dtype)
{
    return dtype == RN_F64 ? &rni_conv_reference_f64 : &rni_conv_reference_f32;
}

/* The tables of a type by level; a level that was not compiled in has none. */
static const rni_conv_kernels *const kernels_f32[RNI_CPU_LEVELS] = {
    [RN_CPU_BASE] = NULL,
#if defined(RNI_CPU_AVX2)
    [RN_CPU_AVX2] = &rni_conv_kernels_avx2,
#endif
#if defined(RNI_CPU_AVX512)
    [RN_CPU_AVX512] = &rni_conv_kernels_avx512,
#endif
};

static const rni_conv_kernels *const kernels_bf16[RNI_CPU_LEVELS] = {
    [RN_CPU_BASE] = NULL,
#if defined(RNI_CPU_AVX2)
    [RN_CPU_AVX2] = &rni_conv_kernels_avx2_bf16,
#endif
#if defined(RNI_CPU_AVX512)
    [RN_CPU_AVX512] = &rni_conv_kernels_avx512_bf16,
#endif
#if defined(RNI_CPU_AVX512BF16)
    [RN_CPU_AVX512BF16] = &rni_conv_kernels_avx512bf16,
#endif
};

const rni_conv_kernels *rni_conv_kernels_of(int32_t level, int32_t dtype)
{
    const rni_conv_kernels *found = NULL;
    for (int32_t i = 0; i <= level && dtype != RN_F64; i++) {
        const rni_conv_kernels *const k = dtype == RN_BF16 ? kernels_bf16[i] : kernels_f32[i];
        found = k ? k : found;
    }
    return found;
}

/* How a convolution is computed; PLAIN where there are no kernels. What weights are packed for follows from it. */
typedef enum way { PLAIN, DIRECT, WINOGRAD, POINTWISE, GATHERED, NARROW, BANDS } way;

static way forward_way(const rni_conv_kernels *k, const rn_conv_params *p)
{
    if (!k)
        return PLAIN;
    if (rni_winograd_suits(k, p, 0))
        return WINOGRAD;
    if (rni_pointwise_suits(p))
        return POINTWISE;
    if (rni_gathered_suits(k, p))
        return GATHERED;
    return rni_narrow_suits(k, p) ? NARROW : DIRECT;
}

static way data_way(const rni_conv_kernels *k, const rn_conv_params *p)
{
    if (!k)
        return PLAIN;
    if (rni_winograd_suits(k, p, RN_OPF_BACKWARD_DATA))
        return WINOGRAD;
    return rni_pointwise_suits(p) ? POINTWISE : DIRECT;
}

static way filter_way(const rni_conv_kernels *k, const rn_conv_params *p)
{
    if (!k)
        return PLAIN;
    if (rni_winograd_suits_filter(k, p))
        return WINOGRAD;
    return rni_bands_suit(k, p) ? BANDS : DIRECT;
}

static uint64_t packed_bytes(const rni_conv_kernels *k, const rn_op *op, int32_t dtype)
{
    const rn_conv_params *const p = op->params;
    const int back = (op->flags & RN_OPF_BACKWARD_DATA) != 0;
    switch (back ? data_way(k, p) : forward_way(k, p)) {
    case PLAIN:
        return (uint64_t)(p->out_channels * (p->in_channels / p->groups) * p->kernel[0] * p->kernel[1]) *
               rn_dtype_size(dtype);
    case WINOGRAD:
        return rni_winograd_packed_bytes(k, p, back);
    case NARROW:
        return rni_narrow_packed_bytes(k, p);
    default: {
        const rni_conv_pass pass = rni_conv_pass_of(k, p, back);
        return (uint64_t)rni_conv_packed_count(&pass) * (uint64_t)k->size;
    }
    }
}

static rn_status query_pack(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const packed = &values[op->out[0]];
    RNI_TRY(rni_ops_check_pack(op, values));
    info->out_bytes = packed_bytes(rni_conv_kernels_of(cpu->level, packed->dtype), op, packed->dtype);
    return RN_OK;
}

static rn_status run_pack(const rni_cpu_call *call)
{
    const int32_t dtype = rni_cpu_out_value(call, 0)->dtype;
    const int back = (call->op->flags & RN_OPF_BACKWARD_DATA) != 0;
    const rn_conv_params *const p = call->op->params;
    const rni_conv_kernels *const k = rni_conv_kernels_of(call->level, dtype);
    const void *const w = rni_cpu_in(call, 0), *const scale = rni_cpu_in(call, 1);
    void *const packed = rni_cpu_out(call, 0);
    switch (back ? data_way(k, p) : forward_way(k, p)) {
    case PLAIN:
        reference(dtype)->pack(p, back, w, scale, packed);
        return RN_OK;
    case WINOGRAD:
        return rni_winograd_pack(call, k, back, w, scale, packed);
    case NARROW:
        return rni_narrow_pack(call, k, w, scale, packed);
    default: {
        const rni_conv_pass pass = rni_conv_pass_of(k, p, back);
        return rni_conv_fast_pack(call, &pass, w, scale, packed);
    }
    }
}

static uint64_t forward_workspace(const rni_cpu *cpu, const rn_op *op, const rn_value *x)
{
    const rni_conv_kernels *const k = rni_conv_kernels_of(cpu->level, x->dtype);
    const rn_conv_params *const p = op->params;
    const int stats = (op->flags & RN_OPF_STATS) != 0;
    switch (forward_way(k, p)) {
    case PLAIN:
        return 0;
    case WINOGRAD:
        return rni_winograd_bytes(k, p, 0, stats, x->dims[0], cpu->host->num_threads);
    case POINTWISE:
        return rni_pointwise_bytes(k, p, 0, stats, x->dims[0], cpu->host->num_threads);
    case GATHERED:
        return rni_gathered_bytes(k, p, stats, x->dims[0], cpu->host->num_threads);
    case NARROW:
        return rni_narrow_bytes(k, p, stats, x->dims[0]);
    default: {
        const rni_conv_pass pass = rni_conv_pass_of(k, p, 0);
        return stats ? rni_conv_stats_bytes(&pass, x->dims[0]) : 0;
    }
    }
}

static rn_status query_forward(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    RNI_TRY(rni_ops_check_conv_forward(op, values, info));
    info->workspace = forward_workspace(cpu, op, &values[op->in[0]]);
    return RN_OK;
}

static rni_conv gather(const rni_cpu_call *call)
{
    const rn_conv_params *const p = call->op->params;
    rni_conv c = {.call = call, .p = p, .batch = call->run->batch, .flags = call->op->flags};
    c.workspace = rni_cpu_workspace(call);
    c.in_per_group = p->in_channels / p->groups;
    c.out_per_group = p->out_channels / p->groups;
    return c;
}

static rn_status run_forward(const rni_cpu_call *call)
{
    rni_conv c = gather(call);
    c.x = rni_cpu_in(call, 0);
    c.w = rni_cpu_in(call, 1);
    c.bias = c.flags & RN_OPF_BIAS ? rni_cpu_in(call, 2) : NULL;
    c.residual = c.flags & RN_OPF_ADD ? rni_cpu_in(call, 3) : NULL;
    c.y = rni_cpu_out(call, 0);
    c.mean = rni_cpu_out(call, 1);
    c.var = rni_cpu_out(call, 2);
    const int32_t dtype = rni_cpu_in_value(call, 0)->dtype;
    const rni_conv_kernels *const k = rni_conv_kernels_of(call->level, dtype);
    switch (forward_way(k, c.p)) {
    case PLAIN:
        return reference(dtype)->forward(&c);
    case WINOGRAD:
        return rni_winograd_forward(&c, k);
    case POINTWISE:
        return rni_pointwise_forward(&c, k);
    case GATHERED:
        return rni_gathered_forward(&c, k);
    case NARROW:
        return rni_narrow_forward(&c, k);
    default:
        return rni_conv_fast_forward(&c, k);
    }
}

static rn_status query_backward_data(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const dx = &values[op->out[0]];
    const rni_conv_kernels *const k = rni_conv_kernels_of(cpu->level, dx->dtype);
    RNI_TRY(rni_ops_check_conv_backward_data(op, values));
    const way how = data_way(k, op->params);
    if (how == WINOGRAD)
        info->workspace = rni_winograd_bytes(k, op->params, 1, 0, dx->dims[0], cpu->host->num_threads);
    else if (how == POINTWISE)
        info->workspace = rni_pointwise_bytes(k, op->params, 1, 0, dx->dims[0], cpu->host->num_threads);
    return RN_OK;
}

static rn_status run_backward_data(const rni_cpu_call *call)
{
    rni_conv c = gather(call);
    c.dy = rni_cpu_in(call, 0);
    c.w = rni_cpu_in(call, 1);
    c.dx = rni_cpu_out(call, 0);
    const int32_t dtype = rni_cpu_out_value(call, 0)->dtype;
    const rni_conv_kernels *const k = rni_conv_kernels_of(call->level, dtype);
    switch (data_way(k, c.p)) {
    case PLAIN:
        return reference(dtype)->backward_data(&c);
    case WINOGRAD:
        return rni_winograd_backward_data(&c, k);
    case POINTWISE:
        return rni_pointwise_backward_data(&c, k);
    default:
        return rni_conv_fast_backward_data(&c, k);
    }
}

static rn_status query_backward_filter(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = &values[op->in[0]];
    const rni_conv_kernels *const k = rni_conv_kernels_of(cpu->level, x->dtype);
    RNI_TRY(rni_ops_check_conv_backward_filter(op, values));
    const way how = filter_way(k, op->params);
    if (how == WINOGRAD)
        info->workspace = rni_winograd_filter_bytes(k, op->params, x->dims[0], cpu->host->num_threads);
    else if (how == BANDS)
        info->workspace = rni_bands_bytes(k, op->params, x->dims[0], cpu->host->num_threads);
    else if (how == DIRECT)
        info->workspace = rni_conv_filter_bytes(k, op->params, x->dims[0]);
    return RN_OK;
}

static rn_status run_backward_filter(const rni_cpu_call *call)
{
    rni_conv c = gather(call);
    c.x = rni_cpu_in(call, 0);
    c.dy = rni_cpu_in(call, 1);
    c.dw = rni_cpu_out(call, 0);
    const int32_t dtype = rni_cpu_in_value(call, 0)->dtype;
    const rni_conv_kernels *const k = rni_conv_kernels_of(call->level, dtype);
    switch (filter_way(k, c.p)) {
    case PLAIN:
        return reference(dtype)->backward_filter(&c);
    case WINOGRAD:
        return rni_winograd_backward_filter(&c, k);
    case BANDS:
        return rni_bands_backward_filter(&c, k);
    default:
        return rni_conv_fast_backward_filter(&c, k);
    }
}

const rni_cpu_driver rni_cpu_pack = {query_pack, run_pack, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_conv_forward = {query_forward, run_forward, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_conv_backward_data = {query_backward_data, run_backward_data, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_conv_backward_filter = {query_backward_filter, run_backward_filter, RNI_BF16_AVX2};
