/* SPDX-License-Identifier: MIT */
/* Growing bytes in memory. */
#ifndef RNI_FORMAT_BYTES_H
#define RNI_FORMAT_BYTES_H

#include "base/alloc.h"
#include <stddef.h>

/* Zero-initialise all but the allocator. */
typedef struct rni_bytes {
    const rn_allocator *allocator;
    unsigned char *data;
    size_t length, capacity;
    int failed; /* out of memory: later appends do nothing */
} rni_bytes;

void rni_bytes_append(rni_bytes *b, const void *data, size_t size);
/* The `size` low bytes of a number, lowest first. */
void rni_bytes_number(rni_bytes *b, uint64_t number, size_t size);
void rni_bytes_free(rni_bytes *b);

#endif
