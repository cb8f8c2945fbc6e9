/* SPDX-License-Identifier: MIT */
#include "base/abi.h"
#include "layer/layer.h"
#include <resnet/model.h>
#include <stdio.h>
#include <string.h>

static const rn_linear_options defaults = RN_LINEAR_OPTIONS_INIT;

rn_status rn_linear_options_init(rn_linear_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_linear_options");
}

static rn_status linear_infer(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    const rn_linear_options *const o = &layer->u.linear;
    if (in->rank != 2 || in->dims[1] != o->in_features)
        return rni_fail(RN_E_SHAPE, "expected [N, %lld]", (long long)o->in_features);
    out->dims[1] = o->out_features;
    return RN_OK;
}

static uint32_t linear_states(const rn_layer *layer, rni_state_decl *out)
{
    const rn_linear_options *const o = &layer->u.linear;
    out[0] = (rni_state_decl){.name = "weight", .kind = RN_STATE_PARAMETER, .dtype = RN_F32};
    out[0].shape = (rni_shape){2, {o->out_features, o->in_features}};
    rni_fill_weight(&out[0], o->init, (double)o->in_features, (double)o->out_features);
    if (!o->bias)
        return 1;
    out[1] = (rni_state_decl){.name = "bias", .kind = RN_STATE_PARAMETER, .dtype = RN_F32};
    out[1].shape = (rni_shape){1, {o->out_features}};
    rni_fill_bias(&out[1], (o->flags & RN_LINEAR_ZERO_BIAS) != 0, (double)o->in_features);
    return 2;
}

static rn_status linear_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                              rni_edge *out)
{
    uint32_t operands[3] = {in->value, RN_NO_VALUE, RN_NO_VALUE};
    RNI_TRY(rni_lower_state(low, path, "weight", &operands[1]));
    if (layer->u.linear.bias)
        RNI_TRY(rni_lower_state(low, path, "bias", &operands[2]));
    RNI_TRY(rni_lower_activation(low, &out->shape, &out->value));
    return rni_lower_op(low, RNI_SECTION_FORWARD, RN_OP_LINEAR, layer->u.linear.bias ? RN_OPF_BIAS : 0, operands, 3,
                        &out->value, 1, NULL, 0, path);
}

static int64_t linear_macs(const rn_layer *layer, const rni_shape *out)
{
    return out->dims[0] * layer->u.linear.in_features * layer->u.linear.out_features;
}

static void linear_describe(const rn_layer *layer, char *text, size_t size)
{
    snprintf(text, size, "%lld, %lld", (long long)layer->u.linear.in_features,
             (long long)layer->u.linear.out_features);
}

static rn_status flatten_infer(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    (void)layer;
    if (in->rank == 2)
        return RN_OK;
    RNI_TRY(rni_expect_image(in));
    *out = (rni_shape){2, {in->dims[0], in->dims[1] * in->dims[2] * in->dims[3]}};
    return RN_OK;
}

static rn_status flatten_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                               rni_edge *out)
{
    (void)layer;
    uint32_t plain = in->value;
    if (in->shape.rank == 2)
        return RN_OK;
    /* One pixel or one channel: both orders are the same. */
    const int same = in->shape.dims[2] * in->shape.dims[3] == 1 || in->shape.dims[1] == 1;
    if (low->image_layout != RN_LAYOUT_PLAIN && !same) {
        RNI_TRY(rni_program_value(&low->p, low->dtype, RN_ROLE_ARENA, RN_LAYOUT_PLAIN, 4, in->shape.dims, 1, &plain));
        RNI_TRY(rni_lower_op(low, RNI_SECTION_FORWARD, RN_OP_CONVERT, 0, &in->value, 1, &plain, 1, NULL, 0, path));
    }
    return rni_program_view(&low->p, plain, RN_LAYOUT_PLAIN, 2, out->shape.dims, &out->value);
}

const rni_layer_class rni_linear_class = {"Linear",     linear_infer, linear_states, linear_lower,
                                          linear_macs, linear_describe};
const rni_layer_class rni_flatten_class = {"Flatten", flatten_infer, NULL, flatten_lower, NULL, NULL};

static rn_status check_options(const rn_linear_options *o)
{
    const int64_t most = INT64_C(1) << 31;
    if (o->in_features < 1 || o->in_features > most)
        return rni_fail(RN_E_INVALID, "options.in_features: expected 1 or more, got %lld", (long long)o->in_features);
    if (o->out_features < 1 || o->out_features > most)
        return rni_fail(RN_E_INVALID, "options.out_features: expected 1 or more, got %lld",
                        (long long)o->out_features);
    if (o->init < RN_INIT_DEFAULT || o->init > RN_INIT_NORMAL_001)
        return rni_fail(RN_E_INVALID, "options.init: no rule %d", (int)o->init);
    if (o->flags & ~(uint64_t)RN_LINEAR_ZERO_BIAS)
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in %llu", (unsigned long long)o->flags);
    return RN_OK;
}

rn_status rn_linear_create(rn_context *ctx, const rn_linear_options *options, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(options);
    RNI_REQUIRE(out);
    rn_linear_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_linear_options"));
    RNI_TRY(check_options(&o));
    RNI_TRY(rni_layer_create(ctx, &rni_linear_class, out));
    (*out)->u.linear = o;
    return RN_OK;
}

rn_status rn_flatten_create(rn_context *ctx, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    return rni_layer_create(ctx, &rni_flatten_class, out);
}
