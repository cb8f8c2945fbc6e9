/* SPDX-License-Identifier: MIT */
/* Tensors: making, wrapping, slicing, reading and writing, copying between types and memory orders. */
#include "tensor/tensor.h"
#include "counting.h"
#include "support.h"
#include <math.h>

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

static rn_tensor *make(rn_device *dev, rn_dtype dtype, int32_t rank, const int64_t *dims)
{
    rn_tensor *t = NULL;
    ck_ok(rn_tensor_create(dev, dtype, rank, dims, &t));
    return t;
}

START_TEST(tells_of_itself)
{
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    const int64_t dims[] = {2, 3, 4};
    rn_tensor *const t = make(cpu, RN_F64, 3, dims);
    ck_assert_int_eq(rn_tensor_dtype(t), RN_F64);
    ck_assert_int_eq(rn_tensor_rank(t), 3);
    ck_assert_int_eq(rn_tensor_count(t), 24);
    ck_assert_uint_eq(rn_tensor_nbytes(t), 192);
    ck_assert_ptr_eq(rn_tensor_device(t), cpu);
    for (int32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(rn_tensor_dim(t, i), dims[i]);
        ck_assert_int_eq(rn_tensor_dim(t, i - 3), dims[i]);
    }
    ck_assert_int_eq(rn_tensor_dim(t, 3), -1);
    ck_assert_int_eq(rn_tensor_dim(t, -4), -1);
    for (int i = 0; i < 24; i++)
        ck_assert(((double *)rn_tensor_data(t))[i] == 0);
    ck_assert_ptr_eq(rn_tensor_retain(t), t);
    rn_tensor_release(t);
    rn_tensor_release(t);
    settle(ctx);
}
END_TEST

START_TEST(nothing_of_nothing)
{
    float x = 0;
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *const t = make(cpu, RN_F32, 0, NULL), *out = NULL;
    rn_tensor_release(NULL);
    ck_assert_ptr_null(rn_tensor_retain(NULL));
    ck_assert_int_eq(rn_tensor_dtype(NULL), 0);
    ck_assert_int_eq(rn_tensor_rank(NULL), 0);
    ck_assert_int_eq(rn_tensor_dim(NULL, 0), -1);
    ck_assert_int_eq(rn_tensor_count(NULL), 0);
    ck_assert_uint_eq(rn_tensor_nbytes(NULL), 0);
    ck_assert_ptr_null(rn_tensor_device(NULL));
    ck_assert_ptr_null(rn_tensor_data(NULL));
    ck_fails(rn_tensor_create(NULL, RN_F32, 0, NULL, &out), RN_E_INVALID, "dev is NULL");
    ck_fails(rn_tensor_create(cpu, RN_F32, 0, NULL, NULL), RN_E_INVALID, "out is NULL");
    ck_fails(rn_tensor_wrap(NULL, RN_F32, 0, NULL, &x, 4, NULL, NULL, &out), RN_E_INVALID, "dev is NULL");
    ck_fails(rn_tensor_wrap(cpu, RN_F32, 0, NULL, NULL, 4, NULL, NULL, &out), RN_E_INVALID, "data is NULL");
    ck_fails(rn_tensor_wrap(cpu, RN_F32, 0, NULL, &x, 4, NULL, NULL, NULL), RN_E_INVALID, "out is NULL");
    ck_fails(rn_tensor_read(NULL, &x, 4), RN_E_INVALID, "t is NULL");
    ck_fails(rn_tensor_read(t, NULL, 4), RN_E_INVALID, "dst is NULL");
    ck_fails(rn_tensor_write(NULL, &x, 4), RN_E_INVALID, "t is NULL");
    ck_fails(rn_tensor_write(t, NULL, 4), RN_E_INVALID, "src is NULL");
    ck_fails(rn_tensor_copy(NULL, t), RN_E_INVALID, "src is NULL");
    ck_fails(rn_tensor_copy(t, NULL), RN_E_INVALID, "dst is NULL");
    ck_fails(rn_tensor_slice(NULL, 0, 0, &out), RN_E_INVALID, "t is NULL");
    ck_fails(rn_tensor_slice(t, 0, 0, NULL), RN_E_INVALID, "out is NULL");
    ck_assert_ptr_null(out);
    rn_tensor_release(t);
    settle(ctx);
}
END_TEST

START_TEST(shapes_that_are_none)
{
    static const struct {
        rn_dtype dtype;
        int32_t rank;
        int64_t dims[RN_MAX_RANK];
        rn_status status;
        const char *text;
    } cases[] = {
        {0, 1, {1}, RN_E_DTYPE, "dims: 0 is no element type"},
        {8, 1, {1}, RN_E_DTYPE, "dims: 8 is no element type"},
        {RN_F32, -1, {1}, RN_E_SHAPE, "dims: expected a rank of 0 to 8, got -1"},
        {RN_F32, 9, {1}, RN_E_SHAPE, "dims: expected a rank of 0 to 8, got 9"},
        {RN_F32, 2, {3, -2}, RN_E_SHAPE, "dims: a negative size in [3, -2]"},
        {RN_U8, 2, {1ll << 32, 1ll << 32}, RN_E_SHAPE, "dims: the size of [4294967296, 4294967296] overflows"},
        {RN_F64, 1, {1ll << 61}, RN_E_SHAPE, "overflows"},
        {RN_U8, 2, {1ll << 62, 2}, RN_E_SHAPE, "overflows"}, /* fits a size_t, but is no size of an object */
        {RN_F32, 3, {0, 1ll << 40, 1ll << 40}, RN_E_SHAPE, "overflows"},
        {RN_F32, 3, {1ll << 40, 1ll << 40, 0}, RN_E_SHAPE, "overflows"},
    };
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rn_tensor *t = NULL;
        ck_fails(rn_tensor_create(cpu, cases[i].dtype, cases[i].rank, cases[i].dims, &t), cases[i].status,
                 cases[i].text);
        ck_fails(rn_tensor_wrap(cpu, cases[i].dtype, cases[i].rank, cases[i].dims, &t, 4, NULL, NULL, &t),
                 cases[i].status, cases[i].text);
        ck_assert_ptr_null(t);
    }
    rn_tensor *t = NULL;
    ck_fails(rn_tensor_create(cpu, RN_F32, 1, NULL, &t), RN_E_INVALID, "dims: dims is NULL");
    const int64_t huge = 1ll << 60;
    ck_fails(rn_tensor_create(cpu, RN_U8, 1, &huge, &t), RN_E_NOMEM, "a tensor needs 1152921504606846976 bytes on cpu");
    ck_assert_ptr_null(t);
    settle(ctx);
}
END_TEST

START_TEST(scalars_and_empty_ones)
{
    const int64_t dims[] = {3, 0, 2};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *const scalar = make(cpu, RN_I64, 0, NULL), *const empty = make(cpu, RN_F32, 3, dims), *part = NULL;
    int64_t x = 5, y = 0;
    ck_assert(rn_tensor_count(scalar) == 1 && rn_tensor_nbytes(scalar) == 8);
    ck_ok(rn_tensor_write(scalar, &x, sizeof x));
    ck_ok(rn_tensor_read(scalar, &y, sizeof y));
    ck_assert_int_eq(y, 5);
    ck_assert(rn_tensor_count(empty) == 0 && rn_tensor_nbytes(empty) == 0);
    ck_ok(rn_tensor_write(empty, &x, 0));
    ck_ok(rn_tensor_read(empty, &y, 0));
    ck_ok(rn_tensor_slice(empty, 1, 2, &part));
    ck_assert_int_eq(rn_tensor_count(part), 0);
    rn_tensor_release(part);
    rn_tensor_release(empty);
    rn_tensor_release(scalar);
    settle(ctx);
}
END_TEST

static int released;

static void on_release(void *user, void *data)
{
    ck_assert_ptr_eq(user, &released);
    ck_assert_ptr_nonnull(data);
    released++;
}

START_TEST(wrapped_memory_is_given_back_once)
{
    float data[6] = {0, 1, 2, 3, 4, 5}, out[2];
    const int64_t dims[] = {3, 2};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *t = NULL, *part = NULL;
    released = 0;
    ck_ok(rn_tensor_wrap(cpu, RN_F32, 2, dims, data, sizeof data, on_release, &released, &t));
    ck_assert_ptr_eq(rn_tensor_data(t), data);
    ck_ok(rn_tensor_slice(t, 1, 1, &part));
    rn_tensor_release(t);
    ck_assert_int_eq(released, 0); /* the slice is there still */
    ck_ok(rn_tensor_read(part, out, sizeof out));
    ck_assert(out[0] == 2 && out[1] == 3);
    rn_tensor_release(part);
    ck_assert_int_eq(released, 1);
    ck_ok(rn_tensor_wrap(cpu, RN_F32, 2, dims, data, sizeof data, NULL, NULL, &t));
    rn_tensor_release(t);
    settle(ctx);
}
END_TEST

START_TEST(what_cannot_be_wrapped)
{
    _Alignas(8) char data[64];
    const int64_t dims[] = {3, 2};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *t = NULL;
    released = 0;
    ck_fails(rn_tensor_wrap(cpu, RN_F32, 2, dims, data, 23, on_release, &released, &t), RN_E_INVALID,
             "nbytes: expected 24, got 23");
    ck_fails(rn_tensor_wrap(cpu, RN_F32, 2, dims, data, 25, on_release, &released, &t), RN_E_INVALID,
             "nbytes: expected 24, got 25");
    ck_fails(rn_tensor_wrap(cpu, RN_F64, 2, dims, data + 4, 48, on_release, &released, &t), RN_E_INVALID,
             "data: is not aligned to its elements of 8 bytes");
    for (int n = 1; n <= 2; n++) {
        used.fail_at = used.calls + n;
        ck_fails(rn_tensor_wrap(cpu, RN_F32, 2, dims, data, 24, on_release, &released, &t), RN_E_NOMEM, "a tensor");
        used.fail_at = 0;
    }
    cpu->info.host_memory = 0; /* as on a GPU */
    ck_fails(rn_tensor_wrap(cpu, RN_F32, 2, dims, data, 24, on_release, &released, &t), RN_E_DEVICE,
             "dev: cpu cannot address memory of the host");
    cpu->info.host_memory = 1;
    ck_assert_ptr_null(t);
    ck_assert_int_eq(released, 0);
    settle(ctx);
}
END_TEST

START_TEST(slices)
{
    float data[12], out[6];
    const int64_t dims[] = {4, 3};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *const t = make(cpu, RN_F32, 2, dims), *const scalar = make(cpu, RN_F32, 0, NULL), *s = NULL, *u = NULL;
    for (int i = 0; i < 12; i++)
        data[i] = (float)i;
    ck_ok(rn_tensor_write(t, data, sizeof data));
    ck_ok(rn_tensor_slice(t, 1, 3, &s));
    ck_ok(rn_tensor_slice(s, 1, 2, &u)); /* a slice of a slice: rows 2 and 3 */
    rn_tensor_release(t);
    ck_assert(rn_tensor_rank(u) == 2 && rn_tensor_dim(u, 0) == 2 && rn_tensor_dim(u, 1) == 3);
    ck_ok(rn_tensor_read(u, out, sizeof out));
    for (int i = 0; i < 6; i++)
        ck_assert(out[i] == (float)(6 + i));
    ((float *)rn_tensor_data(u))[0] = 77; /* the memory is one */
    ck_assert(((float *)rn_tensor_data(s))[3] == 77);
    rn_tensor_release(u), u = NULL;
    ck_fails(rn_tensor_slice(s, -1, 1, &u), RN_E_SHAPE, "first, count: -1 and 1 are not inside the first dimension of 3");
    ck_fails(rn_tensor_slice(s, 0, -1, &u), RN_E_SHAPE, "first, count");
    ck_fails(rn_tensor_slice(s, 2, 2, &u), RN_E_SHAPE, "first, count");
    ck_fails(rn_tensor_slice(s, 4, 0, &u), RN_E_SHAPE, "first, count");
    ck_fails(rn_tensor_slice(s, 1, INT64_MAX, &u), RN_E_SHAPE, "first, count");
    ck_fails(rn_tensor_slice(scalar, 0, 1, &u), RN_E_SHAPE, "t: a scalar has nothing to slice");
    ck_assert_ptr_null(u);
    ck_ok(rn_tensor_slice(s, 3, 0, &u)); /* nothing, at the end */
    ck_assert_int_eq(rn_tensor_count(u), 0);
    rn_tensor_release(u);
    rn_tensor_release(s);
    rn_tensor_release(scalar);
    settle(ctx);
}
END_TEST

START_TEST(sizes_of_reads_and_writes)
{
    float data[4] = {0};
    const int64_t dims[] = {3};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *const t = make(cpu, RN_F32, 1, dims);
    ck_fails(rn_tensor_read(t, data, 11), RN_E_BUFFER, "nbytes: expected 12, got 11");
    ck_fails(rn_tensor_read(t, data, 16), RN_E_BUFFER, "nbytes: expected 12, got 16");
    ck_fails(rn_tensor_write(t, data, 0), RN_E_BUFFER, "nbytes: expected 12, got 0");
    rn_tensor_release(t);
    settle(ctx);
}
END_TEST

START_TEST(copies_need_equal_shapes)
{
    const int64_t a[] = {2, 3}, b[] = {3, 2}, flat[] = {6};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *const x = make(cpu, RN_F32, 2, a), *const y = make(cpu, RN_F32, 2, b), *const z = make(cpu, RN_F32, 1, flat);
    ck_fails(rn_tensor_copy(x, y), RN_E_SHAPE, "dst: expected [2, 3], got [3, 2]");
    ck_fails(rn_tensor_copy(x, z), RN_E_SHAPE, "dst: expected [2, 3], got [6]");
    ck_ok(rn_tensor_copy(x, x));
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_tensor_release(z);
    settle(ctx);
}
END_TEST

START_TEST(overlapping_slices_copy_as_memmove)
{
    float data[5] = {0, 1, 2, 3, 4};
    const int64_t dims[] = {5};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *const t = make(cpu, RN_F32, 1, dims), *a = NULL, *b = NULL;
    ck_ok(rn_tensor_write(t, data, sizeof data));
    ck_ok(rn_tensor_slice(t, 0, 4, &a));
    ck_ok(rn_tensor_slice(t, 1, 4, &b));
    ck_ok(rn_tensor_copy(a, b));
    ck_ok(rn_tensor_read(t, data, sizeof data));
    ck_assert(data[0] == 0 && data[1] == 0 && data[2] == 1 && data[4] == 3);
    rn_tensor_release(a);
    rn_tensor_release(b);
    rn_tensor_release(t);
    settle(ctx);
}
END_TEST

/* --- element types --- */

/* Copies `count` elements of one type to another. */
static void convert(rn_device *cpu, rn_dtype from, const void *src, rn_dtype to, void *dst, int64_t count)
{
    rn_tensor *const a = make(cpu, from, 1, &count), *const b = make(cpu, to, 1, &count);
    ck_ok(rn_tensor_write(a, src, rn_tensor_nbytes(a)));
    ck_ok(rn_tensor_copy(a, b));
    ck_ok(rn_tensor_read(b, dst, rn_tensor_nbytes(b)));
    rn_tensor_release(a);
    rn_tensor_release(b);
}

/* 0, 1, 2, 100 are the same in all types. */
START_TEST(small_numbers_survive_all_pairs)
{
    static const rn_dtype all[] = {RN_F32, RN_F64, RN_I64, RN_U8, RN_I32, RN_BF16, RN_F16};
    const uint8_t numbers[4] = {0, 1, 2, 100};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    for (size_t i = 0; i < 7; i++)
        for (size_t k = 0; k < 7; k++) {
            char a[32], b[32];
            uint8_t back[4] = {0};
            convert(cpu, RN_U8, numbers, all[i], a, 4);
            convert(cpu, all[i], a, all[k], b, 4);
            convert(cpu, all[k], b, RN_U8, back, 4);
            ck_assert_mem_eq(back, numbers, sizeof back);
        }
    settle(ctx);
}
END_TEST

START_TEST(to_integers)
{
    const double src[] = {-0.9, 1.9, -1.9, 255.9, 256, 1e300, -1e300, NAN, INFINITY, -INFINITY, 2147483646.5, -2147483649.0};
    enum { COUNT = sizeof src / sizeof *src };
    static const uint8_t u8[COUNT] = {0, 1, 0, 255, 255, 255, 0, 0, 255, 0, 255, 0};
    static const int32_t i32[COUNT] = {0,         1, -1,        255,       256,        INT32_MAX,
                                       INT32_MIN, 0, INT32_MAX, INT32_MIN, 2147483646, INT32_MIN};
    static const int64_t i64[COUNT] = {0,         1, -1,        255,       256,        INT64_MAX,
                                       INT64_MIN, 0, INT64_MAX, INT64_MIN, 2147483646, -2147483649};
    uint8_t a[COUNT];
    int32_t b[COUNT];
    int64_t c[COUNT];
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    convert(cpu, RN_F64, src, RN_U8, a, COUNT);
    convert(cpu, RN_F64, src, RN_I32, b, COUNT);
    convert(cpu, RN_F64, src, RN_I64, c, COUNT);
    ck_assert_mem_eq(a, u8, sizeof a);
    ck_assert_mem_eq(b, i32, sizeof b);
    ck_assert_mem_eq(c, i64, sizeof c);
    static const int64_t whole[] = {INT64_MAX, INT64_MIN, 300, -1, (1ll << 53) + 1};
    static const int32_t whole32[] = {INT32_MAX, INT32_MIN, 300, -1, INT32_MAX};
    static const uint8_t whole8[] = {255, 0, 255, 0, 255};
    convert(cpu, RN_I64, whole, RN_I32, b, 5);
    convert(cpu, RN_I64, whole, RN_U8, a, 5);
    ck_assert_mem_eq(b, whole32, sizeof whole32);
    ck_assert_mem_eq(a, whole8, sizeof whole8);
    settle(ctx);
}
END_TEST

START_TEST(integers_to_reals_round_once)
{
    /* Just above the middle of two floats; a double in between would round it onto the middle, and that down. */
    const int64_t src[] = {(1ll << 60) + (1ll << 36) + 1, INT64_MAX, -((1ll << 24) + 1)};
    float f[3];
    double d[3];
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    convert(cpu, RN_I64, src, RN_F32, f, 3);
    convert(cpu, RN_I64, src, RN_F64, d, 3);
    for (int i = 0; i < 3; i++)
        ck_assert(f[i] == (float)src[i] && d[i] == (double)src[i]);
    settle(ctx);
}
END_TEST

START_TEST(to_bf16)
{
    static const struct {
        double value;
        uint16_t bits;
    } cases[] = {
        {1, 0x3f80},
        {-2, 0xc000},
        {1 + 0x1p-8, 0x3f80},           /* a tie goes to the even one: down */
        {1 + 0x3p-8, 0x3f82},           /* up */
        {1 + 0x1p-8 + 0x1p-20, 0x3f81}, /* above the tie */
        {1 + 0x1p-8 + 0x1p-40, 0x3f81}, /* above it by less than a float sees */
        {1 + 0x1p-8 - 0x1p-40, 0x3f80},
        {3.4e38, 0x7f80},               /* beyond the largest */
        {0x1.fep127, 0x7f7f},
        {1e300, 0x7f80},
        {-1e300, 0xff80},
        {INFINITY, 0x7f80},
        {-0.0, 0x8000},
        {0x1p-133, 0x0001},             /* smallest subnormal */
    };
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint16_t bits = 0;
        convert(cpu, RN_F64, &cases[i].value, RN_BF16, &bits, 1);
        ck_assert_msg(bits == cases[i].bits, "%a: expected %04x, got %04x", cases[i].value, cases[i].bits, bits);
    }
    settle(ctx);
}
END_TEST

START_TEST(to_f16)
{
    static const struct {
        double value;
        uint16_t bits;
    } cases[] = {
        {1, 0x3c00},
        {-2, 0xc000},
        {1 + 0x1p-11, 0x3c00}, /* ties */
        {1 + 0x3p-11, 0x3c02},
        {1 + 0x1p-11 + 0x1p-40, 0x3c01}, /* above the tie by less than a float sees */
        {1 + 0x3p-11 - 0x1p-40, 0x3c01},
        {65504, 0x7bff},
        {65519.99, 0x7bff},
        {65520, 0x7c00},
        {65519.9999999999, 0x7bff},
        {-1e9, 0xfc00},
        {1e300, 0x7c00},
        {-INFINITY, 0xfc00},
        {0x1p-14, 0x0400}, /* smallest normal */
        {0x1p-14 - 0x1p-25, 0x0400}, /* a tie between it and the largest subnormal */
        {0x1p-24, 0x0001},
        {0x1p-25, 0x0000}, /* a tie with 0 */
        {0x1p-25 + 0x1p-60, 0x0001},
        {-0x1p-26, 0x8000},
        {-0.0, 0x8000},
    };
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint16_t bits = 0;
        convert(cpu, RN_F64, &cases[i].value, RN_F16, &bits, 1);
        ck_assert_msg(bits == cases[i].bits, "%a: expected %04x, got %04x", cases[i].value, cases[i].bits, bits);
    }
    settle(ctx);
}
END_TEST

/* All 65,536 of each type go to f32 and come back; NaN stays NaN with its sign. */
START_TEST(halves_come_back)
{
    static const rn_dtype types[] = {RN_BF16, RN_F16};
    enum { COUNT = 65536 };
    static uint16_t bits[COUNT], back[COUNT];
    static float wide[COUNT];
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < COUNT; i++)
            bits[i] = (uint16_t)i;
        convert(cpu, types[k], bits, RN_F32, wide, COUNT);
        convert(cpu, RN_F32, wide, types[k], back, COUNT);
        for (int i = 0; i < COUNT; i++) {
            const int is_nan = (i & 0x7fff) > (types[k] == RN_F16 ? 0x7c00 : 0x7f80);
            ck_assert(!isnan(wide[i]) == !is_nan);
            ck_assert(is_nan ? (back[i] & 0x8000) == (i & 0x8000) : back[i] == i);
        }
        convert(cpu, RN_F32, wide, types[k], back, COUNT);
        convert(cpu, types[k], back, RN_F32, wide, COUNT);
        for (int i = 0; i < COUNT; i++)
            ck_assert(!isnan(wide[i]) == !((i & 0x7fff) > (types[k] == RN_F16 ? 0x7c00 : 0x7f80)));
    }
    ck_assert(wide[0x3c00] == 1 && wide[1] == 0x1p-24f && wide[0x03ff] == 1023 * 0x1p-24f && wide[0xfbff] == -65504);
    settle(ctx);
}
END_TEST

/* --- a backend's own layout --- */

/* A tensor [n, c, h, w] whose memory is n, h, w, c. */
static rn_tensor *make_nhwc(rn_device *cpu, rn_dtype dtype, const int64_t dims[4])
{
    rni_storage *storage = NULL;
    rn_tensor *t = NULL;
    const uint64_t bytes = (uint64_t)(dims[0] * dims[1] * dims[2] * dims[3]) * rn_dtype_size(dtype);
    ck_ok(rni_storage_create(cpu, bytes, "a test", &storage));
    ck_ok(rni_tensor_view(storage, 0, dtype, RN_LAYOUT_NHWC, 4, dims, &t));
    rni_storage_release(storage);
    return t;
}

static int writes;
static uint64_t written_offset, written_bytes;

static void on_written(void *owner, uint64_t offset, uint64_t bytes)
{
    ck_assert_ptr_eq(owner, &writes);
    writes++;
    written_offset = offset;
    written_bytes = bytes;
}

START_TEST(other_layouts_look_plain)
{
    enum { N = 2, C = 3, H = 2, W = 4, COUNT = N * C * H * W };
    const int64_t dims[] = {N, C, H, W};
    float data[COUNT], out[COUNT];
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *const t = make_nhwc(cpu, RN_F32, dims), *const plain = make(cpu, RN_F64, 4, dims), *part = NULL;
    double wide[COUNT];
    for (int i = 0; i < COUNT; i++)
        data[i] = (float)i;
    ck_assert_ptr_null(rn_tensor_data(t));
    ck_ok(rn_tensor_write(t, data, sizeof data));
    const float *const memory = rni_tensor_address(t);
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < H * W; p++)
                ck_assert(memory[(n * H * W + p) * C + c] == data[(n * C + c) * H * W + p]);
    ck_ok(rn_tensor_read(t, out, sizeof out));
    ck_assert_mem_eq(out, data, sizeof out);
    ck_ok(rn_tensor_copy(t, plain)); /* type and order at once */
    ck_ok(rn_tensor_read(plain, wide, sizeof wide));
    for (int i = 0; i < COUNT; i++)
        ck_assert(wide[i] == i);
    ck_ok(rn_tensor_slice(t, 1, 1, &part));
    ck_ok(rn_tensor_read(part, out, sizeof out / 2));
    ck_assert_mem_eq(out, data + COUNT / 2, sizeof out / 2);
    rn_tensor_release(part);
    rn_tensor_release(plain);
    rn_tensor_release(t);
    settle(ctx);
}
END_TEST

START_TEST(owners_are_told_of_writes)
{
    const int64_t dims[] = {4, 2};
    const float row[2] = {1, 2};
    float all[8];
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    rn_tensor *const t = make(cpu, RN_F32, 2, dims), *const other = make(cpu, RN_F32, 2, dims), *part = NULL;
    writes = 0;
    t->storage->written = on_written;
    t->storage->owner = &writes;
    ck_ok(rn_tensor_slice(t, 1, 1, &part));
    ck_ok(rn_tensor_write(part, row, sizeof row));
    ck_assert(writes == 1 && written_offset == 8 && written_bytes == 8);
    ck_ok(rn_tensor_read(t, all, sizeof all));
    ck_ok(rn_tensor_copy(t, other));
    ck_fails(rn_tensor_write(t, all, 4), RN_E_BUFFER, "nbytes");
    ck_assert_int_eq(writes, 1);
    ck_ok(rn_tensor_copy(other, t));
    ck_assert(writes == 2 && written_offset == 0 && written_bytes == 32);
    t->storage->written = NULL;
    rn_tensor_release(part);
    rn_tensor_release(other);
    rn_tensor_release(t);
    settle(ctx);
}
END_TEST

/* Each allocation of making, slicing and converting fails once. */
START_TEST(without_memory)
{
    const int64_t dims[] = {2, 3, 4, 5};
    float data[120] = {0};
    rn_device *cpu;
    rn_context *const ctx = counted_context(&cpu);
    const long long before = used.blocks;
    for (int n = 1;; n++) {
        rn_tensor *t = NULL, *part = NULL, *wide = NULL;
        used.fail_at = used.calls + n;
        rn_status status = rn_tensor_create(cpu, RN_F32, 4, dims, &t);
        if (status == RN_OK)
            status = rn_tensor_slice(t, 0, 1, &part);
        if (status == RN_OK)
            status = rn_tensor_create(cpu, RN_F64, 4, dims, &wide);
        if (status == RN_OK)
            status = rn_tensor_copy(t, wide);
        if (status == RN_OK) {
            t->layout = RN_LAYOUT_NHWC;
            status = rn_tensor_write(t, data, sizeof data);
        }
        if (status == RN_OK)
            status = rn_tensor_read(t, data, sizeof data);
        used.fail_at = 0;
        rn_tensor_release(t);
        rn_tensor_release(part);
        rn_tensor_release(wide);
        ck_assert_int_eq(used.blocks, before);
        if (status == RN_OK) {
            ck_assert_int_eq(n, 12); /* 3 + 1 + 3 + 2 + 1 + 1 allocations */
            break;
        }
        ck_assert_int_eq(status, RN_E_NOMEM);
        ck_assert_ptr_nonnull(strstr(rn_error_message(), "out of memory: "));
    }
    settle(ctx);
}
END_TEST

SUPPORT_MAIN("tensor", tells_of_itself, nothing_of_nothing, shapes_that_are_none, scalars_and_empty_ones,
             wrapped_memory_is_given_back_once, what_cannot_be_wrapped, slices, sizes_of_reads_and_writes,
             copies_need_equal_shapes, overlapping_slices_copy_as_memmove, small_numbers_survive_all_pairs, to_integers,
             integers_to_reals_round_once, to_bf16, to_f16, halves_come_back, other_layouts_look_plain,
             owners_are_told_of_writes, without_memory)
