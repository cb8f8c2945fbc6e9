/* SPDX-License-Identifier: MIT */
/* Files: whole reads, ranged reads, gzip, and writing that replaces a file only when it is complete. */
#ifndef RNI_BASE_IO_H
#define RNI_BASE_IO_H

#include <resnet/base.h>

typedef struct rni_file rni_file;

/* RN_E_NOT_FOUND when there is none, RN_E_IO naming path and reason otherwise. Directories are RN_E_IO. */
rn_status rni_file_open(const rn_allocator *allocator, const char *path, rni_file **out, uint64_t *size);
/* Exactly nbytes from offset; RN_E_FORMAT ("ends early") when the file is shorter. */
rn_status rni_file_read(rni_file *file, uint64_t offset, void *dst, size_t nbytes);
void rni_file_close(rni_file *file);

/*
 * A whole file, unpacked when it begins as gzip does (0x1f 0x8b); zlib uses the
 * allocator. RN_E_FORMAT for a broken gzip stream or more than max_bytes.
 */
rn_status rni_read_whole(const rn_allocator *allocator, const char *path, size_t max_bytes, void **data, size_t *size);

/*
 * Writes to a temporary file beside `path`; commit flushes, syncs, renames it
 * over path and syncs the directory; abort removes it. Nothing at `path`
 * changes before the commit has succeeded.
 */
typedef struct rni_writer rni_writer;
rn_status rni_writer_open(const rn_allocator *allocator, const char *path, rni_writer **out);
rn_status rni_writer_write(rni_writer *writer, const void *data, size_t nbytes);
rn_status rni_writer_commit(rni_writer *writer); /* the writer is gone either way */
void rni_writer_abort(rni_writer *writer);       /* NULL is accepted */

/* Tests only: the n-th write of this thread from now fails, and all after it (0: never), as a full disk would. */
void rni_io_fail_after(int64_t n);

#endif
