/* SPDX-License-Identifier: MIT */
/* Plans that compute in bf16 and f16. */
#include "../common/nets.h"
#include "cpu/levels.h"
#include "plan/plan.h"
#include "support.h"

#include <math.h>

/* The types, and how far from f32 rounding to them may take the logits of a small net. */
static const struct {
    rn_dtype dtype;
    double most, least;
} halves[] = {{RN_BF16, 0.02, 1e-5}, {RN_F16, 0.02 / 8, 1e-5 / 8}};
enum { HALVES = sizeof halves / sizeof *halves };

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

/* Logits of such a plan are near those of an f32 plan, at every level, from plain f32 images and from the plan's own. */
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
        rn_plan *const p = make_plan(m, halves[_i].dtype, RN_PLAN_INFER, NULL, NULL);
        ck_ok(rn_plan_forward(p, x, y));
        ck_assert_msg(distance(y, single) < halves[_i].most, "level %d: off by %g", (int)level, distance(y, single));
        ck_assert_msg(distance(y, single) > halves[_i].least, "level %d computes in f32", (int)level);
        ck_ok(rn_plan_input(p, &own));
        ck_assert_int_eq(rn_tensor_dtype(own), halves[_i].dtype);
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
    rn_plan *const p = make_plan(m, halves[_i].dtype, RN_PLAN_INFER, NULL, NULL);
    rn_plan *const single = make_plan(m, RN_F32, 0, NULL, NULL);
    rn_tensor *const half = make_tensor(dev, halves[_i].dtype, 4, dims), *const x = make_images(dev),
              *const y = make_tensor(dev, halves[_i].dtype, 2, logits), *const out = make_tensor(dev, RN_F32, 2, logits),
              *other = NULL;
    ck_fails(rn_plan_forward(p, half, out), RN_E_DTYPE, _i ? "x: expected f32, got f16" : "x: expected f32, got bf16");
    ck_fails(rn_plan_forward(p, x, y), RN_E_DTYPE, _i ? "y: expected f32, got f16" : "y: expected f32, got bf16");
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
    const rn_dtype dtype = halves[_i].dtype;
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
        rn_plan *const p = make_plan(m, i ? dtype : RN_F32, RN_PLAN_TRAIN, loss, optimizer);
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
    Suite *suite = suite_create("half");
    TCase *tcase = tcase_create("half");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, inference, 0, HALVES);
    tcase_add_loop_test(tcase, tensors_of_other_types_are_refused, 0, HALVES);
    tcase_add_loop_test(tcase, training, 0, HALVES);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
