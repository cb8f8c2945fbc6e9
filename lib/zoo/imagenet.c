/* SPDX-License-Identifier: MIT */
/*
 * Nets for ImageNet: He et al. 2015 (arXiv 1512.03385, table 1), ResNeXt (Xie et al. 2016, arXiv 1611.05431), wide ones
 * (Zagoruyko, Komodakis 2016, arXiv 1605.07146) as torchvision has them. Names are torchvision's.
 */
#include "base/abi.h"
#include "base/error.h"
#include "zoo/block.h"
#include <inttypes.h>
#include <string.h>

typedef struct depth_entry {
    int64_t depth, blocks[4];
    int32_t block;
} depth_entry;

static const depth_entry depths[] = {
    {18, {2, 2, 2, 2}, RN_BLOCK_BASIC},        {34, {3, 4, 6, 3}, RN_BLOCK_BASIC},
    {50, {3, 4, 6, 3}, RN_BLOCK_BOTTLENECK},   {101, {3, 4, 23, 3}, RN_BLOCK_BOTTLENECK},
    {152, {3, 8, 36, 3}, RN_BLOCK_BOTTLENECK},
};

enum { EXPANSION = 4, WIDTH_PER_GROUP = 64, MAX_BLOCKS = 1000, MAX_INNER = 1 << 20 };

/* Channels of the inner convolutions of stage `index`. */
static int64_t inner_channels(const rn_resnet_options *o, int index)
{
    const int64_t width = o->width << index;
    return o->block == RN_BLOCK_BOTTLENECK ? width * o->width_per_group / WIDTH_PER_GROUP * o->groups : width;
}

static rn_status append_stage(const rn_resnet_options *o, const rni_zoo_style *style, rn_layer *root, int index,
                              int64_t *channels)
{
    static const char *const names[4] = {"layer1", "layer2", "layer3", "layer4"};
    const rni_zoo_stage stage = {
        .name = names[index],
        .blocks = o->blocks[index],
        .inner = inner_channels(o, index),
        .out = (o->width << index) * (style->bottleneck ? EXPANSION : 1),
        .stride = index ? 2 : 1,
        .groups = o->groups,
    };
    return rni_zoo_append_stage(style, &stage, root, channels);
}

static rn_status append_stem(const rn_resnet_options *o, const rni_zoo_parts *parts, rn_layer *root)
{
    rn_pool2d_options pool = RN_POOL2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    RNI_TRY(rni_zoo_append_conv(parts, root, "conv1", o->in_channels, o->width, 7, 2));
    RNI_TRY(rni_zoo_append_bn(parts, root, "bn1", o->width));
    RNI_TRY(rni_zoo_append_relu(parts, root, "relu"));
    pool.kernel[0] = pool.kernel[1] = 3;
    pool.stride[0] = pool.stride[1] = 2;
    pool.padding[0] = pool.padding[1] = 1;
    const rn_status status = rn_maxpool2d_create(parts->ctx, &pool, &layer);
    return rni_zoo_append_new(root, "maxpool", status, layer);
}

static rn_status fill_net(const rn_resnet_options *o, const rni_zoo_style *style, rn_layer *root)
{
    int64_t channels = o->width;
    RNI_TRY(append_stem(o, &style->parts, root));
    for (int i = 0; i < 4; i++)
        RNI_TRY(append_stage(o, style, root, i, &channels));
    return rni_zoo_append_head(&style->parts, root, channels, o->classes);
}

static const rn_resnet_options defaults = RN_RESNET_OPTIONS_INIT;

rn_status rn_resnet_options_init(rn_resnet_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_resnet_options");
}

/* A depth of table 1 to the blocks it stands for. */
static rn_status look_up_depth(rn_resnet_options *o)
{
    if (o->depth == 0)
        return RN_OK;
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        if (depths[i].depth != o->depth)
            continue;
        if (o->block || o->blocks[0] || o->blocks[1] || o->blocks[2] || o->blocks[3])
            return rni_fail(RN_E_INVALID, "options.blocks, options.block: expected 0 beside a depth");
        memcpy(o->blocks, depths[i].blocks, sizeof o->blocks);
        o->block = depths[i].block;
        return RN_OK;
    }
    return rni_fail(RN_E_INVALID, "options.depth: expected 0, 18, 34, 50, 101 or 152, got %" PRId64, o->depth);
}

static rn_status check_blocks(const rn_resnet_options *o)
{
    if (o->block != RN_BLOCK_BASIC && o->block != RN_BLOCK_BOTTLENECK)
        return rni_fail(RN_E_INVALID, "options.block: expected RN_BLOCK_BASIC or _BOTTLENECK, got %" PRId32, o->block);
    for (int i = 0; i < 4; i++)
        if (o->blocks[i] < 1 || o->blocks[i] > MAX_BLOCKS)
            return rni_fail(RN_E_INVALID, "options.blocks[%d]: expected 1 to %d, got %" PRId64, i, MAX_BLOCKS,
                            o->blocks[i]);
    return RN_OK;
}

static rn_status check_size(const char *field, int64_t value)
{
    if (value < 1 || value > RNI_ZOO_MAX_WIDTH)
        return rni_fail(RN_E_INVALID, "options.%s: expected 1 to %d, got %" PRId64, field, RNI_ZOO_MAX_WIDTH, value);
    return RN_OK;
}

static rn_status check_widths(const rn_resnet_options *o)
{
    RNI_TRY(check_size("width", o->width));
    RNI_TRY(check_size("groups", o->groups));
    RNI_TRY(check_size("width_per_group", o->width_per_group));
    if (o->block == RN_BLOCK_BASIC && (o->groups != 1 || o->width_per_group != WIDTH_PER_GROUP))
        return rni_fail(RN_E_INVALID, "options.groups, options.width_per_group: basic blocks have 1 group of width %d",
                        WIDTH_PER_GROUP);
    if (inner_channels(o, 0) < 1 || inner_channels(o, 3) > MAX_INNER)
        return rni_fail(RN_E_INVALID, "options.width_per_group: gives %" PRId64 " to %" PRId64
                        " inner channels, expected 1 to %d", inner_channels(o, 0), inner_channels(o, 3), MAX_INNER);
    return RN_OK;
}

static rn_status check_options(const rn_resnet_options *o)
{
    RNI_TRY(rni_zoo_check_flags(o->flags, RN_RESNET_PLAIN | RN_RESNET_ZEROS_AFTER | RN_RESNET_V1, RN_RESNET_PLAIN));
    RNI_TRY(check_blocks(o));
    RNI_TRY(check_widths(o));
    if (o->reserved)
        return rni_fail(RN_E_INVALID, "options.reserved: expected 0, got %" PRId32, o->reserved);
    return rni_zoo_check_common(o->classes, o->in_channels, o->shortcut, o->init);
}

rn_status rn_resnet_create(rn_context *ctx, const rn_resnet_options *options, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    rn_resnet_options o = defaults;
    rn_layer *root = NULL;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_resnet_options"));
    RNI_TRY(look_up_depth(&o));
    RNI_TRY(check_options(&o));
    const rni_zoo_style style = {
        .parts = rni_zoo_parts_of(ctx, o.init, o.flags),
        .shortcut = o.shortcut,
        .bottleneck = o.block == RN_BLOCK_BOTTLENECK,
        .stride_first = (o.flags & RN_RESNET_V1) != 0,
        .plain = (o.flags & RN_RESNET_PLAIN) != 0,
        .zeros_after = (o.flags & RN_RESNET_ZEROS_AFTER) != 0,
    };
    RNI_TRY(rn_sequential_create(ctx, &root));
    const rn_status status = fill_net(&o, &style, root);
    if (status < 0)
        rn_layer_release(root);
    else
        *out = root;
    return status;
}
