/* SPDX-License-Identifier: MIT */
/* Pictures of networks: boxes, blocks, shortcuts, names, errors. */
#include "layer/layer.h"
#include "support.h"

static rn_context *ctx;
static rn_device *cpu;
static support_text text;

static const int64_t image[4] = {2, 3, 16, 16};

static void start(void)
{
    ctx = support_context(&cpu);
}

static void stop(void)
{
    rn_context_release(ctx);
}

/* The picture of a net, whose reference is given up, in `text`. */
static void draw(rn_layer *net, const int64_t dims[4], uint64_t flags, const char *name)
{
    rn_dot_options o = RN_DOT_OPTIONS_INIT;
    rn_model *model = NULL;
    o.flags = flags;
    o.name = name;
    text.length = 0;
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    ck_ok(rn_model_write_dot(model, 4, dims, &o, support_write, &text));
    rn_model_release(model);
    rn_layer_release(net);
}

static int count(const char *part)
{
    int n = 0;
    for (const char *at = strstr(text.data, part); at; at = strstr(at + 1, part))
        n++;
    return n;
}

#define ck_has(part) ck_assert_msg(strstr(text.data, part) != NULL, "'%s' is not in:\n%s", part, text.data)
#define ck_has_not(part) ck_assert_msg(strstr(text.data, part) == NULL, "'%s' is in:\n%s", part, text.data)

static rn_layer *residual(rn_layer *main, rn_layer *shortcut, uint64_t flags)
{
    rn_residual_options o = RN_RESIDUAL_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.flags = flags;
    ck_ok(rn_residual_create(ctx, main, shortcut, &o, &layer));
    rn_layer_release(main);
    rn_layer_release(shortcut);
    return layer;
}

static rn_layer *pad_shortcut(int64_t stride, int64_t channels)
{
    rn_pad_shortcut_options o = RN_PAD_SHORTCUT_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.stride[0] = o.stride[1] = stride;
    o.channels_after = channels;
    ck_ok(rn_pad_shortcut_create(ctx, &o, &layer));
    return layer;
}

START_TEST(a_net_as_the_paper_draws_it)
{
    start();
    draw(support_net(ctx, 3, 10), image, 0, NULL);
    ck_has("digraph \"net\" {\n  rankdir=TB;\n");
    ck_has("  \"0\" [label=\"input\\n3 x 16 x 16\", fillcolor=\"#dcd6f0\"];\n"
           "  \"1\" [label=\"3x3 conv, 8\", fillcolor=\"#dcd6f0\"];\n"
           "  subgraph \"cluster 0\" {\n"
           "    \"2\" [label=\"3x3 conv, 8\", fillcolor=\"#dcd6f0\"];\n"
           "    \"3\" [label=\"3x3 conv, 8\", fillcolor=\"#dcd6f0\"];\n"
           "    \"4\" [label=\"+\", shape=circle");
    ck_has("  subgraph \"cluster 1\" {\n"
           "    \"5\" [label=\"3x3 conv, 16, /2\", fillcolor=\"#d5ecd4\", xlabel=\"output size: 8\"];\n"
           "    \"6\" [label=\"3x3 conv, 16\", fillcolor=\"#d5ecd4\"];\n"
           "    \"7\" [label=\"3x3 conv, 16, /2\", fillcolor=\"#d5ecd4\"];\n");
    ck_has("[label=\"avg pool\", fillcolor=\"#f8d7d0\", xlabel=\"output size: 1\"];\n  \"10\" [label=\"fc 10\"];\n");
    ck_has("  \"1\" -> \"4\" [tailport=e, headport=e];\n");   /* the identity */
    ck_has("  \"4\" -> \"7\" [style=dotted];\n");             /* a projection */
    ck_has("  \"7\" -> \"8\" [style=dotted];\n");
    ck_has("  \"6\" -> \"8\" [weight=10];\n");
    ck_has("  \"8\" -> \"9\" [weight=10];\n");
    ck_assert_int_eq(count("style=dotted"), 2);
    ck_assert_int_eq(count(" -> "), 12);
    ck_has_not("bn");
    ck_has_not("relu");
    ck_has_not("flatten");
    ck_assert_str_eq(text.data + text.length - 2, "}\n");
    stop();
}
END_TEST

START_TEST(every_layer_has_a_box_when_asked_for)
{
    start();
    const uint64_t all = RN_DOT_ALL_LAYERS | RN_DOT_NAMES | RN_DOT_SHAPES | RN_DOT_LEFT_TO_RIGHT;
    draw(support_net(ctx, 3, 10), image, all, "a net");
    ck_has("digraph \"a net\" {\n  rankdir=LR;\n");
    ck_has("\"a net:2\" [label=\"bn\\nstem.bn\\n8 x 16 x 16\"");
    ck_has("label=\"flatten\\nflatten\\n16\"]");
    ck_has("label=\"fc 10\\nfc\\n10\"]");
    ck_has("  subgraph \"cluster a net:1\" {\n    label=\"block2\";\n");
    ck_assert_int_eq(count("label=\"bn"), 6);
    ck_assert_int_eq(count("label=\"relu"), 5); /* three layers, and one after each block */
    ck_has("[tailport=s, headport=s]");
    ck_has("  label=\"a net\";\n}\n");
    stop();
}
END_TEST

START_TEST(zero_padding_is_a_dotted_line)
{
    start();
    rn_layer *net = support_plain(ctx, rn_sequential_create);
    support_append(net, "block", residual(support_unit(ctx, 3, 8, 2, 0), pad_shortcut(2, 5), 0));
    rn_layer_retain(net);
    draw(net, image, 0, NULL);
    ck_has("  \"0\" -> \"2\" [tailport=e, headport=e, style=dotted];\n");
    ck_has_not("zero padding");
    draw(net, image, RN_DOT_ALL_LAYERS, NULL);
    ck_has("[label=\"zero padding, 8, /2\"");
    net = support_plain(ctx, rn_sequential_create); /* on the main path it is a layer like any other */
    support_append(net, "pad", pad_shortcut(1, 2));
    draw(net, image, 0, NULL);
    ck_has("[label=\"zero padding, 5\"");
    stop();
}
END_TEST

/* What is shared by both branches must not swallow the first layers of one. */
START_TEST(small_layers_at_the_start_of_a_branch_are_drawn)
{
    start();
    rn_layer *net = support_plain(ctx, rn_sequential_create), *main = support_plain(ctx, rn_sequential_create);
    support_append(net, "bn", support_bn(ctx, 3));
    support_append(main, "bn", support_bn(ctx, 3));
    support_append(main, "conv", support_conv(ctx, 3, 3, 3, 1, 0));
    support_append(main, "bn2", support_bn(ctx, 3));
    support_append(net, "block", residual(main, NULL, RN_RESIDUAL_NO_RELU));
    support_append(net, "relu", support_plain(ctx, rn_relu_create));
    draw(net, image, 0, NULL);
    ck_assert_int_eq(count("label=\"bn\""), 2);
    ck_has("\"1\" -> \"2\"");
    ck_has("\"1\" -> \"4\" [tailport=e");
    ck_has_not("relu");
    stop();
}
END_TEST

START_TEST(blocks_within_blocks)
{
    start();
    rn_layer *inner = residual(support_unit(ctx, 3, 3, 1, 0), NULL, 0);
    rn_layer *side = residual(support_conv(ctx, 3, 6, 1, 2, 0), support_conv(ctx, 3, 6, 3, 2, 0), RN_RESIDUAL_NO_RELU);
    rn_layer *main = support_plain(ctx, rn_sequential_create);
    support_append(main, "inner", inner);
    support_append(main, "conv", support_conv(ctx, 3, 6, 3, 2, 0));
    draw(residual(main, side, 0), image, 0, NULL);
    ck_has("  subgraph \"cluster 0\" {\n    subgraph \"cluster 1\" {\n      \"1\" [label");
    ck_has("    subgraph \"cluster 2\" {\n      \"4\" [label");
    ck_has("  \"0\" -> \"2\" [tailport=e, headport=e];\n"); /* the inner identity stays solid */
    ck_has("  \"0\" -> \"4\" [style=dotted];\n");
    ck_has("  \"6\" -> \"7\" [style=dotted];\n");
    ck_has("  \"3\" -> \"7\" [weight=10];\n");
    stop();
}
END_TEST

START_TEST(captions)
{
    start();
    rn_conv2d_options conv = RN_CONV2D_OPTIONS_INIT;
    rn_pool2d_options pool = RN_POOL2D_OPTIONS_INIT;
    rn_layer *net = support_plain(ctx, rn_sequential_create), *layer = NULL;
    conv.in_channels = conv.groups = 3;
    conv.out_channels = 6;
    conv.stride[1] = 2;
    conv.dilation[0] = conv.dilation[1] = 2;
    ck_ok(rn_conv2d_create(ctx, &conv, &layer));
    support_append(net, NULL, layer);
    ck_ok(rn_maxpool2d_create(ctx, &pool, &layer));
    support_append(net, NULL, layer);
    ck_ok(rn_dropout_create(ctx, 0.25, &layer));
    support_append(net, NULL, layer);
    pool.kernel[1] = 3;
    pool.stride[0] = pool.stride[1] = 1;
    ck_ok(rn_avgpool2d_create(ctx, &pool, &layer));
    support_append(net, NULL, layer);
    support_append(net, NULL, support_plain(ctx, rn_identity_create));
    support_append(net, NULL, support_plain(ctx, rn_softmax_create));
    draw(net, image, RN_DOT_ALL_LAYERS, NULL);
    ck_has("label=\"3x3 conv, 6, /1x2, 3 groups, dilation 2\"");
    ck_has("xlabel=\"output size: 14x7\"");
    ck_has("label=\"2x2 max pool, /2\"");
    ck_has("label=\"dropout 0.25\"");
    ck_has("label=\"2x3 avg pool\"");
    ck_has("label=\"identity\"");
    ck_has("label=\"softmax\"");
    stop();
}
END_TEST

START_TEST(adaptive_pooling_is_drawn_where_it_pools)
{
    start();
    for (int64_t size = 7; size <= 16; size += 9) {
        rn_layer *net = support_plain(ctx, rn_sequential_create), *layer = NULL;
        support_append(net, NULL, support_conv(ctx, 3, 4, 3, 1, 0));
        ck_ok(rn_adaptive_avgpool2d_create(ctx, size, size, &layer));
        support_append(net, NULL, layer);
        draw(net, image, 0, NULL);
        ck_assert_int_eq(count("label=\"avg pool to 7x7\""), size == 7);
        ck_assert_int_eq(count(" -> "), size == 7 ? 2 : 1);
    }
    stop();
}
END_TEST

START_TEST(names_are_escaped)
{
    start();
    rn_layer *net = support_plain(ctx, rn_sequential_create);
    support_append(net, "a\"b\\c&d<e>", support_conv(ctx, 3, 4, 3, 1, 0));
    draw(net, image, RN_DOT_NAMES, "x\"\n;y");
    ck_has("label=\"3x3 conv, 4\\na\\\"b\\\\c&amp;d<e>\"");
    ck_has("digraph \"x\\\" ;y\" {");
    ck_has("\"x\\\" ;y:0\" -> \"x\\\" ;y:1\"");
    stop();
}
END_TEST

START_TEST(subgraphs_stand_side_by_side)
{
    start();
    draw(support_unit(ctx, 3, 4, 1, 1), image, RN_DOT_SUBGRAPH, "left");
    ck_assert(strncmp(text.data, "subgraph \"cluster left\" {\n", 26) == 0);
    ck_has_not("rankdir");
    ck_has("\"left:0\" -> \"left:1\"");
    stop();
}
END_TEST

START_TEST(the_same_text_every_time)
{
    static support_text first;
    start();
    draw(support_net(ctx, 3, 10), image, RN_DOT_NAMES, "net");
    first = text;
    draw(support_net(ctx, 3, 10), image, RN_DOT_NAMES, "net");
    ck_assert_str_eq(text.data, first.data);
    stop();
}
END_TEST

/* More image sizes than are told apart, and a leaf of a kind that the picture has no words for. */
static rn_status shrink(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    (void)layer;
    out->dims[2] = in->dims[2] - 1;
    return RN_OK;
}

START_TEST(unknown_kinds_and_many_sizes)
{
    static const rni_layer_class cls = {.type = "Shrink", .infer = shrink};
    const int64_t tall[4] = {1, 3, 100, 1};
    start();
    rn_layer *net = support_plain(ctx, rn_sequential_create);
    for (int i = 0; i < 90; i++) {
        rn_layer *layer = NULL;
        ck_ok(rni_layer_create(ctx, &cls, &layer));
        support_append(net, NULL, layer);
    }
    draw(net, tall, 0, NULL);
    ck_assert_int_eq(count("label=\"Shrink\""), 90);
    ck_assert_int_eq(count("xlabel="), 63);
    stop();
}
END_TEST

static rn_status refuse(void *user, const char *data, size_t length)
{
    (void)data;
    *(size_t *)user += length;
    return RN_E_USER;
}

START_TEST(errors)
{
    start();
    const int64_t wrong[4] = {2, 4, 16, 16}, empty[4] = {2, 3, 0, 16};
    size_t asked = 0;
    rn_dot_options o = RN_DOT_OPTIONS_INIT;
    rn_layer *net = support_net(ctx, 3, 10);
    rn_model *model = NULL;
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    text.length = 0;
    ck_fails(rn_model_write_dot(NULL, 4, image, NULL, support_write, &text), RN_E_INVALID, "m is NULL");
    ck_fails(rn_model_write_dot(model, 4, NULL, NULL, support_write, &text), RN_E_INVALID, "dims is NULL");
    ck_fails(rn_model_write_dot(model, 4, image, NULL, NULL, &text), RN_E_INVALID, "write is NULL");
    ck_fails(rn_model_write_dot(model, 9, image, NULL, support_write, &text), RN_E_INVALID, "rank: expected 1 to 8");
    ck_fails(rn_model_write_dot(model, 4, empty, NULL, support_write, &text), RN_E_SHAPE, "dims[2]: expected 1");
    ck_fails(rn_model_write_dot(model, 4, wrong, NULL, support_write, &text), RN_E_SHAPE, "stem.conv (Conv2d)");
    o.flags = 32;
    ck_fails(rn_model_write_dot(model, 4, image, &o, support_write, &text), RN_E_INVALID, "options.flags");
    o.flags = RN_DOT_SUBGRAPH;
    ck_fails(rn_model_write_dot(model, 4, image, &o, support_write, &text), RN_E_INVALID, "options.name");
    o.struct_size = 3;
    ck_fails(rn_model_write_dot(model, 4, image, &o, support_write, &text), RN_E_VERSION, "rn_dot_options");
    ck_fails(rn_dot_options_init(&o, 1), RN_E_VERSION, "rn_dot_options");
    ck_ok(rn_dot_options_init(&o, sizeof o));
    ck_assert_uint_eq(text.length, 0);
    ck_assert_int_eq(rn_model_write_dot(model, 4, image, &o, refuse, &asked), RN_E_USER);
    ck_assert_uint_gt(asked, 100);
    rn_model_release(model);
    rn_layer_release(net);
    stop();
}
END_TEST

SUPPORT_MAIN("dot", a_net_as_the_paper_draws_it, every_layer_has_a_box_when_asked_for, zero_padding_is_a_dotted_line,
             small_layers_at_the_start_of_a_branch_are_drawn, blocks_within_blocks, captions,
             adaptive_pooling_is_drawn_where_it_pools, names_are_escaped, subgraphs_stand_side_by_side,
             the_same_text_every_time, unknown_kinds_and_many_sizes, errors)
