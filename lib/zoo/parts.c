/* SPDX-License-Identifier: MIT */
#include "zoo/parts.h"
#include "base/error.h"
#include <inttypes.h>

rn_status rni_zoo_check_flags(uint64_t flags, uint64_t own, uint64_t plain)
{
    if (flags & ~(own | RN_ZOO_ZERO_INIT | RN_ZOO_FROZEN_BN))
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in 0x%" PRIx64, flags);
    if ((flags & plain) && (flags & RN_ZOO_ZERO_INIT))
        return rni_fail(RN_E_INVALID, "options.flags: RN_ZOO_ZERO_INIT, but a plain net has no residual blocks");
    return RN_OK;
}

rn_status rni_zoo_check_common(int64_t classes, int64_t in_channels, int32_t shortcut, int32_t init)
{
    if (classes < 1)
        return rni_fail(RN_E_INVALID, "options.classes: expected 1 or more, got %" PRId64, classes);
    if (in_channels < 1)
        return rni_fail(RN_E_INVALID, "options.in_channels: expected 1 or more, got %" PRId64, in_channels);
    if (shortcut < RN_SHORTCUT_A || shortcut > RN_SHORTCUT_C)
        return rni_fail(RN_E_INVALID, "options.shortcut: expected RN_SHORTCUT_A, _B, _3X3 or _C, got %" PRId32, shortcut);
    if (init < RN_INIT_DEFAULT || init > RN_INIT_NORMAL_001)
        return rni_fail(RN_E_INVALID, "options.init: expected one of RN_INIT_*, got %" PRId32, init);
    return RN_OK;
}

rn_status rni_zoo_append_new(rn_layer *seq, const char *name, rn_status status, rn_layer *child)
{
    if (status < 0)
        return status;
    status = rn_sequential_append(seq, name, child);
    rn_layer_release(child);
    return status;
}

rni_zoo_parts rni_zoo_parts_of(rn_context *ctx, int32_t init, uint64_t flags)
{
    return (rni_zoo_parts){ctx, init, flags & RN_ZOO_FROZEN_BN ? RN_BATCHNORM_FROZEN : 0, (flags & RN_ZOO_ZERO_INIT) != 0};
}

static rn_status append_conv(const rni_zoo_parts *parts, rn_layer *seq, const char *name, rn_conv2d_options *o,
                             int64_t kernel, int64_t stride)
{
    rn_layer *layer = NULL;
    o->kernel[0] = o->kernel[1] = kernel;
    o->stride[0] = o->stride[1] = stride;
    o->padding[0] = o->padding[1] = kernel / 2;
    o->init = parts->init;
    const rn_status status = rn_conv2d_create(parts->ctx, o, &layer);
    return rni_zoo_append_new(seq, name, status, layer);
}

rn_status rni_zoo_append_conv(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t in, int64_t out,
                              int64_t kernel, int64_t stride)
{
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    o.in_channels = in;
    o.out_channels = out;
    return append_conv(parts, seq, name, &o, kernel, stride);
}

rn_status rni_zoo_append_grouped(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t channels,
                                 int64_t stride, int64_t groups)
{
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    o.in_channels = o.out_channels = channels;
    o.groups = groups;
    return append_conv(parts, seq, name, &o, 3, stride);
}

static rn_status append_bn(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t channels, uint64_t flags)
{
    rn_batchnorm2d_options o = RN_BATCHNORM2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.channels = channels;
    o.flags = parts->bn | flags;
    const rn_status status = rn_batchnorm2d_create(parts->ctx, &o, &layer);
    return rni_zoo_append_new(seq, name, status, layer);
}

rn_status rni_zoo_append_bn(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t channels)
{
    return append_bn(parts, seq, name, channels, 0);
}

rn_status rni_zoo_append_last_bn(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t channels)
{
    return append_bn(parts, seq, name, channels, parts->zero_last ? RN_BATCHNORM_ZERO_INIT : 0);
}

rn_status rni_zoo_append_relu(const rni_zoo_parts *parts, rn_layer *seq, const char *name)
{
    rn_layer *layer = NULL;
    const rn_status status = rn_relu_create(parts->ctx, &layer);
    return rni_zoo_append_new(seq, name, status, layer);
}

rn_status rni_zoo_append_head(const rni_zoo_parts *parts, rn_layer *root, int64_t features, int64_t classes)
{
    rn_linear_options o = RN_LINEAR_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.in_features = features;
    o.out_features = classes;
    o.init = parts->init;
    rn_status status = rn_global_avgpool2d_create(parts->ctx, &layer);
    RNI_TRY(rni_zoo_append_new(root, "avgpool", status, layer));
    status = rn_flatten_create(parts->ctx, &layer);
    RNI_TRY(rni_zoo_append_new(root, "flatten", status, layer));
    status = rn_linear_create(parts->ctx, &o, &layer);
    return rni_zoo_append_new(root, "fc", status, layer);
}
