/* SPDX-License-Identifier: MIT */
/* Memory through an allocator: alignment, sizes that come back, overflow, growing texts. */
#include "base/alloc.h"
#include "counting.h"
#include "support.h"

static int all_bytes(const void *data, int value, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (((const unsigned char *)data)[i] != value)
            return 0;
    return 1;
}

static void ck_settled(const counting *c)
{
    ck_assert_int_eq(c->bytes, 0);
    ck_assert_int_eq(c->blocks, 0);
    ck_assert_int_eq(c->wrong, 0);
}

START_TEST(blocks_are_aligned_and_accounted)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 100000};
    counting c = {0};
    const rn_allocator a = counting_allocator(&c);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *const ptr = rni_alloc(&a, sizes[i]), *const zeros = rni_calloc(&a, 1, sizes[i]);
        ck_assert_ptr_nonnull(ptr);
        ck_assert_uint_eq((uintptr_t)ptr % 64, 0);
        memset(ptr, 0xa5, sizes[i]);
        ck_assert(all_bytes(zeros, 0, sizes[i]));
        rni_free(&a, ptr);
        rni_free(&a, zeros);
    }
    rni_free(&a, NULL);
    ck_settled(&c);
}
END_TEST

START_TEST(the_default_allocator)
{
    char *const text = rni_strdup(&rni_default_allocator, "text");
    ck_assert_str_eq(text, "text");
    ck_assert_uint_eq((uintptr_t)text % 64, 0);
    rni_free(&rni_default_allocator, text);
    ck_assert_ptr_null(rni_alloc(&rni_default_allocator, (size_t)PTRDIFF_MAX - 64));
}
END_TEST

START_TEST(overflow_is_no_memory)
{
    counting c = {0};
    const rn_allocator a = counting_allocator(&c);
    size_t out = 5;
    ck_assert_ptr_null(rni_alloc(&a, SIZE_MAX));
    ck_assert_ptr_null(rni_alloc(&a, SIZE_MAX - 63));
    ck_assert_ptr_null(rni_calloc(&a, SIZE_MAX / 2, 3));
    ck_assert_int_eq(c.calls, 0); /* nobody was asked */
    ck_assert(!rni_mul_size(SIZE_MAX, 2, &out) && !rni_add_size(SIZE_MAX, 1, &out));
    ck_assert(rni_mul_size(SIZE_MAX, 1, &out) && out == SIZE_MAX);
    ck_assert(rni_add_size(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
}
END_TEST

START_TEST(realloc_keeps_bytes)
{
    counting c = {0};
    const rn_allocator a = counting_allocator(&c);
    unsigned char *p = rni_realloc(&a, NULL, 10);
    memset(p, 7, 10);
    p = rni_realloc(&a, p, 1000);
    ck_assert(all_bytes(p, 7, 10));
    p = rni_realloc(&a, p, 5);
    ck_assert(all_bytes(p, 7, 5));
    c.fail_at = c.calls + 1;
    ck_assert_ptr_null(rni_realloc(&a, p, 2000));
    ck_assert(all_bytes(p, 7, 5)); /* the old block is there still */
    rni_free(&a, p);
    ck_settled(&c);
}
END_TEST

START_TEST(no_memory_says_what_for)
{
    ck_fails(rni_nomem("the arena", 1234), RN_E_NOMEM, "out of memory: the arena needs 1234 bytes");
}
END_TEST

START_TEST(arrays_grow)
{
    counting c = {0};
    const rn_allocator a = counting_allocator(&c);
    int *array = NULL;
    size_t count = 0, capacity = 0;
    for (; count < 1000; count++) {
        ck_ok(rni_grow(&a, (void **)&array, count, &capacity, sizeof *array, "numbers"));
        ck_assert_uint_gt(capacity, count);
        array[count] = (int)count;
    }
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(array[i], i);
    count = capacity;
    c.fail_at = c.calls + 1;
    ck_fails(rni_grow(&a, (void **)&array, count, &capacity, sizeof *array, "numbers"), RN_E_NOMEM,
             "out of memory: numbers needs");
    ck_assert_uint_eq(capacity, count); /* what there was is there still */
    ck_assert_int_eq(array[999], 999);
    rni_free(&a, array);
    ck_settled(&c);
}
END_TEST

START_TEST(texts_grow)
{
    counting c = {0};
    const rn_allocator a = counting_allocator(&c);
    rni_text text = {.allocator = &a};
    for (int i = 0; i < 1000; i++)
        rni_text_append(&text, "%d,", i % 10);
    rni_text_append(&text, "%s", "");
    ck_assert(!text.failed && text.length == 2000 && strlen(text.data) == 2000);
    ck_assert_int_eq(strncmp(text.data + 1990, "5,6,7,8,9,", 10), 0);
    rni_text_free(&text);
    ck_assert(!text.data && !text.length && !text.failed);
    ck_settled(&c);
}
END_TEST

START_TEST(texts_remember_that_memory_ran_out)
{
    counting c = {0};
    const rn_allocator a = counting_allocator(&c);
    rni_text text = {.allocator = &a};
    rni_text_append(&text, "one");
    c.fail_at = c.calls + 1;
    rni_text_append(&text, "%0500d", 2);
    ck_assert(text.failed && strcmp(text.data, "one") == 0);
    rni_text_append(&text, "three"); /* there would be room: but a hole is worse than an end */
    ck_assert_str_eq(text.data, "one");
    rni_text_free(&text);
    ck_settled(&c);
}
END_TEST

SUPPORT_MAIN("alloc", blocks_are_aligned_and_accounted, the_default_allocator, overflow_is_no_memory, realloc_keeps_bytes,
             no_memory_says_what_for, arrays_grow, texts_grow, texts_remember_that_memory_ran_out)
