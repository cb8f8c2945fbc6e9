/* SPDX-License-Identifier: MIT */
#include "base/abi.h"
#include "layer/layer.h"
#include <resnet/model.h>
#include <stdio.h>
#include <string.h>

/* Sizes beyond this cannot be meant and keep products inside int64. */
#define MAX_SIZE (INT64_C(1) << 24)

static const rn_conv2d_options defaults = RN_CONV2D_OPTIONS_INIT;

rn_status rn_conv2d_options_init(rn_conv2d_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_conv2d_options");
}

static rn_status conv_infer(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    const rn_conv2d_options *const o = &layer->u.conv;
    RNI_TRY(rni_expect_image(in));
    if (in->dims[1] != o->in_channels)
        return rni_fail(RN_E_SHAPE, "expected %lld channels", (long long)o->in_channels);
    out->dims[1] = o->out_channels;
    RNI_TRY(rni_window_size(in->dims[2], o->kernel[0], o->stride[0], o->padding[0], o->dilation[0], "height",
                            &out->dims[2]));
    return rni_window_size(in->dims[3], o->kernel[1], o->stride[1], o->padding[1], o->dilation[1], "width",
                           &out->dims[3]);
}

static uint32_t conv_states(const rn_layer *layer, rni_state_decl *out)
{
    const rn_conv2d_options *const o = &layer->u.conv;
    const int64_t per_group = o->in_channels / o->groups;
    const double area = (double)(o->kernel[0] * o->kernel[1]);
    const double fan_in = area * (double)per_group, fan_out = area * (double)o->out_channels;
    out[0] = (rni_state_decl){.name = "weight", .kind = RN_STATE_PARAMETER, .dtype = RN_F32};
    out[0].shape = (rni_shape){4, {o->out_channels, per_group, o->kernel[0], o->kernel[1]}};
    rni_fill_weight(&out[0], o->init, fan_in, fan_out);
    if (!o->bias)
        return 1;
    out[1] = (rni_state_decl){.name = "bias", .kind = RN_STATE_PARAMETER, .dtype = RN_F32};
    out[1].shape = (rni_shape){1, {o->out_channels}};
    rni_fill_bias(&out[1], (o->flags & RN_CONV2D_ZERO_BIAS) != 0, fan_in);
    return 2;
}

static void conv_params(const rn_conv2d_options *o, const rni_shape *in, const rni_shape *out, int direct,
                        rn_conv_params *p)
{
    memset(p, 0, sizeof *p);
    p->in_channels = o->in_channels;
    p->out_channels = o->out_channels;
    p->groups = o->groups;
    p->in_height = in->dims[2];
    p->in_width = in->dims[3];
    p->out_height = out->dims[2];
    p->out_width = out->dims[3];
    p->batch = in->dims[0];
    p->direct = direct;
    memcpy(p->kernel, o->kernel, sizeof p->kernel);
    memcpy(p->stride, o->stride, sizeof p->stride);
    memcpy(p->padding, o->padding, sizeof p->padding);
    memcpy(p->dilation, o->dilation, sizeof p->dilation);
}

static rn_status conv_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                            rni_edge *out)
{
    const rn_conv2d_options *const o = &layer->u.conv;
    rn_conv_params params;
    uint32_t weight, packed, bias = RN_NO_VALUE;
    conv_params(o, &in->shape, &out->shape, low->direct, &params);
    RNI_TRY(rni_lower_state(low, path, "weight", &weight));
    RNI_TRY(rni_lower_pack(low, weight, RN_NO_VALUE, &params, 0, path, &packed));
    if (o->bias) {
        RNI_TRY(rni_lower_state(low, path, "bias", &bias));
        RNI_TRY(rni_lower_cast(low, bias, path, &bias));
    }
    RNI_TRY(rni_lower_activation(low, &out->shape, &out->value));
    const uint32_t operands[4] = {in->value, packed, bias, RN_NO_VALUE};
    const uint32_t results[3] = {out->value, RN_NO_VALUE, RN_NO_VALUE};
    return rni_lower_op(low, RNI_SECTION_FORWARD, RN_OP_CONV_FORWARD, o->bias ? RN_OPF_BIAS : 0, operands, 4, results,
                        3, &params, sizeof params, path);
}

static int64_t conv_macs(const rn_layer *layer, const rni_shape *out)
{
    const rn_conv2d_options *const o = &layer->u.conv;
    return out->dims[0] * out->dims[1] * out->dims[2] * out->dims[3] * (o->in_channels / o->groups) * o->kernel[0] *
           o->kernel[1];
}

static void conv_describe(const rn_layer *layer, char *text, size_t size)
{
    const rn_conv2d_options *const o = &layer->u.conv;
    snprintf(text, size, "%lld, %lld, kernel %lldx%lld, stride %lldx%lld, padding %lldx%lld%s",
             (long long)o->in_channels, (long long)o->out_channels, (long long)o->kernel[0], (long long)o->kernel[1],
             (long long)o->stride[0], (long long)o->stride[1], (long long)o->padding[0], (long long)o->padding[1],
             o->bias ? ", bias" : "");
}

const rni_layer_class rni_conv2d_class = {"Conv2d",   conv_infer, conv_states, conv_lower,
                                          conv_macs, conv_describe};

static rn_status check_range(const char *field, int64_t value, int64_t least)
{
    if (value < least || value > MAX_SIZE)
        return rni_fail(RN_E_INVALID, "options.%s: expected %lld to %lld, got %lld", field, (long long)least,
                        (long long)MAX_SIZE, (long long)value);
    return RN_OK;
}

static rn_status check_options(const rn_conv2d_options *o)
{
    RNI_TRY(check_range("in_channels", o->in_channels, 1));
    RNI_TRY(check_range("out_channels", o->out_channels, 1));
    RNI_TRY(check_range("groups", o->groups, 1));
    for (int i = 0; i < 2; i++) {
        RNI_TRY(check_range("kernel", o->kernel[i], 1));
        RNI_TRY(check_range("stride", o->stride[i], 1));
        RNI_TRY(check_range("padding", o->padding[i], 0));
        RNI_TRY(check_range("dilation", o->dilation[i], 1));
    }
    if (o->in_channels % o->groups || o->out_channels % o->groups)
        return rni_fail(RN_E_INVALID, "options.groups: %lld divides in_channels %lld or out_channels %lld not evenly",
                        (long long)o->groups, (long long)o->in_channels, (long long)o->out_channels);
    if (o->init < RN_INIT_DEFAULT || o->init > RN_INIT_NORMAL_001)
        return rni_fail(RN_E_INVALID, "options.init: no rule %d", (int)o->init);
    if (o->flags & ~(uint64_t)RN_CONV2D_ZERO_BIAS)
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in %llu", (unsigned long long)o->flags);
    return RN_OK;
}

rn_status rn_conv2d_create(rn_context *ctx, const rn_conv2d_options *options, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(options);
    RNI_REQUIRE(out);
    rn_conv2d_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_conv2d_options"));
    RNI_TRY(check_options(&o));
    RNI_TRY(rni_layer_create(ctx, &rni_conv2d_class, out));
    (*out)->u.conv = o;
    return RN_OK;
}
