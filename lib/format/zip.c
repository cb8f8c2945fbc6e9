/* SPDX-License-Identifier: MIT */
/* Reading zip archives: the list at their end, checked as a whole; APPNOTE 6.3, sections 4.3 and 4.5.3. */
#include "format/zip.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    END_SIZE = 22,        /* of the record that ends an archive, without its comment */
    END64_SIZE = 56,      /* of its 64-bit form */
    LOCATOR_SIZE = 20,    /* of what leads there */
    ENTRY_SIZE = 46,      /* of an entry in the list, without its texts */
    LOCAL_SIZE = 30,      /* of what precedes an entry's bytes, without its texts */
    MAX_COMMENT = 65535,
    MAX_LIST = 64 << 20,  /* bytes */
    CHUNK = 64 * 1024,
};

#define END_MAGIC 0x06054b50u
#define END64_MAGIC 0x06064b50u
#define LOCATOR_MAGIC 0x07064b50u
#define ENTRY_MAGIC 0x02014b50u
#define LOCAL_MAGIC 0x04034b50u

struct rni_zip {
    const rn_allocator *allocator;
    rni_file *file;
    uint64_t size;        /* of the file */
    uint64_t list;        /* where the list of entries begins: all entries end before it */
    uint64_t list_size;
    unsigned char *bytes; /* of the list; names point here */
    rni_zip_entry *entries;
    size_t count;
};

static uint16_t get16(const unsigned char *b)
{
    return (uint16_t)(b[0] | b[1] << 8);
}

static uint32_t get32(const unsigned char *b)
{
    return get16(b) | (uint32_t)get16(b + 2) << 16;
}

static uint64_t get64(const unsigned char *b)
{
    return get32(b) | (uint64_t)get32(b + 4) << 32;
}

/* The end record may be followed by a comment, so it is searched from the end; its comment must fit. */
static rn_status find_end(const unsigned char *tail, size_t size, size_t *place)
{
    for (size_t i = size - END_SIZE + 1; i > 0; i--) {
        const unsigned char *const b = tail + i - 1;
        if (get32(b) == END_MAGIC && get16(b + 20) == size - (i - 1) - END_SIZE) {
            *place = i - 1;
            return RN_OK;
        }
    }
    return rni_fail(RN_E_FORMAT, "the zip archive ends early: its list of entries is not there");
}

/* Archives beyond 4 GiB or 65,535 entries say so in a second record. */
static rn_status read_end64(rni_zip *z, uint64_t end, uint64_t *count)
{
    unsigned char b[END64_SIZE];
    if (end < LOCATOR_SIZE)
        return RN_OK;
    RNI_TRY(rni_file_read(z->file, end - LOCATOR_SIZE, b, LOCATOR_SIZE));
    if (get32(b) != LOCATOR_MAGIC)
        return RN_OK;
    const uint64_t place = get64(b + 8);
    if (place > end - LOCATOR_SIZE || end - LOCATOR_SIZE - place < END64_SIZE)
        return rni_fail(RN_E_FORMAT, "the zip archive's 64-bit end record is not where it should be");
    RNI_TRY(rni_file_read(z->file, place, b, END64_SIZE));
    if (get32(b) != END64_MAGIC)
        return rni_fail(RN_E_FORMAT, "the zip archive's 64-bit end record is not where it should be");
    *count = get64(b + 32);
    z->list_size = get64(b + 40);
    z->list = get64(b + 48);
    return RN_OK;
}

static rn_status read_end(rni_zip *z, uint64_t *count)
{
    const uint64_t longest = END_SIZE + MAX_COMMENT;
    const size_t size = (size_t)(z->size < longest ? z->size : longest);
    size_t place = 0;
    if (size < END_SIZE)
        return rni_fail(RN_E_FORMAT, "%llu bytes are too few for a zip archive", (unsigned long long)z->size);
    unsigned char *const tail = rni_alloc(z->allocator, size);
    if (!tail)
        return rni_nomem("the end of a zip archive", size);
    rn_status status = rni_file_read(z->file, z->size - size, tail, size);
    if (status >= 0)
        status = find_end(tail, size, &place);
    if (status >= 0) {
        *count = get16(tail + place + 10);
        z->list_size = get32(tail + place + 12);
        z->list = get32(tail + place + 16);
    }
    rni_free(z->allocator, tail);
    RNI_TRY(status);
    const uint64_t end = z->size - size + place;
    RNI_TRY(read_end64(z, end, count));
    if (z->list > end || z->list_size > end - z->list)
        return rni_fail(RN_E_FORMAT, "the zip archive's list of entries lies outside of the file");
    return RN_OK;
}

/* The 64-bit numbers of an entry are in its extra field, those whose 32-bit ones are all ones, in this order. */
static rn_status read_extra64(rni_zip_entry *e, const unsigned char *extra, size_t size)
{
    uint64_t *const wide[] = {&e->size, &e->packed, &e->header};
    while (size >= 4) {
        const size_t length = get16(extra + 2);
        if (length > size - 4)
            break;
        if (get16(extra) == 1) {
            size_t done = 4;
            for (int i = 0; i < 3; i++) {
                if (*wide[i] != UINT32_MAX)
                    continue;
                if (done + 8 > length + 4)
                    return rni_fail(RN_E_FORMAT, "an entry of the zip archive lacks its 64-bit sizes");
                *wide[i] = get64(extra + done);
                done += 8;
            }
            return RN_OK;
        }
        extra += 4 + length;
        size -= 4 + length;
    }
    return RN_OK;
}

static rn_status take_entry(const rni_zip *z, const unsigned char *b, size_t left, rni_zip_entry *e, size_t *used)
{
    if (left < ENTRY_SIZE || get32(b) != ENTRY_MAGIC)
        return rni_fail(RN_E_FORMAT, "the zip archive's list of entries is broken");
    const size_t name = get16(b + 28), extra = get16(b + 30), comment = get16(b + 32);
    *used = ENTRY_SIZE + name + extra + comment;
    if (*used > left)
        return rni_fail(RN_E_FORMAT, "the zip archive's list of entries is broken");
    *e = (rni_zip_entry){
        .name = (const char *)b + ENTRY_SIZE,
        .name_length = (uint32_t)name,
        .crc = get32(b + 16),
        .method = get16(b + 10),
        .flags = get16(b + 8),
        .header = get32(b + 42),
        .packed = get32(b + 20),
        .size = get32(b + 24),
    };
    RNI_TRY(read_extra64(e, b + ENTRY_SIZE + name, extra));
    if (e->header > z->list || e->packed > z->list - e->header)
        return rni_fail(RN_E_FORMAT, "an entry of the zip archive lies outside of the file");
    return RN_OK;
}

static int compare_names(const void *a, const void *b)
{
    const rni_zip_entry *const x = a, *const y = b;
    if (x->name_length != y->name_length)
        return x->name_length < y->name_length ? -1 : 1;
    return memcmp(x->name, y->name, x->name_length);
}

static rn_status take_entries(rni_zip *z, uint64_t count)
{
    size_t place = 0;
    if (count > z->list_size / ENTRY_SIZE)
        return rni_fail(RN_E_FORMAT, "the zip archive has %llu entries in a list of %llu bytes",
                        (unsigned long long)count, (unsigned long long)z->list_size);
    z->entries = rni_calloc(z->allocator, (size_t)count + 1, sizeof *z->entries);
    if (!z->entries)
        return rni_nomem("the entries of a zip archive", count * sizeof *z->entries);
    for (; z->count < count; z->count++) {
        size_t used = 0;
        RNI_TRY(take_entry(z, z->bytes + place, (size_t)z->list_size - place, &z->entries[z->count], &used));
        place += used;
    }
    qsort(z->entries, z->count, sizeof *z->entries, compare_names);
    for (size_t i = 1; i < z->count; i++) {
        char text[RNI_ZIP_NAME_TEXT];
        if (compare_names(&z->entries[i - 1], &z->entries[i]) == 0)
            return rni_fail(RN_E_FORMAT, "the zip archive has two entries %s",
                            rni_zip_name_text(text, &z->entries[i]));
    }
    return RN_OK;
}

static rn_status load(rni_zip *z)
{
    uint64_t count = 0;
    RNI_TRY(read_end(z, &count));
    if (z->list_size > MAX_LIST)
        return rni_fail(RN_E_UNSUPPORTED, "the zip archive has a list of entries of %llu bytes, expected at most %d",
                        (unsigned long long)z->list_size, (int)MAX_LIST);
    z->bytes = rni_alloc(z->allocator, (size_t)z->list_size);
    if (!z->bytes)
        return rni_nomem("the entries of a zip archive", z->list_size);
    RNI_TRY(rni_file_read(z->file, z->list, z->bytes, (size_t)z->list_size));
    return take_entries(z, count);
}

rn_status rni_zip_open(const rn_allocator *allocator, rni_file *file, uint64_t file_size, rni_zip **out)
{
    rni_zip *const z = rni_calloc(allocator, 1, sizeof *z);
    if (!z)
        return rni_nomem("a zip archive", sizeof *z);
    z->allocator = allocator;
    z->file = file;
    z->size = file_size;
    const rn_status status = load(z);
    if (status < 0) {
        rni_zip_close(z);
        return status;
    }
    *out = z;
    return RN_OK;
}

void rni_zip_close(rni_zip *z)
{
    if (!z)
        return;
    rni_free(z->allocator, z->bytes);
    rni_free(z->allocator, z->entries);
    rni_free(z->allocator, z);
}

size_t rni_zip_count(const rni_zip *z)
{
    return z->count;
}

const rni_zip_entry *rni_zip_at(const rni_zip *z, size_t index)
{
    return &z->entries[index];
}

const rni_zip_entry *rni_zip_find(const rni_zip *z, const char *name, size_t name_length)
{
    const rni_zip_entry key = {.name = name, .name_length = (uint32_t)name_length};
    return bsearch(&key, z->entries, z->count, sizeof key, compare_names);
}

rn_status rni_zip_locate(const rni_zip *z, const rni_zip_entry *e, uint64_t *offset)
{
    char text[RNI_ZIP_NAME_TEXT];
    unsigned char b[LOCAL_SIZE];
    if (e->flags & 1)
        return rni_fail(RN_E_UNSUPPORTED, "entry %s is encrypted", rni_zip_name_text(text, e));
    if (e->method != 0)
        return rni_fail(RN_E_UNSUPPORTED, "entry %s is %s, expected stored", rni_zip_name_text(text, e),
                        e->method == 8 ? "deflated" : "packed");
    RNI_TRY(rni_file_read(z->file, e->header, b, sizeof b));
    const uint64_t before = LOCAL_SIZE + (uint64_t)get16(b + 26) + get16(b + 28);
    if (get32(b) != LOCAL_MAGIC || get16(b + 26) != e->name_length || e->packed != e->size ||
        before > z->list - e->header || e->size > z->list - e->header - before)
        return rni_fail(RN_E_FORMAT, "entry %s of the zip archive is not where the list says",
                        rni_zip_name_text(text, e));
    *offset = e->header + before;
    return RN_OK;
}

rn_status rni_zip_check(const rni_zip *z, const rni_zip_entry *e, uint64_t offset)
{
    char text[RNI_ZIP_NAME_TEXT];
    unsigned char *const buffer = rni_alloc(z->allocator, CHUNK);
    uLong crc = crc32(0, NULL, 0);
    rn_status status = buffer ? RN_OK : rni_nomem("a zip archive", CHUNK);
    for (uint64_t done = 0; status >= 0 && done < e->size;) {
        const size_t part = (size_t)(e->size - done < CHUNK ? e->size - done : CHUNK);
        status = rni_file_read(z->file, offset + done, buffer, part);
        if (status >= 0)
            crc = crc32(crc, buffer, (uInt)part);
        done += part;
    }
    rni_free(z->allocator, buffer);
    RNI_TRY(status);
    if (crc == e->crc)
        return RN_OK;
    return rni_fail(RN_E_FORMAT, "entry %s: its CRC-32 is %08lx, expected %08lx", rni_zip_name_text(text, e),
                    (unsigned long)crc, (unsigned long)e->crc);
}

const char *rni_zip_name_text(char buffer[RNI_ZIP_NAME_TEXT], const rni_zip_entry *e)
{
    size_t n = 0;
    for (; n < e->name_length && n < RNI_ZIP_NAME_TEXT - 1; n++)
        buffer[n] = (unsigned char)e->name[n] < 32 || (unsigned char)e->name[n] > 126 ? '?' : e->name[n];
    buffer[n] = '\0';
    return buffer;
}
