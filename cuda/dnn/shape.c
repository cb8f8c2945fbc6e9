/* SPDX-License-Identifier: MIT */
#include "dnn/shape.h"
#include "base/error.h"
#include <stdio.h>
#include <string.h>

/* Sizes up to this keep products of a few of them inside int64 until they are compared with it. */
#define MAX_ELEMENTS INT64_C(0x7fffffff)

rni_dnn_shape rni_dnn_shape_of(const rni_dnn_problem *problem, uint64_t limit)
{
    const rn_conv_params *const p = problem->params;
    rni_dnn_shape s = {0};
    s.batch = problem->batch;
    s.groups = p->groups;
    const int64_t in[3] = {p->in_channels, p->in_height, p->in_width};
    const int64_t out[3] = {p->out_channels, p->out_height, p->out_width};
    memcpy(s.in, in, sizeof in);
    memcpy(s.out, out, sizeof out);
    memcpy(s.kernel, p->kernel, sizeof s.kernel);
    memcpy(s.stride, p->stride, sizeof s.stride);
    memcpy(s.padding, p->padding, sizeof s.padding);
    memcpy(s.dilation, p->dilation, sizeof s.dilation);
    s.limit = limit;
    s.kind = problem->kind;
    s.dtype = problem->dtype;
    s.flags =
        problem->flags & (RNI_DNN_PROLOGUE | (s.kind == RN_OP_CONV_FORWARD
                                                  ? RN_OPF_BIAS | RN_OPF_ADD | RN_OPF_RELU | RN_OPF_STATS
                                                  : RN_OPF_ACCUMULATE));
    s.direct = p->direct != 0;
    return s;
}

int64_t rni_dnn_input_count(const rni_dnn_shape *s)
{
    return s->batch * s->in[0] * s->in[1] * s->in[2];
}

int64_t rni_dnn_filter_count(const rni_dnn_shape *s)
{
    return s->out[0] * (s->in[0] / s->groups) * s->kernel[0] * s->kernel[1];
}

int64_t rni_dnn_output_count(const rni_dnn_shape *s)
{
    return s->batch * s->out[0] * s->out[1] * s->out[2];
}

int rni_dnn_has_epilogue(const rni_dnn_shape *s)
{
    return s->kind == RN_OP_CONV_FORWARD && (s->flags & (RN_OPF_BIAS | RN_OPF_ADD | RN_OPF_RELU)) != 0;
}

/* 1 when the product of four sizes is at most MAX_ELEMENTS; each is at least 1. */
static int fits(int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t sizes[4] = {a, b, c, d};
    int64_t room = MAX_ELEMENTS;
    for (int i = 0; i < 4; i++)
        room /= sizes[i];
    return room >= 1;
}

static rn_status check_sizes(const rni_dnn_shape *s)
{
    const int64_t sizes[] = {s->batch,     s->groups,    s->in[0],       s->in[1],      s->in[2],
                             s->out[0],    s->out[1],    s->out[2],      s->kernel[0],  s->kernel[1],
                             s->stride[0], s->stride[1], s->dilation[0], s->dilation[1]};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i] < 1)
            return rni_fail(RN_E_INVALID, "a convolution with a size of %lld", (long long)sizes[i]);
    for (int axis = 0; axis < 2; axis++)
        if (s->padding[axis] < 0 || s->padding[axis] > MAX_ELEMENTS || s->dilation[axis] > MAX_ELEMENTS ||
            s->stride[axis] > MAX_ELEMENTS)
            return rni_fail(RN_E_UNSUPPORTED, "a convolution with a padding of %lld", (long long)s->padding[axis]);
    if (!fits(s->batch, s->in[0], s->in[1], s->in[2]) || !fits(s->batch, s->out[0], s->out[1], s->out[2]) ||
        !fits(s->out[0], s->in[0], s->kernel[0], s->kernel[1]))
        return rni_fail(RN_E_UNSUPPORTED, "a convolution of tensors of 2^31 elements or more");
    return RN_OK;
}

/* Factors of bf16 would take 8 bits of each activation; engines want whole vectors, and what is filled up is a copy. */
static rn_status check_prologue(const rni_dnn_shape *s)
{
    if (s->kind == RN_OP_CONV_BACKWARD_DATA || rni_dnn_has_epilogue(s) || (s->flags & RN_OPF_ACCUMULATE))
        return rni_fail(RN_E_UNSUPPORTED, "a convolution of a normalised input besides bias, residual, ReLU or a sum");
    if (s->dtype != RN_F16)
        return rni_fail(RN_E_UNSUPPORTED, "a convolution of a normalised input in another type than f16");
    if (s->in[0] % 8 || s->out[0] % 8)
        return rni_fail(RN_E_UNSUPPORTED, "a convolution of a normalised input of %lld to %lld channels",
                        (long long)s->in[0], (long long)s->out[0]);
    return RN_OK;
}

rn_status rni_dnn_shape_check(const rni_dnn_shape *s)
{
    RNI_TRY(check_sizes(s));
    if (s->flags & RNI_DNN_PROLOGUE)
        RNI_TRY(check_prologue(s));
    if (s->flags & RN_OPF_STATS && rni_dnn_has_epilogue(s))
        return rni_fail(RN_E_UNSUPPORTED, "a convolution with statistics besides bias, residual or ReLU");
    if (s->in[0] % s->groups || s->out[0] % s->groups)
        return rni_fail(RN_E_INVALID, "a convolution of %lld to %lld channels in %lld groups", (long long)s->in[0],
                        (long long)s->out[0], (long long)s->groups);
    for (int axis = 0; axis < 2; axis++) {
        const int64_t room = s->in[1 + axis] + 2 * s->padding[axis] - (s->kernel[axis] - 1) * s->dilation[axis] - 1;
        if (room < 0 || s->out[1 + axis] != room / s->stride[axis] + 1)
            return rni_fail(RN_E_INVALID, "a convolution whose axis %d does not give %lld", axis,
                            (long long)s->out[1 + axis]);
    }
    return RN_OK;
}

static const char *kind_name(int32_t kind)
{
    return kind == RN_OP_CONV_FORWARD         ? "conv_forward"
           : kind == RN_OP_CONV_BACKWARD_DATA ? "conv_backward_data"
                                              : "conv_backward_filter";
}

const char *rni_dnn_shape_text(char text[RNI_DNN_SHAPE_TEXT], const rni_dnn_shape *s)
{
    snprintf(
        text, RNI_DNN_SHAPE_TEXT,
        "%s %lldx%lldx%lldx%lld to %lldx%lldx%lld, %lldx%lld stride %lldx%lld padding %lldx%lld dilation %lldx%lld "
        "groups %lld %s%s%s%s%s%s%s%s",
        kind_name(s->kind), (long long)s->batch, (long long)s->in[0], (long long)s->in[1], (long long)s->in[2],
        (long long)s->out[0], (long long)s->out[1], (long long)s->out[2], (long long)s->kernel[0],
        (long long)s->kernel[1], (long long)s->stride[0], (long long)s->stride[1], (long long)s->padding[0],
        (long long)s->padding[1], (long long)s->dilation[0], (long long)s->dilation[1], (long long)s->groups,
        s->dtype == RN_F32    ? "f32"
        : s->dtype == RN_BF16 ? "bf16"
                              : "f16",
        s->flags & RN_OPF_BIAS ? " bias" : "", s->flags & RN_OPF_ADD ? " add" : "",
        s->flags & RN_OPF_RELU ? " relu" : "", s->flags & RN_OPF_STATS ? " stats" : "",
        s->flags & RN_OPF_ACCUMULATE ? " accumulate" : "", s->flags & RNI_DNN_PROLOGUE ? " prologue" : "",
        s->direct ? " direct" : "");
    return text;
}
