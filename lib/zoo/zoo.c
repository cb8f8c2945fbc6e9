/* SPDX-License-Identifier: MIT */
/* Networks by name. */
#include "base/abi.h"
#include "base/error.h"
#include "zoo/cifar.h"
#include "zoo/vgg.h"
#include <inttypes.h>
#include <string.h>

enum { TUTORIAL, CIFAR, IMAGENET, VGG, VGG_BN };

typedef struct entry {
    const char *name;
    int family;
    int32_t depth, shortcut;
    uint64_t flags;
    int32_t groups, width_per_group; /* 0: as the family has it */
} entry;

static const entry entries[] = {
    {"tutorial", TUTORIAL, 0, 0, 0, 0, 0},
    {"cifar_resnet20", CIFAR, 20, RN_SHORTCUT_A, 0, 0, 0},
    {"cifar_resnet32", CIFAR, 32, RN_SHORTCUT_A, 0, 0, 0},
    {"cifar_resnet44", CIFAR, 44, RN_SHORTCUT_A, 0, 0, 0},
    {"cifar_resnet56", CIFAR, 56, RN_SHORTCUT_A, 0, 0, 0},
    {"cifar_resnet110", CIFAR, 110, RN_SHORTCUT_A, 0, 0, 0},
    {"cifar_resnet1202", CIFAR, 1202, RN_SHORTCUT_A, 0, 0, 0},
    {"cifar_resnet20_b", CIFAR, 20, RN_SHORTCUT_B, 0, 0, 0},
    {"cifar_resnet32_b", CIFAR, 32, RN_SHORTCUT_B, 0, 0, 0},
    {"cifar_resnet44_b", CIFAR, 44, RN_SHORTCUT_B, 0, 0, 0},
    {"cifar_resnet56_b", CIFAR, 56, RN_SHORTCUT_B, 0, 0, 0},
    {"cifar_resnet110_b", CIFAR, 110, RN_SHORTCUT_B, 0, 0, 0},
    {"cifar_plain20", CIFAR, 20, RN_SHORTCUT_A, RN_CIFAR_PLAIN, 0, 0},
    {"cifar_plain32", CIFAR, 32, RN_SHORTCUT_A, RN_CIFAR_PLAIN, 0, 0},
    {"cifar_plain44", CIFAR, 44, RN_SHORTCUT_A, RN_CIFAR_PLAIN, 0, 0},
    {"cifar_plain56", CIFAR, 56, RN_SHORTCUT_A, RN_CIFAR_PLAIN, 0, 0},
    {"cifar_plain110", CIFAR, 110, RN_SHORTCUT_A, RN_CIFAR_PLAIN, 0, 0},
    {"resnet18", IMAGENET, 18, RN_SHORTCUT_B, 0, 0, 0},
    {"resnet34", IMAGENET, 34, RN_SHORTCUT_B, 0, 0, 0},
    {"resnet50", IMAGENET, 50, RN_SHORTCUT_B, 0, 0, 0},
    {"resnet101", IMAGENET, 101, RN_SHORTCUT_B, 0, 0, 0},
    {"resnet152", IMAGENET, 152, RN_SHORTCUT_B, 0, 0, 0},
    {"plain18", IMAGENET, 18, RN_SHORTCUT_B, RN_RESNET_PLAIN, 0, 0},
    {"plain34", IMAGENET, 34, RN_SHORTCUT_B, RN_RESNET_PLAIN, 0, 0},
    {"resnet34_a", IMAGENET, 34, RN_SHORTCUT_A, RN_RESNET_ZEROS_AFTER, 0, 0},
    {"resnet34_c", IMAGENET, 34, RN_SHORTCUT_C, 0, 0, 0},
    {"resnet50_v1", IMAGENET, 50, RN_SHORTCUT_B, RN_RESNET_V1, 0, 0},
    {"resnet101_v1", IMAGENET, 101, RN_SHORTCUT_B, RN_RESNET_V1, 0, 0},
    {"resnet152_v1", IMAGENET, 152, RN_SHORTCUT_B, RN_RESNET_V1, 0, 0},
    {"resnext50_32x4d", IMAGENET, 50, RN_SHORTCUT_B, 0, 32, 4},
    {"resnext101_32x8d", IMAGENET, 101, RN_SHORTCUT_B, 0, 32, 8},
    {"resnext101_64x4d", IMAGENET, 101, RN_SHORTCUT_B, 0, 64, 4},
    {"wide_resnet50_2", IMAGENET, 50, RN_SHORTCUT_B, 0, 1, 128},
    {"wide_resnet101_2", IMAGENET, 101, RN_SHORTCUT_B, 0, 1, 128},
    {"vgg19", VGG, 19, 0, 0, 0, 0},
    {"vgg19_bn", VGG_BN, 19, 0, 0, 0, 0},
};
enum { NUM_ENTRIES = sizeof entries / sizeof entries[0] };

static const rn_zoo_options defaults = RN_ZOO_OPTIONS_INIT;

rn_status rn_zoo_options_init(rn_zoo_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_zoo_options");
}

const char *rn_zoo_name(size_t index)
{
    return index < NUM_ENTRIES ? entries[index].name : NULL;
}

static rn_status unknown_name(const char *name)
{
    return rni_fail(RN_E_NOT_FOUND, "name: there is no net '%.40s'; there are: tutorial, cifar_resnet20, 32, 44, 56, 110 "
                    "(also cifar_resnet20_b ...), 1202, cifar_plain20 to 110, resnet18, 34, 50, 101, 152 (also resnet50_v1 "
                    "...), plain18, plain34, resnet34_a, resnet34_c, resnext50_32x4d, resnext101_32x8d, "
                    "resnext101_64x4d, wide_resnet50_2, wide_resnet101_2, vgg19, vgg19_bn", name);
}

/*
 * The net of the PyTorch tutorial for deep residual networks: two blocks per stage, 3x3 projections, PyTorch's default
 * initialisation. It ends in AvgPool2d(8) there, which at 32 pixels is the global one.
 */
static rn_status create_tutorial(rn_context *ctx, const rn_zoo_options *o, rn_layer **out)
{
    const rni_cifar_net net = {
        .style = {.parts = rni_zoo_parts_of(ctx, RN_INIT_DEFAULT, o->flags), .shortcut = RN_SHORTCUT_3X3},
        .stem_conv = "conv",
        .stem_bn = "bn",
        .blocks = 2,
        .width = 16,
        .classes = o->classes,
        .in_channels = o->in_channels,
    };
    return rni_cifar_net_create(&net, out);
}

static rn_status create_cifar(rn_context *ctx, const entry *e, const rn_zoo_options *zoo, rn_layer **out)
{
    rn_cifar_resnet_options o = RN_CIFAR_RESNET_OPTIONS_INIT;
    o.flags = e->flags | zoo->flags;
    o.depth = e->depth;
    o.classes = zoo->classes;
    o.in_channels = zoo->in_channels;
    o.shortcut = e->shortcut;
    return rn_cifar_resnet_create(ctx, &o, out);
}

static rn_status create_imagenet(rn_context *ctx, const entry *e, const rn_zoo_options *zoo, rn_layer **out)
{
    rn_resnet_options o = RN_RESNET_OPTIONS_INIT;
    o.flags = e->flags | zoo->flags;
    o.depth = e->depth;
    o.classes = zoo->classes;
    o.in_channels = zoo->in_channels;
    o.shortcut = e->shortcut;
    o.groups = e->groups ? e->groups : o.groups;
    o.width_per_group = e->width_per_group ? e->width_per_group : o.width_per_group;
    return rn_resnet_create(ctx, &o, out);
}

static rn_status create_vgg(rn_context *ctx, const entry *e, const rn_zoo_options *o, rn_layer **out)
{
    const rni_zoo_parts parts = rni_zoo_parts_of(ctx, RN_INIT_KAIMING_FAN_OUT, o->flags);
    if (o->flags & RN_ZOO_ZERO_INIT)
        return rni_fail(RN_E_INVALID, "options.flags: RN_ZOO_ZERO_INIT, but %s has no residual blocks", e->name);
    if ((o->flags & RN_ZOO_FROZEN_BN) && e->family == VGG)
        return rni_fail(RN_E_INVALID, "options.flags: RN_ZOO_FROZEN_BN, but %s has no batch normalisation", e->name);
    return rni_vgg19_create(&parts, e->family == VGG_BN, o->classes, o->in_channels, out);
}

static rn_status check_options(const rn_zoo_options *o)
{
    RNI_TRY(rni_zoo_check_flags(o->flags, 0, 0));
    if (o->classes < 0)
        return rni_fail(RN_E_INVALID, "options.classes: expected 0 or more, got %" PRId64, o->classes);
    if (o->in_channels < 0)
        return rni_fail(RN_E_INVALID, "options.in_channels: expected 0 or more, got %" PRId64, o->in_channels);
    return RN_OK;
}

static rn_status create(rn_context *ctx, const entry *e, rn_zoo_options *o, rn_layer **out)
{
    if (o->classes == 0)
        o->classes = e->family >= IMAGENET ? 1000 : 10;
    if (o->in_channels == 0)
        o->in_channels = 3;
    switch (e->family) {
    case TUTORIAL:
        return create_tutorial(ctx, o, out);
    case CIFAR:
        return create_cifar(ctx, e, o, out);
    case IMAGENET:
        return create_imagenet(ctx, e, o, out);
    default:
        return create_vgg(ctx, e, o, out);
    }
}

rn_status rn_zoo_create(rn_context *ctx, const char *name, const rn_zoo_options *options, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(name);
    RNI_REQUIRE(out);
    rn_zoo_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_zoo_options"));
    RNI_TRY(check_options(&o));
    for (size_t i = 0; i < NUM_ENTRIES; i++)
        if (strcmp(entries[i].name, name) == 0)
            return create(ctx, &entries[i], &o, out);
    return unknown_name(name);
}
