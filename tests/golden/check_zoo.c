/* SPDX-License-Identifier: MIT */
/*
 * Whole nets of the zoo against PyTorch: names and shapes, numbers of weights and multiply-adds, inference, one training step
 * with its gradients and running statistics, inference after it. make_zoo_goldens.py says what the files hold.
 */
#include "golden_net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct way {
    const char *name;
    uint64_t flags;
    int precision;
    int deep; /* also for nets that take long */
} way;

static const way ways[] = {
    {"f32", 0, GOLDEN_WINOGRAD, 1},
    {"f32, direct, unfused", RN_PLAN_NO_FUSION | RN_PLAN_NO_WINOGRAD, GOLDEN_F32, 0},
};

typedef struct fixture {
    const golden *g;
    const way *way;
    rn_context *ctx;
    rn_device *dev;
    rn_model *model;
    rn_optimizer *optimizer;
    rn_loss *loss;
    rn_plan *infer, *train;
    rn_tensor *x, *y, *target;
    int64_t x_dims[4], every;
    size_t place; /* in the file's arrays */
    int failed;
} fixture;

/* --- the net -------------------------------------------------------------------------------------------------------- */

static int says(const json_t *options, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(options, key));
    return text && !strcmp(text, value);
}

static int32_t shortcut_of(const json_t *options)
{
    return says(options, "shortcut", "A")     ? RN_SHORTCUT_A
           : says(options, "shortcut", "C")   ? RN_SHORTCUT_C
           : says(options, "shortcut", "3x3") ? RN_SHORTCUT_3X3
                                              : RN_SHORTCUT_B;
}

static void set(const json_t *options, const char *key, int64_t *field)
{
    if (json_object_get(options, key))
        *field = golden_integer(options, key);
}

static uint64_t flag(const json_t *options, const char *key, uint64_t value)
{
    return golden_integer(options, key) ? value : 0;
}

static rn_status build_resnet(rn_context *ctx, const json_t *options, rn_layer **out)
{
    rn_resnet_options o = RN_RESNET_OPTIONS_INIT;
    o.depth = 0;
    o.block = says(options, "block", "bottleneck") ? RN_BLOCK_BOTTLENECK : RN_BLOCK_BASIC;
    o.shortcut = shortcut_of(options);
    o.flags = flag(options, "plain", RN_RESNET_PLAIN) | flag(options, "v1", RN_RESNET_V1) |
              flag(options, "zeros_after", RN_RESNET_ZEROS_AFTER) | flag(options, "frozen", RN_ZOO_FROZEN_BN);
    (void)golden_dims(json_object_get(options, "blocks"), o.blocks);
    set(options, "classes", &o.classes);
    set(options, "width", &o.width);
    set(options, "groups", &o.groups);
    set(options, "width_per_group", &o.width_per_group);
    return rn_resnet_create(ctx, &o, out);
}

static rn_status build_cifar(rn_context *ctx, const json_t *options, rn_layer **out)
{
    rn_cifar_resnet_options o = RN_CIFAR_RESNET_OPTIONS_INIT;
    o.shortcut = shortcut_of(options);
    o.flags = flag(options, "zeros_after", RN_CIFAR_ZEROS_AFTER) | flag(options, "frozen", RN_ZOO_FROZEN_BN);
    set(options, "depth", &o.depth);
    set(options, "width", &o.width);
    return rn_cifar_resnet_create(ctx, &o, out);
}

/* Dropout is random: PyTorch's net has none. */
static rn_status replace_dropout(rn_context *ctx, const json_t *paths, rn_layer *net)
{
    rn_layer *identity = NULL;
    TRY(rn_identity_create(ctx, &identity));
    rn_status status = RN_OK;
    for (size_t i = 0; status == RN_OK && i < json_array_size(paths); i++)
        status = rn_layer_replace_child(net, json_string_value(json_array_get(paths, i)), identity);
    rn_layer_release(identity);
    return status;
}

static rn_status build_net(rn_context *ctx, const json_t *spec, rn_layer **out)
{
    const json_t *options = json_object_get(spec, "options");
    if (options)
        return says(spec, "family", "cifar") ? build_cifar(ctx, options, out) : build_resnet(ctx, options, out);
    TRY(rn_zoo_create(ctx, json_string_value(json_object_get(spec, "zoo")), NULL, out));
    return replace_dropout(ctx, json_object_get(spec, "identities"), *out);
}

/* --- its weights ---------------------------------------------------------------------------------------------------- */

static int ends_in(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && !strcmp(name + length - tail, end);
}

/* Moves numbers in [-1, 1) to [1.5, 2.5], of both signs or of one: make_zoo_goldens.py says why. */
static void shift_away(float *values, size_t count, int positive)
{
    for (size_t i = 0; i < count; i++)
        values[i] = positive ? fabsf(values[i]) + 1.5f : values[i] + copysignf(1.5f, values[i]);
}

static void draw_state(const golden *g, const char *name, const rn_tensor *t, float *out)
{
    const size_t count = (size_t)rn_tensor_count(t);
    if (rn_tensor_rank(t) > 1) {
        const double bound = sqrt(6.0 / (double)(rn_tensor_count(t) / rn_tensor_dim(t, 0)));
        golden_uniform(g, name, count, -bound, bound, out);
    } else if (ends_in(name, "weight")) {
        golden_uniform(g, name, count, 0.25, 0.5, out);
    } else if (ends_in(name, "running_var")) {
        golden_uniform(g, name, count, 0.5, 1, out);
    } else {
        golden_uniform(g, name, count, -1, 1, out);
        if (ends_in(name, "bias"))
            shift_away(out, count, strstr(name, "bn2") || strstr(name, "bn3") || strstr(name, "downsample"));
    }
}

/* FNV-1a over "name[dims];" of all entries in order. */
static uint64_t hash_state(uint64_t value, const char *name, const rn_tensor *t)
{
    char text[400];
    int length = snprintf(text, sizeof text, "%s[", name);
    for (int32_t i = 0; i < rn_tensor_rank(t); i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%s%lld", i ? "," : "",
                           (long long)rn_tensor_dim(t, i));
    snprintf(text + length, sizeof text - (size_t)length, "];");
    for (const char *p = text; *p; p++)
        value = (value ^ (unsigned char)*p) * 0x100000001B3u;
    return value;
}

static rn_status fill_model(fixture *f)
{
    uint64_t hash = 0xCBF29CE484222325u;
    char text[20];
    for (size_t i = 0; i < rn_model_state_count(f->model); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        TRY(rn_model_state(f->model, i, &entry));
        hash = hash_state(hash, entry.name, entry.value);
        if (rn_tensor_dtype(entry.value) == RN_F32)
            draw_state(f->g, entry.name, entry.value, rn_tensor_data(entry.value));
    }
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    if (!says(f->g->spec, "states", text)) {
        printf("FAIL %s: names, shapes or order of the state are not PyTorch's\n", f->g->name);
        return RN_E_INVALID;
    }
    return rn_model_mark_written(f->model);
}

/* --- comparing ------------------------------------------------------------------------------------------------------ */

typedef struct sums {
    double with_signs[2], squares;
} sums;

static uint64_t splitmix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void add_up(const float *values, size_t count, sums *s)
{
    const uint64_t ratio = 0x9E3779B97F4A7C15u;
    memset(s, 0, sizeof *s);
    for (size_t first = 0; first < count; first += 64) {
        const size_t end = count - first < 64 ? count - first : 64;
        const uint64_t a = splitmix(1 + (first / 64 + 1) * ratio), b = splitmix(2 + (first / 64 + 1) * ratio);
        double sum_a = 0, sum_b = 0, squares = 0;
        for (size_t i = 0; i < end; i++) {
            const double v = (double)values[first + i];
            sum_a += a >> i & 1 ? -v : v;
            sum_b += b >> i & 1 ? -v : v;
            squares += v * v;
        }
        s->with_signs[0] += sum_a;
        s->with_signs[1] += sum_b;
        s->squares += squares;
    }
}

/*
 * The root mean square of how far the two sums are off is the norm of the error, but for chance: it is twice as much in
 * one case of e^4, four times as much in one of e^16. So twice the bound would be exceeded now and then; four times not.
 */
static void compare(fixture *f, const char *key, const float *values, size_t count)
{
    size_t nbytes = 0;
    const double *const exact = (const double *)golden_bytes(f->g, "sums", &nbytes) + 2 * f->place;
    const size_t stored = nbytes / (2 * sizeof *exact);
    const float *const norms = golden_bytes(f->g, "norms", &nbytes), *const errors = golden_bytes(f->g, "errors", &nbytes);
    sums s;
    if (f->place >= stored) {
        printf("FAIL %s (%s): more tensors than PyTorch has\n", f->g->name, f->way->name);
        f->failed++;
        return;
    }
    const double norm = (double)norms[f->place], bound = golden_bound((double)errors[f->place], norm, f->way->precision);
    add_up(values, count, &s);
    const double error = sqrt((pow(s.with_signs[0] - exact[0], 2) + pow(s.with_signs[1] - exact[1], 2)) / 2);
    const double drift = fabs(sqrt(s.squares) - norm);
    golden_used(error / (4 * bound));
    if (!(error <= 4 * bound) || !(drift <= bound + 1e-6 * norm)) {
        printf("FAIL %s (%s) %s: about %.3e off, bound %.3e; norm off by %.3e; norm %.3e\n", f->g->name, f->way->name, key,
               error, bound, drift, norm);
        f->failed++;
    }
    f->place++;
}

static void compare_tensor(fixture *f, const char *key, const rn_tensor *t)
{
    compare(f, key, rn_tensor_data((rn_tensor *)t), (size_t)rn_tensor_count(t));
}

static void expect(fixture *f, const char *key, int64_t got)
{
    const int64_t expected = golden_integer(f->g->spec, key);
    if (got == expected)
        return;
    printf("FAIL %s: %lld %s, PyTorch counts %lld\n", f->g->name, (long long)got, key, (long long)expected);
    f->failed++;
}

/* --- the step ------------------------------------------------------------------------------------------------------- */

static rn_status create_plan(fixture *f, int32_t mode, rn_plan **out)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = mode;
    o.flags = f->way->flags;
    memcpy(o.input_dims, f->x_dims, sizeof f->x_dims);
    o.loss = mode == RN_PLAN_TRAIN ? f->loss : NULL;
    o.optimizer = mode == RN_PLAN_TRAIN ? f->optimizer : NULL;
    return rn_plan_create(f->model, &o, out);
}

static rn_status create_model(fixture *f)
{
    rn_layer *net = NULL;
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
    TRY(build_net(f->ctx, f->g->spec, &net));
    rn_status status = rn_model_create(f->ctx, net, f->dev, &f->model);
    rn_layer_release(net);
    TRY(status);
    TRY(fill_model(f));
    sgd.lr = 0.01;
    sgd.momentum = 0.9;
    sgd.weight_decay = 1e-4;
    return rn_sgd_create(f->model, &sgd, &f->optimizer);
}

static rn_status set_up(fixture *f)
{
    const json_t *range = json_object_get(f->g->spec, "range");
    int64_t dims[RN_MAX_RANK];
    int32_t rank = 0;
    f->dev = rn_context_device(f->ctx, 0);
    f->every = golden_integer(f->g->spec, "every");
    (void)golden_dims(json_object_get(f->g->spec, "x"), f->x_dims);
    TRY(create_model(f));
    TRY(golden_loss(f->ctx, f->g, &f->loss));
    TRY(create_plan(f, RN_PLAN_INFER, &f->infer));
    TRY(create_plan(f, RN_PLAN_TRAIN, &f->train));
    TRY(golden_tensor(f->dev, f->g, "x", RN_F32, 4, f->x_dims, json_number_value(json_array_get(range, 0)),
                      json_number_value(json_array_get(range, 1)), &f->x));
    TRY(rn_plan_output_shape(f->infer, f->x_dims[0], &rank, dims));
    TRY(golden_target(f->dev, f->g, 0, RN_F32, rank, dims, &f->target));
    return rn_tensor_create(f->dev, RN_F32, rank, dims, &f->y);
}

static void tear_down(fixture *f)
{
    rn_tensor_release(f->x);
    rn_tensor_release(f->y);
    rn_tensor_release(f->target);
    rn_plan_release(f->infer);
    rn_plan_release(f->train);
    rn_loss_release(f->loss);
    rn_optimizer_release(f->optimizer);
    rn_model_release(f->model);
}

static rn_status look_at_counts(fixture *f)
{
    const int64_t one[4] = {1, f->x_dims[1], f->x_dims[2], f->x_dims[3]};
    int64_t macs = 0;
    TRY(rn_model_macs(f->model, 4, one, &macs));
    expect(f, "macs", macs);
    expect(f, "parameters", rn_model_parameter_count(f->model, 0));
    return RN_OK;
}

static rn_status look_at_infer(fixture *f, const char *key)
{
    TRY(rn_plan_forward(f->infer, f->x, f->y));
    compare_tensor(f, key, f->y);
    return RN_OK;
}

/* Gradients of parameters and values of buffers, every n-th; the counter of batches is not among them. */
static rn_status look_at_states(fixture *f)
{
    int64_t number = 0;
    for (size_t i = 0; i < rn_model_state_count(f->model); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        TRY(rn_model_state(f->model, i, &entry));
        if (rn_tensor_dtype(entry.value) != RN_F32 || number++ % f->every)
            continue;
        compare_tensor(f, entry.name, entry.kind == RN_STATE_PARAMETER ? entry.grad : entry.value);
    }
    return RN_OK;
}

static rn_status look_at_all(fixture *f)
{
    rn_metrics metrics = RN_METRICS_INIT;
    TRY(set_up(f));
    TRY(look_at_counts(f));
    TRY(look_at_infer(f, "infer.y"));
    TRY(rn_plan_train_step(f->train, f->x, f->target));
    TRY(rn_plan_metrics(f->train, &metrics, 0));
    const float loss = (float)metrics.last_loss;
    compare(f, "loss", &loss, 1);
    TRY(look_at_states(f));
    TRY(look_at_infer(f, "after.y"));
    size_t nbytes = 0;
    (void)golden_bytes(f->g, "norms", &nbytes);
    if (f->place != nbytes / sizeof(float)) {
        printf("FAIL %s: %zu tensors, PyTorch has %zu\n", f->g->name, f->place, nbytes / sizeof(float));
        f->failed++;
    }
    return RN_OK;
}

static int check(rn_context *ctx, const golden *g)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        fixture f = {.g = g, .way = &ways[i], .ctx = ctx};
        if (golden_integer(g->spec, "slow") && !f.way->deep)
            continue;
        if (look_at_all(&f) != RN_OK) {
            printf("FAIL %s (%s): %s\n", g->name, f.way->name, rn_error_message());
            failed++;
        }
        failed += f.failed;
        tear_down(&f);
    }
    return failed;
}

int main(int argc, char **argv)
{
    return golden_run(argc, argv, check);
}
