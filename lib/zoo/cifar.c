/* SPDX-License-Identifier: MIT */
/*
 * Residual nets of depth 6n+2 for small images (He et al. 2015, arXiv 1512.03385, section 4.2), and their plain twins.
 * Names are torchvision's.
 */
#include "zoo/cifar.h"
#include "base/abi.h"
#include "base/error.h"
#include <inttypes.h>
#include <stddef.h>

/* The deepest net that was published has 1,202 layers. */
enum { MAX_DEPTH = 6 * 1000 + 2, WIDTH = 16 };

static rn_status append_stage(const rni_cifar_net *net, rn_layer *root, int index, int64_t *channels)
{
    static const char *const names[3] = {"layer1", "layer2", "layer3"};
    const int64_t width = net->width << index;
    const rni_zoo_stage stage = {names[index], net->blocks, width, width, index ? 2 : 1, 1};
    return rni_zoo_append_stage(&net->style, &stage, root, channels);
}

static rn_status fill_net(const rni_cifar_net *net, rn_layer *root)
{
    const rni_zoo_parts *const parts = &net->style.parts;
    int64_t channels = net->width;
    RNI_TRY(rni_zoo_append_conv(parts, root, net->stem_conv, net->in_channels, channels, 3, 1));
    RNI_TRY(rni_zoo_append_bn(parts, root, net->stem_bn, channels));
    RNI_TRY(rni_zoo_append_relu(parts, root, "relu"));
    for (int i = 0; i < 3; i++)
        RNI_TRY(append_stage(net, root, i, &channels));
    return rni_zoo_append_head(parts, root, channels, net->classes);
}

rn_status rni_cifar_net_create(const rni_cifar_net *net, rn_layer **out)
{
    rn_layer *root = NULL;
    RNI_TRY(rn_sequential_create(net->style.parts.ctx, &root));
    const rn_status status = fill_net(net, root);
    if (status < 0)
        rn_layer_release(root);
    else
        *out = root;
    return status;
}

static const rn_cifar_resnet_options defaults = RN_CIFAR_RESNET_OPTIONS_INIT;

/* The first version ended before `width`. */
#define FIRST_SIZE offsetof(rn_cifar_resnet_options, width)

rn_status rn_cifar_resnet_options_init(rn_cifar_resnet_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, FIRST_SIZE, "rn_cifar_resnet_options");
}

static rn_status check_options(const rn_cifar_resnet_options *o)
{
    RNI_TRY(rni_zoo_check_flags(o->flags, RN_CIFAR_PLAIN | RN_CIFAR_ZEROS_AFTER, RN_CIFAR_PLAIN));
    if (o->depth < 8 || o->depth > MAX_DEPTH || (o->depth - 2) % 6 != 0)
        return rni_fail(RN_E_INVALID, "options.depth: expected 6n+2 (8, 14, 20, ... %d), got %" PRId64, MAX_DEPTH,
                        o->depth);
    if (o->width < 0 || o->width > RNI_ZOO_MAX_WIDTH)
        return rni_fail(RN_E_INVALID, "options.width: expected 0 to %d, got %" PRId64, RNI_ZOO_MAX_WIDTH, o->width);
    return rni_zoo_check_common(o->classes, o->in_channels, o->shortcut, o->init);
}

rn_status rn_cifar_resnet_create(rn_context *ctx, const rn_cifar_resnet_options *options, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_cifar_resnet_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, FIRST_SIZE, options, "rn_cifar_resnet_options"));
    RNI_TRY(check_options(&o));
    const rni_cifar_net net = {
        .style = {
            .parts = rni_zoo_parts_of(ctx, o.init, o.flags),
            .shortcut = o.shortcut,
            .plain = (o.flags & RN_CIFAR_PLAIN) != 0,
            .zeros_after = (o.flags & RN_CIFAR_ZEROS_AFTER) != 0,
        },
        .stem_conv = "conv1",
        .stem_bn = "bn1",
        .blocks = (o.depth - 2) / 6,
        .width = o.width ? o.width : WIDTH,
        .classes = o.classes,
        .in_channels = o.in_channels,
    };
    return rni_cifar_net_create(&net, out);
}
