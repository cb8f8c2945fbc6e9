/* SPDX-License-Identifier: MIT */
#include "format/protobuf.h"
#include <string.h>

/* Wire types. */
enum { VARINT = 0, LENGTH_DELIMITED = 2, FIXED32 = 5 };

void rni_pb_clear(rni_bytes *b)
{
    b->length = 0;
    b->failed = 0;
}

/* Seven bits a byte, lowest first; the top bit says that more follow. */
static void append_varint(rni_bytes *b, uint64_t value)
{
    unsigned char bytes[10];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[count++] = (unsigned char)(value | 0x80);
    bytes[count++] = (unsigned char)value;
    rni_bytes_append(b, bytes, count);
}

static void append_tag(rni_bytes *b, uint32_t field, uint32_t wire_type)
{
    append_varint(b, field << 3 | wire_type);
}

void rni_pb_int(rni_bytes *b, uint32_t field, int64_t value)
{
    append_tag(b, field, VARINT);
    append_varint(b, (uint64_t)value);
}

void rni_pb_float(rni_bytes *b, uint32_t field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    append_tag(b, field, FIXED32);
    rni_bytes_number(b, bits, sizeof bits);
}

void rni_pb_head(rni_bytes *b, uint32_t field, uint64_t length)
{
    append_tag(b, field, LENGTH_DELIMITED);
    append_varint(b, length);
}

void rni_pb_bytes(rni_bytes *b, uint32_t field, const void *data, size_t length)
{
    rni_pb_head(b, field, length);
    rni_bytes_append(b, data, length);
}

void rni_pb_text(rni_bytes *b, uint32_t field, const char *text)
{
    rni_pb_bytes(b, field, text, strlen(text));
}

void rni_pb_message(rni_bytes *b, uint32_t field, const rni_bytes *message)
{
    b->failed |= message->failed;
    rni_pb_bytes(b, field, message->data, message->length);
}
