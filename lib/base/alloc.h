/* SPDX-License-Identifier: MIT */
/* Host memory through the context's allocator. Sizes are remembered in a small header. */
#ifndef RNI_BASE_ALLOC_H
#define RNI_BASE_ALLOC_H

#include <resnet/base.h>

/* The C library's allocator (aligned). */
extern const rn_allocator rni_default_allocator;

/* Contents undefined; aligned to 64. NULL when there is none (no message set). size 0 gives a pointer. */
void *rni_alloc(const rn_allocator *allocator, size_t size);
/* count * size, checked for overflow, zeroed. */
void *rni_calloc(const rn_allocator *allocator, size_t count, size_t size);
/* Keeps the first min(old, new) bytes. */
void *rni_realloc(const rn_allocator *allocator, void *ptr, size_t size);
void rni_free(const rn_allocator *allocator, void *ptr);
char *rni_strdup(const rn_allocator *allocator, const char *text);

/* Sets "out of memory: <what> needs <bytes> bytes" and returns RN_E_NOMEM. */
rn_status rni_nomem(const char *what, uint64_t bytes);

/* Room for one more element of `size` bytes in an array that holds `count`; `what` is for the message. */
rn_status rni_grow(const rn_allocator *allocator, void **array, size_t count, size_t *capacity, size_t size,
                   const char *what);

/* Checked arithmetic: 0 when it overflows. */
int rni_mul_size(size_t a, size_t b, size_t *out);
int rni_add_size(size_t a, size_t b, size_t *out);

/* A growing text, for messages and reports. Zero-initialise all but the allocator. */
typedef struct rni_text {
    const rn_allocator *allocator;
    char *data; /* terminated; NULL while empty */
    size_t length, capacity;
    int failed; /* out of memory: later appends do nothing */
} rni_text;
void rni_text_append(rni_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rni_text_free(rni_text *text);

#endif
