/* SPDX-License-Identifier: MIT */
/* Zoo: exact numbers of parameters and multiply-adds, names, shapes, options. */
#include "layer/layer.h"
#include "support.h"

typedef struct net {
    const char *name;
    int64_t size; /* pixels of the images it is for */
    int64_t parameters, macs;
    size_t states;
} net;

/*
 * Counted in PyTorch from torchvision's nets where it has them, else from the paper's description. Per convolution and BN 1 +
 * 5 entries, and 2 of each linear layer.
 */
static const net nets[] = {
    {"tutorial", 32, 195738, 28754560, 92},
    {"cifar_resnet20", 32, 269722, 40551040, 116},
    {"cifar_resnet32", 32, 464154, 68862592, 188},
    {"cifar_resnet44", 32, 658586, 97174144, 260},
    {"cifar_resnet56", 32, 853018, 125485696, 332},
    {"cifar_resnet110", 32, 1727962, 252887680, 656},
    {"cifar_resnet1202", 32, 19421274, 2829238912, 7208},
    {"cifar_resnet20_b", 32, 272474, 40813184, 128},
    {"cifar_resnet32_b", 32, 466906, 69124736, 200},
    {"cifar_resnet44_b", 32, 661338, 97436288, 272},
    {"cifar_resnet56_b", 32, 855770, 125747840, 344},
    {"cifar_resnet110_b", 32, 1730714, 253149824, 668},
    {"cifar_plain20", 32, 269722, 40551040, 116},
    {"cifar_plain32", 32, 464154, 68862592, 188},
    {"cifar_plain44", 32, 658586, 97174144, 260},
    {"cifar_plain56", 32, 853018, 125485696, 332},
    {"cifar_plain110", 32, 1727962, 252887680, 656},
    {"resnet18", 224, 11689512, 1814073344, 122},
    {"resnet34", 224, 21797672, 3663761408, 218},
    {"resnet50", 224, 25557032, 4089184256, 320},
    {"resnet101", 224, 44549160, 7801405440, 626},
    {"resnet152", 224, 60192808, 11513626624, 932},
    {"plain18", 224, 11515688, 1794805760, 104},
    {"plain34", 224, 21623848, 3644493824, 200},
    {"resnet34_a", 224, 21623848, 3644493824, 200},
    {"resnet34_c", 224, 22716840, 3830747136, 296},
    {"resnet50_v1", 224, 25557032, 3857973248, 320},
    {"resnet101_v1", 224, 44549160, 7570194432, 626},
    {"resnet152_v1", 224, 60192808, 11282415616, 932},
    {"resnext50_32x4d", 224, 25028904, 4230479872, 320},
    {"resnext101_32x8d", 224, 88791336, 16414015488, 626},
    {"resnext101_64x4d", 224, 83455272, 15460270080, 626},
    {"wide_resnet50_2", 224, 68883240, 11398021120, 320},
    {"wide_resnet101_2", 224, 126886696, 22753050624, 626},
    {"vgg19", 224, 143667240, 19632062464, 38},
    {"vgg19_bn", 224, 143678248, 19632062464, 118},
};
enum { NUM_NETS = sizeof nets / sizeof nets[0] };

/* What a tree holds, without the memory that a model of it takes. */
typedef struct census {
    int64_t parameters, macs;
    size_t states;
    const char *wanted; /* a name */
    rni_shape found;    /* and its shape; rank -1 when there is none */
} census;

static rn_status count_state(void *user, const rn_layer *layer, uint32_t slot, const char *name,
                             const rni_state_decl *decl)
{
    census *const c = user;
    int64_t count = 1;
    (void)layer, (void)slot;
    for (int32_t i = 0; i < decl->shape.rank; i++)
        count *= decl->shape.dims[i];
    c->parameters += decl->kind == RN_STATE_PARAMETER ? count : 0;
    c->states++;
    if (c->wanted && strcmp(c->wanted, name) == 0)
        c->found = decl->shape;
    return RN_OK;
}

static rn_status count_macs(rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *in, rni_edge *out)
{
    census *const c = v->user;
    (void)path, (void)in;
    c->macs += layer->cls->macs ? layer->cls->macs(layer, &out->shape) : 0;
    return RN_OK;
}

static census take_census(const rn_layer *layer, int64_t size, const char *wanted)
{
    census c = {.wanted = wanted, .found = {.rank = -1}};
    rni_visitor v = {.leaf = count_macs, .user = &c};
    rni_edge in = {.shape = {4, {1, 3, size, size}}, .from = "input"}, out;
    ck_ok(rni_layer_states(layer, "", count_state, &c));
    ck_ok(rni_layer_visit(layer, &v, "", &in, &out));
    return c;
}

static rn_layer *layer_of(rn_context *ctx, const char *name, const rn_zoo_options *o)
{
    rn_layer *layer = NULL;
    ck_ok(rn_zoo_create(ctx, name, o, &layer));
    return layer;
}

static rn_model *model_of(rn_context *ctx, rn_device *cpu, const char *name, const rn_zoo_options *o)
{
    rn_layer *const layer = layer_of(ctx, name, o);
    rn_model *m = NULL;
    ck_ok(rn_model_create(ctx, layer, cpu, &m));
    rn_layer_release(layer);
    return m;
}

START_TEST(counts)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    for (size_t i = 0; i < NUM_NETS; i++) {
        rn_layer *const layer = layer_of(ctx, nets[i].name, NULL);
        const census c = take_census(layer, nets[i].size, NULL);
        ck_assert_str_eq(rn_zoo_name(i), nets[i].name);
        ck_assert_msg(c.parameters == nets[i].parameters, "%s: %lld parameters", nets[i].name, (long long)c.parameters);
        ck_assert_msg(c.macs == nets[i].macs, "%s: %lld multiply-adds", nets[i].name, (long long)c.macs);
        ck_assert_msg(c.states == nets[i].states, "%s: %zu entries", nets[i].name, c.states);
        rn_layer_release(layer);
    }
    ck_assert_ptr_null(rn_zoo_name(NUM_NETS));
    rn_context_release(ctx);
}
END_TEST

/* A model counts the same. */
START_TEST(counts_of_a_model)
{
    const int64_t dims[4] = {1, 3, 224, 224};
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_model *const m = model_of(ctx, cpu, "resnet18", NULL);
    int64_t macs = 0;
    ck_assert_int_eq(rn_model_parameter_count(m, 0), 11689512);
    ck_assert_uint_eq(rn_model_state_count(m), 122);
    ck_ok(rn_model_macs(m, 4, dims, &macs));
    ck_assert_int_eq(macs, 1814073344);
    rn_model_release(m);
    rn_context_release(ctx);
}
END_TEST

typedef struct expected_shape {
    const char *net, *name;
    int32_t rank; /* -1: there is no such entry */
    int64_t dims[4];
} expected_shape;

static const expected_shape expected_shapes[] = {
    {"tutorial", "conv.weight", 4, {16, 3, 3, 3}},
    {"tutorial", "bn.running_var", 1, {16}},
    {"tutorial", "layer1.0.conv1.weight", 4, {16, 16, 3, 3}},
    {"tutorial", "layer1.0.downsample.0.weight", -1, {0}},
    {"tutorial", "layer2.0.conv1.weight", 4, {32, 16, 3, 3}},
    {"tutorial", "layer2.0.downsample.0.weight", 4, {32, 16, 3, 3}},
    {"tutorial", "layer3.0.downsample.1.num_batches_tracked", 0, {0}},
    {"tutorial", "layer3.1.bn2.bias", 1, {64}},
    {"tutorial", "fc.weight", 2, {10, 64}},
    {"tutorial", "fc.bias", 1, {10}},
    {"cifar_resnet20_b", "conv1.weight", 4, {16, 3, 3, 3}},
    {"cifar_resnet20_b", "bn1.weight", 1, {16}},
    {"cifar_resnet20_b", "layer3.0.downsample.0.weight", 4, {64, 32, 1, 1}},
    {"cifar_resnet20_b", "layer3.2.conv2.weight", 4, {64, 64, 3, 3}},
    {"cifar_resnet20", "layer3.0.downsample.0.weight", -1, {0}},
    {"cifar_resnet1202", "layer3.199.conv2.weight", 4, {64, 64, 3, 3}},
    {"resnet18", "conv1.weight", 4, {64, 3, 7, 7}},
    {"resnet18", "layer1.0.downsample.0.weight", -1, {0}},
    {"resnet18", "layer1.1.bn2.weight", 1, {64}},
    {"resnet34", "layer4.0.downsample.0.weight", 4, {512, 256, 1, 1}},
    {"resnet34_a", "layer4.0.downsample.0.weight", -1, {0}},
    {"resnet34_c", "layer1.0.downsample.0.weight", 4, {64, 64, 1, 1}},
    {"resnet34_c", "layer3.5.downsample.1.bias", 1, {256}},
    {"plain34", "layer4.2.conv2.weight", 4, {512, 512, 3, 3}},
    {"plain34", "layer4.0.downsample.0.weight", -1, {0}},
    {"resnet50", "layer1.0.downsample.0.weight", 4, {256, 64, 1, 1}},
    {"resnet50", "layer4.0.downsample.0.weight", 4, {2048, 1024, 1, 1}},
    {"resnet50_v1", "layer4.0.conv1.weight", 4, {512, 1024, 1, 1}},
    {"resnet152", "layer3.35.conv3.weight", 4, {1024, 256, 1, 1}},
    {"resnet152", "fc.weight", 2, {1000, 2048}},
    {"resnext50_32x4d", "layer1.0.conv1.weight", 4, {128, 64, 1, 1}},
    {"resnext50_32x4d", "layer1.0.conv2.weight", 4, {128, 4, 3, 3}},
    {"resnext101_32x8d", "layer4.2.conv2.weight", 4, {2048, 64, 3, 3}},
    {"resnext101_64x4d", "layer3.22.conv2.weight", 4, {1024, 16, 3, 3}},
    {"wide_resnet50_2", "layer4.0.conv2.weight", 4, {1024, 1024, 3, 3}},
    {"wide_resnet50_2", "layer4.0.conv3.weight", 4, {2048, 1024, 1, 1}},
    {"wide_resnet101_2", "layer3.22.bn2.running_mean", 1, {512}},
    {"vgg19", "features.0.bias", 1, {64}},
    {"vgg19", "features.34.weight", 4, {512, 512, 3, 3}},
    {"vgg19", "classifier.0.weight", 2, {4096, 25088}},
    {"vgg19", "classifier.6.bias", 1, {1000}},
    {"vgg19_bn", "features.50.running_var", 1, {512}},
    {"vgg19_bn", "features.49.weight", 4, {512, 512, 3, 3}},
    {"vgg19_bn", "classifier.3.weight", 2, {4096, 4096}},
};

START_TEST(names_and_shapes)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    for (size_t i = 0; i < sizeof expected_shapes / sizeof *expected_shapes; i++) {
        const expected_shape *const e = &expected_shapes[i];
        rn_layer *const layer = layer_of(ctx, e->net, NULL);
        const census c = take_census(layer, 32, e->name);
        ck_assert_msg(c.found.rank == e->rank, "%s %s: rank %d", e->net, e->name, (int)c.found.rank);
        for (int32_t k = 0; k < e->rank; k++)
            ck_assert_msg(c.found.dims[k] == e->dims[k], "%s %s: %lld", e->net, e->name, (long long)c.found.dims[k]);
        rn_layer_release(layer);
    }
    rn_context_release(ctx);
}
END_TEST

/* The order is that of PyTorch's state_dict. */
START_TEST(order)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_model *const m = model_of(ctx, cpu, "tutorial", NULL);
    rn_state_entry e = RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_state(m, 0, &e));
    ck_assert_str_eq(e.name, "conv.weight");
    ck_ok(rn_model_state(m, 91, &e));
    ck_assert_str_eq(e.name, "fc.bias");
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
        for (int64_t size = strncmp(nets[i].name, "vgg", 3) ? 8 : 33; size < 70; size += 5) {
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
    ck_assert_msg(got >= 0.97 * expected && got <= 1.03 * expected, "expected about %g, got %g", expected, got);
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
    expect_near(variance(m, "layer3.0.bn2.weight"), 1);
    rn_model_release(m);
    rn_context_release(ctx);
}
END_TEST

/* Only the last BN of a block begins at 0, in every family. */
START_TEST(zero_init)
{
    const rn_zoo_options o = {sizeof o, RN_ZOO_ZERO_INIT, 0, 0};
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_model *m = model_of(ctx, cpu, "resnet18", &o);
    expect_near(variance(m, "layer2.0.bn2.weight"), 0);
    expect_near(variance(m, "layer2.0.bn1.weight"), 1);
    expect_near(variance(m, "layer2.0.downsample.1.weight"), 1);
    expect_near(variance(m, "layer2.0.conv2.weight"), 2.0 / (9 * 128)); /* fan_out */
    rn_model_release(m);
    m = model_of(ctx, cpu, "tutorial", &o);
    expect_near(variance(m, "layer3.1.bn2.weight"), 0);
    expect_near(variance(m, "bn.weight"), 1);
    rn_model_release(m);
    m = model_of(ctx, cpu, "resnet50", &o);
    expect_near(variance(m, "layer1.0.bn3.weight"), 0);
    expect_near(variance(m, "layer1.0.bn2.weight"), 1);
    rn_model_release(m);
    rn_context_release(ctx);
}
END_TEST

/* Layers of a tree whose flags and class answer a question. */
static int64_t count_bn(const rn_layer *layer, uint64_t flags)
{
    int64_t count = strcmp(layer->cls->type, "BatchNorm2d") == 0 && (layer->u.bn.flags & flags) == flags;
    for (size_t i = 0; i < layer->num_children; i++)
        count += count_bn(layer->children[i].layer, flags);
    return count;
}

START_TEST(frozen)
{
    const rn_zoo_options o = {sizeof o, RN_ZOO_FROZEN_BN, 0, 0};
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    for (size_t i = 0; i < NUM_NETS; i++) {
        if (strcmp(nets[i].name, "vgg19") == 0)
            continue;
        rn_layer *const trained = layer_of(ctx, nets[i].name, NULL), *const layer = layer_of(ctx, nets[i].name, &o);
        ck_assert_int_eq(count_bn(trained, RN_BATCHNORM_FROZEN), 0);
        ck_assert_int_eq(count_bn(layer, RN_BATCHNORM_FROZEN), count_bn(trained, 0));
        rn_layer_release(trained);
        rn_layer_release(layer);
    }
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
    ck_fails(rn_zoo_create(ctx, "resnet20", NULL, &layer), RN_E_NOT_FOUND, "'resnet20'; there are: tutorial, cifar_resnet20,");
    ck_assert_ptr_nonnull(strstr(rn_error_message(), "wide_resnet101_2, vgg19, vgg19_bn"));
    ck_fails(rn_zoo_create(ctx, NULL, NULL, &layer), RN_E_INVALID, "name is NULL");
    ck_fails(rn_zoo_create(NULL, "tutorial", NULL, &layer), RN_E_INVALID, "ctx is NULL");
    o.classes = -1;
    ck_fails(rn_zoo_create(ctx, "tutorial", &o, &layer), RN_E_INVALID, "options.classes");
    o.classes = 0, o.in_channels = -1;
    ck_fails(rn_zoo_create(ctx, "tutorial", &o, &layer), RN_E_INVALID, "options.in_channels");
    o.in_channels = 0, o.flags = 1;
    ck_fails(rn_zoo_create(ctx, "tutorial", &o, &layer), RN_E_INVALID, "options.flags: unknown flag in 0x1");
    o.flags = RN_ZOO_ZERO_INIT;
    ck_fails(rn_zoo_create(ctx, "plain18", &o, &layer), RN_E_INVALID, "options.flags: RN_ZOO_ZERO_INIT, but a plain net");
    ck_fails(rn_zoo_create(ctx, "cifar_plain20", &o, &layer), RN_E_INVALID, "RN_ZOO_ZERO_INIT");
    ck_fails(rn_zoo_create(ctx, "vgg19_bn", &o, &layer), RN_E_INVALID, "RN_ZOO_ZERO_INIT, but vgg19_bn has no residual");
    o.flags = RN_ZOO_FROZEN_BN;
    ck_fails(rn_zoo_create(ctx, "vgg19", &o, &layer), RN_E_INVALID, "RN_ZOO_FROZEN_BN, but vgg19 has no batch norm");
    ck_assert_ptr_null(layer);
    ck_ok(try_cifar(ctx, 8, 10, 3, RN_SHORTCUT_A, 0));
    ck_ok(try_cifar(ctx, 14, 10, 3, RN_SHORTCUT_3X3, RN_CIFAR_ZEROS_AFTER | RN_ZOO_ZERO_INIT | RN_ZOO_FROZEN_BN));
    ck_fails(try_cifar(ctx, 2, 10, 3, 0, 0), RN_E_INVALID, "6n+2 (8, 14, 20, ... 6002), got 2");
    ck_fails(try_cifar(ctx, 21, 10, 3, 0, 0), RN_E_INVALID, "got 21");
    ck_fails(try_cifar(ctx, 20, 0, 3, 0, 0), RN_E_INVALID, "options.classes");
    ck_fails(try_cifar(ctx, 20, 10, 0, 0, 0), RN_E_INVALID, "options.in_channels");
    ck_fails(try_cifar(ctx, 20, 10, 3, 4, 0), RN_E_INVALID, "options.shortcut");
    ck_fails(try_cifar(ctx, 20, 10, 3, 0, 4), RN_E_INVALID, "options.flags");
    ck_fails(try_cifar(ctx, INT64_MAX / 6 * 6 - 4, 10, 3, 0, 0), RN_E_INVALID, "options.depth");
    rn_context_release(ctx);
}
END_TEST

/* An older program's options end before the width; a newer one's may ask for what is not known here. */
START_TEST(options_of_other_versions)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_cifar_resnet_options o = RN_CIFAR_RESNET_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.width = 8;
    ck_ok(rn_cifar_resnet_create(ctx, &o, &layer));
    ck_assert_int_eq(take_census(layer, 32, "conv1.weight").found.dims[0], 8);
    ck_assert_int_eq(take_census(layer, 32, "layer3.0.conv1.weight").found.dims[0], 32);
    rn_layer_release(layer);
    o.struct_size = offsetof(rn_cifar_resnet_options, width);
    ck_ok(rn_cifar_resnet_create(ctx, &o, &layer));
    ck_assert_int_eq(take_census(layer, 32, "conv1.weight").found.dims[0], 16);
    rn_layer_release(layer);
    layer = NULL;
    o.struct_size -= 8;
    ck_fails(rn_cifar_resnet_create(ctx, &o, &layer), RN_E_VERSION, "rn_cifar_resnet_options");
    o.struct_size = sizeof o, o.width = -1;
    ck_fails(rn_cifar_resnet_create(ctx, &o, &layer), RN_E_INVALID, "options.width: expected 0 to 65536, got -1");
    ck_ok(rn_cifar_resnet_options_init(&o, offsetof(rn_cifar_resnet_options, width)));
    ck_assert_int_eq(o.width, -1); /* beyond what the program has */
    ck_assert_ptr_null(layer);
    rn_context_release(ctx);
}
END_TEST

/* A field of rn_resnet_options with a value. */
typedef struct setting {
    size_t offset, size;
    int64_t value;
} setting;
#define SET(field, value) {offsetof(rn_resnet_options, field), sizeof(((rn_resnet_options *)0)->field), value}

/* ResNet-50 for ten classes with some fields set. */
static rn_resnet_options resnet_with(const setting *settings, size_t count)
{
    rn_resnet_options o = RN_RESNET_OPTIONS_INIT;
    o.classes = 10;
    for (size_t i = 0; i < count; i++)
        memcpy((char *)&o + settings[i].offset, &settings[i].value, settings[i].size); /* little-endian */
    return o;
}

START_TEST(resnet_options)
{
    static const struct {
        const char *message;
        setting set[4];
    } bad[] = {
        {"options.depth: expected 0, 18, 34, 50, 101 or 152, got 51", {SET(depth, 51)}},
        {"options.blocks, options.block: expected 0 beside a depth", {SET(blocks[3], 3)}},
        {"options.blocks, options.block: expected 0 beside a depth", {SET(block, RN_BLOCK_BASIC)}},
        {"options.block: expected RN_BLOCK_BASIC or _BOTTLENECK, got 0", {SET(depth, 0)}},
        {"options.blocks[1]: expected 1 to 1000, got 0", {SET(depth, 0), SET(block, 1), SET(blocks[0], 1)}},
        {"options.blocks[0]: expected 1 to 1000, got 1001", {SET(depth, 0), SET(block, 2), SET(blocks[0], 1001)}},
        {"options.classes", {SET(classes, 0)}},
        {"options.in_channels", {SET(in_channels, 0)}},
        {"options.shortcut", {SET(shortcut, -1)}},
        {"options.init", {SET(init, 9)}},
        {"options.reserved: expected 0, got 1", {SET(reserved, 1)}},
        {"options.flags: unknown flag in 0x8", {SET(flags, 8)}},
        {"options.flags: RN_ZOO_ZERO_INIT", {SET(flags, RN_RESNET_PLAIN | RN_ZOO_ZERO_INIT)}},
        {"options.width: expected 1 to 65536, got 0", {SET(width, 0)}},
        {"options.groups: expected 1 to 65536, got -3", {SET(groups, -3)}},
        {"options.width_per_group: expected 1 to 65536", {SET(width_per_group, 1 << 17)}},
        {"basic blocks have 1 group of width 64", {SET(depth, 18), SET(groups, 2)}},
        {"basic blocks have 1 group of width 64", {SET(depth, 34), SET(width_per_group, 128)}},
        {"options.width_per_group: gives 0 to 6 inner channels", {SET(width, 16), SET(width_per_group, 3)}},
        {"gives 4194304 to 33554432 inner channels, expected 1 to 1048576", {SET(groups, 65536)}},
    };
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_layer *layer = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const rn_resnet_options o = resnet_with(bad[i].set, 4);
        ck_fails(rn_resnet_create(ctx, &o, &layer), RN_E_INVALID, bad[i].message);
    }
    const rn_resnet_options old = resnet_with((setting[]){SET(struct_size, 104)}, 1);
    ck_fails(rn_resnet_create(ctx, &old, &layer), RN_E_VERSION, "rn_resnet_options: struct_size is 104");
    ck_assert_ptr_null(layer);
    ck_fails(rn_resnet_create(NULL, NULL, &layer), RN_E_INVALID, "ctx is NULL");
    ck_fails(rn_resnet_create(ctx, NULL, NULL), RN_E_INVALID, "out is NULL");
    ck_ok(rn_resnet_create(ctx, NULL, &layer)); /* torchvision's ResNet-50 */
    ck_assert_int_eq(take_census(layer, 224, NULL).parameters, 25557032);
    rn_layer_release(layer);
    rn_context_release(ctx);
}
END_TEST

static const rn_layer *child(const rn_layer *layer, const char *name)
{
    for (size_t i = 0; i < layer->num_children; i++)
        if (strcmp(layer->children[i].name, name) == 0)
            return layer->children[i].layer;
    return NULL;
}

static const rn_layer *block_of(const rn_layer *root, const char *stage, const char *index)
{
    const rn_layer *const block = child(child(root, stage), index);
    ck_assert_ptr_nonnull(block);
    return block;
}

/* A net with own numbers of blocks: two per stage, to see the shortcut of each. */
static rn_layer *small(rn_context *ctx, int family, int32_t shortcut, int32_t block, uint64_t flags)
{
    rn_cifar_resnet_options c = RN_CIFAR_RESNET_OPTIONS_INIT;
    rn_resnet_options r = RN_RESNET_OPTIONS_INIT;
    rn_layer *layer = NULL;
    c.depth = 14, c.shortcut = shortcut, c.width = 8, c.flags = flags;
    r.depth = 0, r.block = block, r.shortcut = shortcut, r.width = 8, r.flags = flags;
    for (int i = 0; i < 4; i++)
        r.blocks[i] = 2;
    ck_ok(family ? rn_resnet_create(ctx, &r, &layer) : rn_cifar_resnet_create(ctx, &c, &layer));
    return layer;
}

/* What stands in the shortcut of a block. */
static void expect_shortcut(const rn_layer *root, const char *stage, const char *index, const char *type, int64_t kernel)
{
    const rn_layer *const side = child(block_of(root, stage, index), "downsample");
    ck_assert_msg((side != NULL) == (type != NULL), "%s.%s", stage, index);
    if (!type)
        return;
    ck_assert_str_eq(side->cls->type, type);
    if (kernel) {
        ck_assert_int_eq(child(side, "0")->u.conv.kernel[0], kernel);
        ck_assert_int_eq(child(side, "0")->u.conv.padding[1], kernel / 2);
        ck_assert_str_eq(child(side, "1")->cls->type, "BatchNorm2d");
    }
}

/* Every option in both families; a bottleneck net changes its dimensions in the first stage, too. */
START_TEST(shortcuts)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    for (int family = 0; family < 3; family++) {
        const int32_t block = family == 2 ? RN_BLOCK_BOTTLENECK : RN_BLOCK_BASIC;
        const struct {
            int32_t shortcut;
            const char *changed, *same;
            int64_t kernel;
        } kinds[] = {{RN_SHORTCUT_A, "PadShortcut", NULL, 0}, {RN_SHORTCUT_B, "Sequential", NULL, 1},
                     {RN_SHORTCUT_3X3, "Sequential", NULL, 3}, {RN_SHORTCUT_C, "Sequential", "Sequential", 1}};
        for (int i = 0; i < 4; i++) {
            rn_layer *const root = small(ctx, family, kinds[i].shortcut, block, 0);
            const char *const first = family == 2 ? kinds[i].changed : kinds[i].same;
            expect_shortcut(root, "layer1", "0", first, first ? kinds[i].kernel : 0);
            expect_shortcut(root, "layer1", "1", kinds[i].same, kinds[i].same ? kinds[i].kernel : 0);
            expect_shortcut(root, "layer2", "0", kinds[i].changed, kinds[i].kernel);
            expect_shortcut(root, "layer3", "1", kinds[i].same, kinds[i].same ? kinds[i].kernel : 0);
            rn_layer_release(root);
        }
        rn_layer *const root = small(ctx, family, RN_SHORTCUT_B, block, 1); /* plain */
        expect_shortcut(root, "layer1", "0", NULL, 0);
        expect_shortcut(root, "layer2", "0", NULL, 0);
        rn_layer_release(root);
    }
    rn_context_release(ctx);
}
END_TEST

/* Where the zero channels go: half on each side, or all after the data. */
START_TEST(zeros_of_option_a)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    for (int after = 0; after < 2; after++) {
        for (int family = 0; family < 2; family++) {
            rn_layer *const root = small(ctx, family, RN_SHORTCUT_A, RN_BLOCK_BASIC, after ? RN_CIFAR_ZEROS_AFTER : 0);
            const rn_layer *const pad = child(block_of(root, "layer3", "0"), "downsample");
            ck_assert_int_eq(pad->u.pad.channels_before, after ? 0 : 8);
            ck_assert_int_eq(pad->u.pad.channels_after, after ? 16 : 8);
            ck_assert_int_eq(pad->u.pad.stride[0], 2);
            rn_layer_release(root);
        }
    }
    rn_context_release(ctx);
}
END_TEST

/* V1 has the stride on the first 1x1 convolution, V1.5 on the 3x3. */
START_TEST(strides_of_bottlenecks)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    for (int v1 = 0; v1 < 2; v1++) {
        rn_layer *const root = small(ctx, 1, RN_SHORTCUT_B, RN_BLOCK_BOTTLENECK, v1 ? RN_RESNET_V1 : 0);
        const rn_layer *const main = child(block_of(root, "layer2", "0"), "");
        ck_assert_int_eq(child(main, "conv1")->u.conv.stride[0], v1 ? 2 : 1);
        ck_assert_int_eq(child(main, "conv2")->u.conv.stride[1], v1 ? 1 : 2);
        ck_assert_int_eq(child(main, "conv3")->u.conv.stride[0], 1);
        const rn_layer *const next = child(block_of(root, "layer2", "1"), "");
        ck_assert_int_eq(child(next, "conv1")->u.conv.stride[0] * child(next, "conv2")->u.conv.stride[0], 1);
        rn_layer_release(root);
    }
    rn_context_release(ctx);
}
END_TEST

SUPPORT_MAIN("zoo", counts, counts_of_a_model, names_and_shapes, order, plain_twins, any_size, initial_weights, zero_init,
             frozen, options, options_of_other_versions, resnet_options, shortcuts, zeros_of_option_a,
             strides_of_bottlenecks)
