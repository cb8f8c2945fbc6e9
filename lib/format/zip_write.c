/* SPDX-License-Identifier: MIT */
#include "format/zip_write.h"
#include <string.h>

enum { ALIGN = 64, LOCAL_SIZE = 30, EXTRA_HEADER = 4, VERSION = 20, DATE = 0x21 /* 1 January 1980 */ };

void rni_zip_begin(rni_zip_writer *z, const rn_allocator *allocator, rni_writer *out)
{
    *z = (rni_zip_writer){.out = out, .list = {.allocator = allocator}};
}

void rni_zip_end(rni_zip_writer *z)
{
    rni_bytes_free(&z->list);
}

rn_status rni_zip_write(rni_zip_writer *z, const void *data, size_t bytes)
{
    RNI_TRY(rni_writer_write(z->out, data, bytes));
    z->offset += bytes;
    return RN_OK;
}

/* What an entry's local header and the list say alike. */
static void put_common(rni_bytes *b, uint64_t size, uint32_t crc, size_t name)
{
    rni_bytes_number(b, VERSION, 2);
    rni_bytes_number(b, 0, 2); /* flags */
    rni_bytes_number(b, 0, 2); /* stored */
    rni_bytes_number(b, 0, 2); /* time */
    rni_bytes_number(b, DATE, 2);
    rni_bytes_number(b, crc, 4);
    rni_bytes_number(b, size, 4);
    rni_bytes_number(b, size, 4);
    rni_bytes_number(b, name, 2);
}

static void list_entry(rni_zip_writer *z, const char *name, uint64_t size, uint32_t crc)
{
    rni_bytes_number(&z->list, 0x02014b50, 4);
    rni_bytes_number(&z->list, VERSION, 2);
    put_common(&z->list, size, crc, strlen(name));
    rni_bytes_number(&z->list, 0, 8); /* no extra field, no comment, disk 0, inner attributes */
    rni_bytes_number(&z->list, 0, 4);
    rni_bytes_number(&z->list, z->offset, 4);
    rni_bytes_append(&z->list, name, strlen(name));
    z->count++;
}

/* An extra field "FB" of letters Z moves the entry's bytes to a multiple of 64. */
static void local_header(rni_bytes *b, const rni_zip_writer *z, const char *name, uint64_t size, uint32_t crc)
{
    static const char letters[ALIGN] = "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ";
    const size_t length = strlen(name);
    const size_t padding = (size_t)(-(z->offset + LOCAL_SIZE + length + EXTRA_HEADER) % ALIGN);
    rni_bytes_number(b, 0x04034b50, 4);
    put_common(b, size, crc, length);
    rni_bytes_number(b, EXTRA_HEADER + padding, 2);
    rni_bytes_append(b, name, length);
    rni_bytes_append(b, "FB", 2);
    rni_bytes_number(b, padding, 2);
    rni_bytes_append(b, letters, padding);
}

rn_status rni_zip_put(rni_zip_writer *z, const char *name, uint64_t size, uint32_t crc)
{
    rni_bytes header = {.allocator = z->list.allocator};
    /* The header and the list are small: what is left to 4 GiB has room for them. */
    if (size > UINT32_MAX - (64u << 20) || z->offset > UINT32_MAX - (64u << 20) - size || z->count == UINT16_MAX)
        return rni_fail(RN_E_UNSUPPORTED, "a zip archive of more than 4 GiB is not written");
    local_header(&header, z, name, size, crc);
    list_entry(z, name, size, crc);
    rn_status status = header.failed || z->list.failed ? rni_nomem("a zip archive", z->list.length) : RN_OK;
    if (status >= 0)
        status = rni_zip_write(z, header.data, header.length);
    rni_bytes_free(&header);
    return status;
}

rn_status rni_zip_finish(rni_zip_writer *z)
{
    const uint64_t size = z->list.length;
    rni_bytes_number(&z->list, 0x06054b50, 4);
    rni_bytes_number(&z->list, 0, 4); /* disks */
    rni_bytes_number(&z->list, z->count, 2);
    rni_bytes_number(&z->list, z->count, 2);
    rni_bytes_number(&z->list, size, 4);
    rni_bytes_number(&z->list, z->offset, 4);
    rni_bytes_number(&z->list, 0, 2); /* comment */
    if (z->list.failed)
        return rni_nomem("a zip archive", size);
    return rni_zip_write(z, z->list.data, z->list.length);
}
