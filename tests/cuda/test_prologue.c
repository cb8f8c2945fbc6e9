/* SPDX-License-Identifier: MIT */
/* Which batch normalisations may be left to the convolution behind them: programs that look alike and are not. */
#include "prologue.h"
#include <check.h>
#include <stdlib.h>

enum { X, MEAN, Y, W, OUT, DY, DW, OTHER, VIEW, WORK, VALUES };

/* Images of 1024 bytes, one after another; VIEW is the second half of Y by another name. */
static rn_value values[VALUES];

static void setup(void)
{
    for (int i = 0; i < VALUES; i++)
        values[i] = (rn_value){.role = RN_ROLE_ARENA, .dtype = RN_F16, .layout = RN_LAYOUT_NHWC, .rank = 4, .bytes = 1024,
                               .offset = (uint64_t)i * 1024, .dims = {4, 8, 4, 4}};
    values[VIEW].offset = values[Y].offset + 512;
    values[VIEW].bytes = 512;
    values[DW].role = RN_ROLE_PARAM_GRAD;
    values[W].role = RN_ROLE_DERIVED;
}

typedef struct test_op {
    int32_t kind;
    uint32_t flags, in[2], out, workspace;
} test_op;

#define NO RN_NO_VALUE
enum { APPLY = RN_OP_BN_APPLY, FORWARD = RN_OP_CONV_FORWARD, FILTER = RN_OP_CONV_BACKWARD_FILTER, RELU = RN_OP_RELU };
#define NORMALISE {APPLY, RN_OPF_RELU, {X, MEAN}, Y, NO}
#define CONVOLVE {FORWARD, 0, {Y, W}, OUT, NO}
#define GRADIENT {FILTER, 0, {Y, DY}, DW, NO}

enum { MOST = 8 };

static int match_at(const test_op *from, uint32_t count, uint32_t apply, rni_prologue_ops *out)
{
    static rn_op ops[MOST];
    const rn_program_desc desc = {sizeof desc, values, ops, VALUES, count};
    for (uint32_t i = 0; i < count; i++)
        ops[i] = (rn_op){.kind = from[i].kind,
                         .flags = from[i].flags,
                         .in = from[i].in,
                         .out = &from[i].out,
                         .num_in = 2,
                         .num_out = 1,
                         .workspace = from[i].workspace};
    return rni_prologue_match(&desc, apply, out);
}

#define MATCH(at, ...)                                                                                                 \
    match_at((const test_op[]){__VA_ARGS__}, sizeof((const test_op[]){__VA_ARGS__}) / sizeof(test_op), at, &found)

static rni_prologue_ops found;

START_TEST(two_readers_and_no_other)
{
    ck_assert(MATCH(1, {RELU, 0, {OTHER, NO}, X, NO}, NORMALISE, {RELU, 0, {X, NO}, OTHER, NO}, CONVOLVE,
                    {RELU, 0, {OUT, NO}, DY, NO}, GRADIENT, {RN_OP_BN_BACKWARD, 0, {OUT, X}, X, NO}));
    ck_assert_uint_eq(found.apply, 1);
    ck_assert_uint_eq(found.forward, 3);
    ck_assert_uint_eq(found.filter, 5);
    ck_assert_uint_eq(found.x, X);
    ck_assert(MATCH(0, NORMALISE, {FORWARD, RN_OPF_STATS, {Y, W}, OUT, NO}, GRADIENT));
}
END_TEST

START_TEST(other_normalisations)
{
    ck_assert(!MATCH(0, CONVOLVE, NORMALISE, CONVOLVE, GRADIENT)); /* what is asked about is none */
    ck_assert(!MATCH(0, {APPLY, 0, {X, MEAN}, Y, NO}, CONVOLVE, GRADIENT));
    ck_assert(!MATCH(0, {APPLY, RN_OPF_RELU | RN_OPF_ADD, {X, MEAN}, Y, NO}, CONVOLVE, GRADIENT));
    ck_assert(!MATCH(0, {APPLY, RN_OPF_RELU | RN_OPF_FROZEN, {X, MEAN}, Y, NO}, CONVOLVE, GRADIENT));
    ck_assert(!MATCH(0, {RN_OP_SCALE_SHIFT, RN_OPF_RELU, {X, MEAN}, Y, NO}, CONVOLVE, GRADIENT));
}
END_TEST

START_TEST(other_readers)
{
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE)); /* inference */
    ck_assert(!MATCH(0, NORMALISE, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, GRADIENT, CONVOLVE));
    ck_assert(!MATCH(1, CONVOLVE, NORMALISE, GRADIENT)); /* that of the step before */
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, CONVOLVE, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT, {RN_OP_BN_BACKWARD, 0, {OUT, Y}, OTHER, NO}));
    ck_assert(!MATCH(0, NORMALISE, {RELU, 0, {Y, NO}, OTHER, NO}, CONVOLVE, GRADIENT));
    ck_assert(!MATCH(1, {RELU, 0, {Y, NO}, OTHER, NO}, NORMALISE, CONVOLVE, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, {FORWARD, RN_OPF_BIAS, {Y, W}, OUT, NO}, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, {FORWARD, 0, {Y, Y}, OUT, NO}, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, {FORWARD, 0, {X, Y}, OUT, NO}, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, {FILTER, 0, {DY, Y}, DW, NO}));
}
END_TEST

START_TEST(other_writers)
{
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, {RELU, 0, {OTHER, NO}, Y, NO}, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT, {RELU, 0, {OTHER, NO}, Y, NO}));
}
END_TEST

/* Views, and memory that is used for something else. */
START_TEST(memory_of_the_activation)
{
    ck_assert(!MATCH(0, NORMALISE, {RELU, 0, {VIEW, NO}, OTHER, NO}, CONVOLVE, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, {RELU, 0, {OTHER, NO}, VIEW, NO}, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, {RELU, 0, {OTHER, NO}, OTHER, VIEW}, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, {FORWARD, 0, {Y, VIEW}, OUT, NO}, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, {FORWARD, 0, {Y, W}, OUT, VIEW}, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, {FILTER, 0, {Y, VIEW}, DW, NO}));
    /* Before and behind, when what is read has been written there; not what the activation left, or another step. */
    ck_assert(MATCH(2, {RELU, 0, {OTHER, NO}, VIEW, NO}, {RELU, 0, {VIEW, NO}, X, NO}, NORMALISE, CONVOLVE, GRADIENT));
    ck_assert(MATCH(0, NORMALISE, CONVOLVE, GRADIENT, {RELU, 0, {OTHER, NO}, VIEW, NO}, {RELU, 0, {VIEW, NO}, X, NO}));
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT, {RELU, 0, {VIEW, NO}, OTHER, NO}));
    ck_assert(!MATCH(1, {RELU, 0, {OTHER, NO}, VIEW, NO}, NORMALISE, CONVOLVE, GRADIENT, {RELU, 0, {VIEW, NO}, OTHER, NO}));
    ck_assert(!MATCH(1, {RELU, 0, {VIEW, NO}, OTHER, NO}, NORMALISE, CONVOLVE, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT, {RN_OP_ACCUMULATE, RN_OPF_ACCUMULATE, {OTHER, NO}, VIEW, NO}));
}
END_TEST

/* It must live as long as the activation would. */
START_TEST(memory_of_the_input)
{
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, {RELU, 0, {OTHER, NO}, X, NO}, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, {RELU, 0, {OTHER, NO}, OTHER, X}, CONVOLVE, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, {FORWARD, 0, {Y, W}, X, NO}, GRADIENT));
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, {FILTER, 0, {Y, DY}, DW, X}));
    ck_assert(MATCH(0, NORMALISE, CONVOLVE, GRADIENT, {RELU, 0, {OTHER, NO}, X, NO}));
    values[X].offset = values[Y].offset + 1000; /* in place, and partly */
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT));
    values[X].offset = values[OTHER].offset + 8; /* by another name */
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, {RELU, 0, {DY, NO}, OTHER, NO}, GRADIENT));
}
END_TEST

START_TEST(what_cannot_be)
{
    static const int32_t dtypes[] = {RN_F32, RN_BF16, RN_F64};
    for (int i = 0; i < 3; i++) {
        values[X].dtype = values[Y].dtype = dtypes[i];
        ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT));
    }
    values[X].dtype = values[Y].dtype = RN_F16;
    for (int32_t role = RN_ROLE_X; role < RN_ROLE_ARENA; role++) {
        values[X].role = role; /* the caller's, who may change it */
        ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT));
        values[X].role = RN_ROLE_ARENA;
        values[Y].role = role; /* the caller's, who may read it */
        ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT));
        values[Y].role = RN_ROLE_ARENA;
        values[OUT].role = role; /* the caller's, who aligns it to elements only */
        ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT));
        values[OUT].role = RN_ROLE_ARENA;
        values[DY].role = role;
        ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT));
        values[DY].role = RN_ROLE_ARENA;
    }
    values[Y].dims[2] = values[Y].dims[3] = 1; /* no room for two factors a channel */
    ck_assert(!MATCH(0, NORMALISE, CONVOLVE, GRADIENT));
    values[Y].dims[3] = 2;
    ck_assert(MATCH(0, NORMALISE, CONVOLVE, GRADIENT));
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("prologue");
    TCase *const tests = tcase_create("prologue");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, two_readers_and_no_other);
    tcase_add_test(tests, other_normalisations);
    tcase_add_test(tests, other_readers);
    tcase_add_test(tests, other_writers);
    tcase_add_test(tests, memory_of_the_activation);
    tcase_add_test(tests, memory_of_the_input);
    tcase_add_test(tests, what_cannot_be);
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
