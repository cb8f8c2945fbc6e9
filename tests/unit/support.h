/* SPDX-License-Identifier: MIT */
/* What unit tests share. */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <check.h>
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The call succeeds. */
#define ck_ok(call)                                                          \
    do {                                                                     \
        const rn_status status_ = (call);                                    \
        ck_assert_msg(status_ == RN_OK, "%s: %s: %s", #call,                 \
                      rn_status_name(status_), rn_error_message());          \
    } while (0)

/* The call fails with this status, and the message holds this text. */
#define ck_fails(call, expected, text)                                       \
    do {                                                                     \
        const rn_status status_ = (call);                                    \
        ck_assert_msg(status_ == (expected), "%s: expected %s, got %s (%s)", \
                      #call, rn_status_name(expected),                       \
                      rn_status_name(status_), rn_error_message());          \
        ck_assert_msg(strstr(rn_error_message(), (text)) != NULL,            \
                      "%s: '%s' is not in '%s'", #call, (text),              \
                      rn_error_message());                                   \
    } while (0)

/* A context with two threads, and its CPU. */
static inline rn_context *support_context(rn_device **cpu)
{
    rn_context_options options = RN_CONTEXT_OPTIONS_INIT;
    rn_context *ctx = NULL;
    options.num_threads = 2;
    options.seed = 7;
    ck_ok(rn_context_create(&options, &ctx));
    ck_ok(rn_context_find_device(ctx, "cpu", cpu));
    return ctx;
}

/* Appends a layer and drops the caller's reference. */
static inline void support_append(rn_layer *seq, const char *name, rn_layer *child)
{
    ck_ok(rn_sequential_append(seq, name, child));
    rn_layer_release(child);
}

static inline rn_layer *support_conv(rn_context *ctx, int64_t in, int64_t out, int64_t kernel, int64_t stride,
                                     int32_t bias)
{
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.in_channels = in;
    o.out_channels = out;
    o.kernel[0] = o.kernel[1] = kernel;
    o.padding[0] = o.padding[1] = kernel / 2;
    o.stride[0] = o.stride[1] = stride;
    o.bias = bias;
    ck_ok(rn_conv2d_create(ctx, &o, &layer));
    return layer;
}

static inline rn_layer *support_bn(rn_context *ctx, int64_t channels)
{
    rn_batchnorm2d_options o = RN_BATCHNORM2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.channels = channels;
    ck_ok(rn_batchnorm2d_create(ctx, &o, &layer));
    return layer;
}

static inline rn_layer *support_linear(rn_context *ctx, int64_t in, int64_t out)
{
    rn_linear_options o = RN_LINEAR_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.in_features = in;
    o.out_features = out;
    ck_ok(rn_linear_create(ctx, &o, &layer));
    return layer;
}

/* Layers without options: support_plain(ctx, rn_relu_create). */
static inline rn_layer *support_plain(rn_context *ctx, rn_status (*create)(rn_context *, rn_layer **))
{
    rn_layer *layer = NULL;
    ck_ok(create(ctx, &layer));
    return layer;
}

/* conv, bn, relu: [N, in, H, W] to [N, out, H/stride, W/stride]. */
static inline rn_layer *support_unit(rn_context *ctx, int64_t in, int64_t out, int64_t stride, int relu)
{
    rn_layer *seq = support_plain(ctx, rn_sequential_create);
    support_append(seq, "conv", support_conv(ctx, in, out, 3, stride, 0));
    support_append(seq, "bn", support_bn(ctx, out));
    if (relu)
        support_append(seq, "relu", support_plain(ctx, rn_relu_create));
    return seq;
}

/* A residual block with a 3x3 projection where the shape changes. */
static inline rn_layer *support_block(rn_context *ctx, int64_t in, int64_t out, int64_t stride)
{
    rn_layer *main = support_plain(ctx, rn_sequential_create), *shortcut = NULL, *block = NULL;
    support_append(main, "conv1", support_conv(ctx, in, out, 3, stride, 0));
    support_append(main, "bn1", support_bn(ctx, out));
    support_append(main, "relu", support_plain(ctx, rn_relu_create));
    support_append(main, "conv2", support_conv(ctx, out, out, 3, 1, 0));
    support_append(main, "bn2", support_bn(ctx, out));
    if (stride != 1 || in != out)
        shortcut = support_unit(ctx, in, out, stride, 0);
    ck_ok(rn_residual_create(ctx, main, shortcut, NULL, &block));
    rn_layer_release(main);
    rn_layer_release(shortcut);
    return block;
}

/* stem, two blocks, global pooling, linear: [N, in, 8 or more, 8 or more] to [N, classes]. */
static inline rn_layer *support_net(rn_context *ctx, int64_t in, int64_t classes)
{
    rn_layer *net = support_plain(ctx, rn_sequential_create);
    support_append(net, "stem", support_unit(ctx, in, 8, 1, 1));
    support_append(net, "block1", support_block(ctx, 8, 8, 1));
    support_append(net, "block2", support_block(ctx, 8, 16, 2));
    support_append(net, "pool", support_plain(ctx, rn_global_avgpool2d_create));
    support_append(net, "flatten", support_plain(ctx, rn_flatten_create));
    support_append(net, "fc", support_linear(ctx, 16, classes));
    return net;
}

/* Numbers in [-1, 1) from a small generator, so that tests need no seed of the C library. */
static inline float support_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * (2.0f / 16777216.0f) - 1.0f;
}

static inline rn_tensor *support_tensor(rn_device *dev, int32_t rank, const int64_t *dims, uint32_t seed)
{
    rn_tensor *t = NULL;
    ck_ok(rn_tensor_create(dev, RN_F32, rank, dims, &t));
    float *const data = rn_tensor_data(t);
    for (int64_t i = 0; i < rn_tensor_count(t); i++)
        data[i] = support_random(&seed);
    return t;
}

static inline rn_tensor *support_labels(rn_device *dev, int64_t count, int64_t classes)
{
    rn_tensor *t = NULL;
    ck_ok(rn_tensor_create(dev, RN_I64, 1, &count, &t));
    for (int64_t i = 0; i < count; i++)
        ((int64_t *)rn_tensor_data(t))[i] = (i * 7 + 3) % classes;
    return t;
}

/* Text that a library function writes. */
typedef struct support_text {
    char data[262144];
    size_t length;
} support_text;

static inline rn_status support_write(void *user, const char *text, size_t length)
{
    support_text *const t = user;
    if (t->length + length >= sizeof t->data)
        return RN_E_BUFFER;
    memcpy(t->data + t->length, text, length);
    t->length += length;
    t->data[t->length] = '\0';
    return RN_OK;
}

/* main() of a test program: one suite with one case of these tests. */
static inline int support_main(const char *name, const TTest *const *tests, size_t count)
{
    Suite *const suite = suite_create(name);
    TCase *const tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
#define SUPPORT_MAIN(name, ...)                                              \
    int main(void)                                                           \
    {                                                                        \
        const TTest *const tests[] = {__VA_ARGS__};                          \
        return support_main(name, tests, sizeof tests / sizeof *tests);      \
    }

#endif
