/* SPDX-License-Identifier: MIT */
/* What the CPU backend refuses of convolutions, and what it asks for. */
#include "backend/context.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static void *host_alloc(void *host, size_t size, size_t align)
{
    void *p = NULL;
    (void)host;
    return posix_memalign(&p, align, size) == 0 ? p : NULL;
}

static void host_free(void *host, void *ptr, size_t size, size_t align)
{
    (void)host;
    (void)size;
    (void)align;
    free(ptr);
}

static const rn_host_api host = {.struct_size = sizeof host, .alloc = host_alloc, .free = host_free, .num_threads = 1};

enum { X, WEIGHT, PACKED, CHANNELS, Y, VALUES };

static rn_conv_params params;
static rn_value values[VALUES];
static void *dev;

static rn_value value(int32_t dtype, int32_t layout, int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (rn_value){sizeof(rn_value), dtype, RN_ROLE_ARENA, layout, rank, -1, 0, {a, b, c, d}, 0, 0};
}

/* 2 images of 6 channels, 8 x 9, to 4 channels by 3x3. */
static void reset(void)
{
    params = (rn_conv_params){6, 4, 1, 8, 9, 8, 9, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 0, 0, 0};
    values[X] = value(RN_F32, RN_LAYOUT_NHWC, 4, 2, 6, 8, 9);
    values[WEIGHT] = value(RN_F32, RN_LAYOUT_PLAIN, 4, 4, 6, 3, 3);
    values[PACKED] = value(RN_F32, RN_LAYOUT_PACKED, 1, 1, 0, 0, 0);
    values[CHANNELS] = value(RN_F32, RN_LAYOUT_PLAIN, 1, 4, 0, 0, 0);
    values[Y] = value(RN_F32, RN_LAYOUT_NHWC, 4, 2, 4, 8, 9);
}

static void setup(void)
{
    reset();
    ck_assert_int_eq(rni_cpu_backend.device_open(&host, 0, &dev), RN_OK);
}

static void teardown(void)
{
    rni_cpu_backend.device_close(dev);
}

static rn_op_info info;

static rn_status query(int32_t kind, uint32_t flags, const uint32_t *in, uint32_t num_in, const uint32_t *out,
                       uint32_t num_out)
{
    const rn_op op = {.struct_size = sizeof op, .kind = kind, .flags = flags, .in = in, .num_in = num_in, .out = out,
                      .num_out = num_out, .params = &params, .params_size = sizeof params, .path = "layer1.conv",
                      .workspace = RN_NO_VALUE};
    info.struct_size = sizeof info;
    return rni_cpu_backend.op_query(dev, &op, values, &info);
}

static rn_status query_pack(void)
{
    return query(RN_OP_PACK, 0, (const uint32_t[]){WEIGHT, CHANNELS}, 2, (const uint32_t[]){PACKED}, 1);
}

static rn_status query_forward(uint32_t flags)
{
    return query(RN_OP_CONV_FORWARD, flags, (const uint32_t[]){X, PACKED, CHANNELS, Y}, 4,
                 (const uint32_t[]){Y, CHANNELS, CHANNELS}, 3);
}

static rn_status query_data(void)
{
    return query(RN_OP_CONV_BACKWARD_DATA, 0, (const uint32_t[]){Y, PACKED}, 2, (const uint32_t[]){X}, 1);
}

static rn_status query_filter(void)
{
    return query(RN_OP_CONV_BACKWARD_FILTER, 0, (const uint32_t[]){X, Y}, 2, (const uint32_t[]){WEIGHT}, 1);
}

static void refused(rn_status got, rn_status expected, const char *piece)
{
    ck_assert_int_eq(got, expected);
    ck_assert_msg(strstr(rn_error_message(), piece) != NULL, "\"%s\" is not in \"%s\"", piece, rn_error_message());
    ck_assert_msg(strstr(rn_error_message(), "layer1.conv") != NULL, "no path in \"%s\"", rn_error_message());
}

START_TEST(good_ops_are_taken)
{
    ck_assert_int_eq(query_pack(), RN_OK);
    ck_assert_uint_ge(info.out_bytes, 4 * 6 * 9 * sizeof(float));
    ck_assert_int_eq(query_forward(0), RN_OK);
    ck_assert_int_eq(info.in_place, -1);
    ck_assert_int_eq(query_forward(RN_OPF_BIAS | RN_OPF_ADD | RN_OPF_RELU), RN_OK);
    ck_assert_int_eq(info.in_place, 3);
    ck_assert_int_eq(query_forward(RN_OPF_STATS), RN_OK);
    ck_assert_int_eq(query_data(), RN_OK);
    ck_assert_int_eq(query_filter(), RN_OK);
}
END_TEST

START_TEST(params_must_fit_one_another)
{
    params.stride[1] = 0;
    refused(query_pack(), RN_E_INVALID, "sizes from 1");
    reset();
    params.padding[0] = -1;
    refused(query_forward(0), RN_E_INVALID, "padding -1");
    reset();
    params.groups = 4;
    refused(query_pack(), RN_E_INVALID, "4 groups of 6 and 4 channels");
    reset();
    params.out_width = 8;
    refused(query_data(), RN_E_SHAPE, "window 3 in 9 does not give 8");
    reset();
    params.kernel[0] = 11;
    refused(query_filter(), RN_E_SHAPE, "axis 0: window 11 in 8");
}
END_TEST

START_TEST(operands_must_fit_params)
{
    values[X].dims[1] = 5;
    refused(query_forward(0), RN_E_SHAPE, "input: expected [-1, 6, 8, 9]");
    reset();
    values[Y].dims[3] = 1;
    refused(query_data(), RN_E_SHAPE, "output: expected [-1, 4, 8, 9]");
    reset();
    values[WEIGHT].dims[2] = 5;
    refused(query_pack(), RN_E_SHAPE, "weight: expected [4, 6, 3, 3]");
    refused(query_filter(), RN_E_SHAPE, "weight gradient: expected [4, 6, 3, 3]");
    reset();
    values[CHANNELS].dims[0] = 6;
    refused(query_pack(), RN_E_SHAPE, "scale: expected [4]");
    refused(query_forward(RN_OPF_BIAS), RN_E_SHAPE, "bias: expected [4]");
    refused(query_forward(RN_OPF_STATS), RN_E_SHAPE, "mean: expected [4]");
}
END_TEST

START_TEST(types_and_layouts_must_agree)
{
    values[PACKED].dtype = RN_F64;
    refused(query_forward(0), RN_E_DTYPE, "packed weight: expected f32, got f64");
    refused(query_data(), RN_E_DTYPE, "packed weight: expected f32, got f64");
    refused(query_pack(), RN_E_DTYPE, "scale: expected f64, got f32");
    reset();
    values[X].dtype = RN_I32;
    refused(query_forward(0), RN_E_UNSUPPORTED, "not in i32");
    reset();
    values[Y].layout = RN_LAYOUT_PLAIN;
    refused(query_filter(), RN_E_UNSUPPORTED, "output: NHWC expected");
    reset();
    values[WEIGHT].dtype = RN_F64;
    refused(query_filter(), RN_E_DTYPE, "weight gradient: expected f32, got f64");
}
END_TEST

START_TEST(missing_operands_and_wrong_pairs_of_flags)
{
    const uint32_t in[4] = {X, PACKED, RN_NO_VALUE, RN_NO_VALUE}, out[3] = {Y, CHANNELS, RN_NO_VALUE};
    refused(query(RN_OP_CONV_FORWARD, RN_OPF_BIAS, in, 4, out, 1), RN_E_INVALID, "bias is missing");
    refused(query(RN_OP_CONV_FORWARD, RN_OPF_ADD, in, 4, out, 1), RN_E_INVALID, "residual is missing");
    refused(query(RN_OP_CONV_FORWARD, RN_OPF_STATS, in, 4, out, 3), RN_E_INVALID, "variance is missing");
    refused(query_forward(RN_OPF_STATS | RN_OPF_RELU), RN_E_UNSUPPORTED, "without residual and ReLU");
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("conv");
    TCase *const tc = tcase_create("query");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, good_ops_are_taken);
    tcase_add_test(tc, params_must_fit_one_another);
    tcase_add_test(tc, operands_must_fit_params);
    tcase_add_test(tc, types_and_layouts_must_agree);
    tcase_add_test(tc, missing_operands_and_wrong_pairs_of_flags);
    suite_add_tcase(suite, tc);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
