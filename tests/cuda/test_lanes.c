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
        values[i] = (rn_value){.role = RN_ROLE_ARENA, .bytes = 64, .offset = (uint64_t)i * 64};
    values[BIG].bytes = (uint64_t)1 << 40;
    values[FAR].role = RN_ROLE_PARAM_GRAD;
}

typedef struct test_op {
    int32_t kind;
    uint32_t in[2], out, workspace;
} test_op;

static int32_t arrange(const test_op *from, uint32_t count, uint64_t workspace, rni_lane_step *steps, int64_t *join)
{
    static char gradients[64];
    static rn_op ops[8];
    void *base[RN_ROLE_COUNT] = {0};
    const rn_program_desc desc = {sizeof desc, values, ops, VALUES, count};
    base[RN_ROLE_ARENA] = memory;
    base[RN_ROLE_PARAM_GRAD] = gradients - 7 * 64; /* FAR's offset */
    for (uint32_t i = 0; i < count; i++)
        ops[i] = (rn_op){.kind = from[i].kind,
                         .in = from[i].in,
                         .out = &from[i].out,
                         .num_in = 2,
                         .num_out = 1,
                         .workspace = from[i].workspace};
    run.base = base;
    run.num_ops = count;
    return rni_lanes_arrange(&desc, &run, workspace, steps, join);
}

enum { FILTER = RN_OP_CONV_BACKWARD_FILTER, DATA = RN_OP_CONV_BACKWARD_DATA, NONE = -1 };
#define NO RN_NO_VALUE

static void expect(const rni_lane_step *step, int side, int64_t after, int marked)
{
    ck_assert_int_eq(step->side, side);
    ck_assert_int_eq(step->after, after);
    ck_assert_int_eq(step->marked, marked);
}

START_TEST(beside_what_does_not_touch_it)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {DATA, {DY, OTHER}, DX, NO}};
    rni_lane_step steps[2];
    int64_t join;
    ck_assert_int_eq(arrange(ops, 2, 0, steps, &join), 1);
    expect(&steps[0], 1, NONE, 1);
    expect(&steps[1], 0, NONE, 0);
    ck_assert_int_eq(join, 0);
}
END_TEST

START_TEST(after_who_makes_its_operands)
{
    const test_op ops[] = {{RN_OP_RELU, {X, NO}, DY, NO}, {RN_OP_RELU, {X, NO}, OTHER, NO}, {FILTER, {X, DY}, DW, NO}};
    rni_lane_step steps[3];
    int64_t join;
    arrange(ops, 3, 0, steps, &join);
    expect(&steps[0], 0, NONE, 1);
    expect(&steps[1], 0, NONE, 0);
    expect(&steps[2], 1, 0, 1);
}
END_TEST

START_TEST(before_who_overwrites_its_operands)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {RN_OP_RELU, {OTHER, NO}, DY, NO}};
    rni_lane_step steps[2];
    int64_t join;
    arrange(ops, 2, 0, steps, &join);
    expect(&steps[1], 0, 0, 0);
    ck_assert_int_eq(join, NONE); /* it has been waited for */
}
END_TEST

START_TEST(before_who_reads_its_result)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO}, {RN_OP_RELU, {DW, NO}, OTHER, NO}};
    rni_lane_step steps[2];
    int64_t join;
    arrange(ops, 2, 0, steps, &join);
    expect(&steps[1], 0, 0, 0);
}
END_TEST

START_TEST(after_who_fills_its_result)
{
    const test_op ops[] = {{RN_OP_FILL, {NO, NO}, DW, NO}, {FILTER, {X, DY}, DW, NO}};
    rni_lane_step steps[2];
    int64_t join;
    arrange(ops, 2, 0, steps, &join);
    expect(&steps[1], 1, 0, 1);
}
END_TEST

/* Of an op in the first lane it is memory like any other; in the second one it lies elsewhere. */
START_TEST(workspaces)
{
    const test_op used[] = {{FILTER, {X, DY}, DW, NO}, {RN_OP_RELU, {OTHER, NO}, DX, X}};
    const test_op own[] = {{FILTER, {X, DY}, DW, WORK}, {RN_OP_RELU, {WORK, NO}, WORK, WORK}};
    rni_lane_step steps[2];
    int64_t join;
    arrange(used, 2, 0, steps, &join);
    expect(&steps[1], 0, 0, 0);
    ck_assert_int_eq(arrange(own, 2, 64, steps, &join), 1);
    expect(&steps[0], 1, NONE, 1);
    expect(&steps[1], 0, NONE, 0);
    ck_assert_int_eq(arrange(own, 2, 63, steps, &join), 0); /* there is no memory for it */
    expect(&steps[0], 0, NONE, 0);
}
END_TEST

START_TEST(large_workspaces_stay)
{
    const test_op op = {FILTER, {X, DY}, DW, BIG};
    rni_lane_step step;
    int64_t join;
    ck_assert_int_eq(arrange(&op, 1, UINT64_MAX, &step, &join), 0);
    ck_assert_int_eq(join, NONE);
}
END_TEST

/* What was waited for once need not be again, nor what came before it. */
START_TEST(waits_once)
{
    const test_op ops[] = {{FILTER, {X, DY}, DW, NO},
                           {FILTER, {X, OTHER}, FAR, NO},
                           {RN_OP_RELU, {DX, NO}, OTHER, NO},
                           {RN_OP_RELU, {DX, NO}, DY, NO},
                           {RN_OP_RELU, {DX, NO}, OTHER, NO}};
    rni_lane_step steps[5];
    int64_t join;
    arrange(ops, 5, 0, steps, &join);
    expect(&steps[0], 1, NONE, 0);
    expect(&steps[1], 1, NONE, 1);
    expect(&steps[2], 0, 1, 0);
    expect(&steps[3], 0, NONE, 0);
    expect(&steps[4], 0, NONE, 0);
    ck_assert_int_eq(join, NONE);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("lanes");
    TCase *const tests = tcase_create("lanes");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, beside_what_does_not_touch_it);
    tcase_add_test(tests, after_who_makes_its_operands);
    tcase_add_test(tests, before_who_overwrites_its_operands);
    tcase_add_test(tests, before_who_reads_its_result);
    tcase_add_test(tests, after_who_fills_its_result);
    tcase_add_test(tests, workspaces);
    tcase_add_test(tests, large_workspaces_stay);
    tcase_add_test(tests, waits_once);
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
