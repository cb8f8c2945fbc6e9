/* SPDX-License-Identifier: MIT */
#include "format/protobuf.h"
#include <string.h>

/* Wire types. */
enum { VARINT = 0, LENGTH_DELIMITED = 2, FIXED32 = 5 };

void rni_pb_free(rni_pb *b)
{
    rni_free(b->allocator, b->data);
    *b = (rni_pb){.allocator = b->allocator};
}

void rni_pb_clear(rni_pb *b)
{
    b->length = 0;
    b->failed = 0;
}

static void append(rni_pb *b, const void *data, size_t length)
{
    if (b->failed || !length)
        return;
    if (length > b->capacity - b->length) {
        const size_t wanted = (b->length + length) * 2;
        void *const grown = rni_realloc(b->allocator, b->data, wanted);
        if (!grown) {
            b->failed = 1;
            return;
        }
        b->data = grown;
        b->capacity = wanted;
    }
    memcpy(b->data + b->length, data, length);
    b->length += length;
}

/* Seven bits a byte, lowest first; the top bit says that more follow. */
static void append_varint(rni_pb *b, uint64_t value)
{
    unsigned char bytes[10];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[count++] = (unsigned char)(value | 0x80);
    bytes[count++] = (unsigned char)value;
    append(b, bytes, count);
}

static void append_tag(rni_pb *b, uint32_t field, uint32_t wire_type)
{
    append_varint(b, field << 3 | wire_type);
}

void rni_pb_int(rni_pb *b, uint32_t field, int64_t value)
{
    append_tag(b, field, VARINT);
    append_varint(b, (uint64_t)value);
}

void rni_pb_float(rni_pb *b, uint32_t field, float value)
{
    unsigned char bytes[4];
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(bits >> 8 * i);
    append_tag(b, field, FIXED32);
    append(b, bytes, sizeof bytes);
}

void rni_pb_head(rni_pb *b, uint32_t field, uint64_t length)
{
    append_tag(b, field, LENGTH_DELIMITED);
    append_varint(b, length);
}

void rni_pb_bytes(rni_pb *b, uint32_t field, const void *data, size_t length)
{
    rni_pb_head(b, field, length);
    append(b, data, length);
}

void rni_pb_text(rni_pb *b, uint32_t field, const char *text)
{
    rni_pb_bytes(b, field, text, strlen(text));
}

void rni_pb_message(rni_pb *b, uint32_t field, const rni_pb *message)
{
    b->failed |= message->failed;
    rni_pb_bytes(b, field, message->data, message->length);
}
