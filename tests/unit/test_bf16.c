/* SPDX-License-Identifier: MIT */
/* bf16: rounding at every level, and plans that compute in it. */
#include "../common/nets.h"
#include "cpu/bf16.h"
#include "cpu/kernels.h"
#include "cpu/levels.h"
#include "plan/plan.h"
#include "support.h"

#include <math.h>

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Of two neighbours the nearer, of equally near ones the even: by distances, which double holds exactly. */
static uint16_t by_definition(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint16_t below = (uint16_t)(bits >> 16);
    if (isnan(f))
        return below | 0x40;
    if (fabsf(f) < 0x1p-126f)
        return below & 0x8000;
    if (isinf(f))
        return below;
    const uint16_t above = (uint16_t)(below + 1);
    const double sign = f < 0 ? -1 : 1, low = (double)rni_bf16_value(below);
    const double high = isinf(rni_bf16_value(above)) ? sign * 0x1p128 : (double)rni_bf16_value(above);
    const double down = fabs((double)f - low), up = fabs((double)f - high);
    return down < up ? below : up < down ? above : below & 1 ? above : below;
}

START_TEST(rounding)
{
    static const uint32_t lower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    enum { LOWER = sizeof lower / sizeof *lower };
    float *const all = malloc(65536 * LOWER * sizeof *all);
    uint16_t *const rounded = malloc(65536 * LOWER * sizeof *rounded);
    for (uint32_t upper = 0; upper < 65536; upper++)
        for (uint32_t i = 0; i < LOWER; i++)
            all[upper * LOWER + i] = from_bits(upper << 16 | lower[i]);
    for (int32_t level = 0; level <= rni_cpu_usable_level(UINT32_MAX); level++) {
        struct rni_cpu_kernels k;
        rni_kernels_init(&k, level);
        for (size_t odd = 0; odd < 2; odd++) { /* with and without a tail */
            k.convert.narrow(rounded, all, 65536 * LOWER - odd);
            for (size_t i = 0; i < 65536 * LOWER - odd; i++)
                ck_assert_msg(rounded[i] == by_definition(all[i]), "level %d: %a is 0x%04x, expected 0x%04x", (int)level,
                              (double)all[i], rounded[i], by_definition(all[i]));
        }
    }
    free(all);
    free(rounded);
}
END_TEST

START_TEST(widening)
{
    uint16_t narrow[65537];
    float wide[65537];
    for (size_t i = 0; i < 65537; i++)
        narrow[i] = (uint16_t)i;
    for (int32_t level = 0; level <= rni_cpu_usable_level(UINT32_MAX); level++) {
        struct rni_cpu_kernels k;
        rni_kernels_init(&k, level);
        k.convert.widen(wide, narrow, 65537);
        for (size_t i = 0; i < 65537; i++) {
            uint32_t bits;
            memcpy(&bits, &wide[i], sizeof bits);
            ck_assert_uint_eq(bits, (uint32_t)narrow[i] << 16);
        }
    }
}
END_TEST

static rn_plan *make_plan(rn_model *m, rn_dtype dtype, int32_t mode, rn_loss *loss, rn_optimizer *optimizer)
{
    const int64_t dims[] = {6, 3, 16, 16};
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_plan *p = NULL;
    o.mode = mode;
    o.compute_dtype = dtype;
    o.loss = loss;
    o.optimizer = optimizer;
    memcpy(o.input_dims, dims, sizeof dims);
    ck_ok(rn_plan_create(m, &o, &p));
    return p;
}

static rn_tensor *make_tensor(rn_device *dev, rn_dtype dtype, int32_t rank, const int64_t *dims)
{
    rn_tensor *t = NULL;
    ck_ok(rn_tensor_create(dev, dtype, rank, dims, &t));
    return t;
}

static rn_tensor *make_images(rn_device *dev)
{
    const int64_t dims[] = {6, 3, 16, 16};
    rn_tensor *const x = make_tensor(dev, RN_F32, 4, dims);
    uint64_t seed = 4;
    for (int64_t i = 0; i < rn_tensor_count(x); i++)
        ((float *)rn_tensor_data(x))[i] = (float)net_random(&seed);
    return x;
}

static rn_model *make_model(rn_context *ctx, rn_device *dev)
{
    rn_layer *layer = NULL;
    rn_model *m = NULL;
    ck_ok(rn_zoo_create(ctx, "tutorial", NULL, &layer));
    ck_ok(rn_model_create(ctx, layer, dev, &m));
    ck_ok(rn_model_init(m, 3));
    rn_layer_release(layer);
    return m;
}

static double distance(const rn_tensor *a, const rn_tensor *b)
{
    const float *const x = rn_tensor_data(a), *const y = rn_tensor_data(b);
    double difference = 0, size = 0;
    for (int64_t i = 0; i < rn_tensor_count(a); i++) {
        difference += pow((double)x[i] - (double)y[i], 2);
        size += pow((double)y[i], 2);
    }
    return sqrt(difference / size);
}

/* Logits of a bf16 plan are near those of an f32 plan, at every level, from plain f32 images and from the plan's own. */
START_TEST(inference)
{
    const int64_t dims[] = {6, 10};
    rn_device *dev;
    rn_context *const ctx = support_context(&dev);
    rn_model *const m = make_model(ctx, dev);
    rn_tensor *const x = make_images(dev), *const single = make_tensor(dev, RN_F32, 2, dims),
              *const y = make_tensor(dev, RN_F32, 2, dims), *const again = make_tensor(dev, RN_F32, 2, dims), *own = NULL;
    rn_plan *const plain = make_plan(m, RN_F32, RN_PLAN_INFER, NULL, NULL);
    ck_ok(rn_plan_forward(plain, x, single));
    for (int32_t level = 0; level <= rn_cpu_detected_level(); level++) {
        ck_ok(rn_cpu_set_level_mask(dev, (2u << level) - 1));
        rn_plan *const p = make_plan(m, RN_BF16, RN_PLAN_INFER, NULL, NULL);
        ck_ok(rn_plan_forward(p, x, y));
        ck_assert_msg(distance(y, single) < 0.02, "level %d: off by %g", (int)level, distance(y, single));
        ck_assert_msg(distance(y, single) > 1e-5, "level %d computes in f32", (int)level);
        ck_ok(rn_plan_input(p, &own));
        ck_assert_int_eq(rn_tensor_dtype(own), RN_BF16);
        ck_ok(rn_tensor_copy(x, own));
        ck_ok(rn_plan_forward(p, own, again));
        ck_assert_int_eq(memcmp(rn_tensor_data(y), rn_tensor_data(again), rn_tensor_nbytes(y)), 0);
        rn_plan_release(p);
    }
    rn_plan_release(plain);
    rn_tensor_release(x);
    rn_tensor_release(single);
    rn_tensor_release(y);
    rn_tensor_release(again);
    rn_model_release(m);
    rn_context_release(ctx);
}
END_TEST

START_TEST(tensors_of_other_types_are_refused)
{
    const int64_t dims[] = {6, 3, 16, 16}, logits[] = {6, 10};
    rn_device *dev;
    rn_context *const ctx = support_context(&dev);
    rn_model *const m = make_model(ctx, dev);
    rn_plan *const p = make_plan(m, RN_BF16, RN_PLAN_INFER, NULL, NULL), *const single = make_plan(m, RN_F32, 0, NULL, NULL);
    rn_tensor *const half = make_tensor(dev, RN_BF16, 4, dims), *const x = make_images(dev),
              *const y = make_tensor(dev, RN_BF16, 2, logits), *const out = make_tensor(dev, RN_F32, 2, logits),
              *other = NULL;
    ck_fails(rn_plan_forward(p, half, out), RN_E_DTYPE, "x: expected f32, got bf16");
    ck_fails(rn_plan_forward(p, x, y), RN_E_DTYPE, "y: expected f32, got bf16");
    ck_ok(rn_plan_input(single, &other)); /* f32, in an order of its own */
    ck_fails(rn_plan_forward(p, other, out), RN_E_INVALID, "x: expected a tensor in plain order");
    rn_tensor_release(half);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_tensor_release(out);
    rn_plan_release(p);
    rn_plan_release(single);
    rn_model_release(m);
    rn_context_release(ctx);
}
END_TEST

/* Losses of some steps go the way of f32, with weights, gradients and optimizer in f32; half the activations' memory. */
START_TEST(training)
{
    enum { STEPS = 12 };
    double losses[2][STEPS];
    uint64_t arena[2];
    for (int i = 0; i < 2; i++) {
        rn_device *dev;
        rn_context *const ctx = support_context(&dev);
        rn_model *const m = make_model(ctx, dev);
        rn_loss *loss = NULL;
        rn_optimizer *optimizer = NULL;
        rn_memory memory = RN_MEMORY_INIT;
        ck_ok(rn_cross_entropy_create(ctx, NULL, &loss));
        ck_ok(rn_adam_create(m, NULL, &optimizer));
        rn_plan *const p = make_plan(m, i ? RN_BF16 : RN_F32, RN_PLAN_TRAIN, loss, optimizer);
        rn_tensor *const x = make_images(dev), *const target = make_tensor(dev, RN_I64, 1, (const int64_t[1]){6});
        for (int64_t k = 0; k < 6; k++)
            ((int64_t *)rn_tensor_data(target))[k] = k;
        for (int step = 0; step < STEPS; step++) {
            rn_metrics metrics = RN_METRICS_INIT;
            ck_ok(rn_plan_train_step(p, x, target));
            ck_ok(rn_plan_metrics(p, &metrics, 1));
            losses[i][step] = metrics.last_loss;
        }
        ck_ok(rn_plan_memory(p, &memory));
        arena[i] = memory.arena;
        rn_tensor_release(x);
        rn_tensor_release(target);
        rn_plan_release(p);
        rn_optimizer_release(optimizer);
        rn_loss_release(loss);
        rn_model_release(m);
        rn_context_release(ctx);
    }
    ck_assert_msg(losses[1][STEPS - 1] < 0.5 * losses[1][0], "it does not learn: %g, %g", losses[1][0], losses[1][STEPS - 1]);
    for (int step = 0; step < STEPS; step++)
        ck_assert_msg(fabs(losses[1][step] - losses[0][step]) < 0.05 * losses[0][0], "step %d: loss %g, in f32 %g", step,
                      losses[1][step], losses[0][step]);
    ck_assert_msg(arena[1] < arena[0], "%llu bytes instead of %llu", (unsigned long long)arena[1],
                  (unsigned long long)arena[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bf16");
    TCase *tcase = tcase_create("bf16");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, rounding);
    tcase_add_test(tcase, widening);
    tcase_add_test(tcase, inference);
    tcase_add_test(tcase, tensors_of_other_types_are_refused);
    tcase_add_test(tcase, training);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
