/* SPDX-License-Identifier: MIT */
#include "support.h"
#include <math.h>

static rn_context *ctx;
static rn_device *cpu;
static rn_layer *net;
static rn_model *model;

static void start(void)
{
    ctx = support_context(&cpu);
    net = support_net(ctx, 3, 10);
    ck_ok(rn_model_create(ctx, net, cpu, &model));
}

static void stop(void)
{
    rn_model_release(model);
    rn_layer_release(net);
    rn_context_release(ctx);
}

static rn_state_entry find(const char *name)
{
    rn_state_entry entry = RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_find_state(model, name, &entry));
    return entry;
}

START_TEST(names_follow_the_tree)
{
    static const char *const expected[] = {"stem.conv.weight", "stem.bn.weight", "stem.bn.bias", "stem.bn.running_mean",
                                           "stem.bn.running_var", "stem.bn.num_batches_tracked",
                                           "block1.conv1.weight", "block1.bn1.weight"};
    start();
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        ck_ok(rn_model_state(model, i, &entry));
        ck_assert_str_eq(entry.name, expected[i]);
    }
    /* main branch before shortcut, as PyTorch registers them */
    ck_ok(rn_model_find_state(model, "block2.downsample.conv.weight", &(rn_state_entry)RN_STATE_ENTRY_INIT));
    rn_state_entry last = RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_state(model, rn_model_state_count(model) - 1, &last));
    ck_assert_str_eq(last.name, "fc.bias");
    ck_assert_int_eq(last.kind, RN_STATE_PARAMETER);
    ck_assert_ptr_null(last.grad);
    ck_fails(rn_model_state(model, 1000, &last), RN_E_NOT_FOUND, "index");
    ck_fails(rn_model_find_state(model, "fc", &last), RN_E_NOT_FOUND, "no state 'fc'");
    stop();
}
END_TEST

START_TEST(initial_values)
{
    start();
    rn_state_entry w = find("fc.weight"); /* U(-1/sqrt(16), 1/sqrt(16)) */
    const float *v = rn_tensor_data(w.value);
    float largest = 0;
    for (int i = 0; i < 160; i++) {
        ck_assert_float_le(fabsf(v[i]), 0.25f);
        largest = fmaxf(largest, fabsf(v[i]));
    }
    ck_assert_float_gt(largest, 0.2f);
    v = rn_tensor_data(find("stem.bn.weight").value);
    ck_assert_float_eq(v[7], 1.0f);
    v = rn_tensor_data(find("stem.bn.bias").value);
    ck_assert_float_eq(v[7], 0.0f);
    v = rn_tensor_data(find("stem.bn.running_var").value);
    ck_assert_float_eq(v[7], 1.0f);
    rn_state_entry batches = find("stem.bn.num_batches_tracked");
    ck_assert_int_eq(rn_tensor_rank(batches.value), 0);
    ck_assert_int_eq(rn_tensor_dtype(batches.value), RN_I64);
    ck_assert_int_eq(*(const int64_t *)rn_tensor_data(batches.value), 0);
    stop();
}
END_TEST

START_TEST(rules_have_their_variance)
{
    start();
    static const struct {
        int32_t init;
        double variance;
    } rules[] = {{RN_INIT_KAIMING_FAN_IN, 2.0 / (64 * 9)}, {RN_INIT_KAIMING_FAN_OUT, 2.0 / (32 * 9)},
                 {RN_INIT_NORMAL_001, 1e-4}};
    for (size_t k = 0; k < 3; k++) {
        rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
        rn_layer *layer = NULL;
        rn_model *m = NULL;
        rn_state_entry w = RN_STATE_ENTRY_INIT;
        o.in_channels = 64;
        o.out_channels = 32;
        o.init = rules[k].init;
        ck_ok(rn_conv2d_create(ctx, &o, &layer));
        ck_ok(rn_model_create(ctx, layer, cpu, &m));
        ck_ok(rn_model_state(m, 0, &w));
        const float *const v = rn_tensor_data(w.value);
        double sum = 0, squares = 0;
        const int n = 32 * 64 * 9;
        for (int i = 0; i < n; i++)
            sum += v[i], squares += (double)v[i] * v[i];
        const double deviation = sqrt(rules[k].variance);
        ck_assert_double_lt(fabs(sum / n), 5 * deviation / sqrt(n)); /* five standard errors */
        ck_assert_double_lt(fabs(squares / n / rules[k].variance - 1), 5 * sqrt(2.0 / n));
        rn_model_release(m);
        rn_layer_release(layer);
    }
    stop();
}
END_TEST

/* Biases, and the weight of a batch normalisation, that begin at 0. */
START_TEST(zeros_at_first)
{
    start();
    rn_conv2d_options conv = RN_CONV2D_OPTIONS_INIT;
    rn_linear_options linear = RN_LINEAR_OPTIONS_INIT;
    rn_batchnorm2d_options bn = RN_BATCHNORM2D_OPTIONS_INIT;
    rn_layer *layers[3] = {NULL};
    conv.in_channels = conv.out_channels = linear.in_features = linear.out_features = bn.channels = 3;
    conv.bias = 1;
    conv.flags = RN_CONV2D_ZERO_BIAS;
    linear.flags = RN_LINEAR_ZERO_BIAS;
    bn.flags = RN_BATCHNORM_ZERO_INIT;
    ck_ok(rn_conv2d_create(ctx, &conv, &layers[0]));
    ck_ok(rn_linear_create(ctx, &linear, &layers[1]));
    ck_ok(rn_batchnorm2d_create(ctx, &bn, &layers[2]));
    for (int i = 0; i < 3; i++) {
        rn_state_entry e = RN_STATE_ENTRY_INIT;
        rn_model *m = NULL;
        ck_ok(rn_model_create(ctx, layers[i], cpu, &m));
        ck_ok(rn_model_find_state(m, i < 2 ? "bias" : "weight", &e));
        for (int k = 0; k < 3; k++)
            ck_assert(((const float *)rn_tensor_data(e.value))[k] == 0);
        rn_model_release(m);
        rn_layer_release(layers[i]);
    }
    stop();
}
END_TEST

START_TEST(seeds_decide)
{
    start();
    float first[160], again[160];
    ck_ok(rn_tensor_read(find("fc.weight").value, first, sizeof first));
    ck_ok(rn_model_init(model, 8));
    ck_ok(rn_tensor_read(find("fc.weight").value, again, sizeof again));
    ck_assert_mem_ne(first, again, sizeof first);
    ck_ok(rn_model_init(model, 7)); /* the context's */
    ck_ok(rn_tensor_read(find("fc.weight").value, again, sizeof again));
    ck_assert_mem_eq(first, again, sizeof first);
    stop();
}
END_TEST

START_TEST(same_names_are_refused)
{
    start();
    rn_layer *seq = support_plain(ctx, rn_sequential_create);
    support_append(seq, "", support_linear(ctx, 4, 4));
    support_append(seq, "", support_linear(ctx, 4, 4));
    rn_model *m = NULL;
    ck_fails(rn_model_create(ctx, seq, cpu, &m), RN_E_INVALID, "named 'bias'");
    ck_assert_ptr_null(m);
    support_append(seq, "more", support_plain(ctx, rn_relu_create)); /* the failure did not freeze it */
    rn_layer_release(seq);
    stop();
}
END_TEST

START_TEST(freezing)
{
    start();
    size_t matched = 0;
    const int64_t all = rn_model_parameter_count(model, 0);
    ck_assert_int_eq(rn_model_parameter_count(model, 1), all);
    ck_ok(rn_model_set_trainable(model, "fc.*", 0, &matched));
    ck_assert_uint_eq(matched, 2);
    ck_assert_int_eq(rn_model_parameter_count(model, 1), all - 170);
    ck_ok(rn_model_set_trainable(model, "*", 0, &matched));
    ck_assert_int_eq(rn_model_parameter_count(model, 1), 0);
    ck_ok(rn_model_set_trainable(model, "block?.conv1.w*t", 1, &matched));
    ck_assert_uint_eq(matched, 2);
    ck_fails(rn_model_set_trainable(model, "*.running_mean", 0, &matched), RN_E_NOT_FOUND, "*.running_mean");
    ck_fails(rn_model_set_trainable(model, NULL, 0, NULL), RN_E_INVALID, "name_glob is NULL");
    ck_assert_uint_eq(matched, 2);
    stop();
}
END_TEST

START_TEST(copies_are_independent)
{
    start();
    rn_model *copy = NULL;
    ck_ok(rn_model_set_trainable(model, "fc.*", 0, NULL));
    ck_ok(rn_model_copy(model, cpu, &copy));
    ck_assert_int_eq(rn_model_parameter_count(copy, 1), rn_model_parameter_count(model, 1));
    rn_state_entry a = find("fc.weight"), b = RN_STATE_ENTRY_INIT;
    ck_ok(rn_model_find_state(copy, "fc.weight", &b));
    ck_assert_mem_eq(rn_tensor_data(a.value), rn_tensor_data(b.value), 640);
    ck_ok(rn_model_init(copy, 99));
    ck_assert_mem_ne(rn_tensor_data(a.value), rn_tensor_data(b.value), 640);
    rn_model_release(copy);
    stop();
}
END_TEST

START_TEST(tensors_may_outlive_the_model)
{
    start();
    rn_tensor *const kept = rn_tensor_retain(find("fc.weight").value);
    float values[160] = {0};
    stop();
    ck_ok(rn_tensor_write(kept, values, sizeof values)); /* and tells nobody */
    rn_tensor_release(kept);
}
END_TEST

static support_text text;

START_TEST(summary_table)
{
    start();
    int64_t macs = 0;
    text.length = 0;
    ck_ok(rn_model_summary(model, 4, (int64_t[]){1, 3, 8, 8}, support_write, &text));
    ck_assert_ptr_nonnull(strstr(text.data, "Conv2d: block2.conv1"));
    ck_assert_ptr_nonnull(strstr(text.data, "[1, 16, 4, 4]"));
    /* stem 8*3*9*64, block1 2*8*8*9*64, block2 (16*8 + 16*16 + 16*8)*9*16, fc 160 */
    ck_ok(rn_model_macs(model, 4, (int64_t[]){1, 3, 8, 8}, &macs));
    ck_assert_int_eq(macs, 13824 + 73728 + 73728 + 160);
    char line[64];
    snprintf(line, sizeof line, "Parameters: %lld\n", (long long)rn_model_parameter_count(model, 0));
    ck_assert_ptr_nonnull(strstr(text.data, line));
    ck_fails(rn_model_summary(model, 4, (int64_t[]){1, 4, 8, 8}, support_write, &text), RN_E_SHAPE, "stem.conv");
    ck_fails(rn_model_macs(model, 0, (int64_t[]){1}, &macs), RN_E_INVALID, "rank");
    ck_fails(rn_model_summary(model, 4, (int64_t[]){1, 3, 8, 8}, NULL, NULL), RN_E_INVALID, "write is NULL");
    stop();
}
END_TEST

static rn_status refuse(void *user, const char *data, size_t length)
{
    (void)user, (void)data, (void)length;
    return RN_E_USER;
}

START_TEST(a_writers_status_comes_back)
{
    start();
    ck_assert_int_eq(rn_model_summary(model, 4, (int64_t[]){1, 3, 8, 8}, refuse, NULL), RN_E_USER);
    stop();
}
END_TEST

SUPPORT_MAIN("model", names_follow_the_tree, initial_values, rules_have_their_variance, zeros_at_first, seeds_decide,
             same_names_are_refused, freezing, copies_are_independent, tensors_may_outlive_the_model, summary_table,
             a_writers_status_comes_back)
