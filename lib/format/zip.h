/* SPDX-License-Identifier: MIT */
/* Zip archives with stored entries (zip64 included), as torch.save() writes them. Packed entries are refused. */
#ifndef RNI_FORMAT_ZIP_H
#define RNI_FORMAT_ZIP_H

#include "base/alloc.h"
#include "base/error.h"
#include "base/io.h"
#include <stddef.h>

/* What begins a zip archive that has entries, and each of them. */
#define RNI_ZIP_MAGIC "PK\003\004"

typedef struct rni_zip rni_zip;

typedef struct rni_zip_entry {
    const char *name; /* not terminated */
    uint32_t name_length, crc;
    uint16_t method, flags; /* 0 stored, 8 deflated; flag 1 encrypted */
    uint64_t header;        /* where its local header is */
    uint64_t packed, size;  /* bytes */
} rni_zip_entry;

/* Reads the list of entries. `file` stays the caller's and must live longer. RN_E_FORMAT, RN_E_UNSUPPORTED. */
rn_status rni_zip_open(const rn_allocator *allocator, rni_file *file, uint64_t file_size, rni_zip **out);
void rni_zip_close(rni_zip *zip);

size_t rni_zip_count(const rni_zip *zip);
const rni_zip_entry *rni_zip_at(const rni_zip *zip, size_t index);
/* NULL when there is none. */
const rni_zip_entry *rni_zip_find(const rni_zip *zip, const char *name, size_t name_length);

/* Where the bytes of a stored entry begin in the file. RN_E_UNSUPPORTED when it is packed or encrypted. */
rn_status rni_zip_locate(const rni_zip *zip, const rni_zip_entry *entry, uint64_t *offset);
/* Reads all bytes of an entry, found at `offset`, and compares their CRC-32. */
rn_status rni_zip_check(const rni_zip *zip, const rni_zip_entry *entry, uint64_t offset);

/* "data/12" for messages. */
enum { RNI_ZIP_NAME_TEXT = 80 };
const char *rni_zip_name_text(char buffer[RNI_ZIP_NAME_TEXT], const rni_zip_entry *entry);

#endif
