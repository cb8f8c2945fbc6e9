/* SPDX-License-Identifier: MIT */
#include "base/abi.h"
#include "layer/layer.h"
#include <math.h>
#include <resnet/model.h>
#include <stdio.h>

static const rn_batchnorm2d_options defaults = RN_BATCHNORM2D_OPTIONS_INIT;

rn_status rn_batchnorm2d_options_init(rn_batchnorm2d_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_batchnorm2d_options");
}

static rn_status bn_infer(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    (void)out;
    RNI_TRY(rni_expect_image(in));
    if (in->dims[1] != layer->u.bn.channels)
        return rni_fail(RN_E_SHAPE, "expected %lld channels", (long long)layer->u.bn.channels);
    return RN_OK;
}

static uint32_t bn_states(const rn_layer *layer, rni_state_decl *out)
{
    const rni_shape channels = {1, {layer->u.bn.channels}}, scalar = {0, {0}};
    const double weight = layer->u.bn.flags & RN_BATCHNORM_ZERO_INIT ? 0.0 : 1.0;
    uint32_t n = 0;
    if (!(layer->u.bn.flags & RN_BATCHNORM_NOT_AFFINE)) {
        out[n++] = (rni_state_decl){"weight", RN_STATE_PARAMETER, RN_F32, channels, RNI_FILL_CONSTANT, weight};
        out[n++] = (rni_state_decl){"bias", RN_STATE_PARAMETER, RN_F32, channels, RNI_FILL_CONSTANT, 0.0};
    }
    out[n++] = (rni_state_decl){"running_mean", RN_STATE_BUFFER, RN_F32, channels, RNI_FILL_CONSTANT, 0.0};
    out[n++] = (rni_state_decl){"running_var", RN_STATE_BUFFER, RN_F32, channels, RNI_FILL_CONSTANT, 1.0};
    out[n++] = (rni_state_decl){"num_batches_tracked", RN_STATE_BUFFER, RN_I64, scalar, RNI_FILL_CONSTANT, 0.0};
    return n;
}

/* The values of a batch normalisation's state. */
typedef struct bn_values {
    uint32_t gamma, beta, mean, var, batches;
} bn_values;

static rn_status find_values(const rn_layer *layer, rni_lowering *low, const char *path, bn_values *v)
{
    v->gamma = v->beta = RN_NO_VALUE;
    if (!(layer->u.bn.flags & RN_BATCHNORM_NOT_AFFINE)) {
        RNI_TRY(rni_lower_state(low, path, "weight", &v->gamma));
        RNI_TRY(rni_lower_state(low, path, "bias", &v->beta));
    }
    RNI_TRY(rni_lower_state(low, path, "running_mean", &v->mean));
    RNI_TRY(rni_lower_state(low, path, "running_var", &v->var));
    return rni_lower_state(low, path, "num_batches_tracked", &v->batches);
}

/* Statistics of the batch, running statistics, and their use. */
static rn_status lower_train(const rn_layer *layer, rni_lowering *low, const char *path, const rn_bn_params *params,
                             const bn_values *v, const rni_edge *in, rni_edge *out)
{
    uint32_t stats[2];
    /* PyTorch: "Expected more than 1 value per channel when training". */
    if (params->pixels * in->shape.dims[0] < 2)
        return rni_fail(RN_E_SHAPE, "%s (BatchNorm2d): expected more than 1 value per channel when training", path);
    if (params->pixels < 2 && low->min_batch < 2)
        low->min_batch = 2;
    RNI_TRY(rni_lower_channels(low, layer->u.bn.channels, &stats[0]));
    RNI_TRY(rni_lower_channels(low, layer->u.bn.channels, &stats[1]));
    RNI_TRY(rni_lower_op(low, RNI_SECTION_FORWARD, RN_OP_BN_STATS, 0, &in->value, 1, stats, 2, NULL, 0, path));
    const uint32_t running[3] = {v->mean, v->var, v->batches};
    const int cumulative = low->cumulative || (layer->u.bn.flags & RN_BATCHNORM_CUMULATIVE);
    const uint32_t flags = cumulative ? RN_OPF_CUMULATIVE : 0;
    RNI_TRY(rni_lower_op(low, RNI_SECTION_FORWARD, RN_OP_BN_RUNNING, flags, stats, 2, running, 3, params,
                         sizeof *params, path));
    RNI_TRY(rni_lower_activation(low, &out->shape, &out->value));
    const uint32_t operands[6] = {in->value, stats[0], stats[1], v->gamma, v->beta, RN_NO_VALUE};
    return rni_lower_op(low, RNI_SECTION_FORWARD, RN_OP_BN_APPLY, 0, operands, 6, &out->value, 1, params,
                        sizeof *params, path);
}

/* The running statistics are constants: only x, weight and bias get gradients. */
static rn_status lower_frozen(rni_lowering *low, const char *path, const rn_bn_params *params, const bn_values *v,
                              const rni_edge *in, rni_edge *out)
{
    uint32_t stats[2];
    RNI_TRY(rni_lower_cast(low, v->mean, path, &stats[0]));
    RNI_TRY(rni_lower_cast(low, v->var, path, &stats[1]));
    RNI_TRY(rni_lower_activation(low, &out->shape, &out->value));
    const uint32_t operands[6] = {in->value, stats[0], stats[1], v->gamma, v->beta, RN_NO_VALUE};
    return rni_lower_op(low, RNI_SECTION_FORWARD, RN_OP_BN_APPLY, RN_OPF_FROZEN, operands, 6, &out->value, 1, params,
                        sizeof *params, path);
}

static rn_status lower_infer(const rn_layer *layer, rni_lowering *low, const char *path, const rn_bn_params *params,
                             const bn_values *v, const rni_edge *in, rni_edge *out)
{
    const rni_shape channels = {1, {layer->u.bn.channels}};
    uint32_t folded[2];
    RNI_TRY(rni_lower_derived(low, low->channel_dtype, RN_LAYOUT_PLAIN, &channels, &folded[0]));
    RNI_TRY(rni_lower_derived(low, low->channel_dtype, RN_LAYOUT_PLAIN, &channels, &folded[1]));
    const uint32_t sources[5] = {v->gamma, v->beta, v->mean, v->var, RN_NO_VALUE};
    RNI_TRY(rni_lower_op(low, RNI_SECTION_PREPARE, RN_OP_BN_FOLD, 0, sources, 5, folded, 2, params, sizeof *params,
                         path));
    RNI_TRY(rni_lower_activation(low, &out->shape, &out->value));
    const uint32_t operands[4] = {in->value, folded[0], folded[1], RN_NO_VALUE};
    return rni_lower_op(low, RNI_SECTION_FORWARD, RN_OP_SCALE_SHIFT, 0, operands, 4, &out->value, 1, NULL, 0, path);
}

static rn_status bn_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                          rni_edge *out)
{
    const rn_bn_params params = {layer->u.bn.eps, layer->u.bn.momentum, in->shape.dims[2] * in->shape.dims[3]};
    bn_values v;
    RNI_TRY(find_values(layer, low, path, &v));
    if (!low->train)
        return lower_infer(layer, low, path, &params, &v, in, out);
    return layer->u.bn.flags & RN_BATCHNORM_FROZEN ? lower_frozen(low, path, &params, &v, in, out)
                                                   : lower_train(layer, low, path, &params, &v, in, out);
}

static void bn_describe(const rn_layer *layer, char *text, size_t size)
{
    snprintf(text, size, "%lld%s", (long long)layer->u.bn.channels,
             layer->u.bn.flags & RN_BATCHNORM_FROZEN ? ", frozen" : "");
}

const rni_layer_class rni_batchnorm2d_class = {"BatchNorm2d", bn_infer, bn_states, bn_lower, NULL, bn_describe};

static rn_status check_flags(uint64_t flags)
{
    const uint64_t known =
        RN_BATCHNORM_CUMULATIVE | RN_BATCHNORM_NOT_AFFINE | RN_BATCHNORM_ZERO_INIT | RN_BATCHNORM_FROZEN;
    if (flags & ~known)
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in %llu", (unsigned long long)flags);
    if ((flags & RN_BATCHNORM_NOT_AFFINE) && (flags & RN_BATCHNORM_ZERO_INIT))
        return rni_fail(RN_E_INVALID, "options.flags: RN_BATCHNORM_ZERO_INIT, but there is no weight");
    return RN_OK;
}

static rn_status check_options(const rn_batchnorm2d_options *o)
{
    if (o->channels < 1 || o->channels > (INT64_C(1) << 24))
        return rni_fail(RN_E_INVALID, "options.channels: expected 1 or more, got %lld", (long long)o->channels);
    if (!(o->eps > 0) || !isfinite(o->eps))
        return rni_fail(RN_E_INVALID, "options.eps: expected a number above 0, got %g", o->eps);
    if (!(o->momentum >= 0 && o->momentum <= 1))
        return rni_fail(RN_E_INVALID, "options.momentum: expected 0 to 1, got %g", o->momentum);
    return check_flags(o->flags);
}

rn_status rn_batchnorm2d_create(rn_context *ctx, const rn_batchnorm2d_options *options, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(options);
    RNI_REQUIRE(out);
    rn_batchnorm2d_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_batchnorm2d_options"));
    RNI_TRY(check_options(&o));
    RNI_TRY(rni_layer_create(ctx, &rni_batchnorm2d_class, out));
    (*out)->u.bn = o;
    return RN_OK;
}
