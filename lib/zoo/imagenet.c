/* SPDX-License-Identifier: MIT */
/*
 * Residual nets for ImageNet (He et al. 2015, arXiv 1512.03385, table 1) as torchvision has them: option B, the stride of
 * a bottleneck on its 3x3 convolution. Names are torchvision's.
 */
#include "zoo/imagenet.h"
#include "base/error.h"
#include <string.h>

typedef struct depth_entry {
    int64_t depth, blocks[4];
    int bottleneck;
} depth_entry;

static const depth_entry depths[] = {
    {18, {2, 2, 2, 2}, 0},  {34, {3, 4, 6, 3}, 0},  {50, {3, 4, 6, 3}, 1},
    {101, {3, 4, 23, 3}, 1}, {152, {3, 8, 36, 3}, 1},
};

enum { STEM_CHANNELS = 64, EXPANSION = 4 };

/* Input and output channels of a block, of its inner convolutions, and its stride. */
typedef struct block_shape {
    int64_t in, inner, out, stride;
} block_shape;

int rni_imagenet_net_of(int64_t depth, rni_imagenet_net *net)
{
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        if (depths[i].depth != depth)
            continue;
        memcpy(net->blocks, depths[i].blocks, sizeof net->blocks);
        net->bottleneck = depths[i].bottleneck;
        return 1;
    }
    return 0;
}

static rn_status fill_basic(const rni_zoo_parts *parts, rn_layer *seq, const block_shape *b)
{
    RNI_TRY(rni_zoo_append_conv(parts, seq, "conv1", b->in, b->inner, 3, b->stride));
    RNI_TRY(rni_zoo_append_bn(parts, seq, "bn1", b->inner));
    RNI_TRY(rni_zoo_append_relu(parts, seq, "relu"));
    RNI_TRY(rni_zoo_append_conv(parts, seq, "conv2", b->inner, b->out, 3, 1));
    return rni_zoo_append_bn(parts, seq, "bn2", b->out);
}

static rn_status fill_bottleneck(const rni_zoo_parts *parts, rn_layer *seq, const block_shape *b)
{
    RNI_TRY(rni_zoo_append_conv(parts, seq, "conv1", b->in, b->inner, 1, 1));
    RNI_TRY(rni_zoo_append_bn(parts, seq, "bn1", b->inner));
    RNI_TRY(rni_zoo_append_relu(parts, seq, "relu"));
    RNI_TRY(rni_zoo_append_conv(parts, seq, "conv2", b->inner, b->inner, 3, b->stride));
    RNI_TRY(rni_zoo_append_bn(parts, seq, "bn2", b->inner));
    RNI_TRY(rni_zoo_append_relu(parts, seq, "relu2"));
    RNI_TRY(rni_zoo_append_conv(parts, seq, "conv3", b->inner, b->out, 1, 1));
    return rni_zoo_append_bn(parts, seq, "bn3", b->out);
}

/* NULL where the dimensions stay. */
static rn_status create_shortcut(const rni_zoo_parts *parts, const block_shape *b, rn_layer **out)
{
    rn_layer *seq = NULL;
    if (b->in == b->out && b->stride == 1)
        return RN_OK;
    RNI_TRY(rn_sequential_create(parts->ctx, &seq));
    rn_status status = rni_zoo_append_conv(parts, seq, "0", b->in, b->out, 1, b->stride);
    if (status == RN_OK)
        status = rni_zoo_append_bn(parts, seq, "1", b->out);
    if (status < 0)
        rn_layer_release(seq);
    else
        *out = seq;
    return status;
}

static rn_status append_block(const rni_imagenet_net *net, rn_layer *stage, const block_shape *b)
{
    rn_layer *main = NULL, *side = NULL, *block = NULL;
    rn_status status = rn_sequential_create(net->parts.ctx, &main);
    if (status == RN_OK)
        status = net->bottleneck ? fill_bottleneck(&net->parts, main, b) : fill_basic(&net->parts, main, b);
    if (status == RN_OK)
        status = create_shortcut(&net->parts, b, &side);
    if (status == RN_OK)
        status = rn_residual_create(net->parts.ctx, main, side, NULL, &block);
    rn_layer_release(main);
    rn_layer_release(side);
    return rni_zoo_append_new(stage, NULL, status, block);
}

static rn_status append_stage(const rni_imagenet_net *net, rn_layer *root, int index, int64_t *channels)
{
    static const char *const names[4] = {"layer1", "layer2", "layer3", "layer4"};
    rn_layer *stage = NULL;
    rn_status status = rn_sequential_create(net->parts.ctx, &stage);
    block_shape b = {.inner = STEM_CHANNELS << index, .stride = index ? 2 : 1};
    b.out = net->bottleneck ? b.inner * EXPANSION : b.inner;
    for (int64_t i = 0; status == RN_OK && i < net->blocks[index]; i++, b.stride = 1) {
        b.in = *channels;
        status = append_block(net, stage, &b);
        *channels = b.out;
    }
    if (status < 0)
        rn_layer_release(stage);
    return rni_zoo_append_new(root, names[index], status, stage);
}

static rn_status append_stem(const rni_imagenet_net *net, rn_layer *root)
{
    rn_pool2d_options pool = RN_POOL2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    RNI_TRY(rni_zoo_append_conv(&net->parts, root, "conv1", net->in_channels, STEM_CHANNELS, 7, 2));
    RNI_TRY(rni_zoo_append_bn(&net->parts, root, "bn1", STEM_CHANNELS));
    RNI_TRY(rni_zoo_append_relu(&net->parts, root, "relu"));
    pool.kernel[0] = pool.kernel[1] = 3;
    pool.stride[0] = pool.stride[1] = 2;
    pool.padding[0] = pool.padding[1] = 1;
    const rn_status status = rn_maxpool2d_create(net->parts.ctx, &pool, &layer);
    return rni_zoo_append_new(root, "maxpool", status, layer);
}

static rn_status fill_net(const rni_imagenet_net *net, rn_layer *root)
{
    int64_t channels = STEM_CHANNELS;
    RNI_TRY(append_stem(net, root));
    for (int i = 0; i < 4; i++)
        RNI_TRY(append_stage(net, root, i, &channels));
    return rni_zoo_append_head(&net->parts, root, channels, net->classes);
}

rn_status rni_imagenet_net_create(const rni_imagenet_net *net, rn_layer **out)
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
