/* SPDX-License-Identifier: MIT */
/* Batches of a dataset that lies on the device, by the CPU's op: the host's, to the bit. */
#include "../common/resident_cases.h"
#include "support.h"

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

int main(void)
{
    const TTest *const tests[] = {all_transforms, all_orders, refusals, copies_of_memory};
    return support_main("resident", tests, sizeof tests / sizeof *tests);
}
