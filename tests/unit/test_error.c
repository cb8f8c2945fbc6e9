/* SPDX-License-Identifier: MIT */
/* Messages: one line, cut and never empty of sense, per thread, untouched by success. */
#include "base/error.h"
#include "support.h"
#include <pthread.h>

START_TEST(sets_status_and_text)
{
    ck_assert_int_eq(rni_fail(RN_E_SHAPE, "dims: expected %d, got %s", 4, "x"), RN_E_SHAPE);
    ck_assert_str_eq(rn_error_message(), "dims: expected 4, got x");
}
END_TEST

START_TEST(may_quote_the_old_message)
{
    rni_fail(RN_E_IO, "inner");
    ck_assert_int_eq(rni_fail(RN_E_IO, "outer (%s)", rn_error_message()), RN_E_IO);
    ck_assert_str_eq(rn_error_message(), "outer (inner)");
}
END_TEST

START_TEST(prefix_goes_before)
{
    rni_fail(RN_E_DTYPE, "x: expected f32");
    ck_assert_int_eq(rni_fail_prefix(RN_E_DTYPE, "%s.%d", "layer1", 0), RN_E_DTYPE);
    ck_assert_str_eq(rn_error_message(), "layer1.0: x: expected f32");
}
END_TEST

START_TEST(long_text_is_cut)
{
    char text[2 * RNI_MESSAGE_SIZE];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    rni_fail(RN_E_IO, "%s", text);
    ck_assert_uint_eq(strlen(rn_error_message()), RNI_MESSAGE_SIZE - 1);
    rni_fail_prefix(RN_E_IO, "b%s", text);
    ck_assert_uint_eq(strlen(rn_error_message()), RNI_MESSAGE_SIZE - 1);
    ck_assert_int_eq(rn_error_message()[0], 'b');
    rni_fail(RN_E_IO, "short");
    rni_fail_prefix(RN_E_IO, "%.500s", text);
    ck_assert_uint_eq(strlen(rn_error_message()), 500 + strlen(": short"));
}
END_TEST

START_TEST(is_one_line)
{
    rni_fail(RN_E_IO, "%s", "a\nb\rc\033[1m\177\xc3\xa9");
    ck_assert_str_eq(rn_error_message(), "a?b?c?[1m?\xc3\xa9");
}
END_TEST

static void *fail_elsewhere(void *arg)
{
    const int was_empty = rn_error_message()[0] == '\0';
    rni_fail(RN_E_IO, "elsewhere");
    return was_empty && strcmp(rn_error_message(), "elsewhere") == 0 ? arg : NULL;
}

START_TEST(belongs_to_the_thread)
{
    char here[] = "here";
    pthread_t thread;
    void *result = NULL;
    rni_fail(RN_E_IO, "%s", here);
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_elsewhere, here), 0);
    pthread_join(thread, &result);
    ck_assert_ptr_nonnull(result);
    ck_assert_str_eq(rn_error_message(), "here");
}
END_TEST

static rn_status needs(const void *thing)
{
    RNI_REQUIRE(thing);
    RNI_TRY(RN_END);
    return RN_OK;
}

START_TEST(require_names_the_argument)
{
    ck_fails(needs(NULL), RN_E_INVALID, "needs: thing is NULL");
    ck_ok(needs(""));
    ck_assert_str_eq(rn_error_message(), "needs: thing is NULL"); /* success leaves it */
}
END_TEST

START_TEST(shapes_as_text)
{
    char text[RNI_SHAPE_TEXT];
    int64_t dims[RN_MAX_RANK + 1];
    ck_assert_str_eq(rni_shape_text(text, 0, NULL), "[]");
    dims[0] = 2, dims[1] = -1;
    ck_assert_str_eq(rni_shape_text(text, 2, dims), "[2, -1]");
    for (int i = 0; i <= RN_MAX_RANK; i++)
        dims[i] = INT64_MIN;
    rni_shape_text(text, RN_MAX_RANK + 1, dims); /* more are not printed, the longest fit */
    ck_assert_uint_eq(strlen(text), 2 + RN_MAX_RANK * strlen("-9223372036854775808") + (RN_MAX_RANK - 1) * 2);
}
END_TEST

SUPPORT_MAIN("error", sets_status_and_text, may_quote_the_old_message, prefix_goes_before, long_text_is_cut, is_one_line,
             belongs_to_the_thread, require_names_the_argument, shapes_as_text)
