/* SPDX-License-Identifier: MIT */
#include "format/bytes.h"
#include <string.h>

void rni_bytes_append(rni_bytes *b, const void *data, size_t size)
{
    if (!b->failed && size > b->capacity - b->length) {
        const size_t wanted = (b->length + size) * 2;
        unsigned char *const grown = rni_realloc(b->allocator, b->data, wanted);
        b->failed = !grown;
        if (grown) {
            b->data = grown;
            b->capacity = wanted;
        }
    }
    if (b->failed || !size)
        return;
    memcpy(b->data + b->length, data, size);
    b->length += size;
}

void rni_bytes_number(rni_bytes *b, uint64_t number, size_t size)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(number >> 8 * i);
    rni_bytes_append(b, bytes, size);
}

void rni_bytes_free(rni_bytes *b)
{
    rni_free(b->allocator, b->data);
    *b = (rni_bytes){.allocator = b->allocator};
}
