/* SPDX-License-Identifier: MIT */
/*
 * Profiles of a device over the simulated module: the device notes the times, and nobody waits for it.
 *   test_profile MODULE
 */
#include "simulated.h"
#include <time.h>

static const sim_training small = {"tutorial", 2, 8, 3, 0, RN_F32, 1, 0, 0};

static rn_status keep(void *user, const char *data, size_t length)
{
    char **const text = user;
    free(*text);
    *text = malloc(length + 1);
    memcpy(*text, data, length);
    (*text)[length] = '\0';
    return RN_OK;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of the first op of a kind. */
static void check_calls(const char *text, const char *op, int calls)
{
    char layer[64];
    int found = 0;
    const char *const line = strstr(text, op);
    ck_assert_msg(line && sscanf(line, "%*s %63s %d", layer, &found) == 2, "no %s in '%s'", op, text);
    ck_assert_msg(found == calls, "%s: %d calls, %d expected", op, found, calls);
}

/* A training of a plan that is timed: its losses are those of one that is not, and no step waits for another. */
START_TEST(nothing_waits_for_an_op)
{
    rn_device *dev = NULL;
    sim_parts parts;
    sim_outcome plain;
    char *text = NULL;
    double all = 0;
    sim_train_alone(&small, &plain);
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &small, &parts));
    ck_ok(rn_plan_set_profiling(parts.plan, 1));
    for (int step = 0; step < small.steps; step++) {
        rn_metrics metrics = RN_METRICS_INIT;
        rn_tensor *const x = sim_images(dev, &small, step), *const y = sim_labels(dev, &small, step);
        ck_ok(rn_device_synchronize(dev));
        const int64_t before = sim.get("launches");
        const double begin = now();
        ck_ok(rn_plan_train_step(parts.plan, x, y));
        ck_assert_int_eq(sim.get("launches"), before);
        ck_assert_int_gt(sim.get("queued"), 100);
        if (step == small.steps - 1) {
            const double until_now = all;
            ck_ok(rn_plan_profile(parts.plan, keep, &text)); /* waits for the step */
            ck_assert_int_eq(sscanf(strstr(text, "all ops: "), "all ops: %lf", &all), 1);
            ck_assert_int_gt(sim.get("launches"), before);
            ck_assert_msg(all > until_now && all - until_now <= 1e3 * (now() - begin), "%g ms of %g", all - until_now,
                          1e3 * (now() - begin));
        } else {
            ck_ok(rn_plan_profile(parts.plan, keep, &text));
            ck_assert_int_eq(sscanf(strstr(text, "all ops: "), "all ops: %lf", &all), 1);
        }
        check_calls(text, "sgd", step + 1);
        check_calls(text, "conv_backward_filter", step + 1);
        ck_ok(rn_plan_metrics(parts.plan, &metrics, 1));
        ck_assert(metrics.last_loss == plain.losses[step]);
        rn_tensor_release(x);
        rn_tensor_release(y);
    }
    ck_assert_int_gt(sim.get("events"), 200);
    ck_ok(rn_plan_set_profiling(parts.plan, 0));
    ck_assert_int_lt(sim.get("events"), 100);
    ck_fails(rn_plan_profile(parts.plan, keep, &text), RN_E_STATE, "rn_plan_set_profiling()");
    free(text);
    sim_end(&parts);
    rn_context_release(ctx);
    sim_outcome_free(&plain);
    sim_settled();
}
END_TEST

/* Steps one after the other, read once; a plan that goes with its marks on the device. */
START_TEST(steps_that_are_read_once)
{
    rn_device *dev = NULL;
    sim_parts parts;
    char *text = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &small, &parts));
    rn_tensor *const x = sim_images(dev, &small, 0), *const y = sim_labels(dev, &small, 0);
    ck_ok(rn_plan_set_profiling(parts.plan, 1));
    for (int step = 0; step < 3; step++)
        ck_ok(rn_plan_train_step(parts.plan, x, y));
    ck_ok(rn_plan_profile(parts.plan, keep, &text));
    check_calls(text, "sgd", 3);
    check_calls(text, "cross_entropy", 3);
    check_calls(text, "bn_stats", 3);
    ck_ok(rn_plan_train_step(parts.plan, x, y));
    rn_tensor_release(x);
    rn_tensor_release(y);
    free(text);
    sim_end(&parts);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

START_TEST(a_device_that_is_lost_meanwhile)
{
    rn_device *dev = NULL;
    sim_parts parts;
    char *text = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &small, &parts));
    rn_tensor *const x = sim_images(dev, &small, 0), *const y = sim_labels(dev, &small, 0);
    ck_ok(rn_plan_set_profiling(parts.plan, 1));
    ck_ok(rn_plan_train_step(parts.plan, x, y));
    sim.set("lose_after", 20);
    ck_fails(rn_plan_profile(parts.plan, keep, &text), RN_E_BACKEND, "cuda:0: cannot wait for the device: ");
    ck_fails(rn_plan_profile(parts.plan, keep, &text), RN_E_DEVICE, "cuda:0: the device is lost: ");
    ck_assert_ptr_null(text);
    ck_ok(rn_plan_set_profiling(parts.plan, 1)); /* makes no marks yet */
    ck_fails(rn_plan_train_step(parts.plan, x, y), RN_E_DEVICE, "the device is lost");
    rn_tensor_release(x);
    rn_tensor_release(y);
    sim_end(&parts);
    rn_context_release(ctx);
    sim.forget();
    sim.set("lose_after", 0);
    sim_settled();
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {nothing_waits_for_an_op, steps_that_are_read_once, a_device_that_is_lost_meanwhile};
    if (argc != 2 || !sim_open(argv[1]))
        return 2;
    return support_main("profile", tests, sizeof tests / sizeof *tests);
}
