/* SPDX-License-Identifier: MIT */
/* DLPack: what goes out, what comes in, and who calls whose deleter. */
#include "counting.h"
#include "support.h"
#include "tensor/tensor.h"
#include <pthread.h>
#include <resnet/dlpack.h>

static counting used;

static rn_context *counted_context(rn_device **cpu)
{
    static rn_allocator allocator;
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_context *ctx = NULL;
    allocator = counting_allocator(&used);
    o.num_threads = 1;
    o.allocator = &allocator;
    ck_ok(rn_context_create(&o, &ctx));
    ck_ok(rn_context_find_device(ctx, "cpu", cpu));
    return ctx;
}

static void settle(rn_context *ctx)
{
    rn_context_release(ctx);
    ck_assert_int_eq(used.blocks, 0);
    ck_assert_int_eq(used.wrong, 0);
}

/* A tensor of another library's. */
typedef struct foreign {
    DLManagedTensorVersioned managed;
    int64_t shape[3], strides[3];
    _Alignas(16) float data[24];
    int deleted;
} foreign;

static void on_delete(DLManagedTensorVersioned *self)
{
    ((foreign *)self->manager_ctx)->deleted++;
}

/* [2, 3, 4] of 0..23, contiguous. */
static void fill_foreign(foreign *f)
{
    *f = (foreign){.shape = {2, 3, 4}, .strides = {12, 4, 1}};
    f->managed = (DLManagedTensorVersioned){
        .version = {DLPACK_MAJOR_VERSION, 99}, .manager_ctx = f, .deleter = on_delete,
        .dl_tensor = {.data = f->data, .device = {kDLCPU, 0}, .ndim = 3, .dtype = {kDLFloat, 32, 1}, .shape = f->shape,
                      .strides = f->strides}};
    for (int i = 0; i < 24; i++)
        f->data[i] = (float)i;
}

START_TEST(goes_out)
{
    static const struct {
        rn_dtype dtype;
        uint8_t code, bits;
    } types[] = {{RN_F32, kDLFloat, 32}, {RN_F64, kDLFloat, 64}, {RN_I64, kDLInt, 64},    {RN_I32, kDLInt, 32},
                 {RN_U8, kDLUInt, 8},    {RN_F16, kDLFloat, 16}, {RN_BF16, kDLBfloat, 16}};
    const int64_t dims[] = {2, 3, 4};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        rn_tensor *t = NULL, *part = NULL;
        DLManagedTensorVersioned *m = NULL;
        ck_ok(rn_tensor_create(cpu, types[i].dtype, 3, dims, &t));
        ck_ok(rn_tensor_slice(t, 1, 1, &part));
        ck_ok(rn_tensor_to_dlpack(part, 0, &m));
        const DLTensor *const d = &m->dl_tensor;
        ck_assert(m->version.major == 1 && m->flags == 0);
        ck_assert(d->dtype.code == types[i].code && d->dtype.bits == types[i].bits && d->dtype.lanes == 1);
        ck_assert(d->device.device_type == kDLCPU && d->device.device_id == 0 && d->ndim == 3);
        ck_assert(d->shape[0] == 1 && d->shape[1] == 3 && d->shape[2] == 4);
        ck_assert(d->strides[0] == 12 && d->strides[1] == 4 && d->strides[2] == 1);
        ck_assert_ptr_eq((char *)d->data + d->byte_offset, rn_tensor_data(part));
        rn_tensor_release(t);
        rn_tensor_release(part);
        memset(d->data, 0, 12 * rn_dtype_size(types[i].dtype)); /* it keeps the memory alive */
        m->deleter(m);
    }
    settle(ctx);
}
END_TEST

START_TEST(round_trip_shares_the_memory)
{
    const int64_t dims[] = {2, 3};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *t = NULL, *back = NULL;
    DLManagedTensorVersioned *m = NULL;
    ck_ok(rn_tensor_create(cpu, RN_F32, 2, dims, &t));
    ck_ok(rn_tensor_to_dlpack(t, 0, &m));
    ck_ok(rn_tensor_from_dlpack(ctx, m, &back));
    ck_assert_ptr_eq(rn_tensor_data(back), rn_tensor_data(t));
    ck_assert(rn_tensor_rank(back) == 2 && rn_tensor_dim(back, 1) == 3 && rn_tensor_dtype(back) == RN_F32);
    rn_tensor_release(t);
    ((float *)rn_tensor_data(back))[5] = 1;
    rn_tensor_release(back);
    settle(ctx);
}
END_TEST

START_TEST(a_copy_is_a_copy)
{
    const int64_t dims[] = {3};
    const float data[3] = {1, 2, 3};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *t = NULL;
    DLManagedTensorVersioned *m = NULL;
    ck_ok(rn_tensor_create(cpu, RN_F32, 1, dims, &t));
    ck_ok(rn_tensor_write(t, data, sizeof data));
    ck_ok(rn_tensor_to_dlpack(t, RN_DLPACK_COPY, &m));
    ck_assert(m->flags == DLPACK_FLAG_BITMASK_IS_COPIED && m->dl_tensor.data != rn_tensor_data(t));
    ck_assert_mem_eq(m->dl_tensor.data, data, sizeof data);
    rn_tensor_release(t);
    m->deleter(m);
    settle(ctx);
}
END_TEST

START_TEST(scalars_and_empty_ones)
{
    const int64_t dims[] = {0, 1ll << 40, 4};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *t = NULL, *back = NULL;
    DLManagedTensorVersioned *m = NULL;
    ck_ok(rn_tensor_create(cpu, RN_F32, 3, dims, &t));
    ck_ok(rn_tensor_to_dlpack(t, 0, &m));
    ck_assert_ptr_null(m->dl_tensor.data);
    rn_tensor_release(t);
    ck_ok(rn_tensor_from_dlpack(ctx, m, &back));
    ck_assert(rn_tensor_count(back) == 0 && rn_tensor_dim(back, 1) == 1ll << 40);
    rn_tensor_release(back);
    ck_ok(rn_tensor_create(cpu, RN_I64, 0, NULL, &t));
    ck_ok(rn_tensor_to_dlpack(t, 0, &m));
    ck_ok(rn_tensor_from_dlpack(ctx, m, &back));
    ck_assert(rn_tensor_rank(back) == 0 && rn_tensor_data(back) == rn_tensor_data(t));
    rn_tensor_release(t);
    rn_tensor_release(back);
    settle(ctx);
}
END_TEST

START_TEST(what_cannot_go_out)
{
    const int64_t dims[] = {1, 2, 3, 4};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *t = NULL;
    DLManagedTensorVersioned *m = NULL;
    ck_ok(rn_tensor_create(cpu, RN_F32, 4, dims, &t));
    ck_fails(rn_tensor_to_dlpack(NULL, 0, &m), RN_E_INVALID, "t is NULL");
    ck_fails(rn_tensor_to_dlpack(t, 0, NULL), RN_E_INVALID, "out is NULL");
    ck_fails(rn_tensor_to_dlpack(t, 6, &m), RN_E_INVALID, "flags: unknown flag in 6");
    t->layout = RN_LAYOUT_NHWC;
    ck_fails(rn_tensor_to_dlpack(t, 0, &m), RN_E_UNSUPPORTED, "t: is in the backend's own layout");
    t->layout = RN_LAYOUT_PLAIN;
    const int32_t type = cpu->info.dlpack_type;
    cpu->info.dlpack_type = 0;
    ck_fails(rn_tensor_to_dlpack(t, 0, &m), RN_E_DEVICE, "t: DLPack has no name for cpu");
    cpu->info.dlpack_type = type;
    for (int n = 1; n <= 4; n++) {
        used.fail_at = used.calls + n;
        ck_fails(rn_tensor_to_dlpack(t, RN_DLPACK_COPY, &m), RN_E_NOMEM, "out of memory");
        used.fail_at = 0;
    }
    ck_assert_ptr_null(m);
    rn_tensor_release(t);
    settle(ctx);
}
END_TEST

START_TEST(comes_in_shared)
{
    foreign f;
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *t = NULL;
    fill_foreign(&f);
    ck_ok(rn_tensor_from_dlpack(ctx, &f.managed, &t));
    ck_assert_ptr_eq(rn_tensor_data(t), f.data);
    ck_assert_int_eq(f.deleted, 0);
    rn_tensor_release(t);
    ck_assert_int_eq(f.deleted, 1);
    fill_foreign(&f);
    f.managed.dl_tensor.strides = NULL; /* contiguous */
    f.managed.dl_tensor.byte_offset = 16;
    f.shape[0] = 1;
    ck_ok(rn_tensor_from_dlpack(ctx, &f.managed, &t));
    ck_assert_ptr_eq(rn_tensor_data(t), f.data + 4);
    rn_tensor_release(t);
    ck_assert_int_eq(f.deleted, 1);
    fill_foreign(&f);
    f.shape[0] = 1;
    f.strides[0] = -7; /* a stride along one element means nothing */
    f.managed.deleter = NULL;
    ck_ok(rn_tensor_from_dlpack(ctx, &f.managed, &t));
    ck_assert_ptr_eq(rn_tensor_data(t), f.data);
    rn_tensor_release(t);
    settle(ctx);
}
END_TEST

static void ck_copied(rn_context *ctx, foreign *f, const float *expected, size_t count)
{
    rn_tensor *t = NULL;
    float out[24];
    ck_ok(rn_tensor_from_dlpack(ctx, &f->managed, &t));
    ck_assert_int_eq(f->deleted, 1); /* at once: nothing of it is needed any more */
    memset(f->data, 0, sizeof f->data);
    ck_ok(rn_tensor_read(t, out, count * sizeof *out));
    ck_assert_mem_eq(out, expected, count * sizeof *out);
    rn_tensor_release(t);
    ck_assert_int_eq(f->deleted, 1);
}

START_TEST(strided_ones_are_copied)
{
    foreign f;
    float expected[24];
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    fill_foreign(&f); /* [4, 3, 2]: the transpose */
    f.shape[0] = 4, f.shape[2] = 2;
    f.strides[0] = 1, f.strides[2] = 12;
    for (int i = 0; i < 24; i++)
        expected[i] = (float)(i % 2 * 12 + i / 2 % 3 * 4 + i / 6);
    ck_copied(ctx, &f, expected, 24);
    fill_foreign(&f); /* the last axis backwards, every second */
    f.shape[2] = 2, f.strides[2] = -2;
    f.managed.dl_tensor.byte_offset = 3 * sizeof(float);
    for (int i = 0; i < 12; i++)
        expected[i] = (float)(i / 2 * 4 + 3 - i % 2 * 2);
    ck_copied(ctx, &f, expected, 12);
    fill_foreign(&f); /* one row, repeated */
    f.strides[0] = 0;
    for (int i = 0; i < 24; i++)
        expected[i] = (float)(i % 12);
    ck_copied(ctx, &f, expected, 24);
    settle(ctx);
}
END_TEST

START_TEST(read_only_and_crooked_ones_are_copied)
{
    foreign f;
    float expected[24];
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    for (int i = 0; i < 24; i++)
        expected[i] = (float)i;
    fill_foreign(&f);
    f.managed.flags = DLPACK_FLAG_BITMASK_READ_ONLY;
    ck_copied(ctx, &f, expected, 24);
    fill_foreign(&f);
    memmove((char *)f.data + 2, f.data, 23 * sizeof(float));
    f.managed.dl_tensor.byte_offset = 2; /* no address for a float */
    f.shape[0] = 1;
    ck_copied(ctx, &f, expected, 12);
    settle(ctx);
}
END_TEST

START_TEST(what_cannot_come_in)
{
    foreign f;
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *t = NULL;
    DLTensor *const d = &f.managed.dl_tensor;
    fill_foreign(&f);
    ck_fails(rn_tensor_from_dlpack(NULL, &f.managed, &t), RN_E_INVALID, "ctx is NULL");
    ck_fails(rn_tensor_from_dlpack(ctx, NULL, &t), RN_E_INVALID, "managed is NULL");
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, NULL), RN_E_INVALID, "out is NULL");
    d->device.device_type = kDLCUDA;
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_DEVICE,
             "expected a tensor on a device of the context, got DLPack device type 2, number 0");
    fill_foreign(&f), d->dtype.lanes = 4;
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_DTYPE, "no element type for DLPack code 2, 32 bits, 4 lanes");
    fill_foreign(&f), d->dtype.code = 5; /* complex */
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_DTYPE, "DLPack code 5");
    fill_foreign(&f), d->dtype.bits = 8;
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_DTYPE, "8 bits");
    fill_foreign(&f), d->ndim = 9;
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_SHAPE, "managed: expected a rank of 0 to 8, got 9");
    fill_foreign(&f), f.shape[1] = -3;
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_SHAPE, "managed: a negative size in [2, -3, 4]");
    fill_foreign(&f), f.shape[0] = f.shape[1] = 1ll << 40;
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_SHAPE, "overflows");
    fill_foreign(&f), d->shape = NULL;
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_INVALID, "managed: dims is NULL");
    fill_foreign(&f), d->data = NULL;
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_INVALID, "managed: its data is NULL");
    ck_assert_int_eq(f.deleted, 0); /* the caller has it still */
    ck_assert_ptr_null(t);
    settle(ctx);
}
END_TEST

/* A device whose memory the host cannot address. The CPU plays the part. */
static void play_device(rn_device *cpu, int on)
{
    cpu->info.host_memory = !on;
    cpu->info.dlpack_type = on ? kDLCUDA : kDLCPU;
    cpu->info.dlpack_id = on ? 3 : 0;
}

static rn_tensor *take_from_device(rn_context *ctx, rn_device *dev, foreign *f)
{
    rn_tensor *t = NULL;
    play_device(dev, 1);
    f->managed.dl_tensor.device = (DLDevice){kDLCUDA, 3};
    ck_ok(rn_tensor_from_dlpack(ctx, &f->managed, &t));
    ck_assert_ptr_null(rn_tensor_data(t));
    ck_assert_ptr_eq(rn_tensor_device(t), dev);
    return t;
}

START_TEST(memory_of_a_device)
{
    foreign f;
    float got[24], expected[24];
    rn_device *dev;
    rn_context *const ctx = counted_context(&dev);
    DLManagedTensorVersioned *m = NULL;
    fill_foreign(&f);
    rn_tensor *t = take_from_device(ctx, dev, &f); /* shared */
    f.data[23] = 77;
    ck_ok(rn_tensor_read(t, got, sizeof got));
    ck_assert(got[0] == 0 && got[23] == 77 && f.deleted == 0);
    ck_ok(rn_tensor_to_dlpack(t, 0, &m));
    ck_assert(m->dl_tensor.device.device_type == kDLCUDA && m->dl_tensor.device.device_id == 3);
    ck_assert_ptr_eq(m->dl_tensor.data, f.data);
    m->deleter(m);
    rn_tensor_release(t);
    ck_assert_int_eq(f.deleted, 1);
    for (int backwards = 0; backwards < 2; backwards++) { /* copied, in order */
        fill_foreign(&f);
        f.shape[0] = 4, f.shape[2] = 2;
        f.strides[0] = backwards ? -1 : 1, f.strides[2] = 12;
        f.managed.dl_tensor.byte_offset = backwards ? 3 * sizeof(float) : 0;
        for (int i = 0; i < 24; i++)
            expected[i] = (float)(i % 2 * 12 + i / 2 % 3 * 4 + (backwards ? 3 - i / 6 : i / 6));
        t = take_from_device(ctx, dev, &f);
        ck_assert_int_eq(f.deleted, 1);
        ck_ok(rn_tensor_read(t, got, sizeof got));
        ck_assert_mem_eq(got, expected, sizeof got);
        rn_tensor_release(t);
    }
    fill_foreign(&f);
    f.managed.dl_tensor.device = (DLDevice){kDLCUDA, 4};
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_DEVICE, "device type 2, number 4");
    play_device(dev, 0);
    settle(ctx);
}
END_TEST

START_TEST(without_memory_the_caller_keeps_it)
{
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    for (int read_only = 0; read_only < 2; read_only++)
        for (int n = 1; n <= 2 + read_only; n++) {
            foreign f;
            rn_tensor *t = NULL;
            fill_foreign(&f);
            f.managed.flags = read_only ? DLPACK_FLAG_BITMASK_READ_ONLY : 0;
            used.fail_at = used.calls + n;
            ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_NOMEM, "out of memory");
            used.fail_at = 0;
            ck_assert(!t && f.deleted == 0);
        }
    settle(ctx);
}
END_TEST

START_TEST(another_major_version_is_given_back)
{
    foreign f;
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *t = NULL;
    fill_foreign(&f);
    f.managed.version.major = 2;
    memset(&f.managed.dl_tensor, 0xff, sizeof f.managed.dl_tensor); /* nothing else may be looked at */
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_VERSION, "managed: expected DLPack version 1, got 2");
    ck_assert(!t && f.deleted == 1);
    f.managed.deleter = NULL;
    ck_fails(rn_tensor_from_dlpack(ctx, &f.managed, &t), RN_E_VERSION, "got 2");
    settle(ctx);
}
END_TEST

static void *delete_it(void *arg)
{
    DLManagedTensorVersioned *const m = arg;
    m->deleter(m);
    return NULL;
}

/* The last holder may be anywhere, also after the context was released. */
START_TEST(deleted_from_another_thread)
{
    enum { THREADS = 4 };
    const int64_t dims[] = {100};
    pthread_t threads[THREADS];
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *t = NULL;
    DLManagedTensorVersioned *m[THREADS];
    ck_ok(rn_tensor_create(cpu, RN_F32, 1, dims, &t));
    for (int i = 0; i < THREADS; i++)
        ck_ok(rn_tensor_to_dlpack(t, 0, &m[i]));
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, delete_it, m[i]), 0);
    rn_tensor_release(t);
    rn_context_release(ctx);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(used.blocks, 0);
    ck_assert_int_eq(used.wrong, 0);
}
END_TEST

SUPPORT_MAIN("dlpack", goes_out, round_trip_shares_the_memory, a_copy_is_a_copy, scalars_and_empty_ones, what_cannot_go_out,
             comes_in_shared, strided_ones_are_copied, read_only_and_crooked_ones_are_copied, what_cannot_come_in,
             memory_of_a_device, without_memory_the_caller_keeps_it, another_major_version_is_given_back, deleted_from_another_thread)
