/* SPDX-License-Identifier: MIT */
/* Zoo: exact numbers of parameters and multiply-adds, names, options. */
#include "support.h"
#include "layer/layer.h"

typedef struct net {
    const char *name;
    int64_t parameters;
    double mmacs; /* millions at 32 x 32, one decimal */
    size_t states;
} net;

/* Per convolution and BN 1 + 5 entries, and 2 of the linear layer. */
static const net nets[] = {
    {"tutorial", 195738, 0, 92},
    {"cifar_resnet20", 269722, 40.6, 116},
    {"cifar_resnet32", 464154, 68.9, 188},
    {"cifar_resnet44", 658586, 97.2, 260},
    {"cifar_resnet56", 853018, 125.5, 332},
    {"cifar_resnet110", 1727962, 252.9, 656},
    {"cifar_resnet20_b", 272474, 0, 128},
    {"cifar_resnet32_b", 466906, 0, 200},
    {"cifar_resnet44_b", 661338, 0, 272},
    {"cifar_resnet56_b", 855770, 0, 344},
    {"cifar_resnet110_b", 1730714, 0, 668},
    {"cifar_plain20", 269722, 40.6, 116},
    {"cifar_plain32", 464154, 68.9, 188},
    {"cifar_plain44", 658586, 97.2, 260},
    {"cifar_plain56", 853018, 125.5, 332},
    {"cifar_plain110", 1727962, 252.9, 656},
    {"resnet18", 11689512, 0, 122},
    {"resnet34", 21797672, 0, 218},
    {"resnet50", 25557032, 0, 320},
    {"resnet101", 44549160, 0, 626},
    {"resnet152", 60192808, 0, 932},
};
enum { NUM_NETS = sizeof nets / sizeof nets[0] };

static rn_model *model_of(rn_context *ctx, rn_device *cpu, const char *name, const rn_zoo_options *o)
{
    rn_layer *layer = NULL;
    rn_model *m = NULL;
    ck_ok(rn_zoo_create(ctx, name, o, &layer));
    ck_ok(rn_model_create(ctx, layer, cpu, &m));
    rn_layer_release(layer);
    return m;
}

START_TEST(counts)
{
    const int64_t dims[4] = {1, 3, 32, 32};
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    for (size_t i = 0; i < NUM_NETS; i++) {
        rn_model *const m = model_of(ctx, cpu, nets[i].name, NULL);
        int64_t macs = 0;
        ck_assert_str_eq(rn_zoo_name(i), nets[i].name);
        ck_assert_msg(rn_model_parameter_count(m, 0) == nets[i].parameters, "%s: %lld parameters", nets[i].name,
                      (long long)rn_model_parameter_count(m, 0));
        ck_assert_msg(rn_model_state_count(m) == nets[i].states, "%s: %zu entries", nets[i].name,
                      rn_model_state_count(m));
        ck_ok(rn_model_macs(m, 4, dims, &macs));
        /* Published figures leave no doubt about the first decimal. */
        if (nets[i].mmacs > 0)
            ck_assert_msg((double)macs / 1e6 > nets[i].mmacs - 0.051 && (double)macs / 1e6 < nets[i].mmacs + 0.051,
                          "%s: %lld multiply-adds", nets[i].name, (long long)macs);
        rn_model_release(m);
    }
    ck_assert_ptr_null(rn_zoo_name(NUM_NETS));
    rn_context_release(ctx);
}
END_TEST

static void expect_shape(rn_model *m, const char *name, int32_t rank, const int64_t *dims)
{
    rn_state_entry e = RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_find_state(m, name, &e));
    ck_assert_int_eq(rn_tensor_rank(e.value), rank);
    for (int32_t i = 0; i < rank; i++)
        ck_assert_int_eq(rn_tensor_dim(e.value, i), dims[i]);
}

/* At 224 x 224, in millions: those that are published for torchvision's nets. */
START_TEST(imagenet_counts)
{
    static const struct {
        const char *name;
        double mmacs;
    } published[] = {{"resnet18", 1814}, {"resnet34", 3664}, {"resnet50", 4089}, {"resnet101", 7801}, {"resnet152", 11514}};
    const int64_t dims[4] = {1, 3, 224, 224};
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        rn_model *const m = model_of(ctx, cpu, published[i].name, NULL);
        int64_t macs = 0;
        ck_ok(rn_model_macs(m, 4, dims, &macs));
        ck_assert_msg((double)macs / 1e6 > published[i].mmacs - 1 && (double)macs / 1e6 < published[i].mmacs + 1,
                      "%s: %lld multiply-adds", published[i].name, (long long)macs);
        expect_shape(m, "conv1.weight", 4, (int64_t[]){64, 3, 7, 7});
        expect_shape(m, "fc.weight", 2, (int64_t[]){1000, i < 2 ? 512 : 2048});
        expect_shape(m, "layer4.0.downsample.0.weight", 4, (int64_t[]){i < 2 ? 512 : 2048, i < 2 ? 256 : 1024, 1, 1});
        expect_shape(m, i < 2 ? "layer1.1.bn2.weight" : "layer1.2.bn3.weight", 1, (int64_t[]){i < 2 ? 64 : 256});
        rn_model_release(m);
    }
    rn_context_release(ctx);
}
END_TEST

START_TEST(names_and_shapes)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_state_entry e = RN_STATE_ENTRY_INIT;
    rn_model *m = model_of(ctx, cpu, "tutorial", NULL);
    expect_shape(m, "conv.weight", 4, (int64_t[]){16, 3, 3, 3});
    expect_shape(m, "bn.running_var", 1, (int64_t[]){16});
    expect_shape(m, "layer1.0.conv1.weight", 4, (int64_t[]){16, 16, 3, 3});
    expect_shape(m, "layer2.0.conv1.weight", 4, (int64_t[]){32, 16, 3, 3});
    expect_shape(m, "layer2.0.downsample.0.weight", 4, (int64_t[]){32, 16, 3, 3});
    expect_shape(m, "layer3.0.downsample.1.num_batches_tracked", 0, NULL);
    expect_shape(m, "layer3.1.bn2.bias", 1, (int64_t[]){64});
    expect_shape(m, "fc.weight", 2, (int64_t[]){10, 64});
    expect_shape(m, "fc.bias", 1, (int64_t[]){10});
    ck_fails(rn_model_find_state(m, "layer1.0.downsample.0.weight", &e), RN_E_NOT_FOUND, "layer1.0.downsample");
    ck_ok(rn_model_state(m, 0, &e));
    ck_assert_str_eq(e.name, "conv.weight");
    ck_ok(rn_model_state(m, 91, &e));
    ck_assert_str_eq(e.name, "fc.bias");
    rn_model_release(m);

    m = model_of(ctx, cpu, "cifar_resnet20_b", NULL);
    expect_shape(m, "conv1.weight", 4, (int64_t[]){16, 3, 3, 3});
    expect_shape(m, "bn1.weight", 1, (int64_t[]){16});
    expect_shape(m, "layer3.0.downsample.0.weight", 4, (int64_t[]){64, 32, 1, 1});
    expect_shape(m, "layer3.2.conv2.weight", 4, (int64_t[]){64, 64, 3, 3});
    rn_model_release(m);

    m = model_of(ctx, cpu, "cifar_resnet20", NULL);
    ck_fails(rn_model_find_state(m, "layer3.0.downsample.0.weight", &e), RN_E_NOT_FOUND, "downsample");
    rn_model_release(m);
    rn_context_release(ctx);
}
END_TEST

/* A plain net and its residual twin have the same entries, so that weights can be carried over. */
START_TEST(plain_twins)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_model *const plain = model_of(ctx, cpu, "cifar_plain56", NULL);
    rn_model *const residual = model_of(ctx, cpu, "cifar_resnet56", NULL);
    ck_assert_uint_eq(rn_model_state_count(plain), rn_model_state_count(residual));
    for (size_t i = 0; i < rn_model_state_count(plain); i++) {
        rn_state_entry a = RN_STATE_ENTRY_INIT, b = RN_STATE_ENTRY_INIT;
        ck_ok(rn_model_state(plain, i, &a));
        ck_ok(rn_model_state(residual, i, &b));
        ck_assert_str_eq(a.name, b.name);
        ck_assert_uint_eq(rn_tensor_nbytes(a.value), rn_tensor_nbytes(b.value));
    }
    rn_model_release(plain);
    rn_model_release(residual);
    rn_context_release(ctx);
}
END_TEST

START_TEST(any_size)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    const rn_zoo_options o = {sizeof o, 0, 7, 1};
    for (size_t i = 0; i < NUM_NETS; i++) {
        rn_layer *layer = NULL;
        ck_ok(rn_zoo_create(ctx, nets[i].name, &o, &layer));
        for (int64_t size = 8; size < 70; size += 5) {
            const int64_t dims[4] = {3, 1, size, size + 3};
            int64_t out[RN_MAX_RANK];
            int32_t rank = 0;
            ck_ok(rn_layer_output_shape(layer, 4, dims, &rank, out));
            ck_assert_int_eq(rank, 2);
            ck_assert_int_eq(out[0], 3);
            ck_assert_int_eq(out[1], 7);
        }
        rn_layer_release(layer);
    }
    rn_context_release(ctx);
}
END_TEST

/* The sum of squares of a weight: kaiming normal has variance 2 / fan_in, torch's default 1 / (3 fan_in). */
static double variance(rn_model *m, const char *name)
{
    rn_state_entry e = RN_STATE_ENTRY_INIT;
    double sum = 0;
    ck_ok(rn_model_find_state(m, name, &e));
    const float *const w = rn_tensor_data(e.value);
    for (int64_t i = 0; i < rn_tensor_count(e.value); i++)
        sum += (double)w[i] * (double)w[i];
    return sum / (double)rn_tensor_count(e.value);
}

static void expect_near(double got, double expected)
{
    ck_assert_msg(got > 0.97 * expected && got < 1.03 * expected, "expected about %g, got %g", expected, got);
}

START_TEST(initial_weights)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_model *m = model_of(ctx, cpu, "tutorial", NULL);
    expect_near(variance(m, "layer3.1.conv2.weight"), 1.0 / (3 * 576));
    rn_model_release(m);
    m = model_of(ctx, cpu, "cifar_resnet20", NULL);
    expect_near(variance(m, "layer3.1.conv2.weight"), 2.0 / 576);
    expect_near(variance(m, "layer3.0.conv1.weight"), 2.0 / 288); /* fan_in, not fan_out */
    rn_model_release(m);
    rn_context_release(ctx);
}
END_TEST

static rn_status try_cifar(rn_context *ctx, int64_t depth, int64_t classes, int64_t channels, int32_t shortcut,
                           uint64_t flags)
{
    rn_cifar_resnet_options o = RN_CIFAR_RESNET_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.depth = depth, o.classes = classes, o.in_channels = channels, o.shortcut = shortcut, o.flags = flags;
    const rn_status status = rn_cifar_resnet_create(ctx, &o, &layer);
    ck_assert_int_eq(status == RN_OK, layer != NULL);
    rn_layer_release(layer);
    return status;
}

START_TEST(options)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_zoo_options o = RN_ZOO_OPTIONS_INIT;
    rn_layer *layer = NULL;
    ck_fails(rn_zoo_create(ctx, "resnet20", NULL, &layer), RN_E_NOT_FOUND, "'resnet20'; there are: tutorial cifar_resnet20 ");
    ck_assert_ptr_nonnull(strstr(rn_error_message(), "cifar_plain110"));
    ck_fails(rn_zoo_create(ctx, NULL, NULL, &layer), RN_E_INVALID, "name is NULL");
    ck_fails(rn_zoo_create(NULL, "tutorial", NULL, &layer), RN_E_INVALID, "ctx is NULL");
    o.classes = -1;
    ck_fails(rn_zoo_create(ctx, "tutorial", &o, &layer), RN_E_INVALID, "options.classes");
    o.classes = 0, o.in_channels = -1;
    ck_fails(rn_zoo_create(ctx, "tutorial", &o, &layer), RN_E_INVALID, "options.in_channels");
    o.in_channels = 0, o.flags = 1;
    ck_fails(rn_zoo_create(ctx, "tutorial", &o, &layer), RN_E_INVALID, "options.flags");
    ck_assert_ptr_null(layer);
    ck_ok(try_cifar(ctx, 8, 10, 3, RN_SHORTCUT_A, 0));
    ck_ok(try_cifar(ctx, 14, 10, 3, RN_SHORTCUT_3X3, RN_CIFAR_ZEROS_AFTER));
    ck_fails(try_cifar(ctx, 2, 10, 3, 0, 0), RN_E_INVALID, "6n+2 (8, 14, 20, ... 6002), got 2");
    ck_fails(try_cifar(ctx, 21, 10, 3, 0, 0), RN_E_INVALID, "got 21");
    ck_fails(try_cifar(ctx, 20, 0, 3, 0, 0), RN_E_INVALID, "options.classes");
    ck_fails(try_cifar(ctx, 20, 10, 0, 0, 0), RN_E_INVALID, "options.in_channels");
    ck_fails(try_cifar(ctx, 20, 10, 3, 3, 0), RN_E_INVALID, "options.shortcut");
    ck_fails(try_cifar(ctx, 20, 10, 3, 0, 4), RN_E_INVALID, "options.flags");
    ck_fails(try_cifar(ctx, INT64_MAX / 6 * 6 - 4, 10, 3, 0, 0), RN_E_INVALID, "options.depth");
    rn_context_release(ctx);
}
END_TEST

static const rn_layer *child(const rn_layer *layer, const char *name)
{
    for (size_t i = 0; i < layer->num_children; i++)
        if (strcmp(layer->children[i].name, name) == 0)
            return layer->children[i].layer;
    ck_abort_msg("no child %s", name);
    return NULL;
}

/* Where the zero channels go: half on each side, or all after the data. */
START_TEST(zeros_of_option_a)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    for (int after = 0; after < 2; after++) {
        rn_cifar_resnet_options o = RN_CIFAR_RESNET_OPTIONS_INIT;
        rn_layer *layer = NULL;
        o.depth = 8, o.flags = after ? RN_CIFAR_ZEROS_AFTER : 0;
        ck_ok(rn_cifar_resnet_create(ctx, &o, &layer));
        const rn_layer *const pad = child(child(child(layer, "layer3"), "0"), "downsample");
        ck_assert_int_eq(pad->u.pad.channels_before, after ? 0 : 16);
        ck_assert_int_eq(pad->u.pad.channels_after, after ? 32 : 16);
        ck_assert_int_eq(pad->u.pad.stride[0], 2);
        rn_layer_release(layer);
    }
    rn_context_release(ctx);
}
END_TEST

START_TEST(renames_by_name)
{
    const rn_rename *table = NULL;
    size_t count = 0;
    ck_ok(rn_zoo_renames("akamaster", &table, &count));
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(table[0].from, "linear.");
    ck_assert_str_eq(table[1].to, ".downsample.");
    table = NULL;
    ck_fails(rn_zoo_renames("other", &table, &count), RN_E_NOT_FOUND, "no renames 'other'; there are: akamaster");
    ck_assert_ptr_null(table);
    ck_fails(rn_zoo_renames(NULL, &table, &count), RN_E_INVALID, "name is NULL");
    ck_fails(rn_zoo_renames("akamaster", NULL, &count), RN_E_INVALID, "table is NULL");
    ck_fails(rn_zoo_renames("akamaster", &table, NULL), RN_E_INVALID, "count is NULL");
}
END_TEST

SUPPORT_MAIN("zoo", counts, imagenet_counts, names_and_shapes, plain_twins, any_size, initial_weights, options,
             zeros_of_option_a, renames_by_name)
