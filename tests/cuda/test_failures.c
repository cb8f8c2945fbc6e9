/* SPDX-License-Identifier: MIT */
/*
 * What goes wrong on a device, made to go wrong by the simulator: no memory, no device, a device that is lost, labels
 * out of range. Each is a status and one line; nothing is left behind.
 *   test_failures MODULE
 */
#include "../unit/counting.h"
#include "simulated.h"

static sim_training small = {"tutorial", 2, 8, 2, 0, RN_F32, 1, 0, 0};

/* One line, of CUDA or of memory. */
static void check_message(void)
{
    const char *const text = rn_error_message();
    ck_assert_msg(text[0] && !strchr(text, '\n'), "message: '%s'", text);
}

/* A training; the first failure of it. */
static rn_status scenario(rn_device *dev)
{
    sim_parts parts;
    rn_metrics metrics = RN_METRICS_INIT;
    rn_tensor *x = NULL, *y = NULL;
    const int64_t dims[] = {small.batch, 3, small.side, small.side};
    rn_status status = sim_begin(dev, &small, &parts);
    if (status == RN_OK)
        status = rn_tensor_create(dev, RN_F32, 4, dims, &x);
    if (status == RN_OK)
        status = rn_tensor_create(dev, RN_I64, 1, dims, &y);
    for (int step = 0; step < 3 && status == RN_OK; step++)
        status = rn_plan_train_step(parts.plan, x, y);
    if (status == RN_OK)
        status = rn_plan_metrics(parts.plan, &metrics, 1);
    rn_tensor_release(x);
    rn_tensor_release(y);
    sim_end(&parts);
    return status;
}

/* The Nth allocation of a kind fails, for N = 1, 2, ... until all of them succeed. So many can be done without. */
static void every_allocation(const char *setting, int64_t least, int64_t optional)
{
    int64_t n = 1, unnoticed = 0;
    for (;; n++) {
        rn_device *dev = NULL;
        rn_context *const ctx = sim_device(&dev);
        sim.set(setting, n);
        const rn_status status = scenario(dev);
        const int spent = sim.get(setting) == 0;
        sim.set(setting, 0);
        if (status != RN_OK) {
            ck_assert_msg(status == RN_E_NOMEM, "allocation %lld: %s (%s)", (long long)n, rn_status_name(status),
                          rn_error_message());
            ck_assert_ptr_nonnull(strstr(rn_error_message(), "memory"));
            check_message();
        }
        ck_ok(rn_device_synchronize(dev));
        if (n % 8 == 1)
            ck_ok(scenario(dev)); /* the device is as good as before */
        rn_context_release(ctx);
        sim_settled();
        if (status == RN_OK && !spent)
            break;
        unnoticed += status == RN_OK;
        ck_assert_msg(unnoticed <= optional, "allocation %lld failed and nobody noticed", (long long)n);
    }
    ck_assert_int_eq(unnoticed, optional);
    printf("%s: %lld allocations\n", setting, (long long)n - 1);
    ck_assert_int_gt(n, least);
}

START_TEST(every_allocation_of_device_memory)
{
    every_allocation("fail_malloc", 8, 1); /* the workspace of a graph's second lane */
}
END_TEST

START_TEST(every_allocation_of_pinned_memory)
{
    every_allocation("fail_malloc_host", 2, 0);
}
END_TEST

static rn_status infer(rn_plan *plan, rn_device *dev)
{
    rn_tensor *const x = sim_images(dev, &small, 0);
    rn_tensor *y = NULL;
    ck_ok(rn_tensor_create(dev, RN_F32, 2, (const int64_t[]){small.batch, 10}, &y));
    const rn_status status = rn_plan_forward(plan, x, y);
    rn_tensor_release(x);
    rn_tensor_release(y);
    return status;
}

/* The first run of a device fails for want of pinned memory; the next is of a program that needs no rates. */
START_TEST(an_inference_after_the_failure)
{
    rn_device *dev = NULL;
    sim_parts parts;
    rn_plan *plan = NULL;
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &small, &parts));
    memcpy(o.input_dims, (const int64_t[]){small.batch, 3, small.side, small.side}, 4 * sizeof(int64_t));
    ck_ok(rn_plan_create(parts.model, &o, &plan));
    rn_tensor_release(sim_images(dev, &small, 0)); /* what copies need is there */
    sim.set("fail_malloc_host", 1);
    ck_fails(infer(plan, dev), RN_E_NOMEM, "pinned memory for scalars");
    ck_assert_int_eq(sim.get("fail_malloc_host"), 0);
    ck_ok(infer(plan, dev));
    ck_ok(rn_device_synchronize(dev));
    rn_plan_release(plan);
    sim_end(&parts);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* All from a context on, with its memory from an allocator. */
static rn_status from_the_context_on(const rn_allocator *allocator)
{
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_context *ctx = NULL;
    rn_device *dev = NULL;
    o.num_threads = 1;
    o.allocator = allocator;
    rn_status status = rn_context_create(&o, &ctx);
    if (status == RN_OK)
        status = rn_context_load_backend(ctx, sim.path);
    if (status == RN_OK)
        status = rn_context_find_device(ctx, "cuda:0", &dev);
    if (status == RN_OK)
        status = scenario(dev);
    rn_context_release(ctx);
    return status;
}

static void every_allocation_of_the_host(void)
{
    long long n = 1, tried = 0;
    for (int through = 0; !through; n += 1 + n / 40) { /* each of the first, then some */
        counting c = {0};
        const rn_allocator allocator = counting_allocator(&c);
        atomic_store(&c.fail_at, n);
        const rn_status status = from_the_context_on(&allocator);
        through = !atomic_load(&c.failures);
        ck_assert_msg(status == (through ? RN_OK : RN_E_NOMEM), "allocation %lld: %s (%s)", n, rn_status_name(status),
                      rn_error_message());
        if (!through)
            check_message();
        ck_assert_msg(!atomic_load(&c.blocks) && !atomic_load(&c.wrong),
                      "allocation %lld: %lld blocks are left, %d wrong", n, atomic_load(&c.blocks),
                      atomic_load(&c.wrong));
        sim_settled();
        tried++;
    }
    printf("host: %lld of %lld allocations\n", tried, n);
    ck_assert_int_gt(n, 100);
}

START_TEST(allocations_of_the_host)
{
    every_allocation_of_the_host();
}
END_TEST

/* With all that convolutions may do besides. */
START_TEST(allocations_of_the_host_when_ops_are_fused)
{
    setenv("RN_CUDA_FUSE", "2", 1);
    small.dtype = RN_F16;
    every_allocation_of_the_host();
    small.dtype = RN_F32;
    unsetenv("RN_CUDA_FUSE");
}
END_TEST

START_TEST(a_plan_too_large)
{
    rn_device *dev = NULL;
    sim_parts parts;
    sim.set("memory_mb", 48);
    rn_context *const ctx = sim_device(&dev);
    const sim_training large = {"tutorial", 64, 32, 1, 0, RN_F32, 1, 0, 0};
    ck_fails(sim_begin(dev, &large, &parts), RN_E_NOMEM, "out of memory: the arena of a plan needs");
    ck_assert_ptr_nonnull(strstr(rn_error_message(), "on cuda:0, which has"));
    sim_end(&parts);
    ck_ok(scenario(dev));
    rn_context_release(ctx);
    sim.set("memory_mb", 4096);
    sim_settled();
}
END_TEST

/* From the kernel on that takes the device with it all calls fail, and say why; all can be released. */
static void lose_after(int64_t kernels, int steps)
{
    rn_device *dev = NULL;
    sim_parts parts;
    rn_metrics metrics = RN_METRICS_INIT;
    uint64_t free_bytes;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &small, &parts));
    rn_tensor *const x = sim_images(dev, &small, 0), *const y = sim_labels(dev, &small, 0);
    rn_status status = RN_OK;
    for (int step = 0; step < steps; step++)
        ck_ok(rn_plan_train_step(parts.plan, x, y));
    ck_ok(rn_device_synchronize(dev));
    ck_assert((sim.get("graphs") > 0) == (steps > 0));
    sim.set("lose_after", kernels);
    for (int step = 0; step < 4 && status == RN_OK; step++)
        status = rn_plan_train_step(parts.plan, x, y);
    if (status == RN_OK)
        status = rn_plan_metrics(parts.plan, &metrics, 1);
    ck_assert_msg(status == RN_E_BACKEND || status == RN_E_DEVICE, "%s: %s", rn_status_name(status),
                  rn_error_message());
    ck_assert_msg(strstr(rn_error_message(), "cudaError"), "message: '%s'", rn_error_message());
    check_message();
    (void)rn_device_reset(dev); /* forgets the fault, but the device stays lost */
    ck_fails(rn_plan_train_step(parts.plan, x, y), RN_E_DEVICE, "cuda:0: the device is lost: ");
    ck_fails(rn_plan_metrics(parts.plan, &metrics, 1), RN_E_DEVICE, "the device is lost");
    ck_fails(rn_device_memory(dev, &free_bytes, NULL), RN_E_DEVICE, "the device is lost");
    rn_tensor_release(x);
    rn_tensor_release(y);
    sim_end(&parts);
    rn_context_release(ctx);
    sim.forget();
    sim.set("lose_after", 0);
}

START_TEST(a_lost_device)
{
    lose_after(1, 0);
    lose_after(30, 0);
    lose_after(30, 3); /* inside a graph */
    sim_settled();
    rn_device *dev = NULL; /* another context, on a device that is there again */
    rn_context *const ctx = sim_device(&dev);
    ck_ok(scenario(dev));
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* A step that failed has no gradient: nothing is learnt from it. */
START_TEST(a_label_out_of_range)
{
    rn_device *dev = NULL;
    sim_parts parts;
    rn_metrics metrics = RN_METRICS_INIT;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &small, &parts));
    rn_tensor *const x = sim_images(dev, &small, 0), *const y = sim_labels(dev, &small, 0);
    for (int round = 0; round < 2; round++) {
        for (int step = 0; step < 3; step++) /* in streams, then as a graph */
            ck_ok(rn_plan_train_step(parts.plan, x, y));
        ck_ok(rn_plan_metrics(parts.plan, &metrics, 1));
        const double before = metrics.last_loss;
        size_t count;
        float *const known = sim_first_parameter(parts.model, &count);
        ck_ok(rn_tensor_write(y, (const int64_t[2]){3, 47}, 2 * sizeof(int64_t)));
        ck_ok(rn_plan_train_step(parts.plan, x, y));
        ck_fails(rn_plan_metrics(parts.plan, &metrics, 1), RN_E_INVALID, "label 1: 0 to 9 expected, got 47");
        ck_assert_str_eq(rn_error_message(), "loss: cross_entropy: label 1: 0 to 9 expected, got 47");
        ck_fails(rn_plan_train_step(parts.plan, x, y), RN_E_INVALID, "needs rn_device_reset()");
        ck_ok(rn_device_reset(dev));
        float *const after = sim_first_parameter(parts.model, &count);
        ck_assert_mem_eq(known, after, count * sizeof(float));
        free(known);
        free(after);
        ck_ok(rn_tensor_write(y, (const int64_t[2]){3, 4}, 2 * sizeof(int64_t)));
        ck_ok(rn_plan_train_step(parts.plan, x, y));
        ck_ok(rn_plan_metrics(parts.plan, &metrics, 1));
        ck_assert(metrics.last_loss < 2 * before);
    }
    rn_tensor_release(x);
    rn_tensor_release(y);
    sim_end(&parts);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* A fault of a program that is gone by the time it is told still has its path. */
START_TEST(a_fault_outlives_its_program)
{
    rn_device *dev = NULL;
    sim_parts parts;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &small, &parts));
    rn_tensor *const x = sim_images(dev, &small, 0), *const y = sim_labels(dev, &small, 0);
    ck_ok(rn_tensor_write(y, (const int64_t[2]){3, -1}, 2 * sizeof(int64_t)));
    ck_ok(rn_plan_train_step(parts.plan, x, y));
    sim_end(&parts);
    ck_fails(rn_device_synchronize(dev), RN_E_INVALID, "loss: cross_entropy: label 1: 0 to 9 expected, got -1");
    ck_ok(rn_device_reset(dev));
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

static void expect_no_device(const char *why)
{
    rn_device *dev = NULL;
    rn_context *const ctx = sim_context();
    ck_assert_msg(strstr(logged_text, why), "logged: '%s'", logged_text);
    ck_fails(rn_context_find_device(ctx, "cuda:0", &dev), RN_E_DEVICE, "there is no device");
    rn_context_release(ctx);
    sim_settled();
}

START_TEST(no_device_and_why)
{
    sim.set("driver", 0);
    expect_no_device("there is no NVIDIA driver");
    sim.set("driver", 12040);
    expect_no_device("the NVIDIA driver is too old: it is made for CUDA 12.4, CUDA 13.0 is needed");
    sim.set("driver", 13000);
    sim.set("devices", 0);
    expect_no_device("the NVIDIA driver sees no GPU");
    sim.set("devices", 1);
    sim.set("capability", 70);
    expect_no_device("cuda:0: left out: it has capability 7.0, 7.5 is needed");
    sim.set("capability", 90);
}
END_TEST

START_TEST(bf16_needs_a_device_that_has_it)
{
    rn_device *dev = NULL;
    sim_parts parts;
    sim.set("capability", 75);
    rn_context *const ctx = sim_device(&dev);
    sim_training t = small;
    t.dtype = RN_BF16;
    ck_fails(sim_begin(dev, &t, &parts), RN_E_UNSUPPORTED, "bf16 needs a device of capability 8.0, cuda:0 has 7.5");
    sim_end(&parts);
    t.dtype = RN_F64;
    ck_fails(sim_begin(dev, &t, &parts), RN_E_UNSUPPORTED, "not in f64");
    sim_end(&parts);
    t.dtype = RN_F16; /* every device has it */
    ck_ok(sim_begin(dev, &t, &parts));
    ck_ok(sim_step(dev, &t, &parts, 0));
    ck_ok(rn_device_synchronize(dev));
    sim_end(&parts);
    ck_ok(scenario(dev));
    rn_context_release(ctx);
    sim.set("capability", 90);
    sim_settled();
}
END_TEST

/* A plan of a single layer. */
static void check_refused(rn_device *dev, rn_layer *layer, const int64_t dims[4], const char *text)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_model *model = NULL;
    rn_plan *plan = NULL;
    o.mode = RN_PLAN_TRAIN;
    memcpy(o.input_dims, dims, 4 * sizeof *dims);
    ck_ok(rn_model_create(rn_device_context(dev), layer, dev, &model));
    ck_fails(rn_plan_create(model, &o, &plan), RN_E_UNSUPPORTED, text);
    rn_model_release(model);
    rn_layer_release(layer);
}

/* Kernels count pixels in 32 bits. */
START_TEST(more_pixels_than_kernels_count)
{
    static const int64_t image[] = {1, 2, 65536, 65536}, pixel[] = {1, 2, 1, 1};
    rn_pool2d_options window = RN_POOL2D_OPTIONS_INIT;
    rn_layer *dropout = NULL, *pool = NULL;
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_dropout_create(ctx, 0.5, &dropout));
    check_refused(dev, dropout, image, "in 0: images of more than 2^30 pixels");
    for (int i = 0; i < 2; i++)
        window.kernel[i] = 65536, window.stride[i] = 1, window.padding[i] = 32768;
    ck_ok(rn_avgpool2d_create(ctx, &window, &pool));
    check_refused(dev, pool, pixel, "a window of 65536 x 65536 pixels");
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

START_TEST(settings_that_cannot_be_read)
{
    static const char *const wrong[][2] = {{"RN_CUDA_GRAPH", "yes"},
                                           {"RN_CUDA_TF32", "2"},
                                           {"RN_CUDA_DIRECT", "-1"},
                                           {"RN_CUDA_FUSE", "3"},
                                           {"RN_CUDA_FUSE", "20"},
                                           {"RN_CUDA_WORKSPACE_MB", "0"},
                                           {"RN_CUDA_WORKSPACE_MB", "1e3"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        rn_context *ctx = NULL;
        ck_ok(rn_context_create(NULL, &ctx));
        setenv(wrong[i][0], wrong[i][1], 1);
        ck_fails(rn_context_load_backend(ctx, sim.path), RN_E_INVALID, wrong[i][0]);
        unsetenv(wrong[i][0]);
        ck_assert_uint_eq(rn_context_device_count(ctx), 1);
        rn_context_release(ctx);
    }
    setenv("RN_CUDA_WORKSPACE_MB", "64", 1);
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    unsetenv("RN_CUDA_WORKSPACE_MB");
    ck_ok(scenario(dev));
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        every_allocation_of_device_memory,
        every_allocation_of_pinned_memory,
        an_inference_after_the_failure,
        allocations_of_the_host,
        allocations_of_the_host_when_ops_are_fused,
        a_plan_too_large,
        a_lost_device,
        a_label_out_of_range,
        a_fault_outlives_its_program,
        no_device_and_why,
        bf16_needs_a_device_that_has_it,
        more_pixels_than_kernels_count,
        settings_that_cannot_be_read,
    };
    if (argc != 2 || !sim_open(argv[1]))
        return 2;
    return support_main("failures", tests, sizeof tests / sizeof *tests);
}
