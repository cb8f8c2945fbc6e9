/* SPDX-License-Identifier: MIT */
/* Which ops of a captured run go beside the others, and what waits for what. */
#include "lanes.h"
#include <check.h>
#include <stdlib.h>

enum { X, DY, DX, DW, OTHER, WORK, BIG, FAR, VALUES };

/* Values of 64 bytes one after another, but for BIG's workspace, which is larger than the second lane may have. */
static rn_value values[VALUES];
static rn_run run = {.batch = 1};
static char memory[VALUES * 64 + 1];

static void setup(void)
{
    for (int i = 0; i < VALUES; i++)
        values[i] = (rn_value){.role = RN_ROLE_ARENA, .bytes = 64, .offset = (uint64_t)i * 64, .rank = 1, .dims = {16}};
    values[BIG].bytes = (uint64_t)1 << 40;
    values[FAR].role = RN_ROLE_PARAM_GRAD;
    values[FAR].offset = 0;
}

typedef struct test_op {
    int32_t kind;
    uint32_t in[2], out, workspace;
} test_op;

enum { MOST = 16 };
static rni_lane_step steps[MOST];
static uint32_t num_steps;

static void arrange_with(const rni_cuda_step *plan, const test_op *from, uint32_t count, uint64_t workspace)
{
    static const rn_conv_params conv = {.in_channels = 4, .kernel = {3, 3}, .groups = 1};
    static char gradients[64];
    static rn_op ops[MOST];
    void *base[RN_ROLE_COUNT] = {0};
    const rn_program_desc desc = {sizeof desc, values, ops, VALUES, count};
    base[RN_ROLE_ARENA] = memory;
    base[RN_ROLE_PARAM_GRAD] = gradients;
    for (uint32_t i = 0; i < count; i++)
        ops[i] = (rn_op){.kind = from[i].kind,
                         .in = from[i].in,
                         .out = &from[i].out,
                         .num_in = 2,
                         .num_out = 1,
                         .params = &conv,
                         .workspace = from[i].workspace};
    run.base = base;
    run.num_ops = count;
    num_steps = rni_lanes_arrange(&desc, plan, &run, workspace, steps);
}

static void arrange(const test_op *from, uint32_t count, uint64_t workspace)
{
    arrange_with(NULL, from, count, workspace);
}

enum { FILTER = RN_OP_CONV_BACKWARD_FILTER, DATA = RN_OP_CONV_BACKWARD_DATA, RELU = RN_OP_RELU };
#define NO RN_NO_VALUE

static void expect(uint32_t at, uint32_t op, int lane, int fork, int join)
{
    ck_assert_uint_lt(at, num_steps);
    ck_assert_uint_eq(steps[at].op, op);
    ck_assert_int_eq(steps[at].lane, lane);
    ck_assert_int_eq(steps[at].fork, fork);
    ck_assert_int_eq(steps[at].join, join);
}

START_TEST(behind_what_does_not_touch_it)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {DATA, {DY, OTHER}, DX, NO}};
    arrange(ops, 2, 0);
    ck_assert_uint_eq(num_steps, 2);
    expect(0, 1, 0, 0, 0);
    expect(1, 0, 1, 1, 0);
}
END_TEST

START_TEST(before_who_overwrites_its_operands)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {RELU, {OTHER, NO}, WORK, NO}, {RELU, {OTHER, NO}, DY, NO}};
    arrange(ops, 3, 0);
    expect(0, 1, 0, 0, 0);
    expect(1, 0, 1, 1, 0);
    expect(2, 2, 0, 0, 1);
}
END_TEST

START_TEST(before_who_reads_its_result)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {RELU, {DW, NO}, OTHER, NO}};
    arrange(ops, 2, 0);
    expect(0, 0, 1, 1, 0);
    expect(1, 1, 0, 0, 1);
}
END_TEST

START_TEST(after_who_fills_its_result)
{
    const test_op ops[] = {{RN_OP_FILL, {NO, NO}, DW, NO}, {FILTER, {X, DY}, DW, NO}};
    arrange(ops, 2, 0);
    expect(0, 0, 0, 0, 0);
    expect(1, 1, 1, 1, 0);
}
END_TEST

/* Of an op in the first lane it is memory like any other; in another lane it lies elsewhere. */
START_TEST(workspaces)
{
    const test_op used[] = {{FILTER, {X, DY}, DW, NO}, {RELU, {OTHER, NO}, DX, X}};
    const test_op own[] = {{FILTER, {X, DY}, DW, WORK}, {RELU, {WORK, NO}, WORK, WORK}};
    arrange(used, 2, 0);
    expect(0, 0, 1, 1, 0);
    expect(1, 1, 0, 0, 1);
    arrange(own, 2, 64);
    expect(0, 1, 0, 0, 0);
    expect(1, 0, 1, 1, 0);
    arrange(own, 2, 63); /* there is no memory for it */
    expect(0, 0, 0, 0, 0);
    expect(1, 1, 0, 0, 0);
}
END_TEST

/* They fill a device by themselves. */
START_TEST(large_ones_stay)
{
    const test_op workspace = {FILTER, {X, DY}, DW, BIG}, convolution = {FILTER, {X, DY}, DW, NO};
    arrange(&workspace, 1, UINT64_MAX);
    expect(0, 0, 0, 0, 0);
    values[DY].dims[0] = (int64_t)1 << 40;
    arrange(&convolution, 1, 0);
    expect(0, 0, 0, 0, 0);
}
END_TEST

/* As many as a group has begin together, one in each lane in turn, and the next ones when there are no more ops. */
START_TEST(groups)
{
    test_op ops[RNI_LANES_GROUP + 2];
    for (uint32_t i = 0; i < RNI_LANES_GROUP + 2; i++)
        ops[i] = i == 1 ? (test_op){RELU, {X, NO}, OTHER, NO} : (test_op){FILTER, {X, DY}, NO, NO};
    arrange(ops, RNI_LANES_GROUP + 2, 0);
    ck_assert_uint_eq(num_steps, RNI_LANES_GROUP + 2);
    expect(0, 1, 0, 0, 0);
    for (uint32_t i = 0; i < RNI_LANES_GROUP; i++)
        expect(1 + i, i ? i + 1 : 0, 1 + (int)i % (RNI_LANES - 1), i == 0, 0);
    expect(RNI_LANES_GROUP + 1, RNI_LANES_GROUP + 1, 1 + RNI_LANES_GROUP % (RNI_LANES - 1), 1, 0);
}
END_TEST

/* Two that add to one gradient: one after the other. */
START_TEST(gradients_of_one_filter)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {FILTER, {X, OTHER}, DW, NO}};
    arrange(ops, 2, 0);
    expect(0, 0, 1, 1, 0);
    expect(1, 1, 2, 1, 1);
}
END_TEST

/* What was waited for need not be again. */
START_TEST(waits_once)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {RELU, {DX, NO}, DY, NO}, {RELU, {DX, NO}, X, NO}};
    arrange(ops, 3, 0);
    expect(0, 0, 1, 1, 0);
    expect(1, 1, 0, 0, 1);
    expect(2, 2, 0, 0, 0);
}
END_TEST

/* One step, which waits for what any of them has to wait for. */
START_TEST(ops_that_share_a_launch)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {RELU, {DX, NO}, OTHER, NO}, {RELU, {DX, NO}, DY, NO}};
    const rni_cuda_step plan[] = {{.together = 1, .also = NO}, {.together = 2, .also = NO}, {.together = 1, .also = NO}};
    arrange_with(plan, ops, 3, 0);
    ck_assert_uint_eq(num_steps, 2);
    expect(0, 0, 1, 1, 0);
    expect(1, 1, 0, 0, 1);
    const rni_cuda_step beyond = {.together = 5, .also = NO}; /* of a program of which the run is a part */
    arrange_with(&beyond, ops + 1, 1, 0);
    ck_assert_uint_eq(num_steps, 1);
    expect(0, 0, 0, 0, 0);
}
END_TEST

START_TEST(before_gradients_are_added)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {RELU, {DX, NO}, OTHER, NO}};
    const rni_cuda_step plan[] = {{.together = 1, .also = NO}, {.together = 1, .also = NO, .adds_first = 1}};
    arrange_with(plan, ops, 2, 0);
    expect(0, 0, 1, 1, 0);
    expect(1, 1, 0, 0, 0);
}
END_TEST

/* What it reads in its operand's place. */
START_TEST(before_who_overwrites_what_it_also_reads)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {RELU, {DX, NO}, OTHER, NO}};
    rni_cuda_step plan[] = {{.together = 1, .also = NO}, {.together = 1, .also = NO}};
    arrange_with(plan, ops, 2, 0);
    expect(0, 1, 0, 0, 0);
    plan[0].also = OTHER;
    arrange_with(plan, ops, 2, 0);
    expect(0, 0, 1, 1, 0);
    expect(1, 1, 0, 0, 1);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("lanes");
    TCase *const tests = tcase_create("lanes");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, behind_what_does_not_touch_it);
    tcase_add_test(tests, before_who_overwrites_its_operands);
    tcase_add_test(tests, before_who_reads_its_result);
    tcase_add_test(tests, after_who_fills_its_result);
    tcase_add_test(tests, workspaces);
    tcase_add_test(tests, large_ones_stay);
    tcase_add_test(tests, groups);
    tcase_add_test(tests, gradients_of_one_filter);
    tcase_add_test(tests, waits_once);
    tcase_add_test(tests, ops_that_share_a_launch);
    tcase_add_test(tests, before_gradients_are_added);
    tcase_add_test(tests, before_who_overwrites_what_it_also_reads);
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
