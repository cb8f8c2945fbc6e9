/* SPDX-License-Identifier: MIT */
/* Datasets in the memory of a simulated device: batches and trainings are those of the host's batches, to the bit. */
#include "../common/resident_cases.h"
#include "simulated.h"

START_TEST(all_transforms)
{
    static const rn_dtype dtypes[] = {0, RN_F32, RN_BF16, RN_F16};
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    resident_all_transforms(dev, dtypes, sizeof dtypes / sizeof *dtypes);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

START_TEST(all_orders)
{
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    resident_all_orders(dev);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

START_TEST(refusals)
{
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    resident_refusals(dev);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

enum { STEPS = 5, BATCH = 4, COUNT = 10 /* the last batch of an epoch has two */ };

static rn_transform *augmentation(rn_context *ctx)
{
    const double mean[3] = {0.49, 0.48, 0.45}, std[3] = {0.2, 0.2, 0.2};
    rn_transform *t = NULL;
    ck_ok(rn_transform_create(ctx, &t));
    ck_ok(rn_transform_random_crop(t, 1, 0, 0));
    ck_ok(rn_transform_random_hflip(t, 0.5));
    ck_ok(rn_transform_normalize(t, 3, mean, std));
    return t;
}

/* STEPS steps on batches from a loader, some epochs; weights after them, and what the loader took. */
static float *train(rn_device *dev, rn_dtype dtype, int32_t residency, uint64_t *resident, size_t *count)
{
    const sim_training shape = {.net = "tutorial", .batch = BATCH, .side = 8, .dtype = dtype, .accumulate = 1};
    rn_context *const ctx = rn_device_context(dev);
    rn_dataset *const ds = resident_images(ctx, COUNT, 3, 8, 8);
    rn_transform *const t = augmentation(ctx);
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *loader = NULL;
    sim_parts parts;
    ck_ok(sim_begin(dev, &shape, &parts));
    o.flags = RN_LOADER_SHUFFLE;
    o.batch = BATCH;
    o.transform = t;
    o.plan = parts.plan;
    o.residency = residency;
    ck_ok(rn_loader_create(ds, &o, &loader));
    *resident = rn_loader_resident_bytes(loader);
    for (int step = 0; step < STEPS;) {
        rn_tensor *x = NULL, *y = NULL;
        const rn_status status = rn_loader_next(loader, &x, &y);
        ck_assert_int_ge(status, 0);
        if (status == RN_END)
            continue;
        ck_ok(rn_plan_train_step(parts.plan, x, y));
        step++;
    }
    float *const weights = sim_first_parameter(parts.model, count);
    rn_loader_release(loader);
    rn_transform_release(t);
    rn_dataset_release(ds);
    sim_end(&parts);
    return weights;
}

static void same_training(rn_dtype dtype)
{
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    uint64_t on_host, resident;
    size_t count = 0;
    float *const a = train(dev, dtype, RN_RESIDENCY_HOST, &on_host, &count);
    float *const b = train(dev, dtype, RN_RESIDENCY_AUTO, &resident, &count);
    ck_assert_uint_eq(on_host, 0);
    ck_assert_uint_gt(resident, COUNT * 3 * 8 * 8);
    ck_assert_int_eq(memcmp(a, b, count * sizeof *a), 0);
    free(a);
    free(b);
    rn_context_release(ctx);
    sim_settled();
}

START_TEST(training_in_f32)
{
    same_training(RN_F32);
}
END_TEST

START_TEST(training_in_bf16)
{
    same_training(RN_BF16);
}
END_TEST

START_TEST(training_in_f16)
{
    same_training(RN_F16);
}
END_TEST

/* A step whose batch is made on the device is captured all the same, and the host copies nothing to it for a batch. */
START_TEST(graphs)
{
    const sim_training shape = {.net = "tutorial", .batch = BATCH, .side = 8, .dtype = RN_F32, .accumulate = 1};
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    rn_dataset *const ds = resident_images(ctx, COUNT, 3, 8, 8);
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *loader = NULL;
    sim_parts parts;
    ck_ok(sim_begin(dev, &shape, &parts));
    o.batch = BATCH;
    o.plan = parts.plan;
    o.residency = RN_RESIDENCY_DEVICE;
    const int64_t before = sim.get("device_allocations");
    ck_ok(rn_loader_create(ds, &o, &loader));
    ck_assert_int_eq(sim.get("device_allocations"), before + 3);
    for (int i = 0; i < 3; i++) {
        rn_tensor *x = NULL, *y = NULL;
        ck_ok(rn_loader_next(loader, &x, &y));
        ck_ok(rn_plan_train_step(parts.plan, x, y));
    }
    ck_assert_int_gt(sim.get("graphs"), 0);
    rn_loader_release(loader);
    rn_dataset_release(ds);
    sim_end(&parts);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* A dataset of more than there is: demanded, it is refused with sizes and the rest goes on; else the host's batches. */
START_TEST(too_large)
{
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    rn_dataset *const large = resident_images(ctx, 300, 3, 128, 128); /* 14.7 MB */
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *l = NULL;
    rn_tensor *x = NULL, *y = NULL;
    o.batch = 2;
    o.device = dev;
    o.residency = RN_RESIDENCY_DEVICE;
    sim.set("memory_mb", 8);
    ck_fails(rn_loader_create(large, &o, &l), RN_E_NOMEM,
             "options.residency: out of memory: a resident dataset needs 147");
    ck_assert_ptr_null(l);
    sim.set("memory_mb", 32);
    o.residency = RN_RESIDENCY_AUTO;
    ck_ok(rn_loader_create(large, &o, &l));
    ck_assert_uint_eq(rn_loader_resident_bytes(l), 0);
    ck_assert_ptr_nonnull(strstr(logged_text, "which is more than a quarter of the"));
    ck_ok(rn_loader_next(l, &x, &y));
    rn_loader_release(l);
    o.residency = RN_RESIDENCY_DEVICE;
    ck_ok(rn_loader_create(large, &o, &l));
    ck_ok(rn_loader_next(l, &x, &y));
    rn_loader_release(l);
    sim.set("memory_mb", 4096);
    rn_dataset_release(large);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* The Nth allocation on the device fails: no loader and nothing left, or, where it may do without, the host's batches. */
static void failing_allocations(int32_t residency)
{
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    rn_dataset *const ds = resident_images(ctx, COUNT, 3, 8, 8);
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    int failed = 1;
    o.batch = BATCH;
    o.device = dev;
    o.residency = residency;
    for (int64_t n = 1; failed; n++) {
        rn_loader *l = NULL;
        rn_tensor *x = NULL, *y = NULL;
        sim.set("fail_malloc", n);
        const rn_status status = rn_loader_create(ds, &o, &l);
        failed = sim.get("fail_malloc") == 0;
        sim.set("fail_malloc", 0);
        ck_assert_msg(status == (failed && !l ? RN_E_NOMEM : RN_OK), "%s", rn_error_message());
        if (status == RN_OK) {
            ck_assert_int_eq(rn_loader_resident_bytes(l) == 0, failed);
            ck_ok(rn_loader_next(l, &x, &y));
        }
        rn_loader_release(l);
    }
    rn_dataset_release(ds);
    rn_context_release(ctx);
    sim_settled();
}

START_TEST(no_memory)
{
    failing_allocations(RN_RESIDENCY_DEVICE);
    failing_allocations(RN_RESIDENCY_AUTO);
}
END_TEST

/* More moves than a launch takes. */
START_TEST(too_many_steps)
{
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    rn_dataset *const ds = resident_images(ctx, 4, 3, 8, 8);
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *l = NULL;
    ck_ok(rn_transform_create(ctx, &o.transform));
    for (int i = 0; i < 9; i++)
        ck_ok(rn_transform_random_hflip(o.transform, 0.5));
    o.device = dev;
    o.residency = RN_RESIDENCY_DEVICE;
    ck_fails(rn_loader_create(ds, &o, &l), RN_E_UNSUPPORTED,
             "options.residency: loader: augment: 9 steps, at most 8 are possible");
    rn_transform_release(o.transform);
    rn_dataset_release(ds);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        all_transforms,  all_orders, refusals,  training_in_f32, training_in_bf16,
        training_in_f16, graphs,     too_large, no_memory,       too_many_steps,
    };
    if (argc != 2 || !sim_open(argv[1]))
        return 2;
    return support_main("resident", tests, sizeof tests / sizeof *tests);
}
