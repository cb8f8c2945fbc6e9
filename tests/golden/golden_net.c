/* SPDX-License-Identifier: MIT */
#include "golden_net.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rn_status build(rn_context *ctx, const json_t *spec, rn_layer **out);

static void get_pair(const json_t *spec, const char *key, int64_t pair[2])
{
    (void)golden_dims(json_object_get(spec, key), pair);
}

static rn_status build_conv2d(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    o.in_channels = golden_integer(spec, "in");
    o.out_channels = golden_integer(spec, "out");
    get_pair(spec, "kernel", o.kernel);
    get_pair(spec, "stride", o.stride);
    get_pair(spec, "padding", o.padding);
    get_pair(spec, "dilation", o.dilation);
    o.groups = golden_integer(spec, "groups");
    o.bias = (int32_t)golden_integer(spec, "bias");
    return rn_conv2d_create(ctx, &o, out);
}

static rn_status build_batchnorm2d(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    rn_batchnorm2d_options o = RN_BATCHNORM2D_OPTIONS_INIT;
    o.channels = golden_integer(spec, "channels");
    o.eps = golden_number(spec, "eps");
    if (json_is_null(json_object_get(spec, "momentum")))
        o.flags |= RN_BATCHNORM_CUMULATIVE;
    else
        o.momentum = golden_number(spec, "momentum");
    if (!golden_integer(spec, "affine"))
        o.flags |= RN_BATCHNORM_NOT_AFFINE;
    if (golden_integer(spec, "frozen"))
        o.flags |= RN_BATCHNORM_FROZEN;
    return rn_batchnorm2d_create(ctx, &o, out);
}

static rn_status build_pool(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    rn_pool2d_options o = RN_POOL2D_OPTIONS_INIT;
    get_pair(spec, "kernel", o.kernel);
    get_pair(spec, "stride", o.stride);
    get_pair(spec, "padding", o.padding);
    if (golden_integer(spec, "exclude_padding"))
        o.flags |= RN_POOL_EXCLUDE_PADDING;
    int average = !strcmp(json_string_value(json_object_get(spec, "kind")), "avgpool2d");
    return average ? rn_avgpool2d_create(ctx, &o, out) : rn_maxpool2d_create(ctx, &o, out);
}

static rn_status build_linear(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    rn_linear_options o = RN_LINEAR_OPTIONS_INIT;
    o.in_features = golden_integer(spec, "in");
    o.out_features = golden_integer(spec, "out");
    o.bias = (int32_t)golden_integer(spec, "bias");
    return rn_linear_create(ctx, &o, out);
}

static rn_status build_pad_shortcut(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    rn_pad_shortcut_options o = RN_PAD_SHORTCUT_OPTIONS_INIT;
    get_pair(spec, "stride", o.stride);
    o.channels_before = golden_integer(spec, "before");
    o.channels_after = golden_integer(spec, "after");
    return rn_pad_shortcut_create(ctx, &o, out);
}

static rn_status append_children(rn_context *ctx, rn_layer *seq, const json_t *children)
{
    for (size_t i = 0; i < json_array_size(children); i++) {
        const json_t *child = json_array_get(children, i);
        rn_layer *layer = NULL;
        TRY(build(ctx, json_array_get(child, 1), &layer));
        rn_status status = rn_sequential_append(seq, json_string_value(json_array_get(child, 0)), layer);
        rn_layer_release(layer);
        TRY(status);
    }
    return RN_OK;
}

static rn_status build_sequential(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    rn_layer *seq = NULL;
    TRY(rn_sequential_create(ctx, &seq));
    rn_status status = append_children(ctx, seq, json_object_get(spec, "children"));
    if (status == RN_OK)
        *out = seq;
    else
        rn_layer_release(seq);
    return status;
}

static rn_status build_residual(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    rn_layer *branch = NULL, *shortcut = NULL;
    rn_residual_options o = RN_RESIDUAL_OPTIONS_INIT;
    if (!golden_integer(spec, "relu"))
        o.flags |= RN_RESIDUAL_NO_RELU;
    rn_status status = build(ctx, json_object_get(spec, "main"), &branch);
    if (status == RN_OK && json_is_object(json_object_get(spec, "shortcut")))
        status = build(ctx, json_object_get(spec, "shortcut"), &shortcut);
    if (status == RN_OK)
        status = rn_residual_create(ctx, branch, shortcut, &o, out);
    rn_layer_release(branch);
    rn_layer_release(shortcut);
    return status;
}

static rn_status build_dropout(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    return rn_dropout_create(ctx, golden_number(spec, "p"), out);
}

static rn_status build_adaptive_avgpool2d(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    int64_t output[2];
    get_pair(spec, "output", output);
    return rn_adaptive_avgpool2d_create(ctx, output[0], output[1], out);
}

#define PLAIN(kind)                                                                                                    \
    static rn_status build_##kind(rn_context *ctx, const json_t *spec, rn_layer **out)                                 \
    {                                                                                                                  \
        (void)spec;                                                                                                    \
        return rn_##kind##_create(ctx, out);                                                                           \
    }
PLAIN(relu)
PLAIN(flatten)
PLAIN(softmax)
PLAIN(identity)
PLAIN(global_avgpool2d)

static rn_status build(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    static const struct {
        const char *kind;
        rn_status (*build)(rn_context *ctx, const json_t *spec, rn_layer **out);
    } kinds[] = {
        {"conv2d", build_conv2d},         {"batchnorm2d", build_batchnorm2d}, {"maxpool2d", build_pool},
        {"avgpool2d", build_pool},        {"linear", build_linear},           {"pad_shortcut", build_pad_shortcut},
        {"sequential", build_sequential}, {"residual", build_residual},       {"dropout", build_dropout},
        {"relu", build_relu},             {"flatten", build_flatten},         {"softmax", build_softmax},
        {"identity", build_identity},     {"global_avgpool2d", build_global_avgpool2d},
        {"adaptive_avgpool2d", build_adaptive_avgpool2d},
    };
    const char *kind = json_string_value(json_object_get(spec, "kind"));
    for (size_t i = 0; kind && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].kind, kind))
            return kinds[i].build(ctx, spec, out);
    fprintf(stderr, "golden file asks for an unknown layer '%s'\n", kind ? kind : "");
    return RN_E_USER;
}

rn_status golden_layer(rn_context *ctx, const golden *g, rn_layer **out)
{
    const char *zoo = json_string_value(json_object_get(g->spec, "zoo"));
    return zoo ? rn_zoo_create(ctx, zoo, NULL, out) : build(ctx, json_object_get(g->spec, "layer"), out);
}

static rn_status fill_state(const golden *g, rn_state_entry *entry, size_t *filled)
{
    const json_t *about = json_object_get(json_object_get(g->spec, "state"), entry->name);
    const char *last = strrchr(entry->name, '.');
    if (!about && !strcmp(last ? last + 1 : entry->name, "num_batches_tracked"))
        return RN_OK;
    int64_t dims[8] = {0};
    int32_t rank = about ? golden_dims(json_object_get(about, "dims"), dims) : -1;
    int same = rank == rn_tensor_rank(entry->value);
    for (int32_t i = 0; i < rank; i++)
        same = same && dims[i] == rn_tensor_dim(entry->value, i);
    if (!same) {
        printf("FAIL %s: state '%s' has no counterpart of its shape in PyTorch's model\n", g->name, entry->name);
        return RN_E_INVALID;
    }
    const json_t *range = json_object_get(about, "range");
    float *values = malloc(rn_tensor_nbytes(entry->value));
    golden_uniform(g, entry->name, (size_t)rn_tensor_count(entry->value), json_number_value(json_array_get(range, 0)),
                   json_number_value(json_array_get(range, 1)), values);
    rn_status status = rn_tensor_write(entry->value, values, rn_tensor_nbytes(entry->value));
    free(values);
    ++*filled;
    return status;
}

static rn_status fill_model(const golden *g, rn_model *m)
{
    size_t filled = 0;
    for (size_t i = 0; i < rn_model_state_count(m); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        TRY(rn_model_state(m, i, &entry));
        TRY(fill_state(g, &entry, &filled));
    }
    size_t expected = json_object_size(json_object_get(g->spec, "state"));
    if (filled == expected)
        return RN_OK;
    printf("FAIL %s: %zu state entries, PyTorch's model has %zu\n", g->name, filled, expected);
    return RN_E_INVALID;
}

rn_status golden_model(rn_context *ctx, const golden *g, rn_model **out)
{
    rn_layer *layer = NULL;
    rn_model *model = NULL;
    TRY(golden_layer(ctx, g, &layer));
    rn_status status = rn_model_create(ctx, layer, rn_context_device(ctx, 0), &model);
    rn_layer_release(layer);
    if (status == RN_OK)
        status = fill_model(g, model);
    if (status == RN_OK)
        *out = model;
    else
        rn_model_release(model);
    return status;
}

static int is_loss(const golden *g, const char *name)
{
    const json_t *kind = json_object_get(json_object_get(g->spec, "loss"), "kind");
    return kind && !strcmp(json_string_value(kind), name);
}

rn_status golden_loss(rn_context *ctx, const golden *g, rn_loss **out)
{
    rn_cross_entropy_options o = RN_CROSS_ENTROPY_OPTIONS_INIT;
    if (is_loss(g, "mse"))
        return rn_mse_create(ctx, NULL, out);
    o.label_smoothing = golden_number(json_object_get(g->spec, "loss"), "smoothing");
    return rn_cross_entropy_create(ctx, &o, out);
}

static rn_status create_optimizer(rn_model *m, const json_t *o, rn_optimizer **out)
{
    if (!strcmp(json_string_value(json_object_get(o, "kind")), "sgd")) {
        rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
        sgd.flags = golden_integer(o, "nesterov") ? RN_SGD_NESTEROV : 0;
        sgd.lr = golden_number(o, "lr");
        sgd.momentum = golden_number(o, "momentum");
        sgd.dampening = golden_number(o, "dampening");
        sgd.weight_decay = golden_number(o, "weight_decay");
        return rn_sgd_create(m, &sgd, out);
    }
    rn_adam_options adam = RN_ADAM_OPTIONS_INIT;
    adam.flags = golden_integer(o, "decoupled") ? RN_ADAM_DECOUPLED : 0;
    adam.lr = golden_number(o, "lr");
    adam.beta1 = golden_number(o, "beta1");
    adam.beta2 = golden_number(o, "beta2");
    adam.eps = golden_number(o, "eps");
    adam.weight_decay = golden_number(o, "weight_decay");
    return rn_adam_create(m, &adam, out);
}

rn_status golden_optimizer(rn_model *m, const golden *g, rn_optimizer **out)
{
    const json_t *o = json_object_get(g->spec, "optimizer"), *groups = json_object_get(o, "groups");
    rn_optimizer *optimizer = NULL;
    TRY(create_optimizer(m, o, &optimizer));
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i);
        rn_group_options settings = RN_GROUP_OPTIONS_INIT;
        settings.lr_factor = golden_number(group, "lr_factor");
        settings.weight_decay = golden_number(group, "weight_decay");
        const char *glob = json_string_value(json_object_get(group, "glob"));
        rn_status status = rn_optimizer_add_group(optimizer, glob, &settings);
        if (status != RN_OK) {
            rn_optimizer_release(optimizer);
            return status;
        }
    }
    rn_status status = RN_OK;
    if (json_object_get(o, "exclude_rank"))
        status = rn_optimizer_exclude_from_decay(optimizer, (int32_t)golden_integer(o, "exclude_rank"), NULL);
    if (status == RN_OK)
        *out = optimizer;
    else
        rn_optimizer_release(optimizer);
    return status;
}

rn_status golden_tensor(rn_device *dev, const golden *g, const char *what, rn_dtype dtype, int32_t rank,
                        const int64_t *dims, double low, double high, rn_tensor **out)
{
    rn_tensor *single = NULL;
    TRY(rn_tensor_create(dev, RN_F32, rank, dims, &single));
    golden_uniform(g, what, (size_t)rn_tensor_count(single), low, high, rn_tensor_data(single));
    if (dtype == RN_F32) {
        *out = single;
        return RN_OK;
    }
    rn_status status = rn_tensor_create(dev, dtype, rank, dims, out);
    if (status == RN_OK)
        status = rn_tensor_copy(single, *out);
    rn_tensor_release(single);
    return status;
}

rn_status golden_target(rn_device *dev, const golden *g, int64_t step, rn_dtype dtype, int32_t rank,
                        const int64_t *dims, rn_tensor **out)
{
    char what[32];
    snprintf(what, sizeof what, "target%d", (int)step);
    if (is_loss(g, "mse"))
        return golden_tensor(dev, g, what, dtype, rank, dims, -1, 1, out);
    if (is_loss(g, "soft_cross_entropy")) /* rows sum to anything: PyTorch takes them as they are */
        return golden_tensor(dev, g, what, dtype, rank, dims, 0, 1, out);
    TRY(rn_tensor_create(dev, RN_I64, 1, dims, out));
    golden_labels(g, what, (size_t)dims[0], (uint64_t)dims[1], rn_tensor_data(*out));
    return RN_OK;
}

/* The elements as doubles, or NULL. */
static double *as_doubles(const rn_tensor *t)
{
    int64_t dims[RN_MAX_RANK];
    int32_t rank = rn_tensor_rank(t);
    rn_tensor *wide = NULL;
    double *values = NULL;
    for (int32_t i = 0; i < rank; i++)
        dims[i] = rn_tensor_dim(t, i);
    if (rn_tensor_create(rn_tensor_device(t), RN_F64, rank, dims, &wide) == RN_OK && rn_tensor_copy(t, wide) == RN_OK) {
        values = malloc(rn_tensor_nbytes(wide));
        (void)rn_tensor_read(wide, values, rn_tensor_nbytes(wide));
    }
    rn_tensor_release(wide);
    return values;
}

int golden_check(const golden *g, const char *key, const rn_tensor *t, int precision, const char *how)
{
    double *values = as_doubles(t);
    if (!values) {
        printf("FAIL %s (%s) %s: %s\n", g->name, how, key, rn_error_message());
        return 1;
    }
    int failed = golden_compare(g, key, values, (size_t)rn_tensor_count(t), precision, how);
    free(values);
    return failed;
}

static int is_golden(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && !strcmp(dot, ".safetensors");
}

static int run_file(rn_context *ctx, const char *dir, const char *name, const char *filter,
                    int (*check)(rn_context *, const golden *), int *ran)
{
    char path[4096];
    golden g;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (golden_open(&g, path) != 0)
        return 1;
    int failed = 0;
    if (!filter || strstr(g.name, filter)) {
        int result = check(ctx, &g);
        failed = result > 0;
        *ran += result >= 0;
    }
    golden_close(&g);
    return failed;
}

int golden_run(int argc, char **argv, int (*check)(rn_context *ctx, const golden *g))
{
    struct dirent **files = NULL;
    rn_context *ctx = NULL;
    int count = argc > 1 ? scandir(argv[1], &files, is_golden, alphasort) : -1;
    if (count < 0 || rn_context_create(NULL, &ctx) != RN_OK) {
        fprintf(stderr, "usage: %s DIR [PART OF A NAME]\n", argv[0]);
        return 2;
    }
    int failed = 0, ran = 0;
    for (int i = 0; i < count; i++) {
        failed += run_file(ctx, argv[1], files[i]->d_name, argc > 2 ? argv[2] : NULL, check, &ran);
        free(files[i]);
    }
    free(files);
    rn_context_release(ctx);
    printf("%d cases, %d failed; largest share of a bound %.2f\n", ran, failed, golden_worst());
    return failed > 0 || ran == 0;
}
