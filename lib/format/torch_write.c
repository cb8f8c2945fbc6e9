/* SPDX-License-Identifier: MIT */
#include "format/torch_write.h"
#include "base/io.h"
#include "format/pickle.h"
#include "format/zip_write.h"
#include <stdio.h>
#include <string.h>
#include <zlib.h>

/* Bytes fetched from a device at a time. */
enum { CHUNK = 256 * 1024 };

/* --- the pickle --- */

void rni_torch_begin(rni_torch_builder *b, const rn_allocator *allocator)
{
    *b = (rni_torch_builder){.pickle = {.allocator = allocator}};
    rni_st_begin(&b->tensors, allocator);
    rni_bytes_append(&b->pickle, "\x80\2", 2); /* protocol 2 */
}

void rni_torch_end(rni_torch_builder *b)
{
    rni_bytes_free(&b->pickle);
    rni_st_end(&b->tensors);
}

static void put(rni_torch_builder *b, const char *opcodes)
{
    rni_bytes_append(&b->pickle, opcodes, strlen(opcodes));
}

void rni_torch_put_dict(rni_torch_builder *b)
{
    put(b, "}(");
}

void rni_torch_put_ordered_dict(rni_torch_builder *b)
{
    put(b, "ccollections\nOrderedDict\n)R(");
}

void rni_torch_end_dict(rni_torch_builder *b)
{
    put(b, "u");
}

void rni_torch_put_list(rni_torch_builder *b)
{
    put(b, "](");
}

void rni_torch_end_list(rni_torch_builder *b)
{
    put(b, "e");
}

void rni_torch_put_text(rni_torch_builder *b, const char *text)
{
    char line[RNI_ST_NAME_TEXT];
    const char *at = text, *const end = text + strlen(text);
    while (at < end && b->status >= 0)
        if (rni_py_utf8(&at, end) < 0)
            b->status = rni_fail(RN_E_INVALID, "%s is not UTF-8 and cannot be saved", rni_st_name_text(line, text));
    put(b, "X");
    rni_bytes_number(&b->pickle, strlen(text), 4);
    put(b, text);
}

void rni_torch_put_int(rni_torch_builder *b, int64_t number)
{
    const int small = number >= INT32_MIN && number <= INT32_MAX;
    put(b, small ? "J" : "\x8a\x08");
    rni_bytes_number(&b->pickle, (uint64_t)number, small ? 4 : 8);
}

void rni_torch_put_float(rni_torch_builder *b, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    put(b, "G");
    for (int i = 7; i >= 0; i--) /* the one big-endian number */
        rni_bytes_number(&b->pickle, bits >> 8 * i, 1);
}

void rni_torch_put_pair(rni_torch_builder *b, double first, double second)
{
    rni_torch_put_float(b, first);
    rni_torch_put_float(b, second);
    put(b, "\x86");
}

void rni_torch_put_bool(rni_torch_builder *b, int value)
{
    put(b, value ? "\x88" : "\x89");
}

void rni_torch_put_none(rni_torch_builder *b)
{
    put(b, "N");
}

static void put_sizes(rni_torch_builder *b, int32_t count, const int64_t *sizes)
{
    put(b, "(");
    for (int32_t i = 0; i < count; i++)
        rni_torch_put_int(b, sizes[i]);
    put(b, "t");
}

static const char *storage_class(rn_dtype dtype)
{
    switch (dtype) {
    case RN_F64:
        return "ctorch\nDoubleStorage\n";
    case RN_I64:
        return "ctorch\nLongStorage\n";
    default:
        return "ctorch\nFloatStorage\n";
    }
}

/* The last tensor of the list, in the pickle: storage, offset, sizes, strides, requires_grad, hooks. */
static void put_last(rni_torch_builder *b)
{
    const rni_st_item *const item = &b->tensors.items[b->tensors.num_items - 1];
    int64_t strides[RN_MAX_RANK], count = 1;
    for (int32_t i = item->rank; i > 0; i--) {
        strides[i - 1] = count;
        count *= item->dims[i - 1];
    }
    put(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    rni_torch_put_text(b, "storage");
    put(b, storage_class(item->dtype));
    rni_torch_put_text(b, item->name);
    rni_torch_put_text(b, "cpu");
    rni_torch_put_int(b, count);
    put(b, "tQ");
    rni_torch_put_int(b, 0);
    put_sizes(b, item->rank, item->dims);
    put_sizes(b, item->rank, strides);
    rni_torch_put_bool(b, 0);
    put(b, "ccollections\nOrderedDict\n)RtR");
}

void rni_torch_put_tensor(rni_torch_builder *b, rn_dtype dtype, int32_t rank, const int64_t *dims,
                          const rni_storage *storage, uint64_t offset)
{
    char key[24];
    snprintf(key, sizeof key, "%zu", b->tensors.num_items);
    if (b->status >= 0)
        b->status = rni_st_put_storage(&b->tensors, key, dtype, rank, dims, storage, offset);
    if (b->status >= 0)
        put_last(b);
}

void rni_torch_put_host_tensor(rni_torch_builder *b, rn_dtype dtype, int32_t rank, const int64_t *dims,
                               const void *data)
{
    char key[24];
    snprintf(key, sizeof key, "%zu", b->tensors.num_items);
    if (b->status >= 0)
        b->status = rni_st_put_host(&b->tensors, key, dtype, rank, dims, data);
    if (b->status >= 0)
        put_last(b);
}

/* --- the archive --- */

static rn_status put_bytes(rni_zip_writer *z, const char *name, const void *data, size_t size)
{
    const uint32_t crc = (uint32_t)crc32(crc32(0, NULL, 0), data, (uInt)size);
    RNI_TRY(rni_zip_put(z, name, size, crc));
    return rni_zip_write(z, data, size);
}

/* Goes through a tensor's bytes twice, since its CRC-32 comes before them. */
static rn_status put_item(rni_zip_writer *z, const rni_st_item *item, void *buffer)
{
    char name[48];
    uLong crc = crc32(0, NULL, 0);
    snprintf(name, sizeof name, "archive/data/%s", item->name);
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t done = 0; done < item->bytes;) {
            const uint64_t bytes = item->bytes - done < CHUNK ? item->bytes - done : CHUNK;
            RNI_TRY(rni_st_fetch(item, done, buffer, bytes));
            if (pass == 0)
                crc = crc32(crc, buffer, (uInt)bytes);
            else
                RNI_TRY(rni_zip_write(z, buffer, (size_t)bytes));
            done += bytes;
        }
        if (pass == 0)
            RNI_TRY(rni_zip_put(z, name, item->bytes, (uint32_t)crc));
    }
    return RN_OK;
}

static rn_status put_entries(const rni_torch_builder *b, rni_zip_writer *z, void *buffer)
{
    RNI_TRY(put_bytes(z, "archive/data.pkl", b->pickle.data, b->pickle.length));
    RNI_TRY(put_bytes(z, "archive/byteorder", "little", 6));
    for (size_t i = 0; i < b->tensors.num_items; i++)
        RNI_TRY(put_item(z, &b->tensors.items[i], buffer));
    RNI_TRY(put_bytes(z, "archive/version", "3\n", 2));
    return rni_zip_finish(z);
}

static rn_status write_archive(const rni_torch_builder *b, rni_writer *out)
{
    rni_zip_writer z;
    void *const buffer = rni_alloc(b->pickle.allocator, CHUNK);
    if (!buffer)
        return rni_nomem("writing a file", CHUNK);
    rni_zip_begin(&z, b->pickle.allocator, out);
    const rn_status status = put_entries(b, &z, buffer);
    rni_zip_end(&z);
    rni_free(b->pickle.allocator, buffer);
    return status;
}

rn_status rni_torch_save(rni_torch_builder *b, const char *path)
{
    rni_writer *out;
    put(b, ".");
    RNI_TRY(b->status);
    if (b->pickle.failed)
        return rni_nomem("a pickle", b->pickle.length);
    RNI_TRY(rni_writer_open(b->pickle.allocator, path, &out));
    const rn_status status = write_archive(b, out);
    if (status >= 0)
        return rni_writer_commit(out);
    rni_writer_abort(out);
    return status;
}
