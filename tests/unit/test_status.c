/* SPDX-License-Identifier: MIT */
/* Names and texts of statuses and element types, and what the build says of itself. */
#include "support.h"

START_TEST(numbers_are_fixed)
{
    ck_assert_int_eq(RN_OK, 0);
    ck_assert_int_eq(RN_END, 1);
    ck_assert_int_eq(RN_E_NOMEM, -1);
    ck_assert_int_eq(RN_E_BUFFER, -13);
    ck_assert_int_eq(RN_E_INTERNAL, -16);
}
END_TEST

START_TEST(names_and_texts)
{
    static const rn_status all[] = {
#define NUMBER(name, number, text) number,
        RN_STATUS_LIST(NUMBER)
#undef NUMBER
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        ck_assert_int_eq(strncmp(rn_status_name(all[i]), "RN_", 3), 0);
        for (size_t k = 0; k < i; k++) {
            ck_assert_str_ne(rn_status_name(all[i]), rn_status_name(all[k]));
            ck_assert_str_ne(rn_status_text(all[i]), rn_status_text(all[k]));
        }
    }
    ck_assert_str_eq(rn_status_name(RN_E_SHAPE), "RN_E_SHAPE");
    ck_assert_str_eq(rn_status_text(RN_E_SHAPE), "shapes do not fit");
    ck_assert_str_eq(rn_status_name(-1000), "RN_E_?");
    ck_assert_str_eq(rn_status_text(2), "unknown status");
}
END_TEST

START_TEST(element_types)
{
    static const struct {
        rn_dtype dtype;
        size_t size;
        const char *name;
    } all[] = {{0, 0, "?"},        {RN_F32, 4, "f32"}, {RN_F64, 8, "f64"},   {RN_I64, 8, "i64"}, {RN_U8, 1, "u8"},
               {RN_I32, 4, "i32"}, {RN_BF16, 2, "bf16"}, {RN_F16, 2, "f16"}, {8, 0, "?"},        {-1, 0, "?"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        ck_assert_uint_eq(rn_dtype_size(all[i].dtype), all[i].size);
        ck_assert_str_eq(rn_dtype_name(all[i].dtype), all[i].name);
    }
}
END_TEST

START_TEST(version_and_build)
{
    char text[32];
    snprintf(text, sizeof text, "%u.%u.%u", (unsigned)(rn_version() >> 16), (unsigned)(rn_version() >> 8 & 255),
             (unsigned)(rn_version() & 255));
    ck_assert_str_eq(rn_build_info(RN_BUILD_VERSION), text);
    ck_assert(strstr(rn_build_info(RN_BUILD_COMPILER), "clang ") || strstr(rn_build_info(RN_BUILD_COMPILER), "gcc "));
    ck_assert_ptr_nonnull(strstr(rn_build_info(RN_BUILD_FEATURES), "zlib"));
    ck_assert_int_eq(strncmp(rn_build_info(RN_BUILD_CPU_LEVELS), "base", 4), 0);
    ck_assert_ptr_null(rn_build_info(-1));
    ck_assert_ptr_null(rn_build_info(RN_BUILD_CPU_LEVELS + 1));
}
END_TEST

SUPPORT_MAIN("status", numbers_are_fixed, names_and_texts, element_types, version_and_build)
