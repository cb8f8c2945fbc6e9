/* SPDX-License-Identifier: MIT */
/*
 * Configuration E of Simonyan and Zisserman 2014 (arXiv 1409.1556, table 1) as torchvision has it: images of other sizes
 * than 224 are brought to 7x7 before the classifier by adaptive pooling. Names are torchvision's.
 */
#include "zoo/vgg.h"
#include "base/error.h"

enum { STAGES = 5, POOLED = 7, HIDDEN = 4096 };

static const struct {
    int64_t convolutions, channels;
} stages[STAGES] = {{2, 64}, {2, 128}, {4, 256}, {4, 512}, {4, 512}};

static rn_status append_maxpool(const rni_zoo_parts *parts, rn_layer *seq)
{
    const rn_pool2d_options o = RN_POOL2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    const rn_status status = rn_maxpool2d_create(parts->ctx, &o, &layer);
    return rni_zoo_append_new(seq, NULL, status, layer);
}

static rn_status append_conv(const rni_zoo_parts *parts, rn_layer *seq, int64_t in, int64_t out)
{
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.in_channels = in;
    o.out_channels = out;
    o.bias = 1;
    o.init = parts->init;
    o.flags = RN_CONV2D_ZERO_BIAS;
    const rn_status status = rn_conv2d_create(parts->ctx, &o, &layer);
    return rni_zoo_append_new(seq, NULL, status, layer);
}

static rn_status fill_features(const rni_zoo_parts *parts, int with_bn, int64_t channels, rn_layer *seq)
{
    for (int s = 0; s < STAGES; s++) {
        for (int64_t i = 0; i < stages[s].convolutions; i++) {
            RNI_TRY(append_conv(parts, seq, channels, stages[s].channels));
            channels = stages[s].channels;
            if (with_bn)
                RNI_TRY(rni_zoo_append_bn(parts, seq, NULL, channels));
            RNI_TRY(rni_zoo_append_relu(parts, seq, NULL));
        }
        RNI_TRY(append_maxpool(parts, seq));
    }
    return RN_OK;
}

static rn_status append_linear(const rni_zoo_parts *parts, rn_layer *seq, int64_t in, int64_t out)
{
    rn_linear_options o = RN_LINEAR_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.in_features = in;
    o.out_features = out;
    o.init = RN_INIT_NORMAL_001;
    o.flags = RN_LINEAR_ZERO_BIAS;
    const rn_status status = rn_linear_create(parts->ctx, &o, &layer);
    return rni_zoo_append_new(seq, NULL, status, layer);
}

static rn_status append_hidden(const rni_zoo_parts *parts, rn_layer *seq, int64_t in)
{
    rn_layer *dropout = NULL;
    RNI_TRY(append_linear(parts, seq, in, HIDDEN));
    RNI_TRY(rni_zoo_append_relu(parts, seq, NULL));
    const rn_status status = rn_dropout_create(parts->ctx, 0.5, &dropout);
    return rni_zoo_append_new(seq, NULL, status, dropout);
}

static rn_status fill_classifier(const rni_zoo_parts *parts, int64_t classes, rn_layer *seq)
{
    RNI_TRY(append_hidden(parts, seq, stages[STAGES - 1].channels * POOLED * POOLED));
    RNI_TRY(append_hidden(parts, seq, HIDDEN));
    return append_linear(parts, seq, HIDDEN, classes);
}

/* An empty sequence at the end of `root`, which holds it. */
static rn_status append_sequence(const rni_zoo_parts *parts, rn_layer *root, const char *name, rn_layer **seq)
{
    const rn_status status = rn_sequential_create(parts->ctx, seq);
    return rni_zoo_append_new(root, name, status, *seq);
}

static rn_status fill_net(const rni_zoo_parts *parts, int with_bn, int64_t classes, int64_t in_channels, rn_layer *root)
{
    rn_layer *features = NULL, *classifier = NULL, *layer = NULL;
    RNI_TRY(append_sequence(parts, root, "features", &features));
    RNI_TRY(fill_features(parts, with_bn, in_channels, features));
    rn_status status = rn_adaptive_avgpool2d_create(parts->ctx, POOLED, POOLED, &layer);
    RNI_TRY(rni_zoo_append_new(root, "avgpool", status, layer));
    status = rn_flatten_create(parts->ctx, &layer);
    RNI_TRY(rni_zoo_append_new(root, "flatten", status, layer));
    RNI_TRY(append_sequence(parts, root, "classifier", &classifier));
    return fill_classifier(parts, classes, classifier);
}

rn_status rni_vgg19_create(const rni_zoo_parts *parts, int with_bn, int64_t classes, int64_t in_channels, rn_layer **out)
{
    rn_layer *root = NULL;
    RNI_TRY(rn_sequential_create(parts->ctx, &root));
    const rn_status status = fill_net(parts, with_bn, classes, in_channels, root);
    if (status < 0)
        rn_layer_release(root);
    else
        *out = root;
    return status;
}
