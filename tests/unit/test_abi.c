/* SPDX-License-Identifier: MIT */
/* Structs across the border: an older, an equal and a newer program, and ones that make no sense. */
#include "base/abi.h"
#include "support.h"

/* The struct's history: `first` is what the first release had, `newer` what a later one will have. */
typedef struct first {
    size_t struct_size;
    int64_t a;
} first;
typedef struct known {
    size_t struct_size;
    int64_t a, b;
} known;
typedef struct newer {
    size_t struct_size;
    int64_t a, b, c;
} newer;

static const known defaults = {sizeof(known), 1, 2};

static rn_status read_it(const void *given, known *out)
{
    *out = defaults;
    return rni_abi_read(out, sizeof *out, sizeof(first), given, "options");
}

static rn_status write_it(void *given)
{
    return rni_abi_write(given, &defaults, sizeof defaults, sizeof(first), "options");
}

static rn_status init_it(void *given, size_t size)
{
    return rni_abi_init(given, size, &defaults, sizeof defaults, sizeof(first), "options");
}

START_TEST(reads_all_ages)
{
    const first old = {sizeof old, 10};
    const known equal = {sizeof equal, 10, 0};
    const newer young = {sizeof young, 10, 20, 0};
    known k;
    ck_ok(read_it(NULL, &k));
    ck_assert(k.a == 1 && k.b == 2);
    ck_ok(read_it(&old, &k));
    ck_assert(k.a == 10 && k.b == 2 && k.struct_size == sizeof k); /* appended: as before it existed */
    ck_ok(read_it(&equal, &k));
    ck_assert(k.a == 10 && k.b == 0); /* a zero means zero */
    ck_ok(read_it(&young, &k));
    ck_assert(k.a == 10 && k.b == 20 && k.struct_size == sizeof k);
}
END_TEST

START_TEST(refuses_what_it_does_not_know)
{
    newer young = {sizeof young, 10, 20, 0};
    known k;
    ((unsigned char *)&young.c)[7] = 1; /* the very last byte */
    ck_fails(read_it(&young, &k), RN_E_VERSION, "options: a field at byte 31 is set");
    ck_assert(k.a == 1 && k.b == 2);
}
END_TEST

START_TEST(refuses_sizes)
{
    static const size_t sizes[] = {0, 1, sizeof(first) - 1, 4097, SIZE_MAX};
    known k, given = defaults;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        given.struct_size = sizes[i];
        ck_fails(read_it(&given, &k), RN_E_VERSION, "options: struct_size is");
        ck_fails(write_it(&given), RN_E_VERSION, "options: struct_size is");
        ck_fails(init_it(&given, sizes[i]), RN_E_VERSION, "options: struct_size is");
        ck_assert(given.struct_size == sizes[i] && given.a == 1 && given.b == 2 && k.a == 1);
    }
}
END_TEST

START_TEST(writes_what_fits)
{
    struct {
        first f;
        int64_t guard;
    } old = {{sizeof old.f, 0}, 77};
    newer young = {sizeof young, 9, 9, 9};
    ck_ok(write_it(&old));
    ck_assert(old.f.struct_size == sizeof old.f && old.f.a == 1 && old.guard == 77);
    ck_ok(write_it(&young));
    ck_assert(young.struct_size == sizeof young && young.a == 1 && young.b == 2 && young.c == 0);
}
END_TEST

START_TEST(initialises_all_ages)
{
    struct {
        first f;
        int64_t guard;
    } old = {{9, 9}, 77};
    known equal;
    newer young = {9, 9, 9, 9};
    ck_ok(init_it(&old, sizeof old.f));
    ck_assert(old.f.struct_size == sizeof old.f && old.f.a == 1 && old.guard == 77);
    ck_ok(init_it(&equal, sizeof equal));
    ck_assert(equal.struct_size == sizeof equal && equal.a == 1 && equal.b == 2);
    ck_ok(init_it(&young, sizeof young));
    ck_assert(young.struct_size == sizeof young && young.a == 1 && young.b == 2 && young.c == 0);
    ck_fails(init_it(NULL, sizeof equal), RN_E_INVALID, "options: options is NULL");
}
END_TEST

SUPPORT_MAIN("abi", reads_all_ages, refuses_what_it_does_not_know, refuses_sizes, writes_what_fits, initialises_all_ages)
