/* SPDX-License-Identifier: MIT */
/*
 * Residual nets of depth 6n+2 for small images (He et al. 2015, arXiv 1512.03385, section 4.2), and their plain twins.
 * Names are torchvision's.
 */
#include "zoo/cifar.h"
#include "base/abi.h"
#include "base/error.h"
#include <inttypes.h>

/* The deepest net that was published has 1,202 layers. */
enum { MAX_DEPTH = 6 * 1000 + 2 };

static rn_status fill_main(const rni_cifar_net *net, rn_layer *seq, int64_t in, int64_t out, int64_t stride)
{
    RNI_TRY(rni_zoo_append_conv(&net->parts, seq, "conv1", in, out, 3, stride));
    RNI_TRY(rni_zoo_append_bn(&net->parts, seq, "bn1", out));
    RNI_TRY(rni_zoo_append_relu(&net->parts, seq, "relu"));
    RNI_TRY(rni_zoo_append_conv(&net->parts, seq, "conv2", out, out, 3, 1));
    return rni_zoo_append_bn(&net->parts, seq, "bn2", out);
}

/* Option A: no parameters; the zero channels on both sides, as in the widespread PyTorch port, or all after. */
static rn_status pad_shortcut(const rni_cifar_net *net, int64_t in, int64_t out, int64_t stride, rn_layer **layer)
{
    rn_pad_shortcut_options o = RN_PAD_SHORTCUT_OPTIONS_INIT;
    const int64_t added = out - in;
    o.stride[0] = o.stride[1] = stride;
    o.channels_before = net->flags & RN_CIFAR_ZEROS_AFTER ? 0 : added / 2;
    o.channels_after = added - o.channels_before;
    return rn_pad_shortcut_create(net->parts.ctx, &o, layer);
}

static rn_status projection(const rni_cifar_net *net, int64_t in, int64_t out, int64_t stride, rn_layer **layer)
{
    rn_layer *seq = NULL;
    RNI_TRY(rn_sequential_create(net->parts.ctx, &seq));
    rn_status status = rni_zoo_append_conv(&net->parts, seq, "0", in, out, net->shortcut == RN_SHORTCUT_3X3 ? 3 : 1, stride);
    if (status == RN_OK)
        status = rni_zoo_append_bn(&net->parts, seq, "1", out);
    if (status < 0)
        rn_layer_release(seq);
    else
        *layer = seq;
    return status;
}

/* NULL where the dimensions stay. */
static rn_status shortcut(const rni_cifar_net *net, int64_t in, int64_t out, int64_t stride, rn_layer **layer)
{
    if (in == out && stride == 1)
        return RN_OK;
    if (net->shortcut == RN_SHORTCUT_A)
        return pad_shortcut(net, in, out, stride, layer);
    return projection(net, in, out, stride, layer);
}

static rn_status append_residual(const rni_cifar_net *net, rn_layer *stage, int64_t in, int64_t out, int64_t stride)
{
    rn_layer *main = NULL, *side = NULL, *block = NULL;
    rn_status status = rn_sequential_create(net->parts.ctx, &main);
    if (status == RN_OK)
        status = fill_main(net, main, in, out, stride);
    if (status == RN_OK)
        status = shortcut(net, in, out, stride, &side);
    if (status == RN_OK)
        status = rn_residual_create(net->parts.ctx, main, side, NULL, &block);
    rn_layer_release(main);
    rn_layer_release(side);
    return rni_zoo_append_new(stage, NULL, status, block);
}

static rn_status append_plain(const rni_cifar_net *net, rn_layer *stage, int64_t in, int64_t out, int64_t stride)
{
    rn_layer *block = NULL;
    rn_status status = rn_sequential_create(net->parts.ctx, &block);
    if (status == RN_OK)
        status = fill_main(net, block, in, out, stride);
    if (status == RN_OK)
        status = rni_zoo_append_relu(&net->parts, block, "relu2");
    if (status < 0)
        rn_layer_release(block);
    return rni_zoo_append_new(stage, NULL, status, block);
}

static rn_status fill_stage(const rni_cifar_net *net, rn_layer *stage, int64_t in, int64_t out)
{
    for (int64_t i = 0; i < net->blocks; i++) {
        const int64_t from = i == 0 ? in : out, stride = i == 0 && in != out ? 2 : 1;
        if (net->flags & RN_CIFAR_PLAIN)
            RNI_TRY(append_plain(net, stage, from, out, stride));
        else
            RNI_TRY(append_residual(net, stage, from, out, stride));
    }
    return RN_OK;
}

static rn_status append_stage(const rni_cifar_net *net, rn_layer *root, const char *name, int64_t in, int64_t out)
{
    rn_layer *stage = NULL;
    rn_status status = rn_sequential_create(net->parts.ctx, &stage);
    if (status == RN_OK)
        status = fill_stage(net, stage, in, out);
    if (status < 0)
        rn_layer_release(stage);
    return rni_zoo_append_new(root, name, status, stage);
}

static rn_status fill_net(const rni_cifar_net *net, rn_layer *root)
{
    RNI_TRY(rni_zoo_append_conv(&net->parts, root, net->stem_conv, net->in_channels, 16, 3, 1));
    RNI_TRY(rni_zoo_append_bn(&net->parts, root, net->stem_bn, 16));
    RNI_TRY(rni_zoo_append_relu(&net->parts, root, "relu"));
    RNI_TRY(append_stage(net, root, "layer1", 16, 16));
    RNI_TRY(append_stage(net, root, "layer2", 16, 32));
    RNI_TRY(append_stage(net, root, "layer3", 32, 64));
    return rni_zoo_append_head(&net->parts, root, 64, net->classes);
}

rn_status rni_cifar_net_create(const rni_cifar_net *net, rn_layer **out)
{
    rn_layer *root = NULL;
    RNI_TRY(rn_sequential_create(net->parts.ctx, &root));
    const rn_status status = fill_net(net, root);
    if (status < 0)
        rn_layer_release(root);
    else
        *out = root;
    return status;
}

static const rn_cifar_resnet_options defaults = RN_CIFAR_RESNET_OPTIONS_INIT;

rn_status rn_cifar_resnet_options_init(rn_cifar_resnet_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_cifar_resnet_options");
}

static rn_status check_options(const rn_cifar_resnet_options *o)
{
    if (o->flags & ~(uint64_t)(RN_CIFAR_PLAIN | RN_CIFAR_ZEROS_AFTER))
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in 0x%" PRIx64, o->flags);
    if (o->depth < 8 || o->depth > MAX_DEPTH || (o->depth - 2) % 6 != 0)
        return rni_fail(RN_E_INVALID, "options.depth: expected 6n+2 (8, 14, 20, ... %d), got %" PRId64, MAX_DEPTH,
                        o->depth);
    if (o->classes < 1)
        return rni_fail(RN_E_INVALID, "options.classes: expected 1 or more, got %" PRId64, o->classes);
    if (o->in_channels < 1)
        return rni_fail(RN_E_INVALID, "options.in_channels: expected 1 or more, got %" PRId64, o->in_channels);
    if (o->shortcut < RN_SHORTCUT_A || o->shortcut > RN_SHORTCUT_3X3)
        return rni_fail(RN_E_INVALID, "options.shortcut: expected RN_SHORTCUT_A, _B or _3X3, got %" PRId32, o->shortcut);
    if (o->init < RN_INIT_DEFAULT || o->init > RN_INIT_KAIMING_FAN_OUT)
        return rni_fail(RN_E_INVALID, "options.init: expected one of RN_INIT_*, got %" PRId32, o->init);
    return RN_OK;
}

rn_status rn_cifar_resnet_create(rn_context *ctx, const rn_cifar_resnet_options *options, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_cifar_resnet_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_cifar_resnet_options"));
    RNI_TRY(check_options(&o));
    const rni_cifar_net net = {
        .parts = {ctx, o.init},
        .stem_conv = "conv1",
        .stem_bn = "bn1",
        .blocks = (o.depth - 2) / 6,
        .classes = o.classes,
        .in_channels = o.in_channels,
        .shortcut = o.shortcut,
        .flags = o.flags,
    };
    return rni_cifar_net_create(&net, out);
}
