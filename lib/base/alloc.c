/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "base/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

/* Lies in front of every block; takes a whole line so that the block stays aligned. */
typedef struct header {
    size_t size;
} header;

static void *default_alloc(void *user, size_t size, size_t align)
{
    void *ptr = NULL;
    (void)user;
    return posix_memalign(&ptr, align < sizeof(void *) ? sizeof(void *) : align, size) == 0 ? ptr : NULL;
}

static void default_free(void *user, void *ptr, size_t size, size_t align)
{
    (void)user, (void)size, (void)align;
    free(ptr);
}

const rn_allocator rni_default_allocator = {sizeof(rn_allocator), default_alloc, default_free, NULL};

int rni_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

int rni_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

void *rni_alloc(const rn_allocator *allocator, size_t size)
{
    size_t whole;
    if (!size)
        size = 1; /* a pointer past its block's end would look like a leak */
    if (!rni_add_size(size, ALIGN, &whole))
        return NULL;
    char *const block = allocator->alloc(allocator->user, whole, ALIGN);
    if (!block)
        return NULL;
    ((header *)(void *)block)->size = size;
    return block + ALIGN;
}

void *rni_calloc(const rn_allocator *allocator, size_t count, size_t size)
{
    size_t whole;
    if (!rni_mul_size(count, size, &whole))
        return NULL;
    void *const ptr = rni_alloc(allocator, whole);
    return ptr ? memset(ptr, 0, whole) : NULL;
}

static header *header_of(void *ptr)
{
    return (header *)(void *)((char *)ptr - ALIGN);
}

void *rni_realloc(const rn_allocator *allocator, void *ptr, size_t size)
{
    void *const grown = rni_alloc(allocator, size);
    if (!grown || !ptr)
        return grown;
    const size_t old = header_of(ptr)->size;
    memcpy(grown, ptr, old < size ? old : size);
    rni_free(allocator, ptr);
    return grown;
}

void rni_free(const rn_allocator *allocator, void *ptr)
{
    if (!ptr)
        return;
    header *const block = header_of(ptr);
    allocator->free(allocator->user, block, block->size + ALIGN, ALIGN);
}

char *rni_strdup(const rn_allocator *allocator, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *const copy = rni_alloc(allocator, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

rn_status rni_nomem(const char *what, uint64_t bytes)
{
    return rni_fail(RN_E_NOMEM, "out of memory: %s needs %llu bytes", what, (unsigned long long)bytes);
}

rn_status rni_grow(const rn_allocator *allocator, void **array, size_t count, size_t *capacity, size_t size,
                   const char *what)
{
    if (count < *capacity)
        return RN_OK;
    const size_t wanted = *capacity ? *capacity * 2 : 64;
    void *const grown = rni_realloc(allocator, *array, wanted * size);
    if (!grown)
        return rni_nomem(what, wanted * size);
    *array = grown;
    *capacity = wanted;
    return RN_OK;
}

/* Room for `more` bytes and the terminator. */
static int reserve(rni_text *text, size_t more)
{
    if (text->length + more + 1 <= text->capacity)
        return 1;
    const size_t wanted = (text->length + more + 1) * 2;
    char *const grown = rni_realloc(text->allocator, text->data, wanted);
    if (!grown)
        return 0;
    text->data = grown;
    text->capacity = wanted;
    return 1;
}

void rni_text_append(rni_text *text, const char *format, ...)
{
    va_list arguments, again;
    if (text->failed)
        return;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0 || !reserve(text, (size_t)length)) {
        text->failed = 1;
    } else {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

void rni_text_free(rni_text *text)
{
    rni_free(text->allocator, text->data);
    text->data = NULL;
    text->length = text->capacity = 0;
    text->failed = 0;
}
