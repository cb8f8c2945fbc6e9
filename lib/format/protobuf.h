/* SPDX-License-Identifier: MIT */
/*
 * Messages in the wire format of Protocol Buffers (protobuf.dev/programming-guides/encoding), written only, into bytes that
 * grow: a field is a tag (number and wire type) and its value; texts, bytes and messages within messages have their length in
 * front.
 */
#ifndef RNI_FORMAT_PROTOBUF_H
#define RNI_FORMAT_PROTOBUF_H

#include "format/bytes.h"

/* Empties it; the memory stays. */
void rni_pb_clear(rni_bytes *b);

void rni_pb_int(rni_bytes *b, uint32_t field, int64_t value);
void rni_pb_float(rni_bytes *b, uint32_t field, float value);
void rni_pb_bytes(rni_bytes *b, uint32_t field, const void *data, size_t length);
void rni_pb_text(rni_bytes *b, uint32_t field, const char *text);
/* Another message as a field; its failure becomes b's. */
void rni_pb_message(rni_bytes *b, uint32_t field, const rni_bytes *message);
/* What stands in front of a field of `length` bytes, when those are written elsewhere. */
void rni_pb_head(rni_bytes *b, uint32_t field, uint64_t length);

#endif
