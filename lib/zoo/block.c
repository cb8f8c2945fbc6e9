/* SPDX-License-Identifier: MIT */
/* He et al. 2015, figures 2, 3 and 5. Names are torchvision's. */
#include "zoo/block.h"
#include "base/error.h"

/* Input and output channels of a block, of its inner convolutions, and its stride. */
typedef struct block_shape {
    int64_t in, inner, out, stride, groups;
} block_shape;

static rn_status fill_basic(const rni_zoo_style *s, rn_layer *seq, const block_shape *b)
{
    RNI_TRY(rni_zoo_append_conv(&s->parts, seq, "conv1", b->in, b->inner, 3, b->stride));
    RNI_TRY(rni_zoo_append_bn(&s->parts, seq, "bn1", b->inner));
    RNI_TRY(rni_zoo_append_relu(&s->parts, seq, "relu"));
    RNI_TRY(rni_zoo_append_conv(&s->parts, seq, "conv2", b->inner, b->out, 3, 1));
    return rni_zoo_append_last_bn(&s->parts, seq, "bn2", b->out);
}

static rn_status fill_bottleneck(const rni_zoo_style *s, rn_layer *seq, const block_shape *b)
{
    const int64_t first = s->stride_first ? b->stride : 1, second = s->stride_first ? 1 : b->stride;
    RNI_TRY(rni_zoo_append_conv(&s->parts, seq, "conv1", b->in, b->inner, 1, first));
    RNI_TRY(rni_zoo_append_bn(&s->parts, seq, "bn1", b->inner));
    RNI_TRY(rni_zoo_append_relu(&s->parts, seq, "relu"));
    RNI_TRY(rni_zoo_append_grouped(&s->parts, seq, "conv2", b->inner, second, b->groups));
    RNI_TRY(rni_zoo_append_bn(&s->parts, seq, "bn2", b->inner));
    RNI_TRY(rni_zoo_append_relu(&s->parts, seq, "relu2"));
    RNI_TRY(rni_zoo_append_conv(&s->parts, seq, "conv3", b->inner, b->out, 1, 1));
    return rni_zoo_append_last_bn(&s->parts, seq, "bn3", b->out);
}

static rn_status create_main(const rni_zoo_style *s, const block_shape *b, rn_layer **out)
{
    rn_layer *seq = NULL;
    RNI_TRY(rn_sequential_create(s->parts.ctx, &seq));
    const rn_status status = s->bottleneck ? fill_bottleneck(s, seq, b) : fill_basic(s, seq, b);
    if (status < 0)
        rn_layer_release(seq);
    else
        *out = seq;
    return status;
}

/* Option A: no parameters; the zero channels on both sides, as in the widespread PyTorch port, or all after. */
static rn_status create_padding(const rni_zoo_style *s, const block_shape *b, rn_layer **out)
{
    rn_pad_shortcut_options o = RN_PAD_SHORTCUT_OPTIONS_INIT;
    const int64_t added = b->out - b->in;
    o.stride[0] = o.stride[1] = b->stride;
    o.channels_before = s->zeros_after ? 0 : added / 2;
    o.channels_after = added - o.channels_before;
    return rn_pad_shortcut_create(s->parts.ctx, &o, out);
}

static rn_status create_projection(const rni_zoo_style *s, const block_shape *b, rn_layer **out)
{
    rn_layer *seq = NULL;
    RNI_TRY(rn_sequential_create(s->parts.ctx, &seq));
    const int64_t kernel = s->shortcut == RN_SHORTCUT_3X3 ? 3 : 1;
    rn_status status = rni_zoo_append_conv(&s->parts, seq, "0", b->in, b->out, kernel, b->stride);
    if (status == RN_OK)
        status = rni_zoo_append_bn(&s->parts, seq, "1", b->out);
    if (status < 0)
        rn_layer_release(seq);
    else
        *out = seq;
    return status;
}

/* NULL for the identity. */
static rn_status create_shortcut(const rni_zoo_style *s, const block_shape *b, rn_layer **out)
{
    const int same = b->in == b->out && b->stride == 1;
    if (same && s->shortcut != RN_SHORTCUT_C)
        return RN_OK;
    return s->shortcut == RN_SHORTCUT_A ? create_padding(s, b, out) : create_projection(s, b, out);
}

static rn_status append_residual(const rni_zoo_style *s, rn_layer *stage, const block_shape *b)
{
    rn_layer *main = NULL, *side = NULL, *block = NULL;
    rn_status status = create_main(s, b, &main);
    if (status == RN_OK)
        status = create_shortcut(s, b, &side);
    if (status == RN_OK)
        status = rn_residual_create(s->parts.ctx, main, side, NULL, &block);
    rn_layer_release(main);
    rn_layer_release(side);
    return rni_zoo_append_new(stage, NULL, status, block);
}

static rn_status append_plain(const rni_zoo_style *s, rn_layer *stage, const block_shape *b)
{
    rn_layer *block = NULL;
    rn_status status = create_main(s, b, &block);
    if (status == RN_OK) {
        status = rni_zoo_append_relu(&s->parts, block, s->bottleneck ? "relu3" : "relu2");
        if (status < 0)
            rn_layer_release(block);
    }
    return rni_zoo_append_new(stage, NULL, status, block);
}

static rn_status fill_stage(const rni_zoo_style *s, const rni_zoo_stage *stage, rn_layer *seq, int64_t channels)
{
    block_shape b = {channels, stage->inner, stage->out, stage->stride, stage->groups};
    for (int64_t i = 0; i < stage->blocks; i++) {
        RNI_TRY(s->plain ? append_plain(s, seq, &b) : append_residual(s, seq, &b));
        b.in = stage->out;
        b.stride = 1;
    }
    return RN_OK;
}

rn_status rni_zoo_append_stage(const rni_zoo_style *s, const rni_zoo_stage *stage, rn_layer *root, int64_t *channels)
{
    rn_layer *seq = NULL;
    RNI_TRY(rn_sequential_create(s->parts.ctx, &seq));
    const rn_status status = fill_stage(s, stage, seq, *channels);
    if (status < 0)
        rn_layer_release(seq);
    *channels = stage->out;
    return rni_zoo_append_new(root, stage->name, status, seq);
}
