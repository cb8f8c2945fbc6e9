/* SPDX-License-Identifier: MIT */
/* The safetensors reader on good and on malformed files, and the writer. */
#include "format/safetensors.h"
#include "base/io.h"
#include "support.h"
#include <locale.h>
#include <math.h>
#include <unistd.h>

static const rn_allocator *const allocator = &rni_default_allocator;
static char path[64];

static void write_file(const void *data, size_t size)
{
    FILE *const f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void make_path(void)
{
    snprintf(path, sizeof path, "/tmp/safetensors-%ld", (long)getpid());
}

/* A file of this header and `bytes` bytes of data, which count up. */
static void write_header(const char *header, size_t bytes)
{
    static unsigned char file[65536];
    const size_t length = strlen(header);
    ck_assert_uint_lt(8 + length + bytes, sizeof file);
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)(length >> 8 * i);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < bytes; i++)
        file[8 + length + i] = (unsigned char)i;
    write_file(file, 8 + length + bytes);
}

static void check_malformed(const char *header, size_t bytes, const char *message)
{
    rni_st_file *f = NULL;
    write_header(header, bytes);
    ck_fails(rni_st_open(allocator, path, &f), RN_E_FORMAT, message);
    ck_assert_ptr_nonnull(strstr(rn_error_message(), path));
    ck_assert_ptr_null(strchr(rn_error_message(), '\n'));
    ck_assert_ptr_null(f);
}

START_TEST(malformed_sizes)
{
    static const unsigned char shorter[7] = {2}, beyond[10] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    static const unsigned char huge[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{'};
    static const unsigned char above_cap[16] = {1, 0, 0, 1}, empty[8] = {0};
    rni_st_file *f = NULL;
    make_path();
    unlink(path);
    ck_fails(rni_st_open(allocator, path, &f), RN_E_NOT_FOUND, path);
    ck_fails(rni_st_open(allocator, "/", &f), RN_E_IO, "/");
    write_file("", 0);
    ck_fails(rni_st_open(allocator, path, &f), RN_E_FORMAT, "0 bytes are too few");
    write_file(shorter, sizeof shorter);
    ck_fails(rni_st_open(allocator, path, &f), RN_E_FORMAT, "7 bytes are too few");
    write_file(beyond, sizeof beyond);
    ck_fails(rni_st_open(allocator, path, &f), RN_E_FORMAT, "a header of 3 bytes in a file of 10");
    write_file(huge, sizeof huge);
    ck_fails(rni_st_open(allocator, path, &f), RN_E_FORMAT, "a header of 18446744073709551615 bytes");
    write_file(above_cap, sizeof above_cap);
    ck_fails(rni_st_open(allocator, path, &f), RN_E_FORMAT, "a header of 16777217 bytes, expected at most 16777216");
    write_file(empty, sizeof empty);
    ck_fails(rni_st_open(allocator, path, &f), RN_E_FORMAT, "does not begin with '{'");
    ck_assert_ptr_null(f);
    unlink(path);
}
END_TEST

START_TEST(malformed_json)
{
    make_path();
    check_malformed("[]", 0, "does not begin with '{'");
    check_malformed(" {}", 0, "does not begin with '{'");
    check_malformed("{", 0, "not valid JSON");
    check_malformed("{}x", 0, "not valid JSON");
    check_malformed("{\"a\":1,}", 0, "not valid JSON");
    check_malformed("{\"\xff\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "not valid JSON");
    check_malformed("{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "not valid JSON");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
                    "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}",
                    1, "duplicate");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "duplicate");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[99999999999999999999],\"data_offsets\":[0,1]}}", 1,
                    "not valid");
    check_malformed("{\"__metadata__\":[]}", 0, "__metadata__ is no object");
    check_malformed("{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: a is no text");
    check_malformed("{\"__metadata__\":{\"a\\nb\":1}}", 0, "__metadata__: a?b is no text");
    unlink(path);
}
END_TEST

START_TEST(malformed_entries)
{
    make_path();
    check_malformed("{\"a\":1}", 0, "tensor a: its entry is no object");
    check_malformed("{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1, "tensor a: no dtype");
    check_malformed("{\"a\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,1]}}", 1, "tensor a: no dtype");
    check_malformed("{\"a\":{\"dtype\":\"F33\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "tensor a: unknown dtype");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "tensor a: no shape");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "no whole number");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, "no whole number");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[\"1\"],\"data_offsets\":[0,1]}}", 1, "no whole number");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,1]}}", 1,
                    "its shape overflows");
    check_malformed("{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0,
                    "0 bytes for F64 of shape [2305843009213693952]");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "data_offsets are not two whole numbers");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "data_offsets are not two");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, "data_offsets are not two");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,true]}}", 1,
                    "data_offsets are not two");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}}", 1, "data_offsets are not two");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, "data_offsets [1, 0]");
    check_malformed("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 1,
                    "data_offsets [0, 2] in 1 bytes of data");
    check_malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,7]}}", 7,
                    "7 bytes for F32 of shape [2]");
    check_malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,8]}}", 8,
                    "8 bytes for F32 of shape [2, 3]");
    unlink(path);
}
END_TEST

#define ENTRY(name, begin, end) "\"" name "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[" begin "," end "]}"

START_TEST(malformed_places)
{
    make_path();
    check_malformed("{" ENTRY("a", "1", "3") "}", 3, "tensor a: there is a hole before its data");
    check_malformed("{" ENTRY("b", "3", "5") "," ENTRY("a", "0", "2") "}", 5, "tensor b: there is a hole");
    check_malformed("{" ENTRY("a", "0", "2") "," ENTRY("b", "1", "3") "}", 3, "tensor b: its data overlap");
    check_malformed("{" ENTRY("a", "0", "2") "," ENTRY("b", "0", "2") "}", 2, "its data overlap");
    check_malformed("{" ENTRY("a", "0", "2") "}", 5, "3 bytes follow the last tensor");
    check_malformed("{}", 1, "1 bytes follow the last tensor");
    unlink(path);
}
END_TEST

START_TEST(unusual_but_legal)
{
    rni_st_file *f = NULL;
    make_path();
    write_header("{}", 0);
    ck_ok(rni_st_open(allocator, path, &f));
    ck_assert_uint_eq(rni_st_count(f), 0);
    ck_assert_ptr_null(rni_st_metadata(f, "a"));
    rni_st_close(f);
    /* scalars, empty tensors, many dimensions, types nobody reads, unknown keys, padding, an order that is not the data's */
    write_header("{\"__metadata__\":{\"k\":\"v\"},\"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[2,3]},"
                 "\"e\":{\"dtype\":\"F64\",\"shape\":[3,0],\"data_offsets\":[2,2]},"
                 "\"n\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,2],\"more\":null},"
                 "\"b\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[3,4]}}   ",
                 4);
    ck_ok(rni_st_open(allocator, path, &f));
    ck_assert_uint_eq(rni_st_count(f), 4);
    ck_assert_str_eq(rni_st_at(f, 0)->name, "b");
    ck_assert_int_eq(rni_st_at(f, 0)->dtype, 0);
    ck_assert_str_eq(rni_st_metadata(f, "k"), "v");
    const rni_st_tensor *t = rni_st_find(f, "s");
    unsigned char byte = 0;
    ck_assert_int_eq(t->rank, 0);
    ck_assert_int_eq(t->count, 1);
    ck_ok(rni_st_read(f, t, 0, &byte, 1));
    ck_assert_uint_eq(byte, 2);
    ck_assert_int_eq(rni_st_find(f, "e")->count, 0);
    ck_ok(rni_st_read(f, rni_st_find(f, "e"), 0, NULL, 0));
    ck_assert_int_eq(rni_st_find(f, "n")->rank, 9);
    ck_assert_ptr_null(rni_st_find(f, "__metadata__"));
    ck_assert_ptr_null(rni_st_find(f, "x"));
    double d;
    ck_fails(rni_st_read_as(f, t, RN_F64, &d), RN_E_DTYPE, "s is U8, which is not read as f64");
    ck_fails(rni_st_read_as(f, rni_st_at(f, 0), RN_F32, &d), RN_E_DTYPE, "b is BOOL");
    rni_st_close(f);
    rni_st_close(NULL);
    unlink(path);
}
END_TEST

/* A write of four f16/bf16 bit patterns and other types, read back as f32, f64 and i64. */
START_TEST(conversions)
{
    static const uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x7c00, 0x7bff, 0x8000, 0x03ff, 0x7e00};
    static const float half_values[] = {1.0f,     -2.0f, 5.9604644775390625e-08f, INFINITY,
                                        65504.0f, -0.0f, 1023.0f / 16777216.0f};
    static const uint16_t brains[] = {0x3f80, 0xc000, 0x0001, 0x7f80};
    static const float brain_values[] = {1.0f, -2.0f, 9.183549615799121e-41f, INFINITY};
    static const double doubles[] = {0.1, -1e300};
    static const int32_t ints[] = {-5, 2147483647};
    const int64_t eight = 8, four = 4, two = 2;
    rni_st_builder b;
    rni_st_file *f = NULL;
    float as_float[8];
    int64_t as_int[2];
    make_path();
    rni_st_begin(&b, allocator);
    ck_ok(rni_st_put_host(&b, "half", RN_F16, 1, &eight, halves));
    ck_ok(rni_st_put_host(&b, "brain", RN_BF16, 1, &four, brains));
    ck_ok(rni_st_put_host(&b, "double", RN_F64, 1, &two, doubles));
    ck_ok(rni_st_put_host(&b, "int", RN_I32, 1, &two, ints));
    ck_ok(rni_st_save(&b, path));
    rni_st_end(&b);
    ck_ok(rni_st_open(allocator, path, &f));
    ck_ok(rni_st_read_as(f, rni_st_find(f, "half"), RN_F32, as_float));
    ck_assert_mem_eq(as_float, half_values, sizeof half_values);
    ck_assert(isnan(as_float[7]));
    ck_ok(rni_st_read_as(f, rni_st_find(f, "brain"), RN_F32, as_float));
    ck_assert_mem_eq(as_float, brain_values, sizeof brain_values);
    ck_ok(rni_st_read_as(f, rni_st_find(f, "double"), RN_F32, as_float));
    ck_assert_float_eq(as_float[0], 0.1f);
    ck_assert(isinf(as_float[1]));
    ck_ok(rni_st_read_as(f, rni_st_find(f, "int"), RN_I64, as_int));
    ck_assert_int_eq(as_int[0], -5);
    ck_assert_int_eq(as_int[1], 2147483647);
    ck_fails(rni_st_read_as(f, rni_st_find(f, "int"), RN_F32, as_float), RN_E_DTYPE, "int is I32");
    rni_st_close(f);
    unlink(path);
}
END_TEST

static size_t read_file(unsigned char *data, size_t capacity)
{
    FILE *const f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    const size_t size = fread(data, 1, capacity, f);
    fclose(f);
    return size;
}

/* The bytes of a small file, written down: they must not change from release to release, nor with the locale. */
START_TEST(written_bytes)
{
    static const char expected[] = "\x08\x01\0\0\0\0\0\0"
                                   "{\"__metadata__\":{\"a\":\"\\\"quoted\\\"\",\"b\":\"\xc3\xa9\"},"
                                   "\"z\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
                                   "\"e\":{\"dtype\":\"F32\",\"shape\":[0,2],\"data_offsets\":[8,8]},"
                                   "\"f\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]},"
                                   "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[12,15]}}     "
                                   "\x07\0\0\0\0\0\0\0\0\0\x80\x3f\1\2\3";
    static const unsigned char bytes[] = {1, 2, 3};
    static const int64_t number = 7, one = 1, three = 3, none[] = {0, 2};
    static const float f = 1.0f;
    unsigned char got[1024];
    rni_st_builder b;
    make_path();
    setlocale(LC_ALL, "");
    rni_st_begin(&b, allocator);
    ck_ok(rni_st_put_host(&b, "a", RN_U8, 1, &three, bytes));
    ck_ok(rni_st_put_metadata(&b, "b", "\xc3\xa9"));
    ck_ok(rni_st_put_host(&b, "f", RN_F32, 1, &one, &f));
    ck_ok(rni_st_put_host(&b, "z", RN_I64, 0, NULL, &number));
    ck_ok(rni_st_put_host(&b, "e", RN_F32, 2, none, NULL));
    ck_ok(rni_st_put_metadata(&b, "a", "\"quoted\""));
    ck_ok(rni_st_save(&b, path));
    rni_st_end(&b);
    const size_t size = read_file(got, sizeof got);
    ck_assert_uint_eq(size, sizeof expected - 1);
    ck_assert_mem_eq(got, expected, sizeof expected - 1);
    ck_assert_uint_eq((8 + got[0] + 256 * got[1]) % 8, 0);
    unlink(path);
}
END_TEST

START_TEST(writer_refuses)
{
    static const int64_t one = 1, negative = -1;
    static const float f = 1.0f;
    rni_st_builder b;
    make_path();
    write_file("before", 6);
    rni_st_begin(&b, allocator);
    ck_ok(rni_st_put_host(&b, "\xff", RN_F32, 1, &one, &f));
    ck_fails(rni_st_save(&b, path), RN_E_INVALID, "is not UTF-8");
    rni_st_end(&b);
    ck_ok(rni_st_put_host(&b, "a", RN_F32, 1, &one, &f));
    ck_ok(rni_st_put_host(&b, "a", RN_U8, 1, &one, &f));
    ck_fails(rni_st_save(&b, path), RN_E_INVALID, "have the same name");
    rni_st_end(&b);
    ck_ok(rni_st_put_host(&b, "__metadata__", RN_F32, 1, &one, &f));
    ck_ok(rni_st_put_metadata(&b, "k", "v"));
    ck_fails(rni_st_save(&b, path), RN_E_INVALID, "have the same name");
    rni_st_end(&b);
    ck_fails(rni_st_put_host(&b, "a", 99, 1, &one, &f), RN_E_DTYPE, "a: ");
    ck_fails(rni_st_put_host(&b, "a", RN_F32, 1, &negative, &f), RN_E_SHAPE, "a");
    ck_ok(rni_st_put_host(&b, "a", RN_F32, 1, &one, &f));
    ck_fails(rni_st_save(&b, "/nowhere/at/all"), RN_E_IO, "/nowhere/at/all");
    rni_io_fail_after(1);
    ck_fails(rni_st_save(&b, path), RN_E_IO, path);
    rni_io_fail_after(0);
    rni_st_end(&b);
    unsigned char got[16];
    ck_assert_uint_eq(read_file(got, sizeof got), 6); /* none of these touched the file */
    unlink(path);
}
END_TEST

START_TEST(texts_for_messages)
{
    char text[RNI_ST_NAME_TEXT], name[300];
    ck_assert_str_eq(rni_st_name_text(text, "a\nb\x7f"), "a?b?");
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    ck_assert_uint_eq(strlen(rni_st_name_text(text, name)), RNI_ST_NAME_TEXT - 1);
    ck_assert_str_eq(text + RNI_ST_NAME_TEXT - 4, "...");
    for (size_t i = 0; i + 1 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa9", 2);
    name[298] = '\0';
    rni_st_name_text(text, name);
    ck_assert_uint_eq((unsigned char)text[strlen(text) - 4], 0xa9); /* a whole letter before the dots */
}
END_TEST

SUPPORT_MAIN("safetensors", malformed_sizes, malformed_json, malformed_entries, malformed_places, unusual_but_legal,
             conversions, written_bytes, writer_refuses, texts_for_messages)
