/* SPDX-License-Identifier: MIT */
/* The ONNX export: the messages it writes, what is folded, memory, errors. tests/onnx compares what the files compute. */
#include "base/alloc.h"
#include "base/io.h"
#include "counting.h"
#include "format/onnx_graph.h"
#include "format/protobuf.h"
#include "support.h"
#include <unistd.h>

static rn_context *ctx;
static rn_device *cpu;
static char path[64];
static const int64_t image[4] = {2, 3, 16, 16};

static void start(void)
{
    ctx = support_context(&cpu);
    snprintf(path, sizeof path, "/tmp/onnx-%ld", (long)getpid());
    unlink(path);
}

static void stop(void)
{
    unlink(path);
    rn_context_release(ctx);
}

/* --- a reader of messages, as small as can be ------------------------------------------------------------------- */

typedef struct bytes {
    const unsigned char *data;
    size_t length;
} bytes;

static uint64_t take_varint(bytes *b)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        ck_assert_uint_gt(b->length, 0);
        const unsigned char byte = *b->data;
        b->data++, b->length--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
}

/* The next field: its number, and its contents (a varint is in *value). 0 at the end. */
static uint32_t take_field(bytes *b, bytes *contents, uint64_t *value)
{
    if (!b->length)
        return 0;
    const uint64_t tag = take_varint(b);
    *contents = (bytes){NULL, 0};
    *value = 0;
    if ((tag & 7) == 0) {
        *value = take_varint(b);
        return (uint32_t)(tag >> 3);
    }
    ck_assert((tag & 7) == 2 || (tag & 7) == 5);
    *contents = (bytes){b->data, (tag & 7) == 5 ? 4 : 0};
    if ((tag & 7) == 2) {
        contents->length = (size_t)take_varint(b);
        contents->data = b->data;
    }
    ck_assert_uint_le(contents->length, b->length);
    b->data += contents->length;
    b->length -= contents->length;
    return (uint32_t)(tag >> 3);
}

/* The n-th field of that number within a message. */
static bytes find_field(bytes message, uint32_t field, int n)
{
    bytes contents;
    uint64_t value;
    for (uint32_t at = take_field(&message, &contents, &value); at; at = take_field(&message, &contents, &value))
        if (at == field && n-- == 0)
            return contents;
    return (bytes){NULL, 0};
}

static int count_fields(bytes message, uint32_t field)
{
    int n = 0;
    bytes contents;
    uint64_t value;
    for (uint32_t at = take_field(&message, &contents, &value); at; at = take_field(&message, &contents, &value))
        n += at == field;
    return n;
}

static int is_text(bytes b, const char *text)
{
    return b.length == strlen(text) && memcmp(b.data, text, b.length) == 0;
}

static void *file_data;
static size_t file_size;

/* Exports a net, whose reference is given up, and reads the file's graph. */
static bytes export(rn_layer *net, int32_t rank, const int64_t *dims, uint64_t flags)
{
    rn_onnx_options o = RN_ONNX_OPTIONS_INIT;
    rn_model *model = NULL;
    o.flags = flags;
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    ck_ok(rn_model_export_onnx(model, rank, dims, &o, path));
    rn_model_release(model);
    rn_layer_release(net);
    rni_free(&rni_default_allocator, file_data);
    ck_ok(rni_read_whole(&rni_default_allocator, path, 1 << 24, &file_data, &file_size));
    return find_field((bytes){file_data, file_size}, 7, 0);
}

/* "Conv Relu Add": the operators in order. */
static const char *operators(bytes graph)
{
    static char text[1000];
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < count_fields(graph, 1); i++) {
        const bytes op = find_field(find_field(graph, 1, i), 4, 0);
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%.*s", i ? " " : "", (int)op.length, op.data);
    }
    return text;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

START_TEST(fields)
{
    static const unsigned char expected[] = {0x08, 0x96, 0x01,                               /* 1: 150 */
                                             0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* 2: -1 */
                                             0xff, 0xff, 0x01,
                                             0x1d, 0x00, 0x00, 0x80, 0xbf,                   /* 3: -1.0f */
                                             0xa2, 0x01, 0x02, 'o',  'k',                    /* 20: "ok" */
                                             0x2a, 0x02, 0x08, 0x00,                         /* 5: {1: 0} */
                                             0x32, 0x80, 0x80, 0x04,                         /* 6: 65,536 bytes follow */
                                             0x3a, 0x00};                                    /* 7: nothing */
    rni_bytes b = {.allocator = &rni_default_allocator}, inner = {.allocator = &rni_default_allocator};
    rni_pb_int(&b, 1, 150);
    rni_pb_int(&b, 2, -1);
    rni_pb_float(&b, 3, -1.0f);
    rni_pb_text(&b, 20, "ok");
    rni_pb_int(&inner, 1, 0);
    rni_pb_message(&b, 5, &inner);
    rni_pb_head(&b, 6, 65536);
    rni_pb_text(&b, 7, "");
    ck_assert_uint_eq(b.length, sizeof expected);
    ck_assert_mem_eq(b.data, expected, sizeof expected);
    ck_assert_int_eq(b.failed, 0);
    rni_pb_clear(&b);
    ck_assert_uint_eq(b.length, 0);
    inner.failed = 1; /* as when memory has run out */
    rni_pb_message(&b, 1, &inner);
    ck_assert_int_eq(b.failed, 1);
    rni_bytes_free(&b);
    rni_bytes_free(&inner);
}
END_TEST

/* --- the graph ---------------------------------------------------------------------------------------------------- */

START_TEST(what_the_file_says)
{
    start();
    const bytes graph = export(support_net(ctx, 3, 10), 4, image, 0), file = {file_data, file_size};
    bytes whole = file, contents;
    uint64_t version;
    ck_assert_uint_eq(take_field(&whole, &contents, &version), 1);
    ck_assert_uint_eq(version, 8);
    ck_assert(is_text(find_field(file, 2, 0), "libresnet"));
    ck_assert(is_text(find_field(file, 3, 0), rn_build_info(RN_BUILD_VERSION)));
    bytes opset = find_field(file, 8, 0);
    ck_assert(is_text(find_field(opset, 1, 0), ""));
    ck_assert_uint_eq(take_field(&opset, &contents, &version), 1);
    ck_assert_uint_eq(take_field(&opset, &contents, &version), 2);
    ck_assert_uint_eq(version, 17);
    ck_assert_str_eq(operators(graph), "Conv BatchNormalization Relu "
                                       "Conv BatchNormalization Relu Conv BatchNormalization Add Relu "
                                       "Conv BatchNormalization Relu Conv BatchNormalization Conv BatchNormalization Add "
                                       "Relu GlobalAveragePool Flatten Gemm");
    const bytes conv = find_field(graph, 1, 3), gemm = find_field(graph, 1, 21);
    ck_assert(is_text(find_field(conv, 1, 0), "stem.relu/Relu_2"));
    ck_assert(is_text(find_field(conv, 1, 1), "block1.conv1.weight"));
    ck_assert(is_text(find_field(conv, 2, 0), "block1.conv1/Conv_3"));
    ck_assert(is_text(find_field(conv, 3, 0), "block1.conv1/Conv_3"));
    ck_assert(is_text(find_field(gemm, 2, 0), "output"));
    ck_assert(is_text(find_field(gemm, 3, 0), "fc/Gemm_21"));
    ck_assert(is_text(find_field(find_field(graph, 11, 0), 1, 0), "input"));
    ck_assert(is_text(find_field(find_field(graph, 12, 0), 1, 0), "output"));
    stop();
}
END_TEST

START_TEST(weights_have_the_names_and_bytes_of_the_state)
{
    start();
    rn_layer *const net = support_net(ctx, 3, 10);
    rn_model *model = NULL;
    ck_ok(rn_model_create(ctx, rn_layer_retain(net), cpu, &model)); /* the same seed gives the same weights */
    const bytes graph = export(net, 4, image, 0);
    int weights = 0;
    for (size_t i = 0; i < rn_model_state_count(model); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        ck_ok(rn_model_state(model, i, &entry));
        for (int k = 0; k < count_fields(graph, 5); k++) {
            const bytes weight = find_field(graph, 5, k), raw = find_field(weight, 9, 0);
            if (!is_text(find_field(weight, 8, 0), entry.name))
                continue;
            weights++;
            ck_assert_int_eq(count_fields(weight, 1), rn_tensor_rank(entry.value));
            ck_assert_uint_eq(raw.length, rn_tensor_nbytes(entry.value));
            ck_assert_mem_eq(raw.data, rn_tensor_data(entry.value), raw.length);
        }
    }
    ck_assert_int_eq(weights, count_fields(graph, 5));
    ck_assert_int_eq(weights, (int)rn_model_state_count(model) - 6); /* all but num_batches_tracked */
    rn_model_release(model);
    rn_layer_release(net);
    stop();
}
END_TEST

START_TEST(the_batch_has_a_name_unless_it_is_fixed)
{
    start();
    for (uint64_t fixed = 0; fixed < 2; fixed++) {
        const bytes graph = export(support_linear(ctx, 3, 4), 2, image, fixed ? RN_ONNX_FIXED_BATCH : 0);
        for (uint32_t field = 11; field <= 12; field++) {
            const bytes type = find_field(find_field(find_field(graph, field, 0), 2, 0), 1, 0);
            bytes batch = find_field(find_field(type, 2, 0), 1, 0), contents;
            uint64_t number;
            ck_assert_int_eq(count_fields(find_field(type, 2, 0), 1), 2);
            ck_assert_uint_eq(take_field(&batch, &contents, &number), fixed ? 1 : 2);
            if (fixed)
                ck_assert_uint_eq(number, 2);
            else
                ck_assert(is_text(contents, "batch"));
        }
    }
    stop();
}
END_TEST

START_TEST(nothing_to_do_is_a_node_all_the_same)
{
    start();
    const bytes graph = export(support_plain(ctx, rn_sequential_create), 4, image, 0);
    ck_assert_str_eq(operators(graph), "Identity");
    ck_assert(is_text(find_field(find_field(graph, 1, 0), 3, 0), "Identity_0"));
    stop();
}
END_TEST

/* --- folding -------------------------------------------------------------------------------------------------------- */

static rn_layer *chain(rn_layer *a, rn_layer *b, rn_layer *c)
{
    rn_layer *const seq = support_plain(ctx, rn_sequential_create);
    support_append(seq, NULL, a);
    support_append(seq, NULL, b);
    if (c)
        support_append(seq, NULL, c);
    return seq;
}

static rn_layer *residual(rn_layer *main, rn_layer *shortcut)
{
    rn_layer *layer = NULL;
    ck_ok(rn_residual_create(ctx, main, shortcut, NULL, &layer));
    rn_layer_release(main);
    rn_layer_release(shortcut);
    return layer;
}

START_TEST(folding_takes_batch_normalisation_away)
{
    start();
    const bytes graph = export(support_net(ctx, 3, 10), 4, image, RN_ONNX_FOLD_BATCHNORM);
    ck_assert_str_eq(operators(graph), "Conv Relu Conv Relu Conv Add Relu Conv Relu Conv Conv Add Relu "
                                       "GlobalAveragePool Flatten Gemm");
    ck_assert(is_text(find_field(find_field(graph, 1, 0), 1, 2), "stem.conv.bias"));
    ck_assert_int_eq(count_fields(graph, 5), 6 * 2 + 2);
    stop();
}
END_TEST

START_TEST(what_others_read_is_not_folded_into)
{
    start();
    const uint64_t fold = RN_ONNX_FOLD_BATCHNORM;
    const struct {
        rn_layer *net;
        const char *operators;
    } cases[] = {
        /* the shortcut reads the convolution as well */
        {chain(support_conv(ctx, 3, 3, 3, 1, 0), residual(support_bn(ctx, 3), NULL), NULL),
         "Conv BatchNormalization Add Relu"},
        /* the last layer drawn is not the one that batch normalisation follows */
        {residual(support_conv(ctx, 3, 3, 3, 1, 0), support_bn(ctx, 3)), "Conv BatchNormalization Add Relu"},
        {chain(residual(support_conv(ctx, 3, 3, 3, 1, 0), NULL), support_bn(ctx, 3), NULL),
         "Conv Add Relu BatchNormalization"},
        {chain(support_conv(ctx, 3, 3, 3, 1, 0), support_plain(ctx, rn_relu_create), support_bn(ctx, 3)),
         "Conv Relu BatchNormalization"},
        /* only one of two */
        {chain(support_conv(ctx, 3, 3, 3, 1, 1), support_bn(ctx, 3), support_bn(ctx, 3)), "Conv BatchNormalization"},
        {support_bn(ctx, 3), "BatchNormalization"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(operators(export(cases[i].net, 4, image, fold)), cases[i].operators);
    stop();
}
END_TEST

/* --- the file ------------------------------------------------------------------------------------------------------- */

START_TEST(the_same_bytes_every_time)
{
    start();
    export(support_net(ctx, 3, 10), 4, image, RN_ONNX_FOLD_BATCHNORM);
    void *const first = file_data;
    const size_t size = file_size;
    file_data = NULL;
    export(support_net(ctx, 3, 10), 4, image, RN_ONNX_FOLD_BATCHNORM);
    ck_assert_uint_eq(file_size, size);
    ck_assert_mem_eq(file_data, first, size);
    rni_free(&rni_default_allocator, first);
    stop();
}
END_TEST

/* Weights pass through a buffer: 16 MB of them need less than 1. */
static atomic_llong peak;

static void *peak_alloc(void *user, size_t size, size_t align)
{
    void *const block = counting_alloc(user, size, align);
    const long long now = atomic_load(&((counting *)user)->bytes);
    if (now > atomic_load(&peak))
        atomic_store(&peak, now);
    return block;
}

START_TEST(weights_are_not_copied)
{
    counting count = {0};
    const rn_allocator allocator = {sizeof allocator, peak_alloc, counting_free, &count};
    const int64_t dims[2] = {1, 2000};
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_layer *net = NULL;
    rn_model *model = NULL;
    o.allocator = &allocator;
    o.num_threads = 1;
    start();
    rn_context_release(ctx);
    ck_ok(rn_context_create(&o, &ctx));
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    net = support_linear(ctx, 2000, 2000);
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    const long long before = atomic_load(&count.bytes);
    atomic_store(&peak, 0);
    ck_ok(rn_model_export_onnx(model, 2, dims, NULL, path));
    ck_assert_int_lt(atomic_load(&peak) - before, 1 << 20);
    ck_assert_int_eq(atomic_load(&count.bytes), before);
    rn_model_release(model);
    rn_layer_release(net);
    stop();
    ck_assert_int_eq(atomic_load(&count.wrong), 0);
}
END_TEST

START_TEST(above_two_gigabytes)
{
    rni_onnx_graph g;
    rni_onnx_node *node = NULL;
    uint32_t input = 0, weight = 0;
    const int64_t one = 1;
    start();
    ck_ok(rni_onnx_begin(&g, &rni_default_allocator));
    ck_ok(rni_onnx_add_node(&g, "Identity", "", &input, 1, &node));
    ck_ok(rni_onnx_add_array(&g, "w", RN_F32, 1, &one, &weight, &weight));
    g.weights[0].item.bytes = (uint64_t)INT32_MAX - 20; /* never read: the size is checked first */
    ck_fails(rni_onnx_save(&g, path), RN_E_UNSUPPORTED, "bytes as ONNX, expected at most 2147483647");
    ck_assert_ptr_nonnull(strstr(rn_error_message(), path));
    ck_assert_int_ne(access(path, F_OK), 0);
    rni_onnx_end(&g);
    stop();
}
END_TEST

static rn_status keep_shape(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    (void)layer, (void)in, (void)out;
    return RN_OK;
}

START_TEST(errors)
{
    static const rni_layer_class cls = {.type = "Odd", .infer = keep_shape};
    const int64_t wrong[4] = {2, 4, 16, 16};
    rn_onnx_options o = RN_ONNX_OPTIONS_INIT;
    rn_layer *layer = NULL, *net;
    rn_model *model = NULL;
    start();
    net = support_net(ctx, 3, 10);
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    ck_fails(rn_model_export_onnx(NULL, 4, image, NULL, path), RN_E_INVALID, "m is NULL");
    ck_fails(rn_model_export_onnx(model, 4, NULL, NULL, path), RN_E_INVALID, "dims is NULL");
    ck_fails(rn_model_export_onnx(model, 4, image, NULL, NULL), RN_E_INVALID, "path is NULL");
    ck_fails(rn_model_export_onnx(model, 0, image, NULL, path), RN_E_INVALID, "rank: expected 1 to 8, got 0");
    ck_fails(rn_model_export_onnx(model, 4, wrong, NULL, path), RN_E_SHAPE, "stem.conv (Conv2d): expected 3 channels");
    ck_fails(rn_model_export_onnx(model, 4, image, NULL, "/nonexistent/x"), RN_E_IO, "/nonexistent/x");
    ck_fails(rn_model_export_onnx(model, 4, image, NULL, "/tmp"), RN_E_IO, "/tmp");
    o.flags = 4;
    ck_fails(rn_model_export_onnx(model, 4, image, &o, path), RN_E_INVALID, "options.flags: unknown flag in 0x4");
    o.struct_size = 1;
    ck_fails(rn_model_export_onnx(model, 4, image, &o, path), RN_E_VERSION, "rn_onnx_options");
    ck_ok(rn_onnx_options_init(&o, sizeof o));
    ck_assert_uint_eq(o.flags, 0);
    rn_model_release(model);
    rn_layer_release(net);

    net = support_plain(ctx, rn_sequential_create);
    ck_ok(rni_layer_create(ctx, &cls, &layer));
    support_append(net, "odd", layer);
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    ck_fails(rn_model_export_onnx(model, 4, image, NULL, path), RN_E_UNSUPPORTED,
             "odd (Odd): layers of this kind have no ONNX form");
    rn_model_release(model);
    rn_layer_release(net);

    net = support_plain(ctx, rn_sequential_create);
    support_append(net, "\xff", support_plain(ctx, rn_relu_create));
    ck_ok(rn_model_create(ctx, net, cpu, &model));
    ck_fails(rn_model_export_onnx(model, 4, image, NULL, path), RN_E_INVALID, "is not UTF-8");
    rn_model_release(model);
    rn_layer_release(net);
    ck_assert_int_ne(access(path, F_OK), 0);
    stop();
}
END_TEST

SUPPORT_MAIN("onnx", fields, what_the_file_says, weights_have_the_names_and_bytes_of_the_state,
             the_batch_has_a_name_unless_it_is_fixed, nothing_to_do_is_a_node_all_the_same,
             folding_takes_batch_normalisation_away, what_others_read_is_not_folded_into, the_same_bytes_every_time,
             weights_are_not_copied, above_two_gigabytes, errors)
