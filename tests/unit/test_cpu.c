/* SPDX-License-Identifier: MIT */
/* The CPU device: levels, what it says of itself, what ops it refuses and how. */
#include "backend/context.h"
#include "support.h"
#include <resnet/sys/cpu.h>

/* One op with up to eight values, all [4, 3] f32 at first; the test changes what it is about. */
typedef struct bench {
    rn_context *ctx;
    rn_device *dev;
    rn_value values[8];
    uint32_t in[6], out[4];
    rn_op op;
    rn_op_info info;
    char memory[4096];
    void *base[RN_ROLE_COUNT];
    rn_run run;
} bench;

static void bench_open(bench *b, int32_t kind, uint32_t num_in, uint32_t num_out)
{
    memset(b, 0, sizeof *b);
    b->ctx = support_context(&b->dev);
    for (uint32_t i = 0; i < 8; i++) {
        b->values[i] = (rn_value){.struct_size = sizeof(rn_value), .dtype = RN_F32, .role = RN_ROLE_ARENA, .rank = 2};
        b->values[i].dims[0] = 4;
        b->values[i].dims[1] = 3;
        b->values[i].bytes = 48;
        b->values[i].offset = 256 * i;
    }
    for (uint32_t i = 0; i < num_in; i++)
        b->in[i] = i;
    for (uint32_t i = 0; i < num_out; i++)
        b->out[i] = num_in + i;
    b->op = (rn_op){.struct_size = sizeof b->op, .kind = kind, .in = b->in, .out = b->out, .num_in = num_in};
    b->op.num_out = num_out;
    b->op.path = "block.here";
    b->op.workspace = RN_NO_VALUE;
    b->info.struct_size = sizeof b->info;
    for (int i = 0; i < RN_ROLE_COUNT; i++)
        b->base[i] = b->memory;
    b->run = (rn_run){.struct_size = sizeof b->run, .batch = 4, .num_ops = 1, .base = b->base, .grad_scale = 1};
}

static void bench_close(bench *b)
{
    rn_context_release(b->ctx);
}

/* Numbers that rn_step_metrics has room for. */
enum { METRICS = sizeof(rn_step_metrics) / sizeof(double) };

/* Makes a value [count] of a type. */
static void vector(bench *b, uint32_t value, int32_t dtype, int64_t count)
{
    rn_value *const v = &b->values[value];
    v->rank = 1;
    v->dims[0] = count;
    v->dtype = dtype;
    v->bytes = (uint64_t)count * rn_dtype_size(dtype);
}

static rn_status query(bench *b)
{
    return b->dev->backend->op_query(b->dev->dev, &b->op, b->values, &b->info);
}

static rn_status run(bench *b)
{
    return b->dev->backend->op_run(b->dev->dev, b->dev->queue, &b->op, b->values, &b->run);
}

START_TEST(level_follows_the_mask)
{
    rn_device *dev;
    rn_context *const ctx = support_context(&dev);
    const int32_t highest = rn_cpu_level(dev);
    ck_assert_int_le(highest, rn_cpu_detected_level());
    ck_ok(rn_cpu_set_level_mask(dev, 0));
    ck_assert_int_eq(rn_cpu_level(dev), RN_CPU_BASE);
    ck_ok(rn_cpu_set_level_mask(dev, 1u << RN_CPU_AVX512)); /* without what lies below it */
    ck_assert_int_eq(rn_cpu_level(dev), RN_CPU_BASE);
    ck_ok(rn_cpu_set_level_mask(dev, 1u << RN_CPU_AVX2));
    ck_assert_int_eq(rn_cpu_level(dev), highest < RN_CPU_AVX2 ? highest : RN_CPU_AVX2);
    ck_ok(rn_cpu_set_level_mask(dev, UINT32_MAX));
    ck_assert_int_eq(rn_cpu_level(dev), highest);
    rn_context_release(ctx);
}
END_TEST

START_TEST(level_needs_a_cpu)
{
    ck_fails(rn_cpu_set_level_mask(NULL, 0), RN_E_INVALID, "dev is NULL");
    ck_assert_int_eq(rn_cpu_level(NULL), -1);
    rn_device other;
    memset(&other, 0, sizeof other);
    strcpy(other.info.name, "gpu:0");
    ck_fails(rn_cpu_set_level_mask(&other, 0), RN_E_DEVICE, "gpu:0");
    ck_assert_int_eq(rn_cpu_level(&other), -1);
}
END_TEST

START_TEST(environment_lowers_the_level)
{
    rn_device *dev;
    setenv("RN_CPU_LEVEL", "base", 1);
    rn_context *const ctx = support_context(&dev);
    ck_assert_int_eq(rn_cpu_level(dev), RN_CPU_BASE);
    ck_assert_ptr_nonnull(strstr(rn_device_description(dev), "base kernels"));
    rn_context_release(ctx);
    rn_context *none = NULL;
    setenv("RN_CPU_LEVEL", "sse9", 1);
    ck_fails(rn_context_create(NULL, &none), RN_E_INVALID, "base, avx2, avx512 or avx512bf16 expected, got \"sse9\"");
    ck_assert_ptr_null(none);
    unsetenv("RN_CPU_LEVEL");
}
END_TEST

START_TEST(device_tells_about_itself)
{
    rn_device *dev;
    uint64_t left = 0, total = 0;
    rn_context *const ctx = support_context(&dev);
    ck_assert_str_eq(rn_device_name(dev), "cpu");
    ck_assert_int_eq(dev->info.activation_layout, RN_LAYOUT_NHWC);
    ck_assert_int_eq(dev->info.host_memory, 1);
    ck_assert_int_eq(dev->info.dlpack_type, 1);
    ck_ok(rn_device_memory(dev, &left, &total));
    ck_assert(total > 0 && left > 0 && left <= total);
    rn_context_release(ctx);
}
END_TEST

START_TEST(operands_are_counted)
{
    bench b;
    bench_open(&b, RN_OP_ADD, 2, 1);
    ck_ok(query(&b));
    ck_assert_int_eq(b.info.in_place, 0);
    b.op.num_in = 1;
    ck_fails(query(&b), RN_E_INVALID, "block.here: add: in 1 is missing");
    b.op.num_in = 2;
    b.out[0] = RN_NO_VALUE;
    ck_fails(query(&b), RN_E_INVALID, "out 0 is missing");
    b.out[0] = 2;
    b.in[2] = 3;
    b.op.num_in = 3;
    ck_fails(query(&b), RN_E_INVALID, "in 2 is one too many");
    bench_close(&b);
}
END_TEST

START_TEST(types_are_checked)
{
    bench b;
    bench_open(&b, RN_OP_ADD, 2, 1);
    b.values[0].dtype = RN_I32;
    ck_fails(query(&b), RN_E_UNSUPPORTED, "computes in f32, f64, bf16 and f16, not in i32");
    b.values[0].dtype = RN_F64;
    ck_fails(query(&b), RN_E_DTYPE, "in 1: f64 expected, got f32");
    bench_close(&b);
}
END_TEST

START_TEST(shapes_are_checked)
{
    bench b;
    bench_open(&b, RN_OP_ADD, 2, 1);
    b.values[1].dims[1] = 5;
    ck_fails(query(&b), RN_E_SHAPE, "in 1: [4, 3] expected, got [4, 5]");
    b.values[1].dims[1] = 3;
    b.values[2].dims[0] = 9;
    ck_fails(query(&b), RN_E_SHAPE, "out 0: [4, 3] expected, got [9, 3]");
    b.values[2].dims[0] = 4;
    b.values[0].dims[1] = 0;
    ck_fails(query(&b), RN_E_SHAPE, "dims of at least 1 expected");
    b.values[0].dims[1] = 3;
    b.values[0].layout = RN_LAYOUT_NHWC;
    ck_fails(query(&b), RN_E_UNSUPPORTED, "layout 1 of rank 2");
    bench_close(&b);
}
END_TEST

START_TEST(kinds_flags_and_params_are_checked)
{
    bench b;
    bench_open(&b, RN_OP_BN_STATS, 1, 2);
    vector(&b, 1, RN_F32, 3);
    vector(&b, 2, RN_F32, 4);
    ck_fails(query(&b), RN_E_SHAPE, "bn_stats: out 1: [3] expected, got [4]");
    b.op.flags = RN_OPF_RELU;
    ck_fails(query(&b), RN_E_UNSUPPORTED, "flags 0x1");
    b.op.flags = 0;
    b.op.kind = 999;
    ck_fails(query(&b), RN_E_UNSUPPORTED, "op kind 999 is not known");
    b.op.kind = RN_OP_DROPOUT;
    b.op.num_out = 1;
    ck_fails(query(&b), RN_E_INVALID, "dropout: 0 bytes of params, 16 expected");
    rn_dropout_params p = {.p = 1.5};
    b.op.params = &p;
    b.op.params_size = sizeof p;
    b.values[1] = b.values[0];
    ck_fails(query(&b), RN_E_INVALID, "p from 0 to 1 expected, got 1.5");
    bench_close(&b);
}
END_TEST

START_TEST(windows_are_checked)
{
    bench b;
    rn_pool_params p = {{2, 2}, {2, 2}, {2, 0}};
    bench_open(&b, RN_OP_MAXPOOL, 1, 1);
    b.op.params = &p;
    b.op.params_size = sizeof p;
    ck_fails(query(&b), RN_E_SHAPE, "NHWC images expected");
    for (int i = 0; i < 2; i++) {
        b.values[i].rank = 4;
        b.values[i].layout = RN_LAYOUT_NHWC;
        b.values[i].dims[2] = b.values[i].dims[3] = i ? 4 : 8;
    }
    ck_fails(query(&b), RN_E_SHAPE, "window 2, stride 2, padding 2 on 8 pixels");
    p.padding[0] = 0;
    ck_ok(query(&b));
    b.values[1].dims[3] = 5;
    ck_fails(query(&b), RN_E_SHAPE, "4 output pixels expected on an axis, got 5");
    b.values[1].dims[1] = 2;
    ck_fails(query(&b), RN_E_SHAPE, "got [4, 3] and [4, 2]");
    bench_close(&b);
}
END_TEST

START_TEST(matrices_are_checked)
{
    bench b;
    bench_open(&b, RN_OP_LINEAR, 2, 1);
    b.values[1].dims[0] = 7;
    ck_fails(query(&b), RN_E_SHAPE, "got [4, 3], [7, 3] and [4, 3]");
    b.values[2].dims[1] = 7;
    ck_ok(query(&b));
    b.op.flags = RN_OPF_BIAS;
    ck_fails(query(&b), RN_E_INVALID, "in 2, the bias, is missing");
    bench_close(&b);
}
END_TEST

START_TEST(fused_operands_are_checked)
{
    bench b;
    rn_bn_params p = {1e-5, 0.1, 1};
    bench_open(&b, RN_OP_BN_APPLY, 5, 1);
    b.op.params = &p;
    b.op.params_size = sizeof p;
    for (uint32_t i = 1; i < 5; i++)
        vector(&b, i, RN_F32, 3);
    ck_ok(query(&b));
    b.op.flags = RN_OPF_ADD;
    ck_fails(query(&b), RN_E_INVALID, "the residual, is missing");
    b.op.kind = RN_OP_BN_BACKWARD;
    b.in[1] = 5;
    b.in[2] = b.in[3] = b.in[4] = 1;
    b.out[0] = 6;
    b.out[1] = b.out[2] = 1;
    b.op.num_out = 3;
    ck_fails(query(&b), RN_E_INVALID, "the residual's gradient, is missing");
    b.op.flags = RN_OPF_RELU;
    ck_fails(query(&b), RN_E_INVALID, "in 5, the output, is missing");
    bench_close(&b);
}
END_TEST

START_TEST(segments_stay_inside)
{
    bench b;
    const rn_segment segment = {.offset = 8, .count = 5};
    rn_sgd_params p = {.num_segments = 1, .segments = &segment};
    bench_open(&b, RN_OP_SGD, 2, 1);
    vector(&b, 0, RN_F32, 12);
    vector(&b, 1, RN_F64, METRICS);
    vector(&b, 2, RN_F32, 12);
    b.op.params = &p;
    b.op.params_size = sizeof p;
    ck_fails(query(&b), RN_E_SHAPE, "segment 0 ends beyond the 12 elements there are");
    vector(&b, 0, RN_F32, 13);
    vector(&b, 2, RN_F32, 13);
    ck_ok(query(&b));
    p.momentum = 0.9;
    ck_fails(query(&b), RN_E_INVALID, "the momentum buffer, is missing");
    bench_close(&b);
}
END_TEST

START_TEST(converts_between_floats_only)
{
    bench b;
    bench_open(&b, RN_OP_CONVERT, 1, 1);
    b.values[1].dtype = RN_I64;
    ck_fails(query(&b), RN_E_UNSUPPORTED, "from f32 to i64");
    b.values[1].dtype = RN_F64;
    ck_ok(query(&b));
    b.values[1].dims[1] = 4;
    ck_fails(query(&b), RN_E_SHAPE, "equal dims expected, got [4, 3] and [4, 4]");
    bench_close(&b);
}
END_TEST

START_TEST(bad_label_changes_nothing)
{
    bench b;
    rn_cross_entropy_params p = {0};
    bench_open(&b, RN_OP_CROSS_ENTROPY, 2, 2);
    vector(&b, 1, RN_I64, 4);
    vector(&b, 3, RN_F64, METRICS);
    b.op.params = &p;
    b.op.params_size = sizeof p;
    ck_ok(query(&b));
    b.op.workspace = 4;
    char before[sizeof b.memory];
    memset(b.memory, 0, sizeof b.memory);
    ((int64_t *)(b.memory + 256))[2] = 3; /* classes are 0 to 2 */
    memcpy(before, b.memory, sizeof before);
    ck_fails(run(&b), RN_E_INVALID, "block.here: cross_entropy: label 2: 0 to 2 expected, got 3");
    ck_assert_mem_eq(before, b.memory, sizeof before);
    ((int64_t *)(b.memory + 256))[2] = -1;
    ck_fails(run(&b), RN_E_INVALID, "label 2: 0 to 2 expected, got -1");
    b.run.batch = 2; /* beyond the batch labels are not looked at */
    ck_ok(run(&b));
    bench_close(&b);
}
END_TEST

START_TEST(nonfinite_step_is_counted_and_skipped)
{
    bench b;
    rn_cross_entropy_params p = {0};
    bench_open(&b, RN_OP_CROSS_ENTROPY, 2, 2);
    vector(&b, 1, RN_I64, 4);
    vector(&b, 3, RN_F64, METRICS);
    b.op.params = &p;
    b.op.params_size = sizeof p;
    b.op.workspace = 4;
    rn_step_metrics *const m = (void *)(b.memory + 768);
    ((float *)b.memory)[5] = 1e30f;
    ((float *)b.memory)[4] = -1e30f; /* the label's logit is so far off that exp() underflows: still finite */
    ck_ok(run(&b));
    ck_assert_int_eq(m->step_nonfinite, 0);
    ((uint32_t *)b.memory)[5] = 0x7fc00000; /* NaN */
    ck_ok(run(&b));
    ck_assert_int_eq(m->step_nonfinite, 1);
    ck_assert_int_eq(m->nonfinite, 1);
    ck_assert_int_eq(m->steps, 2);
    ck_assert_int_eq(m->count, 8);
    bench_close(&b);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("cpu");
    TCase *const tests = tcase_create("cpu");
    tcase_add_test(tests, level_follows_the_mask);
    tcase_add_test(tests, level_needs_a_cpu);
    tcase_add_test(tests, environment_lowers_the_level);
    tcase_add_test(tests, device_tells_about_itself);
    tcase_add_test(tests, operands_are_counted);
    tcase_add_test(tests, types_are_checked);
    tcase_add_test(tests, shapes_are_checked);
    tcase_add_test(tests, kinds_flags_and_params_are_checked);
    tcase_add_test(tests, windows_are_checked);
    tcase_add_test(tests, matrices_are_checked);
    tcase_add_test(tests, fused_operands_are_checked);
    tcase_add_test(tests, segments_stay_inside);
    tcase_add_test(tests, converts_between_floats_only);
    tcase_add_test(tests, bad_label_changes_nothing);
    tcase_add_test(tests, nonfinite_step_is_counted_and_skipped);
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures;
}
