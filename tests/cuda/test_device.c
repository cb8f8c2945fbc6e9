/* SPDX-License-Identifier: MIT */
/*
 * The library on a device whose memory the host cannot address, over the simulated module: tensors, DLPack, loaders,
 * averages of weights, files.
 *   test_device MODULE
 */
#include "simulated.h"
#include "base/f16.h"
#include "cpu/bf16.h"
#include <math.h>
#include <resnet/dlpack.h>
#include <unistd.h>

START_TEST(what_it_tells_of_itself)
{
    rn_device *dev = NULL;
    uint64_t free_bytes = 0, total_bytes = 0;
    sim.set("devices", 2);
    rn_context *const ctx = sim_device(&dev);
    ck_assert_str_eq(rn_device_name(dev), "cuda:0");
    ck_assert_msg(strncmp(rn_device_description(dev), "NVIDIA ", 7) == 0 &&
                      strstr(rn_device_description(dev), ", capability 9.0, "),
                  "%s", rn_device_description(dev));
    ck_assert_int_eq(sim.get("device_allocations"), 0); /* not in use yet */
    ck_assert_int_eq(sim.get("streams"), 0);
    ck_ok(rn_device_memory(dev, &free_bytes, &total_bytes));
    ck_assert(free_bytes > 0 && free_bytes <= total_bytes);
    ck_ok(rn_device_synchronize(dev));
    ck_ok(rn_context_find_device(ctx, "cuda:1", &dev));
    ck_ok(rn_context_find_device(ctx, "auto", &dev));
    ck_assert_str_eq(rn_device_name(dev), "cuda:0");
    rn_context_release(ctx);
    sim.set("devices", 1);
    sim_settled();
}
END_TEST

/* More than all pinned buffers together, and odd sizes. */
START_TEST(copies_of_all_sizes)
{
    static const int64_t sizes[] = {1, 3, 255, 1 << 18, (1 << 18) + 1, 5 << 18, 2000003};
    rn_device *dev = NULL, *cpu = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        rn_tensor *a = NULL, *b = NULL, *back = NULL;
        rn_tensor *const host = support_tensor(cpu, 1, &sizes[i], (uint32_t)i + 1);
        const size_t nbytes = rn_tensor_nbytes(host);
        ck_ok(rn_tensor_create(dev, RN_F32, 1, &sizes[i], &a));
        ck_ok(rn_tensor_create(dev, RN_F32, 1, &sizes[i], &b));
        ck_ok(rn_tensor_create(cpu, RN_F32, 1, &sizes[i], &back));
        ck_assert_ptr_null(rn_tensor_data(a));
        ck_ok(rn_tensor_copy(host, a));
        ck_ok(rn_tensor_copy(a, b));
        ck_ok(rn_tensor_copy(b, back));
        ck_assert_mem_eq(rn_tensor_data(back), rn_tensor_data(host), nbytes);
        ck_ok(rn_tensor_read(a, rn_tensor_data(back), nbytes));
        ck_assert_mem_eq(rn_tensor_data(back), rn_tensor_data(host), nbytes);
        rn_tensor_release(a);
        rn_tensor_release(b);
        rn_tensor_release(back);
        rn_tensor_release(host);
    }
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* f32 as bf16 and as f16 holds it. */
static float kept(rn_dtype dtype, float value)
{
    return dtype == RN_F16 ? rni_f16_value(rni_f16_round(value)) : rni_bf16_value(rni_bf16_of(value));
}

static void check_conversion(rn_dtype dtype)
{
    const int64_t dims[] = {2, 3, 4, 5};
    rn_device *dev = NULL, *cpu = NULL;
    rn_tensor *half = NULL, *back = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    rn_tensor *const host = support_tensor(cpu, 4, dims, 9);
    ck_ok(rn_tensor_create(dev, dtype, 4, dims, &half));
    ck_ok(rn_tensor_create(cpu, RN_F32, 4, dims, &back));
    ck_ok(rn_tensor_copy(host, half));
    ck_ok(rn_tensor_copy(half, back));
    for (int64_t i = 0; i < rn_tensor_count(host); i++) {
        const float a = ((float *)rn_tensor_data(host))[i], b = ((float *)rn_tensor_data(back))[i];
        ck_assert_msg(b == kept(dtype, a), "%.9g became %.9g", (double)a, (double)b);
    }
    rn_tensor_release(host);
    rn_tensor_release(half);
    rn_tensor_release(back);
    rn_context_release(ctx);
    sim_settled();
}

START_TEST(types_are_converted_on_the_way)
{
    check_conversion(RN_BF16);
    check_conversion(RN_F16);
}
END_TEST

/* Out and in again: the same memory, with work on it that is done; strided, a copy. */
START_TEST(through_dlpack)
{
    const int64_t dims[] = {4, 6};
    float values[24], got[24];
    rn_device *dev = NULL;
    rn_tensor *t = NULL, *back = NULL;
    DLManagedTensorVersioned *m = NULL;
    rn_context *const ctx = sim_device(&dev);
    for (int i = 0; i < 24; i++)
        values[i] = (float)i;
    ck_ok(rn_tensor_create(dev, RN_F32, 2, dims, &t));
    ck_ok(rn_tensor_write(t, values, sizeof values));
    ck_ok(rn_tensor_to_dlpack(t, 0, &m));
    ck_assert(m->dl_tensor.device.device_type == kDLCUDA && m->dl_tensor.device.device_id == 0);
    ck_ok(rn_tensor_from_dlpack(ctx, m, &back));
    ck_assert_ptr_eq(rn_tensor_device(back), dev);
    values[5] = 99;
    ck_ok(rn_tensor_write(t, values, sizeof values));
    ck_ok(rn_tensor_read(back, got, sizeof got));
    ck_assert_mem_eq(got, values, sizeof got);
    rn_tensor_release(back);
    ck_ok(rn_tensor_to_dlpack(t, RN_DLPACK_COPY, &m));
    m->dl_tensor.shape[0] = 6, m->dl_tensor.shape[1] = 4; /* its transpose */
    m->dl_tensor.strides[0] = 1, m->dl_tensor.strides[1] = 6;
    ck_ok(rn_tensor_from_dlpack(ctx, m, &back));
    ck_ok(rn_tensor_read(back, got, sizeof got));
    for (int i = 0; i < 24; i++)
        ck_assert(got[i] == values[i % 4 * 6 + i / 4]);
    rn_tensor_release(back);
    rn_tensor_release(t);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/*
 * What the order of sums may make of a net's outputs, of the largest, and of a loss: an f32 operation rounds by 6e-8, and
 * one after the other come a few dozen. 3e-7 is what it is.
 */
static const double ORDER = 5e-6;

static const sim_training shape = {"tutorial", 4, 8, 3, 0, RN_F32, 1, 0, 0};

/* Outputs of an inference, read back. */
static void infer(rn_plan *plan, const rn_tensor *x, int64_t n, float *out)
{
    const int64_t dims[] = {n, 10};
    rn_tensor *y = NULL;
    ck_ok(rn_tensor_create(rn_tensor_device(x), RN_F32, 2, dims, &y));
    ck_ok(rn_plan_forward(plan, x, y));
    ck_ok(rn_tensor_read(y, out, (size_t)n * 10 * sizeof(float)));
    rn_tensor_release(y);
}

static rn_plan *inference_plan(rn_model *m)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_plan *plan = NULL;
    memcpy(o.input_dims, (const int64_t[4]){4, 3, 8, 8}, 4 * sizeof(int64_t));
    ck_ok(rn_plan_create(m, &o, &plan));
    return plan;
}

/* Parts of tensors begin at any element; fewer images than the plan's; results do not depend on the batch. */
START_TEST(parts_of_tensors)
{
    rn_device *dev = NULL;
    sim_parts parts;
    float all[40], some[40];
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &shape, &parts));
    rn_plan *const plan = inference_plan(parts.model);
    rn_tensor *const x = sim_images(dev, &shape, 0);
    infer(plan, x, 4, all);
    for (int64_t first = 0; first < 4; first++) {
        rn_tensor *part = NULL, *copy = NULL;
        ck_ok(rn_tensor_slice(x, first, 4 - first, &part));
        infer(plan, part, 4 - first, some);
        ck_assert_mem_eq(some, all + first * 10, (size_t)(4 - first) * 10 * sizeof(float));
        /* At 4 bytes behind a good address. */
        const int64_t odd = 1 + rn_tensor_count(part);
        rn_tensor *flat = NULL, *rest = NULL;
        ck_ok(rn_tensor_create(dev, RN_F32, 1, &odd, &flat));
        ck_ok(rn_tensor_slice(flat, 1, odd - 1, &rest));
        DLManagedTensorVersioned *m = NULL;
        int64_t dims[4] = {4 - first, 3, 8, 8}, strides[4] = {192, 64, 8, 1};
        ck_ok(rn_tensor_to_dlpack(rest, 0, &m));
        m->dl_tensor.ndim = 4;
        memcpy(m->dl_tensor.shape, dims, sizeof dims);
        memcpy(m->dl_tensor.strides, strides, sizeof strides);
        ck_ok(rn_tensor_from_dlpack(ctx, m, &copy));
        ck_ok(rn_tensor_copy(part, copy));
        float again[40];
        infer(plan, copy, 4 - first, again);
        ck_assert_mem_eq(again, some, (size_t)(4 - first) * 10 * sizeof(float));
        rn_tensor_release(copy);
        rn_tensor_release(rest);
        rn_tensor_release(flat);
        rn_tensor_release(part);
    }
    rn_tensor_release(x);
    rn_plan_release(plan);
    sim_end(&parts);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* An epoch from a loader, batches made ahead, the last one short. */
static void train_from_loader(rn_device *dev, int32_t workers, double losses[3])
{
    const int64_t dims[] = {10, 3, 8, 8}, count = 10;
    rn_device *cpu = NULL;
    rn_dataset *ds = NULL;
    rn_loader *loader = NULL;
    sim_parts parts;
    ck_ok(rn_context_find_device(rn_device_context(dev), "cpu", &cpu));
    rn_tensor *const images = support_tensor(cpu, 4, dims, 3), *const labels = support_labels(cpu, count, 10);
    ck_ok(rn_tensor_dataset_create(images, labels, &ds));
    ck_ok(sim_begin(dev, &shape, &parts));
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    o.flags = RN_LOADER_SHUFFLE;
    o.batch = 4;
    o.workers = workers;
    o.plan = parts.plan;
    ck_ok(rn_loader_create(ds, &o, &loader));
    for (int i = 0; i < 3; i++) {
        rn_tensor *x = NULL, *y = NULL;
        rn_metrics metrics = RN_METRICS_INIT;
        ck_ok(rn_loader_next(loader, &x, &y));
        ck_assert_ptr_eq(rn_tensor_device(x), dev);
        ck_ok(rn_plan_train_step(parts.plan, x, y));
        ck_ok(rn_plan_metrics(parts.plan, &metrics, 1));
        losses[i] = metrics.last_loss;
    }
    rn_loader_release(loader);
    rn_dataset_release(ds);
    rn_tensor_release(images);
    rn_tensor_release(labels);
    sim_end(&parts);
}

START_TEST(from_a_loader)
{
    rn_device *dev = NULL, *cpu = NULL;
    double here[3], there[3], ahead[3];
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    train_from_loader(cpu, 0, here);
    train_from_loader(dev, 0, there);
    train_from_loader(dev, 2, ahead);
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(fabs(there[i] / here[i] - 1) < ORDER, "%.9g and %.9g", here[i], there[i]);
        ck_assert(there[i] == ahead[i]);
    }
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* However far ahead batches are made, they come to the same place of the device: programs become graphs. */
START_TEST(graphs_with_a_loader_far_ahead)
{
    const int64_t dims[] = {24, 3, 8, 8}, count = 24;
    rn_device *dev = NULL, *cpu = NULL;
    rn_dataset *ds = NULL;
    rn_loader *loader = NULL;
    sim_parts parts;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    rn_tensor *const images = support_tensor(cpu, 4, dims, 3), *const labels = support_labels(cpu, count, 10);
    ck_ok(rn_tensor_dataset_create(images, labels, &ds));
    ck_ok(sim_begin(dev, &shape, &parts));
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    o.batch = 4;
    o.workers = 2;
    o.prefetch = 10;
    o.plan = parts.plan;
    const int64_t before = sim.get("device_allocations");
    ck_ok(rn_loader_create(ds, &o, &loader));
    ck_assert_int_eq(sim.get("device_allocations"), before + 2);
    for (int i = 0; i < 4; i++) {
        rn_tensor *x = NULL, *y = NULL;
        ck_ok(rn_loader_next(loader, &x, &y));
        ck_ok(rn_plan_train_step(parts.plan, x, y));
    }
    ck_assert_int_gt(sim.get("graphs"), 0);
    rn_loader_release(loader);
    rn_dataset_release(ds);
    rn_tensor_release(images);
    rn_tensor_release(labels);
    sim_end(&parts);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* One value of a model. */
static float first_weight(rn_model *m)
{
    size_t count;
    float *const values = sim_first_parameter(m, &count);
    const float first = values[0];
    free(values);
    return first;
}

START_TEST(averages_of_weights)
{
    rn_device *dev = NULL;
    sim_parts parts;
    rn_ema *ema = NULL;
    rn_ema_options o = RN_EMA_OPTIONS_INIT;
    float expected = 0;
    o.decay = 0.75;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &shape, &parts));
    ck_ok(rn_ema_create(parts.model, &o, &ema));
    for (int step = 0; step < 4; step++) {
        ck_ok(sim_step(dev, &shape, &parts, step));
        ck_ok(rn_ema_update(ema));
        const float now = first_weight(parts.model);
        expected = step ? expected + 0.25f * (now - expected) : now; /* a quarter is exact: fused or not, the same bits */
    }
    ck_assert(first_weight(rn_ema_model(ema)) == expected);
    rn_ema_release(ema);
    sim_end(&parts);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

static double largest(const float *values, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)values[i]));
    return most;
}

/* Saved from the device, loaded on the CPU: the same numbers, and nearly the same outputs. */
START_TEST(files_and_the_other_device)
{
    char path[] = "/tmp/resnet-cuda-XXXXXX";
    rn_device *dev = NULL, *cpu = NULL;
    sim_parts parts;
    rn_layer *layer = NULL;
    rn_model *other = NULL;
    float a[40], b[40];
    const int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    ck_ok(sim_begin(dev, &shape, &parts));
    ck_ok(sim_step(dev, &shape, &parts, 0));
    ck_ok(rn_model_save(parts.model, path));
    ck_ok(rn_zoo_create(ctx, "tutorial", NULL, &layer));
    ck_ok(rn_model_create(ctx, layer, cpu, &other));
    ck_ok(rn_model_load(other, path, NULL));
    ck_assert(first_weight(other) == first_weight(parts.model));
    rn_plan *const here = inference_plan(other), *const there = inference_plan(parts.model);
    rn_tensor *const x = sim_images(cpu, &shape, 1), *const y = sim_images(dev, &shape, 1);
    infer(here, x, 4, a);
    infer(there, y, 4, b);
    for (int i = 0; i < 40; i++)
        ck_assert_msg(fabs((double)a[i] - (double)b[i]) <= ORDER * largest(a, 40), "%.9g and %.9g", (double)a[i],
                      (double)b[i]);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_plan_release(here);
    rn_plan_release(there);
    rn_model_release(other);
    rn_layer_release(layer);
    sim_end(&parts);
    rn_context_release(ctx);
    unlink(path);
    sim_settled();
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        what_it_tells_of_itself,    copies_of_all_sizes, types_are_converted_on_the_way, through_dlpack,
        parts_of_tensors,           from_a_loader,       graphs_with_a_loader_far_ahead, averages_of_weights,
        files_and_the_other_device,
    };
    if (argc != 2 || !sim_open(argv[1]))
        return 2;
    return support_main("device", tests, sizeof tests / sizeof *tests);
}
