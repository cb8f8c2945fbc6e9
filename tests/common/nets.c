/* SPDX-License-Identifier: MIT */
#include "nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static rn_layer *made(rn_status status, rn_layer *const *layer)
{
    return status == RN_OK ? *layer : NULL;
}

rn_layer *net_conv(rn_context *ctx, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups,
                   int32_t bias)
{
    rn_layer *layer = NULL;
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    o.in_channels = in;
    o.out_channels = out;
    o.kernel[0] = o.kernel[1] = kernel;
    o.stride[0] = o.stride[1] = stride;
    o.padding[0] = o.padding[1] = (kernel - 1) / 2;
    o.groups = groups;
    o.bias = bias;
    return made(rn_conv2d_create(ctx, &o, &layer), &layer);
}

rn_layer *net_bn(rn_context *ctx, int64_t channels)
{
    rn_layer *layer = NULL;
    rn_batchnorm2d_options o = RN_BATCHNORM2D_OPTIONS_INIT;
    o.channels = channels;
    return made(rn_batchnorm2d_create(ctx, &o, &layer), &layer);
}

rn_layer *net_linear(rn_context *ctx, int64_t in, int64_t out)
{
    rn_layer *layer = NULL;
    rn_linear_options o = RN_LINEAR_OPTIONS_INIT;
    o.in_features = in;
    o.out_features = out;
    return made(rn_linear_create(ctx, &o, &layer), &layer);
}

rn_layer *net_relu(rn_context *ctx)
{
    rn_layer *layer = NULL;
    return made(rn_relu_create(ctx, &layer), &layer);
}

rn_layer *net_dropout(rn_context *ctx, double p)
{
    rn_layer *layer = NULL;
    return made(rn_dropout_create(ctx, p, &layer), &layer);
}

static rn_layer *net_gap(rn_context *ctx)
{
    rn_layer *layer = NULL;
    return made(rn_global_avgpool2d_create(ctx, &layer), &layer);
}

/* Seven pixels from five are repeated, three from six average. */
static rn_layer *adaptive(rn_context *ctx)
{
    rn_layer *layer = NULL;
    return made(rn_adaptive_avgpool2d_create(ctx, 4, 7, &layer), &layer);
}

static rn_layer *net_flatten(rn_context *ctx)
{
    rn_layer *layer = NULL;
    return made(rn_flatten_create(ctx, &layer), &layer);
}

static rn_layer *net_softmax(rn_context *ctx)
{
    rn_layer *layer = NULL;
    return made(rn_softmax_create(ctx, &layer), &layer);
}

rn_layer *net_pool(rn_context *ctx, int average, int64_t kernel, int64_t stride, int64_t padding, uint64_t flags)
{
    rn_layer *layer = NULL;
    rn_pool2d_options o = RN_POOL2D_OPTIONS_INIT;
    o.flags = flags;
    o.kernel[0] = o.kernel[1] = kernel;
    o.stride[0] = o.stride[1] = stride;
    o.padding[0] = o.padding[1] = padding;
    return made(average ? rn_avgpool2d_create(ctx, &o, &layer) : rn_maxpool2d_create(ctx, &o, &layer), &layer);
}

rn_layer *net_pad_shortcut(rn_context *ctx, int64_t stride, int64_t before, int64_t after)
{
    rn_layer *layer = NULL;
    rn_pad_shortcut_options o = RN_PAD_SHORTCUT_OPTIONS_INIT;
    o.stride[0] = o.stride[1] = stride;
    o.channels_before = before;
    o.channels_after = after;
    return made(rn_pad_shortcut_create(ctx, &o, &layer), &layer);
}

rn_layer *net_chain(rn_context *ctx, size_t count, rn_layer *const *children)
{
    rn_layer *chain = NULL;
    rn_status status = rn_sequential_create(ctx, &chain);
    for (size_t i = 0; i < count; i++) {
        if (status == RN_OK)
            status = rn_sequential_append(chain, NULL, children[i]);
        rn_layer_release(children[i]);
    }
    if (status == RN_OK)
        return chain;
    rn_layer_release(chain);
    return NULL;
}

#define CHAIN(ctx, ...)                                                                                                \
    net_chain(ctx, sizeof((rn_layer *[]){__VA_ARGS__}) / sizeof(rn_layer *), (rn_layer *[]){__VA_ARGS__})

static rn_layer *residual(rn_context *ctx, rn_layer *branch, rn_layer *shortcut, uint64_t flags)
{
    rn_layer *layer = NULL;
    rn_residual_options o = RN_RESIDUAL_OPTIONS_INIT;
    o.flags = flags;
    rn_status status = rn_residual_create(ctx, branch, shortcut, &o, &layer);
    rn_layer_release(branch);
    rn_layer_release(shortcut);
    return made(status, &layer);
}

rn_layer *net_block(rn_context *ctx, int64_t in, int64_t out, int64_t stride, rn_layer *shortcut, uint64_t flags)
{
    rn_layer *branch = CHAIN(ctx, net_conv(ctx, in, out, 3, stride, 1, 0), net_bn(ctx, out), net_relu(ctx),
                             net_conv(ctx, out, out, 3, 1, 1, 0), net_bn(ctx, out));
    return residual(ctx, branch, shortcut, flags);
}

rn_layer *net_projected(rn_context *ctx, int64_t in, int64_t out, int64_t kernel)
{
    return net_block(ctx, in, out, 2, CHAIN(ctx, net_conv(ctx, in, out, kernel, 2, 1, 0), net_bn(ctx, out)), 0);
}

rn_layer *net_small(rn_context *ctx, int64_t classes, double p)
{
    rn_layer *children[9] = {
        net_conv(ctx, 3, 8, 3, 1, 1, 0), net_bn(ctx, 8), net_relu(ctx), net_block(ctx, 8, 8, 1, NULL, 0),
        net_projected(ctx, 8, 16, 3),
    };
    size_t count = 5;
    if (p > 0)
        children[count++] = net_dropout(ctx, p);
    children[count++] = net_gap(ctx);
    children[count++] = net_flatten(ctx);
    children[count++] = net_linear(ctx, 16, classes);
    return net_chain(ctx, count, children);
}

static rn_layer *conv_3x3(rn_context *ctx) { return net_conv(ctx, 3, 4, 3, 1, 1, 0); }
static rn_layer *conv_strided(rn_context *ctx) { return net_conv(ctx, 3, 4, 3, 2, 1, 1); }
static rn_layer *conv_1x1(rn_context *ctx) { return net_conv(ctx, 4, 5, 1, 2, 1, 0); }
static rn_layer *conv_groups(rn_context *ctx) { return net_conv(ctx, 4, 6, 3, 1, 2, 1); }
static rn_layer *batchnorm(rn_context *ctx) { return net_bn(ctx, 3); }
static rn_layer *linear(rn_context *ctx) { return net_linear(ctx, 7, 4); }
static rn_layer *dropout(rn_context *ctx) { return net_dropout(ctx, 0.3); }
static rn_layer *maxpool(rn_context *ctx) { return net_pool(ctx, 0, 3, 2, 1, 0); }
static rn_layer *avgpool(rn_context *ctx) { return net_pool(ctx, 1, 3, 2, 1, 0); }
static rn_layer *avgpool_exclude(rn_context *ctx) { return net_pool(ctx, 1, 3, 2, 1, RN_POOL_EXCLUDE_PADDING); }
static rn_layer *pad_shortcut(rn_context *ctx) { return net_pad_shortcut(ctx, 2, 1, 2); }
static rn_layer *block_identity(rn_context *ctx) { return net_block(ctx, 4, 4, 1, NULL, 0); }
static rn_layer *block_no_relu(rn_context *ctx) { return net_block(ctx, 3, 3, 1, NULL, RN_RESIDUAL_NO_RELU); }
static rn_layer *block_3x3(rn_context *ctx) { return net_projected(ctx, 3, 4, 3); }
static rn_layer *block_1x1(rn_context *ctx) { return net_projected(ctx, 3, 4, 1); }
static rn_layer *block_a(rn_context *ctx) { return net_block(ctx, 3, 6, 2, net_pad_shortcut(ctx, 2, 1, 2), 0); }
static rn_layer *small_net(rn_context *ctx) { return net_small(ctx, 5, 0); }
static rn_layer *small_net_dropout(rn_context *ctx) { return net_small(ctx, 5, 0.4); }

static rn_layer *identity(rn_context *ctx)
{
    rn_layer *layer = NULL;
    return made(rn_identity_create(ctx, &layer), &layer);
}

static rn_layer *batchnorm_plain(rn_context *ctx)
{
    rn_layer *layer = NULL;
    rn_batchnorm2d_options o = RN_BATCHNORM2D_OPTIONS_INIT;
    o.channels = 3;
    o.flags = RN_BATCHNORM_NOT_AFFINE | RN_BATCHNORM_CUMULATIVE;
    return made(rn_batchnorm2d_create(ctx, &o, &layer), &layer);
}

/* Normalises with what it has, also in training. */
static rn_layer *net_frozen(rn_context *ctx, int64_t channels)
{
    rn_layer *layer = NULL;
    rn_batchnorm2d_options o = RN_BATCHNORM2D_OPTIONS_INIT;
    o.channels = channels;
    o.flags = RN_BATCHNORM_FROZEN;
    return made(rn_batchnorm2d_create(ctx, &o, &layer), &layer);
}

static rn_layer *batchnorm_frozen(rn_context *ctx) { return net_frozen(ctx, 3); }

static rn_layer *block_frozen(rn_context *ctx)
{
    rn_layer *branch = CHAIN(ctx, net_conv(ctx, 3, 4, 3, 2, 1, 0), net_frozen(ctx, 4), net_relu(ctx),
                             net_conv(ctx, 4, 4, 3, 1, 1, 0), net_frozen(ctx, 4));
    return residual(ctx, branch, CHAIN(ctx, net_conv(ctx, 3, 4, 1, 2, 1, 0), net_frozen(ctx, 4)), 0);
}

static rn_layer *flatten_linear(rn_context *ctx)
{
    return CHAIN(ctx, net_flatten(ctx), net_linear(ctx, 24, 3));
}

static rn_layer *conv_bn_relu(rn_context *ctx)
{
    return CHAIN(ctx, net_conv(ctx, 3, 4, 3, 1, 1, 1), net_bn(ctx, 4), net_relu(ctx), net_conv(ctx, 4, 3, 3, 1, 1, 1));
}

/* No BN: the sum and its ReLU stand alone, and the shortcut is used twice. */
static rn_layer *block_convs(rn_context *ctx)
{
    return residual(ctx, CHAIN(ctx, net_conv(ctx, 3, 3, 3, 1, 1, 1), net_relu(ctx), net_conv(ctx, 3, 3, 3, 1, 1, 0)),
                    NULL, 0);
}

static rn_layer *block_in_block(rn_context *ctx)
{
    return residual(ctx, net_block(ctx, 3, 3, 1, NULL, 0), CHAIN(ctx, net_bn(ctx, 3)), 0);
}

const net_case net_cases[] = {
    {"conv 3x3", conv_3x3, 4, {2, 3, 5, 6}, 0},
    {"conv 3x3 stride 2, bias", conv_strided, 4, {2, 3, 6, 5}, 0},
    {"conv 1x1 stride 2", conv_1x1, 4, {2, 4, 5, 5}, 0},
    {"conv groups, bias", conv_groups, 4, {2, 4, 4, 5}, 0},
    {"batchnorm", batchnorm, 4, {3, 3, 4, 3}, 0},
    {"batchnorm not affine, cumulative", batchnorm_plain, 4, {3, 3, 2, 3}, 0},
    {"batchnorm frozen", batchnorm_frozen, 4, {3, 3, 4, 3}, 0},
    {"relu", net_relu, 4, {2, 3, 4, 4}, 0},
    {"relu flat", net_relu, 2, {3, 7}, 0},
    {"max pool", maxpool, 4, {2, 3, 6, 5}, 0},
    {"average pool", avgpool, 4, {2, 3, 6, 5}, 0},
    {"average pool, padding excluded", avgpool_exclude, 4, {2, 3, 6, 5}, 0},
    {"global average pool", net_gap, 4, {2, 3, 4, 5}, 0},
    {"adaptive average pool", adaptive, 4, {2, 3, 6, 5}, 0},
    {"linear", linear, 2, {3, 7}, 0},
    {"flatten, linear", flatten_linear, 4, {3, 2, 3, 4}, 0},
    {"softmax", net_softmax, 2, {3, 6}, 0},
    {"softmax of images", net_softmax, 4, {2, 4, 3, 2}, 0},
    {"dropout", dropout, 4, {2, 3, 4, 4}, 1},
    {"identity", identity, 4, {2, 3, 2, 2}, 0},
    {"pad shortcut", pad_shortcut, 4, {2, 3, 5, 4}, 0},
    {"conv, bn, relu, conv", conv_bn_relu, 4, {3, 3, 4, 5}, 0},
    {"block, identity", block_identity, 4, {3, 4, 4, 5}, 0},
    {"block, no last relu", block_no_relu, 4, {3, 3, 4, 4}, 0},
    {"block, 3x3 projection", block_3x3, 4, {3, 3, 6, 5}, 0},
    {"block, 1x1 projection", block_1x1, 4, {3, 3, 6, 6}, 0},
    {"block, option A", block_a, 4, {3, 3, 6, 6}, 0},
    {"block, frozen", block_frozen, 4, {3, 3, 6, 5}, 0},
    {"block without bn", block_convs, 4, {2, 3, 4, 4}, 0},
    {"block in a block", block_in_block, 4, {3, 3, 4, 4}, 0},
    {"small net", small_net, 4, {3, 3, 8, 8}, 0},
    {"small net with dropout", small_net_dropout, 4, {3, 3, 8, 8}, 1},
    {NULL, NULL, 0, {0}, 0},
};

double net_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (double)(*state >> 40) / 16777216.0;
}

static double quantised(double value)
{
    return floor(value * 4096 + 0.5) / 4096;
}

static int ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && !strcmp(name + length - tail, end);
}

/* Kernels and matrices as they are, only rounded; vectors from 0.5 to 1.5 (weights, variances) or -0.5 to 0.5. */
static double filled(const rn_state_entry *entry, float value, uint64_t *state)
{
    if (rn_tensor_rank(entry->value) > 1)
        return quantised((double)value);
    double low = ends_with(entry->name, "weight") || ends_with(entry->name, "var") ? 0.5 : -0.5;
    return quantised(low + net_random(state));
}

static rn_status fill_entry(const rn_state_entry *entry, uint64_t *state)
{
    size_t count = (size_t)rn_tensor_count(entry->value), nbytes = rn_tensor_nbytes(entry->value);
    float *values = rn_tensor_dtype(entry->value) == RN_F32 ? malloc(nbytes) : NULL;
    if (!values)
        return RN_OK;
    rn_status status = rn_tensor_read(entry->value, values, nbytes);
    for (size_t i = 0; status == RN_OK && i < count; i++)
        values[i] = (float)filled(entry, values[i], state);
    if (status == RN_OK)
        status = rn_tensor_write(entry->value, values, nbytes);
    free(values);
    return status;
}

rn_status net_fill(rn_model *m, uint64_t seed)
{
    rn_status status = rn_model_init(m, seed);
    uint64_t state = seed;
    for (size_t i = 0; status == RN_OK && i < rn_model_state_count(m); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        status = rn_model_state(m, i, &entry);
        if (status == RN_OK)
            status = fill_entry(&entry, &state);
    }
    return status;
}

void net_input(double *x, size_t n, uint64_t seed)
{
    uint64_t state = seed;
    for (size_t i = 0; i < n; i++)
        x[i] = (2 * (double)i + 1 - (double)n + (n % 2 ? 0.5 : 0)) / (double)(n + 1);
    for (size_t i = n; i > 1; i--) {
        size_t other = (size_t)(net_random(&state) * (double)i);
        double swapped = x[i - 1];
        x[i - 1] = x[other];
        x[other] = swapped;
    }
}
