/* SPDX-License-Identifier: MIT */
/* Networks by name. */
#include "base/abi.h"
#include "base/error.h"
#include "zoo/cifar.h"
#include "zoo/imagenet.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct entry {
    const char *name;
    int64_t depth; /* 0: the tutorial's */
    int32_t shortcut;
    uint64_t flags;
    int imagenet;
} entry;

static const entry entries[] = {
    {"tutorial", 0, RN_SHORTCUT_3X3, 0, 0},
    {"cifar_resnet20", 20, RN_SHORTCUT_A, 0, 0},
    {"cifar_resnet32", 32, RN_SHORTCUT_A, 0, 0},
    {"cifar_resnet44", 44, RN_SHORTCUT_A, 0, 0},
    {"cifar_resnet56", 56, RN_SHORTCUT_A, 0, 0},
    {"cifar_resnet110", 110, RN_SHORTCUT_A, 0, 0},
    {"cifar_resnet20_b", 20, RN_SHORTCUT_B, 0, 0},
    {"cifar_resnet32_b", 32, RN_SHORTCUT_B, 0, 0},
    {"cifar_resnet44_b", 44, RN_SHORTCUT_B, 0, 0},
    {"cifar_resnet56_b", 56, RN_SHORTCUT_B, 0, 0},
    {"cifar_resnet110_b", 110, RN_SHORTCUT_B, 0, 0},
    {"cifar_plain20", 20, RN_SHORTCUT_A, RN_CIFAR_PLAIN, 0},
    {"cifar_plain32", 32, RN_SHORTCUT_A, RN_CIFAR_PLAIN, 0},
    {"cifar_plain44", 44, RN_SHORTCUT_A, RN_CIFAR_PLAIN, 0},
    {"cifar_plain56", 56, RN_SHORTCUT_A, RN_CIFAR_PLAIN, 0},
    {"cifar_plain110", 110, RN_SHORTCUT_A, RN_CIFAR_PLAIN, 0},
    {"resnet18", 18, RN_SHORTCUT_B, 0, 1},
    {"resnet34", 34, RN_SHORTCUT_B, 0, 1},
    {"resnet50", 50, RN_SHORTCUT_B, 0, 1},
    {"resnet101", 101, RN_SHORTCUT_B, 0, 1},
    {"resnet152", 152, RN_SHORTCUT_B, 0, 1},
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
    char list[400] = "";
    size_t length = 0;
    for (size_t i = 0; i < NUM_ENTRIES && length < sizeof list; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, " %s", entries[i].name);
    return rni_fail(RN_E_NOT_FOUND, "name: there is no net '%.40s'; there are:%s", name, list);
}

/*
 * The net of the PyTorch tutorial for deep residual networks: two blocks per stage, 3x3 projections, PyTorch's default
 * initialisation. It ends in AvgPool2d(8) there, which at 32 pixels is the global one.
 */
static rn_status create_tutorial(rn_context *ctx, int64_t classes, int64_t in_channels, rn_layer **out)
{
    const rni_cifar_net net = {
        .parts = {ctx, RN_INIT_DEFAULT},
        .stem_conv = "conv",
        .stem_bn = "bn",
        .blocks = 2,
        .classes = classes,
        .in_channels = in_channels,
        .shortcut = RN_SHORTCUT_3X3,
    };
    return rni_cifar_net_create(&net, out);
}

static rn_status create_cifar(rn_context *ctx, const entry *e, int64_t classes, int64_t in_channels, rn_layer **out)
{
    rn_cifar_resnet_options o = RN_CIFAR_RESNET_OPTIONS_INIT;
    o.flags = e->flags;
    o.depth = e->depth;
    o.classes = classes;
    o.in_channels = in_channels;
    o.shortcut = e->shortcut;
    return rn_cifar_resnet_create(ctx, &o, out);
}

static rn_status create_imagenet(rn_context *ctx, const entry *e, int64_t classes, int64_t in_channels, rn_layer **out)
{
    rni_imagenet_net net = {.parts = {ctx, RN_INIT_KAIMING_FAN_OUT}, .classes = classes, .in_channels = in_channels};
    if (!rni_imagenet_net_of(e->depth, &net))
        return rni_fail(RN_E_INTERNAL, "name: %s has no stages", e->name);
    return rni_imagenet_net_create(&net, out);
}

static rn_status check_options(const rn_zoo_options *o)
{
    if (o->flags)
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in 0x%" PRIx64, o->flags);
    if (o->classes < 0)
        return rni_fail(RN_E_INVALID, "options.classes: expected 0 or more, got %" PRId64, o->classes);
    if (o->in_channels < 0)
        return rni_fail(RN_E_INVALID, "options.in_channels: expected 0 or more, got %" PRId64, o->in_channels);
    return RN_OK;
}

rn_status rn_zoo_create(rn_context *ctx, const char *name, const rn_zoo_options *options, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(name);
    RNI_REQUIRE(out);
    rn_zoo_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_zoo_options"));
    RNI_TRY(check_options(&o));
    const int64_t in_channels = o.in_channels ? o.in_channels : 3;
    for (size_t i = 0; i < NUM_ENTRIES; i++) {
        if (strcmp(entries[i].name, name) != 0)
            continue;
        const int64_t classes = o.classes ? o.classes : entries[i].imagenet ? 1000 : 10;
        if (entries[i].imagenet)
            return create_imagenet(ctx, &entries[i], classes, in_channels, out);
        if (entries[i].depth == 0)
            return create_tutorial(ctx, classes, in_channels, out);
        return create_cifar(ctx, &entries[i], classes, in_channels, out);
    }
    return unknown_name(name);
}
