/* SPDX-License-Identifier: MIT */
/* Loss scaling: what it must not change, and what moves the scale. */
#include "support.h"

#include <math.h>

enum { IMAGES = 6, CLASSES = 10, STEPS = 8 };

/* A training of the tutorial's net on random images. */
typedef struct training {
    rn_context *ctx;
    rn_device *dev;
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_plan *plan;
    rn_tensor *x, *target;
} training;

static rn_tensor *make_images(rn_device *dev)
{
    const int64_t dims[] = {IMAGES, 3, 16, 16};
    rn_tensor *x = NULL;
    uint32_t state = 7;
    ck_ok(rn_tensor_create(dev, RN_F32, 4, dims, &x));
    for (int64_t i = 0; i < rn_tensor_count(x); i++) {
        state = state * 1664525u + 1013904223u;
        ((float *)rn_tensor_data(x))[i] = (float)(state >> 8) * 0x1p-24f;
    }
    return x;
}

static training start(const rn_plan_options *how, double momentum)
{
    training t = {0};
    const int64_t labels[] = {IMAGES};
    rn_layer *layer = NULL;
    rn_sgd_options sgd = RN_SGD_OPTIONS_INIT;
    rn_plan_options o = *how;
    t.ctx = support_context(&t.dev);
    ck_ok(rn_zoo_create(t.ctx, "tutorial", NULL, &layer));
    ck_ok(rn_model_create(t.ctx, layer, t.dev, &t.model));
    ck_ok(rn_model_init(t.model, 3));
    rn_layer_release(layer);
    ck_ok(rn_cross_entropy_create(t.ctx, NULL, &t.loss));
    sgd.lr = 0.02;
    sgd.momentum = momentum;
    sgd.weight_decay = 1e-3;
    ck_ok(rn_sgd_create(t.model, &sgd, &t.optimizer));
    o.mode = RN_PLAN_TRAIN;
    o.input_dims[0] = IMAGES;
    o.input_dims[1] = 3;
    o.input_dims[2] = o.input_dims[3] = 16;
    o.loss = t.loss;
    o.optimizer = t.optimizer;
    ck_ok(rn_plan_create(t.model, &o, &t.plan));
    t.x = make_images(t.dev);
    ck_ok(rn_tensor_create(t.dev, RN_I64, 1, labels, &t.target));
    for (int64_t i = 0; i < IMAGES; i++)
        ((int64_t *)rn_tensor_data(t.target))[i] = 3 * i % CLASSES;
    return t;
}

static void finish(training *t)
{
    rn_tensor_release(t->x);
    rn_tensor_release(t->target);
    rn_plan_release(t->plan);
    rn_optimizer_release(t->optimizer);
    rn_loss_release(t->loss);
    rn_model_release(t->model);
    rn_context_release(t->ctx);
}

static rn_metrics step(training *t)
{
    rn_metrics metrics = RN_METRICS_INIT;
    ck_ok(rn_plan_train_step(t->plan, t->x, t->target));
    ck_ok(rn_plan_metrics(t->plan, &metrics, 0));
    return metrics;
}

/* Parameters, or their gradients, one behind the other. */
static float *gather(const training *t, int gradients, size_t *count)
{
    float *all = NULL;
    *count = 0;
    for (size_t i = 0; i < rn_model_state_count(t->model); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        ck_ok(rn_model_state(t->model, i, &entry));
        if (entry.kind != RN_STATE_PARAMETER)
            continue;
        const rn_tensor *const from = gradients ? entry.grad : entry.value;
        const size_t more = (size_t)rn_tensor_count(from);
        all = realloc(all, (*count + more) * sizeof *all);
        memcpy(all + *count, rn_tensor_data((rn_tensor *)from), more * sizeof *all);
        *count += more;
    }
    return all;
}

static int same_weights(const training *a, const training *b)
{
    size_t count, other;
    float *const x = gather(a, 0, &count), *const y = gather(b, 0, &other);
    const int same = count == other && memcmp(x, y, count * sizeof *x) == 0;
    free(x);
    free(y);
    return same;
}

/* f32 has room for a power of two: multiplied and divided by it, nothing rounds otherwise. */
START_TEST(powers_of_two_leave_the_bits)
{
    for (int accumulate = 1; accumulate <= 2; accumulate++) {
        rn_plan_options plain = RN_PLAN_OPTIONS_INIT, scaled = RN_PLAN_OPTIONS_INIT;
        plain.accumulate = scaled.accumulate = (uint32_t)accumulate;
        plain.clip_norm = scaled.clip_norm = 0.5;
        scaled.loss_scale = 1024;
        scaled.loss_scale_interval = 3; /* it grows in between */
        training a = start(&plain, 0.9), b = start(&scaled, 0.9);
        for (int i = 0; i < STEPS; i++) {
            const rn_metrics x = step(&a), y = step(&b);
            ck_assert(x.last_loss == y.last_loss && x.grad_norm == y.grad_norm && x.loss_sum == y.loss_sum);
            ck_assert(x.loss_scale == 1 && x.skipped == 0 && y.skipped == 0);
            ck_assert(y.loss_scale == 1024 << (i + 1) / accumulate / 3);
            ck_assert_msg(same_weights(&a, &b), "step %d", i);
        }
        finish(&a);
        finish(&b);
    }
}
END_TEST

/* 2^24 / 6 is more than f16 holds: updates are left out, and the scale halves until one is not. */
START_TEST(overflow_skips_and_backs_off)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.compute_dtype = RN_F16;
    o.loss_scale = 0x1p24;
    training t = start(&o, 0.9), untouched = start(&o, 0.9);
    double scale = o.loss_scale, first_loss = 0;
    int64_t skipped = 0;
    for (int i = 0; i < 16; i++) {
        const rn_metrics m = step(&t);
        first_loss = i ? first_loss : m.last_loss;
        ck_assert(isfinite(m.last_loss) && m.last_loss < 4 && m.nonfinite == 0);
        if (m.skipped == skipped)
            break;
        ck_assert_int_eq(m.skipped, ++skipped);
        ck_assert(m.loss_scale == (scale /= 2));
        ck_assert_msg(same_weights(&t, &untouched), "a skipped update changed weights");
        ck_assert_int_eq(rn_optimizer_steps(t.optimizer), 0);
    }
    ck_assert_msg(skipped >= 6 && scale <= 0x1p18, "%lld skipped, scale %g", (long long)skipped, scale);
    ck_assert_int_eq(rn_optimizer_steps(t.optimizer), 1);
    ck_assert(!same_weights(&t, &untouched));
    for (int i = 0; i < 20; i++)
        ck_assert(step(&t).loss_scale <= scale);
    ck_assert(step(&t).last_loss < 0.7 * first_loss);
    finish(&t);
    finish(&untouched);
}
END_TEST

/* Reset with the other counts; the scale stays. */
START_TEST(skipped_updates_are_counted_until_a_reset)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_metrics m = RN_METRICS_INIT;
    o.compute_dtype = RN_F16;
    o.loss_scale = 0x1p24;
    training t = start(&o, 0);
    step(&t);
    step(&t);
    ck_ok(rn_plan_metrics(t.plan, &m, 1));
    ck_assert(m.skipped == 2 && m.loss_scale == 0x1p22 && m.steps == 2);
    ck_ok(rn_plan_metrics(t.plan, &m, 0));
    ck_assert(m.skipped == 0 && m.loss_scale == 0x1p22 && m.steps == 0);
    finish(&t);
}
END_TEST

START_TEST(growth_and_its_end)
{
    static const double expected[] = {0x1p21, 0x1p21, 0x1.8p22, 0x1.8p22, 0x1.8p22, 0x1.2p24 /* too much */};
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.loss_scale = 0x1p21;
    o.loss_scale_growth = 3;
    o.loss_scale_interval = 3;
    training t = start(&o, 0);
    for (int i = 0; i < 6; i++)
        ck_assert(step(&t).loss_scale == fmin(expected[i], 0x1p24));
    finish(&t);
}
END_TEST

START_TEST(a_static_scale_stays)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.compute_dtype = RN_F16;
    o.flags = RN_PLAN_STATIC_LOSS_SCALE;
    o.loss_scale_interval = 1;
    training t = start(&o, 0);
    for (int i = 0; i < 3; i++)
        ck_assert(step(&t).loss_scale == 65536);
    finish(&t);
    o.loss_scale = 0x1p24;
    training over = start(&o, 0);
    for (int i = 1; i <= 3; i++) {
        const rn_metrics m = step(&over);
        ck_assert(m.loss_scale == 0x1p24 && m.skipped == i);
    }
    finish(&over);
}
END_TEST

/* How far a gradient of f16 is from that of f32, relative. */
static double gradient_error(double scale)
{
    rn_plan_options exact = RN_PLAN_OPTIONS_INIT, half = RN_PLAN_OPTIONS_INIT;
    exact.accumulate = half.accumulate = 1 << 20; /* the first gradients of a mean over so many are tiny */
    half.compute_dtype = RN_F16;
    half.loss_scale = scale;
    training a = start(&exact, 0), b = start(&half, 0);
    size_t count;
    double off = 0, size = 0;
    step(&a);
    step(&b);
    float *const x = gather(&a, 1, &count), *const y = gather(&b, 1, &count);
    for (size_t i = 0; i < count; i++) {
        off += pow((double)x[i] - (double)y[i] / scale, 2);
        size += pow((double)x[i], 2);
    }
    free(x);
    free(y);
    finish(&a);
    finish(&b);
    return sqrt(off / size);
}

START_TEST(small_gradients_survive)
{
    const double with = gradient_error(65536), without = gradient_error(1);
    /* The net turns f16's own rounding into 7 %. Unscaled gradients of the logits are a few units of 2^-24. */
    ck_assert_msg(with < 0.15 && without > 4 * with, "the gradient is %g off with scaling, %g without", with, without);
}
END_TEST

static void refused(const rn_plan_options *given, const char *text)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    training t = start(&o, 0);
    rn_plan *p = NULL;
    o = *given;
    o.mode = RN_PLAN_TRAIN;
    o.input_dims[0] = IMAGES;
    o.input_dims[1] = 3;
    o.input_dims[2] = o.input_dims[3] = 16;
    o.loss = t.loss;
    o.optimizer = o.optimizer ? NULL : t.optimizer; /* any pointer means: without one */
    ck_fails(rn_plan_create(t.model, &o, &p), RN_E_INVALID, text);
    ck_assert_ptr_null(p);
    finish(&t);
}

START_TEST(options_are_checked)
{
    static const double scales[] = {-1, NAN, INFINITY, 0x1p25, 0x1p-25};
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        o.loss_scale = scales[i];
        refused(&o, "options.loss_scale: expected 0, or 2^-24 to 2^24");
    }
    o.loss_scale = 1024;
    o.optimizer = (rn_optimizer *)&o;
    refused(&o, "options.loss_scale: only a plan with an optimizer scales");
    o.optimizer = NULL;
    o.loss_scale_growth = 1;
    refused(&o, "options.loss_scale_growth: expected above 1, got 1");
    o.loss_scale_growth = 2;
    o.loss_scale_backoff = 1;
    refused(&o, "options.loss_scale_backoff: expected between 0 and 1, got 1");
    o.loss_scale_backoff = 0.5;
    o.loss_scale_interval = 0;
    refused(&o, "options.loss_scale_interval: expected 1 or more, got 0");
    o = (rn_plan_options)RN_PLAN_OPTIONS_INIT;
    o.flags = RN_PLAN_STATIC_LOSS_SCALE;
    refused(&o, "RN_PLAN_STATIC_LOSS_SCALE needs a loss scale");
}
END_TEST

/* Programs compiled before the fields were there: they get the defaults, and metrics without the new counts. */
START_TEST(shorter_structs)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_metrics m = {.struct_size = offsetof(rn_metrics, loss_scale), .skipped = -7};
    o.struct_size = offsetof(rn_plan_options, loss_scale);
    o.compute_dtype = RN_F16;
    o.loss_scale = 77;
    training t = start(&o, 0);
    ck_assert(step(&t).loss_scale == 65536);
    ck_ok(rn_plan_metrics(t.plan, &m, 0));
    ck_assert(m.steps == 1 && m.skipped == -7);
    finish(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loss_scale");
    TCase *tcase = tcase_create("loss_scale");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, powers_of_two_leave_the_bits);
    tcase_add_test(tcase, overflow_skips_and_backs_off);
    tcase_add_test(tcase, skipped_updates_are_counted_until_a_reset);
    tcase_add_test(tcase, growth_and_its_end);
    tcase_add_test(tcase, a_static_scale_stays);
    tcase_add_test(tcase, small_gradients_survive);
    tcase_add_test(tcase, options_are_checked);
    tcase_add_test(tcase, shorter_structs);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
