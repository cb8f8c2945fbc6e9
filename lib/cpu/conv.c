/* SPDX-License-Identifier: MIT */
/* Drivers of the convolution family: they check operands, gather them and hand over to the fast or the plain loops. */
#include "cpu/conv.h"
#include "base/error.h"
#include "ops/rules.h"
#include "cpu/filter_bands.h"
#include "cpu/gathered.h"
#include "cpu/pointwise.h"
#include "cpu/winograd.h"

/* Sizes beyond this cannot be meant and keep products of a few of them inside int64. */
#define MAX_SIZE (INT64_C(1) << 24)

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

static const rn_value *input(const rn_op *op, const rn_value *values, uint32_t i)
{
    return i < op->num_in && op->in[i] != RN_NO_VALUE ? &values[op->in[i]] : NULL;
}

static const rn_value *output(const rn_op *op, const rn_value *values, uint32_t i)
{
    return i < op->num_out && op->out[i] != RN_NO_VALUE ? &values[op->out[i]] : NULL;
}

static rn_status check_window(const rn_op *op, const rn_conv_params *p, int axis, int64_t in, int64_t out)
{
    const int64_t span = (p->kernel[axis] - 1) * p->dilation[axis] + 1;
    const int64_t room = in + 2 * p->padding[axis] - span;
    if (room >= 0 && out == room / p->stride[axis] + 1)
        return RN_OK;
    return rni_ops_refuse(op, RN_E_SHAPE, "params: axis %d: window %lld in %lld does not give %lld", axis,
                          (long long)span, (long long)in, (long long)out);
}

static rn_status check_params(const rn_op *op)
{
    const rn_conv_params *const p = op->params;
    const int64_t sizes[] = {p->in_channels, p->out_channels, p->groups,     p->in_height, p->in_width,
                             p->out_height,  p->out_width,    p->kernel[0],  p->kernel[1], p->stride[0],
                             p->stride[1],   p->dilation[0],  p->dilation[1]};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i] < 1 || sizes[i] > MAX_SIZE)
            return rni_ops_refuse(op, RN_E_INVALID, "params: sizes from 1 to %lld expected, got %lld",
                                  (long long)MAX_SIZE, (long long)sizes[i]);
    for (int axis = 0; axis < 2; axis++)
        if (p->padding[axis] < 0 || p->padding[axis] > MAX_SIZE)
            return rni_ops_refuse(op, RN_E_INVALID, "params: padding %lld", (long long)p->padding[axis]);
    if (p->in_channels % p->groups || p->out_channels % p->groups)
        return rni_ops_refuse(op, RN_E_INVALID, "params: %lld groups of %lld and %lld channels", (long long)p->groups,
                              (long long)p->in_channels, (long long)p->out_channels);
    RNI_TRY(check_window(op, p, 0, p->in_height, p->out_height));
    return check_window(op, p, 1, p->in_width, p->out_width);
}

static rn_status check_dims(const rn_op *op, const char *name, const rn_value *v, int32_t rank, const int64_t *dims)
{
    int equal = v->rank == rank;
    for (int32_t i = 0; equal && i < rank; i++)
        equal = dims[i] < 0 || v->dims[i] == dims[i];
    if (equal)
        return RN_OK;
    char expected[RNI_SHAPE_TEXT], got[RNI_SHAPE_TEXT];
    return rni_ops_refuse(op, RN_E_SHAPE, "%s: expected %s (-1: any), got %s", name,
                          rni_shape_text(expected, rank, dims), rni_shape_text(got, v->rank, v->dims));
}

static rn_status check_dtype(const rn_op *op, const char *name, const rn_value *v, int32_t dtype)
{
    if (v->dtype == dtype)
        return RN_OK;
    return rni_ops_refuse(op, RN_E_DTYPE, "%s: expected %s, got %s", name, rn_dtype_name(dtype),
                          rn_dtype_name(v->dtype));
}

static rn_status check_compute_dtype(const rn_op *op, const rn_value *v)
{
    if (v->dtype == RN_F32 || v->dtype == RN_F64 || v->dtype == RN_BF16)
        return RN_OK;
    return rni_ops_refuse(op, RN_E_UNSUPPORTED, "computes in f32, f64 and bf16, not in %s", rn_dtype_name(v->dtype));
}

static rn_status check_image(const rn_op *op, const char *name, const rn_value *v, int32_t dtype, int64_t channels,
                             int64_t height, int64_t width)
{
    const int64_t dims[4] = {-1, channels, height, width};
    RNI_TRY(check_dtype(op, name, v, dtype));
    RNI_TRY(check_dims(op, name, v, 4, dims));
    return v->layout == RN_LAYOUT_NHWC ? RN_OK : rni_ops_refuse(op, RN_E_UNSUPPORTED, "%s: NHWC expected", name);
}

/* The input (or its gradient) and the output (or its gradient) of the convolution. */
static rn_status check_images(const rn_op *op, const rn_value *x, const rn_value *y)
{
    const rn_conv_params *const p = op->params;
    RNI_TRY(check_compute_dtype(op, x));
    RNI_TRY(check_image(op, "input", x, x->dtype, p->in_channels, p->in_height, p->in_width));
    return check_image(op, "output", y, x->dtype, p->out_channels, p->out_height, p->out_width);
}

static rn_status check_weights(const rn_op *op, const char *name, const rn_value *v)
{
    const rn_conv_params *const p = op->params;
    const int64_t dims[4] = {p->out_channels, p->in_channels / p->groups, p->kernel[0], p->kernel[1]};
    RNI_TRY(check_dtype(op, name, v, RN_F32));
    return check_dims(op, name, v, 4, dims);
}

static rn_status check_channels(const rn_op *op, const char *name, const rn_value *v, int32_t dtype)
{
    const rn_conv_params *const p = op->params;
    if (!v)
        return rni_ops_refuse(op, RN_E_INVALID, "%s is missing", name);
    RNI_TRY(check_dtype(op, name, v, dtype));
    return check_dims(op, name, v, 1, &p->out_channels);
}

static uint64_t packed_bytes(const rni_conv_kernels *k, const rn_op *op, int32_t dtype)
{
    const rn_conv_params *const p = op->params;
    if (k && rni_winograd_suits(k, p, op->flags))
        return (uint64_t)rni_winograd_packed_floats(k, p, (op->flags & RN_OPF_BACKWARD_DATA) != 0) * sizeof(float);
    if (k) {
        const rni_conv_pass pass = rni_conv_pass_of(k, p, (op->flags & RN_OPF_BACKWARD_DATA) != 0);
        return (uint64_t)rni_conv_packed_count(&pass) * (uint64_t)k->size;
    }
    return (uint64_t)(p->out_channels * (p->in_channels / p->groups) * p->kernel[0] * p->kernel[1]) *
           rn_dtype_size(dtype);
}

static rn_status query_pack(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const scale = input(op, values, 1), *const packed = output(op, values, 0);
    RNI_TRY(check_params(op));
    RNI_TRY(check_compute_dtype(op, packed));
    RNI_TRY(check_weights(op, "weight", input(op, values, 0)));
    if (scale)
        RNI_TRY(check_channels(op, "scale", scale, rni_channel_dtype(packed->dtype)));
    info->out_bytes = packed_bytes(rni_conv_kernels_of(cpu->level, packed->dtype), op, packed->dtype);
    return RN_OK;
}

static rn_status run_pack(const rni_cpu_call *call)
{
    const int32_t dtype = rni_cpu_out_value(call, 0)->dtype;
    const int backward_data = (call->op->flags & RN_OPF_BACKWARD_DATA) != 0;
    const rni_conv_kernels *const k = rni_conv_kernels_of(call->level, dtype);
    if (k && rni_winograd_suits(k, call->op->params, call->op->flags))
        return rni_winograd_pack(call, k, backward_data, rni_cpu_in(call, 0), rni_cpu_in(call, 1),
                                 rni_cpu_out(call, 0));
    if (k) {
        const rni_conv_pass pass = rni_conv_pass_of(k, call->op->params, backward_data);
        return rni_conv_fast_pack(call, &pass, rni_cpu_in(call, 0), rni_cpu_in(call, 1), rni_cpu_out(call, 0));
    }
    reference(dtype)->pack(call->op->params, backward_data, rni_cpu_in(call, 0), rni_cpu_in(call, 1),
                           rni_cpu_out(call, 0));
    return RN_OK;
}

static uint64_t forward_workspace(const rni_cpu *cpu, const rn_op *op, const rn_value *x)
{
    const rni_conv_kernels *const k = rni_conv_kernels_of(cpu->level, x->dtype);
    const int stats = (op->flags & RN_OPF_STATS) != 0;
    if (k && rni_winograd_suits(k, op->params, 0))
        return rni_winograd_bytes(k, op->params, 0, stats, x->dims[0], cpu->host->num_threads);
    if (k && rni_pointwise_suits(op->params))
        return rni_pointwise_bytes(k, op->params, 0, stats, x->dims[0], cpu->host->num_threads);
    if (k && rni_gathered_suits(k, op->params))
        return rni_gathered_bytes(k, op->params, stats, x->dims[0], cpu->host->num_threads);
    if (!k || !stats)
        return 0;
    const rni_conv_pass pass = rni_conv_pass_of(k, op->params, 0);
    return rni_conv_stats_bytes(&pass, x->dims[0]);
}

static rn_status query_forward(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = input(op, values, 0), *const y = output(op, values, 0);
    RNI_TRY(check_params(op));
    RNI_TRY(check_images(op, x, y));
    RNI_TRY(check_dtype(op, "packed weight", input(op, values, 1), x->dtype));
    if (op->flags & RN_OPF_BIAS)
        RNI_TRY(check_channels(op, "bias", input(op, values, 2), rni_channel_dtype(x->dtype)));
    if (op->flags & RN_OPF_ADD) {
        const rn_value *const residual = input(op, values, 3);
        if (!residual)
            return rni_ops_refuse(op, RN_E_INVALID, "residual is missing");
        RNI_TRY(check_image(op, "residual", residual, x->dtype, y->dims[1], y->dims[2], y->dims[3]));
        info->in_place = 3;
    }
    if (op->flags & RN_OPF_STATS) {
        if (op->flags & (RN_OPF_ADD | RN_OPF_RELU))
            return rni_ops_refuse(op, RN_E_UNSUPPORTED, "statistics come without residual and ReLU");
        RNI_TRY(check_channels(op, "mean", output(op, values, 1), rni_channel_dtype(x->dtype)));
        RNI_TRY(check_channels(op, "variance", output(op, values, 2), rni_channel_dtype(x->dtype)));
    }
    info->workspace = forward_workspace(cpu, op, x);
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
    if (k && rni_winograd_suits(k, c.p, 0))
        return rni_winograd_forward(&c, k);
    if (k && rni_pointwise_suits(c.p))
        return rni_pointwise_forward(&c, k);
    if (k && rni_gathered_suits(k, c.p))
        return rni_gathered_forward(&c, k);
    return k ? rni_conv_fast_forward(&c, k) : reference(dtype)->forward(&c);
}

static rn_status query_backward_data(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const dx = output(op, values, 0);
    const rni_conv_kernels *const k = rni_conv_kernels_of(cpu->level, dx->dtype);
    RNI_TRY(check_params(op));
    RNI_TRY(check_images(op, dx, input(op, values, 0)));
    if (k && rni_winograd_suits(k, op->params, RN_OPF_BACKWARD_DATA))
        info->workspace = rni_winograd_bytes(k, op->params, 1, 0, dx->dims[0], cpu->host->num_threads);
    else if (k && rni_pointwise_suits(op->params))
        info->workspace = rni_pointwise_bytes(k, op->params, 1, 0, dx->dims[0], cpu->host->num_threads);
    return check_dtype(op, "packed weight", input(op, values, 1), output(op, values, 0)->dtype);
}

static rn_status run_backward_data(const rni_cpu_call *call)
{
    rni_conv c = gather(call);
    c.dy = rni_cpu_in(call, 0);
    c.w = rni_cpu_in(call, 1);
    c.dx = rni_cpu_out(call, 0);
    const int32_t dtype = rni_cpu_out_value(call, 0)->dtype;
    const rni_conv_kernels *const k = rni_conv_kernels_of(call->level, dtype);
    if (k && rni_winograd_suits(k, c.p, RN_OPF_BACKWARD_DATA))
        return rni_winograd_backward_data(&c, k);
    if (k && rni_pointwise_suits(c.p))
        return rni_pointwise_backward_data(&c, k);
    return k ? rni_conv_fast_backward_data(&c, k) : reference(dtype)->backward_data(&c);
}

static rn_status query_backward_filter(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    const rn_value *const x = input(op, values, 0);
    const rni_conv_kernels *const k = rni_conv_kernels_of(cpu->level, x->dtype);
    RNI_TRY(check_params(op));
    RNI_TRY(check_images(op, x, input(op, values, 1)));
    RNI_TRY(check_weights(op, "weight gradient", output(op, values, 0)));
    if (k && rni_winograd_suits_filter(op->params))
        info->workspace = rni_winograd_filter_bytes(k, op->params, x->dims[0], cpu->host->num_threads);
    else if (k && rni_bands_suit(k, op->params))
        info->workspace = rni_bands_bytes(k, op->params, x->dims[0], cpu->host->num_threads);
    else if (k)
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
    if (k && rni_winograd_suits_filter(c.p))
        return rni_winograd_backward_filter(&c, k);
    if (k && rni_bands_suit(k, c.p))
        return rni_bands_backward_filter(&c, k);
    return k ? rni_conv_fast_backward_filter(&c, k) : reference(dtype)->backward_filter(&c);
}

const rni_cpu_driver rni_cpu_pack = {query_pack, run_pack, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_conv_forward = {query_forward, run_forward, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_conv_backward_data = {query_backward_data, run_backward_data, RNI_BF16_AVX2};
const rni_cpu_driver rni_cpu_conv_backward_filter = {query_backward_filter, run_backward_filter, RNI_BF16_AVX2};
