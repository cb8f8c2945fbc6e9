/* SPDX-License-Identifier: MIT */
#include "support.h"

static rn_context *ctx;
static rn_device *cpu;

static void start(void)
{
    ctx = support_context(&cpu);
}

static void check_shape(rn_layer *layer, int32_t rank, const int64_t *in, int32_t out_rank, const int64_t *expected)
{
    int32_t got_rank = 0;
    int64_t got[RN_MAX_RANK];
    ck_ok(rn_layer_output_shape(layer, rank, in, &got_rank, got));
    ck_assert_int_eq(got_rank, out_rank);
    for (int32_t i = 0; i < out_rank; i++)
        ck_assert_int_eq(got[i], expected[i]);
}

static const int64_t image[4] = {2, 3, 32, 30};

START_TEST(conv_shapes)
{
    start();
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.in_channels = 3;
    o.out_channels = 16;
    o.kernel[0] = 7, o.kernel[1] = 5;
    o.stride[0] = 2, o.stride[1] = 3;
    o.padding[0] = 3, o.padding[1] = 1;
    o.dilation[0] = 1, o.dilation[1] = 2;
    ck_ok(rn_conv2d_create(ctx, &o, &layer));
    /* floor((32 + 6 - 6 - 1) / 2) + 1 = 16, floor((30 + 2 - 8 - 1) / 3) + 1 = 8 */
    check_shape(layer, 4, image, 4, (int64_t[]){2, 16, 16, 8});
    rn_layer_release(layer);
    rn_context_release(ctx);
}
END_TEST

START_TEST(conv_options_are_checked)
{
    start();
    rn_layer *const untouched = (rn_layer *)&ctx, *layer = untouched;
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    ck_fails(rn_conv2d_create(ctx, &o, &layer), RN_E_INVALID, "in_channels");
    o.in_channels = 4;
    ck_fails(rn_conv2d_create(ctx, &o, &layer), RN_E_INVALID, "out_channels");
    o.out_channels = 6;
    o.groups = 4;
    ck_fails(rn_conv2d_create(ctx, &o, &layer), RN_E_INVALID, "groups");
    o.groups = 1;
    o.kernel[1] = 0;
    ck_fails(rn_conv2d_create(ctx, &o, &layer), RN_E_INVALID, "kernel");
    o.kernel[1] = 3;
    o.stride[0] = 0;
    ck_fails(rn_conv2d_create(ctx, &o, &layer), RN_E_INVALID, "stride");
    o.stride[0] = 1;
    o.padding[0] = -1;
    ck_fails(rn_conv2d_create(ctx, &o, &layer), RN_E_INVALID, "padding");
    o.padding[0] = 1;
    o.dilation[0] = 0;
    ck_fails(rn_conv2d_create(ctx, &o, &layer), RN_E_INVALID, "dilation");
    o.dilation[0] = 1;
    o.init = 9;
    ck_fails(rn_conv2d_create(ctx, &o, &layer), RN_E_INVALID, "init");
    o.init = 0;
    o.flags = 2;
    ck_fails(rn_conv2d_create(ctx, &o, &layer), RN_E_INVALID, "options.flags: unknown flag in 2");
    o.flags = 0;
    o.struct_size = 0;
    ck_fails(rn_conv2d_create(ctx, &o, &layer), RN_E_VERSION, "rn_conv2d_options");
    ck_fails(rn_conv2d_create(NULL, &o, &layer), RN_E_INVALID, "ctx is NULL");
    ck_fails(rn_conv2d_create(ctx, NULL, &layer), RN_E_INVALID, "options is NULL");
    ck_fails(rn_conv2d_create(ctx, &o, NULL), RN_E_INVALID, "out is NULL");
    ck_assert_ptr_eq(layer, untouched);
    rn_context_release(ctx);
}
END_TEST

START_TEST(other_shapes)
{
    start();
    rn_layer *layer = NULL;
    rn_pool2d_options pool = RN_POOL2D_OPTIONS_INIT;
    pool.kernel[0] = pool.kernel[1] = 3;
    pool.stride[0] = pool.stride[1] = 2;
    pool.padding[0] = pool.padding[1] = 1;
    ck_ok(rn_maxpool2d_create(ctx, &pool, &layer));
    check_shape(layer, 4, image, 4, (int64_t[]){2, 3, 16, 15});
    rn_layer_release(layer);
    rn_pool2d_options_init(&pool, sizeof pool);
    ck_ok(rn_avgpool2d_create(ctx, &pool, &layer));
    check_shape(layer, 4, image, 4, (int64_t[]){2, 3, 16, 15}); /* stride 0: the kernel's */
    rn_layer_release(layer);
    layer = support_plain(ctx, rn_global_avgpool2d_create);
    check_shape(layer, 4, image, 4, (int64_t[]){2, 3, 1, 1});
    rn_layer_release(layer);
    ck_ok(rn_adaptive_avgpool2d_create(ctx, 7, 5, &layer));
    check_shape(layer, 4, image, 4, (int64_t[]){2, 3, 7, 5});
    rn_layer_release(layer);
    layer = support_plain(ctx, rn_flatten_create);
    check_shape(layer, 4, image, 2, (int64_t[]){2, 3 * 32 * 30});
    check_shape(layer, 2, image, 2, (int64_t[]){2, 3});
    rn_layer_release(layer);
    rn_pad_shortcut_options pad = RN_PAD_SHORTCUT_OPTIONS_INIT;
    pad.channels_before = 2;
    pad.channels_after = 3;
    ck_ok(rn_pad_shortcut_create(ctx, &pad, &layer));
    check_shape(layer, 4, (int64_t[]){2, 3, 7, 8}, 4, (int64_t[]){2, 8, 4, 4});
    rn_layer_release(layer);
    layer = support_linear(ctx, 3, 10);
    check_shape(layer, 2, image, 2, (int64_t[]){2, 10});
    rn_layer_release(layer);
    layer = support_plain(ctx, rn_sequential_create);
    check_shape(layer, 4, image, 4, image); /* an empty sequence is the identity */
    rn_layer_release(layer);
    rn_context_release(ctx);
}
END_TEST

START_TEST(options_of_the_others_are_checked)
{
    start();
    rn_layer *layer = NULL;
    rn_batchnorm2d_options bn = RN_BATCHNORM2D_OPTIONS_INIT;
    ck_fails(rn_batchnorm2d_create(ctx, &bn, &layer), RN_E_INVALID, "channels");
    bn.channels = 4;
    bn.eps = 0;
    ck_fails(rn_batchnorm2d_create(ctx, &bn, &layer), RN_E_INVALID, "eps");
    bn.eps = 1e-5;
    bn.momentum = 1.5;
    ck_fails(rn_batchnorm2d_create(ctx, &bn, &layer), RN_E_INVALID, "momentum");
    bn.momentum = 0.1;
    bn.flags = 64;
    ck_fails(rn_batchnorm2d_create(ctx, &bn, &layer), RN_E_INVALID, "flags");
    bn.flags = RN_BATCHNORM_NOT_AFFINE | RN_BATCHNORM_ZERO_INIT;
    ck_fails(rn_batchnorm2d_create(ctx, &bn, &layer), RN_E_INVALID, "options.flags: RN_BATCHNORM_ZERO_INIT, but there is no weight");
    rn_pool2d_options pool = RN_POOL2D_OPTIONS_INIT;
    pool.padding[0] = 2;
    ck_fails(rn_maxpool2d_create(ctx, &pool, &layer), RN_E_INVALID, "padding");
    pool.padding[0] = 0;
    pool.kernel[0] = 0;
    ck_fails(rn_avgpool2d_create(ctx, &pool, &layer), RN_E_INVALID, "kernel");
    pool.kernel[0] = 2;
    pool.flags = RN_POOL_EXCLUDE_PADDING;
    ck_fails(rn_maxpool2d_create(ctx, &pool, &layer), RN_E_INVALID, "flags");
    pool.flags = 0;
    pool.stride[1] = -2;
    ck_fails(rn_maxpool2d_create(ctx, &pool, &layer), RN_E_INVALID, "stride");
    ck_fails(rn_adaptive_avgpool2d_create(ctx, 0, 7, &layer), RN_E_INVALID, "height: expected 1 or more, got 0");
    ck_fails(rn_adaptive_avgpool2d_create(ctx, 7, -1, &layer), RN_E_INVALID, "width: expected 1 or more, got -1");
    rn_linear_options linear = RN_LINEAR_OPTIONS_INIT;
    ck_fails(rn_linear_create(ctx, &linear, &layer), RN_E_INVALID, "in_features");
    linear.in_features = 3;
    ck_fails(rn_linear_create(ctx, &linear, &layer), RN_E_INVALID, "out_features");
    linear.out_features = 4;
    linear.flags = 2;
    ck_fails(rn_linear_create(ctx, &linear, &layer), RN_E_INVALID, "options.flags: unknown flag in 2");
    rn_pad_shortcut_options pad = RN_PAD_SHORTCUT_OPTIONS_INIT;
    pad.stride[0] = 0;
    ck_fails(rn_pad_shortcut_create(ctx, &pad, &layer), RN_E_INVALID, "stride");
    pad.stride[0] = 1;
    pad.channels_after = -1;
    ck_fails(rn_pad_shortcut_create(ctx, &pad, &layer), RN_E_INVALID, "channels_after");
    ck_fails(rn_dropout_create(ctx, 1.0, &layer), RN_E_INVALID, "p: expected");
    ck_fails(rn_relu_create(NULL, &layer), RN_E_INVALID, "ctx is NULL");
    ck_assert_ptr_null(layer);
    rn_context_release(ctx);
}
END_TEST

START_TEST(shape_errors_name_both_layers)
{
    start();
    int32_t rank;
    int64_t dims[RN_MAX_RANK];
    rn_layer *net = support_plain(ctx, rn_sequential_create);
    support_append(net, "conv1", support_conv(ctx, 3, 16, 3, 1, 0));
    support_append(net, "conv2", support_conv(ctx, 32, 16, 3, 1, 0));
    ck_fails(rn_layer_output_shape(net, 4, image, &rank, dims), RN_E_SHAPE,
             "conv2 (Conv2d): expected 32 channels, got [2, 16, 32, 30] from conv1");
    ck_fails(rn_layer_output_shape(net, 2, image, &rank, dims), RN_E_SHAPE,
             "conv1 (Conv2d): expected [N, C, H, W], got [2, 3] from input");
    ck_fails(rn_layer_output_shape(net, 0, image, &rank, dims), RN_E_INVALID, "rank");
    ck_fails(rn_layer_output_shape(net, 4, (int64_t[]){1, 3, 0, 4}, &rank, dims), RN_E_SHAPE, "dims[2]");
    rn_layer_release(net);
    net = support_conv(ctx, 3, 4, 7, 1, 0);
    ck_fails(rn_layer_output_shape(net, 4, (int64_t[]){1, 3, 32, 0}, &rank, dims), RN_E_SHAPE, "dims[3]");
    rn_layer_release(net);
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    o.in_channels = o.out_channels = 3;
    o.kernel[0] = o.kernel[1] = 9;
    ck_ok(rn_conv2d_create(ctx, &o, &net));
    ck_fails(rn_layer_output_shape(net, 4, (int64_t[]){1, 3, 32, 6}, &rank, dims), RN_E_SHAPE,
             "expected a width of at least 7");
    rn_layer_release(net);
    rn_context_release(ctx);
}
END_TEST

START_TEST(branches_must_agree)
{
    start();
    int32_t rank;
    int64_t dims[RN_MAX_RANK];
    rn_layer *net = support_plain(ctx, rn_sequential_create), *block = NULL;
    rn_layer *main = support_conv(ctx, 3, 16, 3, 1, 0);
    ck_ok(rn_residual_create(ctx, main, NULL, NULL, &block));
    rn_layer_release(main);
    support_append(net, "block", block);
    ck_fails(rn_layer_output_shape(net, 4, image, &rank, dims), RN_E_SHAPE,
             "block (Residual): main branch gives [2, 16, 32, 30] from block, shortcut gives [2, 3, 32, 30] from input");
    rn_layer_release(net);
    rn_context_release(ctx);
}
END_TEST

START_TEST(sequences_refuse_what_cannot_be)
{
    start();
    rn_layer *seq = support_plain(ctx, rn_sequential_create), *inner = support_plain(ctx, rn_sequential_create);
    rn_layer *relu = support_plain(ctx, rn_relu_create);
    ck_ok(rn_sequential_append(seq, "a", relu));
    ck_fails(rn_sequential_append(seq, "a", relu), RN_E_INVALID, "already a layer 'a'");
    ck_fails(rn_sequential_append(seq, "a.b", relu), RN_E_INVALID, "holds a dot");
    ck_fails(rn_sequential_append(relu, "x", seq), RN_E_INVALID, "expected a sequential, got ReLU");
    ck_fails(rn_sequential_append(seq, NULL, seq), RN_E_INVALID, "contain itself");
    ck_ok(rn_sequential_append(seq, NULL, inner));
    ck_fails(rn_sequential_append(inner, NULL, seq), RN_E_INVALID, "contain itself");
    ck_fails(rn_sequential_append(NULL, NULL, seq), RN_E_INVALID, "seq is NULL");
    ck_fails(rn_sequential_append(seq, NULL, NULL), RN_E_INVALID, "child is NULL");
    rn_layer_release(seq);
    rn_layer_release(inner);
    rn_layer_release(relu);
    rn_context_release(ctx);
}
END_TEST

START_TEST(nesting_is_bounded)
{
    start();
    rn_layer *outer = support_plain(ctx, rn_sequential_create), *top = rn_layer_retain(outer);
    rn_status status = RN_OK;
    int depth = 0;
    for (; depth < 200 && status == RN_OK; depth++) {
        rn_layer *const inner = support_plain(ctx, rn_sequential_create);
        status = rn_sequential_append(outer, "", inner);
        rn_layer_release(outer);
        outer = inner;
    }
    ck_assert_int_eq(status, RN_E_INVALID);
    ck_assert_int_lt(depth, 100);
    ck_assert_ptr_nonnull(strstr(rn_error_message(), "nest deeper"));
    rn_layer_release(outer);
    rn_layer_release(top);
    /* Shared subtrees that double at every level are refused before they explode. */
    rn_layer *tree = support_plain(ctx, rn_relu_create);
    status = RN_OK;
    for (depth = 0; depth < 60 && status == RN_OK; depth++) {
        rn_layer *const both = support_plain(ctx, rn_sequential_create);
        status = rn_sequential_append(both, NULL, tree);
        if (status == RN_OK)
            status = rn_sequential_append(both, NULL, tree);
        rn_layer_release(tree);
        tree = both;
    }
    ck_assert_int_eq(status, RN_E_INVALID);
    rn_layer_release(tree);
    rn_context_release(ctx);
}
END_TEST

START_TEST(children_are_replaced)
{
    start();
    rn_layer *net = support_net(ctx, 3, 10), *head = support_linear(ctx, 16, 5);
    ck_ok(rn_layer_replace_child(net, "fc", head));
    check_shape(net, 4, image, 2, (int64_t[]){2, 5});
    ck_fails(rn_layer_replace_child(net, "nothing.here", head), RN_E_NOT_FOUND, "nothing.here");
    ck_fails(rn_layer_replace_child(net, "stem.bn.0", head), RN_E_NOT_FOUND, "stem.bn.0");
    ck_fails(rn_layer_replace_child(net, "stem", net), RN_E_INVALID, "contain itself");
    rn_layer *identity = support_plain(ctx, rn_identity_create);
    ck_ok(rn_layer_replace_child(net, "block1.conv2", identity)); /* through the block's unnamed main branch */
    check_shape(net, 4, image, 2, (int64_t[]){2, 5});
    rn_model *model = NULL;
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    ck_fails(rn_layer_replace_child(net, "fc", head), RN_E_STATE, "a model was made of it");
    ck_fails(rn_sequential_append(net, "more", head), RN_E_STATE, "a model was made of it");
    rn_model_release(model);
    rn_layer_release(identity);
    rn_layer_release(head);
    rn_layer_release(net);
    rn_context_release(ctx);
}
END_TEST

SUPPORT_MAIN("layer", conv_shapes, conv_options_are_checked, other_shapes, options_of_the_others_are_checked,
             shape_errors_name_both_layers, branches_must_agree, sequences_refuse_what_cannot_be, nesting_is_bounded,
             children_are_replaced)
