/* SPDX-License-Identifier: MIT */
/* Batches of a dataset that lies on the device, by the CPU's op: the host's, to the bit. */
#include "../common/resident_cases.h"
#include "support.h"
#include <unistd.h>

START_TEST(all_transforms)
{
    static const rn_dtype dtypes[] = {0, RN_F32, RN_BF16, RN_F64, RN_F16};
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    resident_all_transforms(cpu, dtypes, sizeof dtypes / sizeof *dtypes);
    rn_context_release(ctx);
}
END_TEST

START_TEST(all_orders)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    resident_all_orders(cpu);
    rn_context_release(ctx);
}
END_TEST

START_TEST(refusals)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    resident_refusals(cpu);
    rn_context_release(ctx);
}
END_TEST

/* Left to choose, a loader of the CPU does without the copy. What was in memory when it was made stays. */
START_TEST(copies_of_memory)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    const int64_t dims[4] = {2, 1, 2, 2};
    rn_tensor *images = NULL, *labels = NULL, *x = NULL, *y = NULL;
    rn_dataset *ds = NULL;
    rn_loader *l = NULL;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    ck_ok(rn_tensor_create(cpu, RN_U8, 4, dims, &images));
    ck_ok(rn_tensor_create(cpu, RN_I64, 1, dims, &labels));
    memset(rn_tensor_data(images), 51, 8);
    ck_ok(rn_tensor_dataset_create(images, labels, &ds));
    o.residency = RN_RESIDENCY_AUTO;
    ck_ok(rn_loader_create(ds, &o, &l));
    ck_assert_uint_eq(rn_loader_resident_bytes(l), 0);
    rn_loader_release(l);
    o.residency = RN_RESIDENCY_DEVICE;
    ck_ok(rn_loader_create(ds, &o, &l));
    ck_assert_uint_ge(rn_loader_resident_bytes(l), 8 + 2 * sizeof(int64_t));
    memset(rn_tensor_data(images), 255, 8);
    ck_ok(rn_loader_next(l, &x, &y));
    for (int i = 0; i < 8; i++)
        ck_assert(((const float *)rn_tensor_data(x))[i] == 51 / 255.0f);
    rn_loader_release(l);
    ck_assert_uint_eq(rn_loader_resident_bytes(NULL), 0);
    rn_dataset_release(ds);
    rn_tensor_release(images);
    rn_tensor_release(labels);
    rn_context_release(ctx);
}
END_TEST

/* A model of one convolution, which a checkpoint must have. */
static rn_model *some_model(rn_device *cpu)
{
    rn_layer *const layer = support_conv(rn_device_context(cpu), 3, 2, 3, 1, 0);
    rn_model *model = NULL;
    ck_ok(rn_model_create(rn_device_context(cpu), layer, cpu, &model));
    rn_layer_release(layer);
    return model;
}

/* Saved in mid-epoch by a loader of one kind, gone on with by one of the other. */
static void change_sides(rn_device *cpu, rn_loader *from, rn_loader *to)
{
    char path[64];
    rn_tensor *x[2], *y[2];
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    c.model = some_model(cpu);
    c.loader = from;
    snprintf(path, sizeof path, "/tmp/resident-%ld", (long)getpid());
    ck_ok(rn_loader_seek(from, 2, 1));
    ck_ok(rn_checkpoint_save(rn_device_context(cpu), path, &c));
    c.loader = to;
    ck_ok(rn_checkpoint_load(rn_device_context(cpu), path, &c));
    for (int i = 0; i < 3; i++) {
        ck_ok(rn_loader_next(from, &x[0], &y[0]));
        ck_ok(rn_loader_next(to, &x[1], &y[1]));
        ck_assert_mem_eq(rn_tensor_data(x[0]), rn_tensor_data(x[1]), rn_tensor_nbytes(x[0]));
        ck_assert_mem_eq(rn_tensor_data(y[0]), rn_tensor_data(y[1]), rn_tensor_nbytes(y[0]));
    }
    rn_model_release(c.model);
    unlink(path);
}

START_TEST(checkpoints)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_dataset *const ds = resident_images(ctx, 17, 3, 6, 6);
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    o.flags = RN_LOADER_SHUFFLE;
    o.batch = 4;
    ck_ok(rn_transform_create(ctx, &o.transform));
    ck_ok(rn_transform_random_crop(o.transform, 2, 0, 0));
    rn_loader *const host = resident_loader(ds, &o, RN_RESIDENCY_HOST);
    rn_loader *const resident = resident_loader(ds, &o, RN_RESIDENCY_DEVICE);
    change_sides(cpu, host, resident);
    change_sides(cpu, resident, host);
    rn_loader_release(host);
    rn_loader_release(resident);
    rn_transform_release(o.transform);
    rn_dataset_release(ds);
    rn_context_release(ctx);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {all_transforms, all_orders, refusals, copies_of_memory, checkpoints};
    return support_main("resident", tests, sizeof tests / sizeof *tests);
}
