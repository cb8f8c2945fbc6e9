/* SPDX-License-Identifier: MIT */
/* Writing a zip archive of stored entries, each aligned to 64 bytes as torch.save() does. */
#ifndef RNI_FORMAT_ZIP_WRITE_H
#define RNI_FORMAT_ZIP_WRITE_H

#include "base/alloc.h"
#include "base/error.h"
#include "base/io.h"
#include "format/bytes.h"

typedef struct rni_zip_writer {
    rni_writer *out;
    rni_bytes list; /* of entries, written at the end */
    uint64_t offset; /* bytes written so far */
    uint32_t count;
} rni_zip_writer;

void rni_zip_begin(rni_zip_writer *z, const rn_allocator *allocator, rni_writer *out);
/* Frees what it keeps; `out` stays the caller's. */
void rni_zip_end(rni_zip_writer *z);

/* Begins an entry whose size and CRC-32 are known; exactly `size` bytes follow by rni_zip_write(). RN_E_UNSUPPORTED
 * beyond 4 GiB, RN_E_IO. */
rn_status rni_zip_put(rni_zip_writer *z, const char *name, uint64_t size, uint32_t crc);
rn_status rni_zip_write(rni_zip_writer *z, const void *data, size_t bytes);
/* The list of entries, which ends the archive. */
rn_status rni_zip_finish(rni_zip_writer *z);

#endif
