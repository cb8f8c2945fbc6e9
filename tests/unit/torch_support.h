/* SPDX-License-Identifier: MIT */
/* Archives of torch.save() with pickles written by hand, and the files that make_torch_files.py made. */
#ifndef TEST_TORCH_SUPPORT_H
#define TEST_TORCH_SUPPORT_H

#include "base/io.h"
#include "format/zip_write.h"
#include "support.h"
#include <zlib.h>

/* tests/unit/data/<name>; valid until the next call but one. */
static inline const char *torch_fixture(const char *name)
{
    static char paths[2][1024];
    static int next;
    const char *const source = getenv("RESNET_SOURCE");
    char *const path = paths[next ^= 1];
    snprintf(path, sizeof paths[0], "%s/tests/unit/data/%s", source ? source : ".", name);
    return path;
}

static inline void torch_put(rni_zip_writer *z, const char *name, const void *data, size_t size)
{
    ck_ok(rni_zip_put(z, name, size, (uint32_t)crc32(crc32(0, NULL, 0), data, (uInt)size)));
    ck_ok(rni_zip_write(z, data, size));
}

/* data.pkl, storages 0 (64 bytes: f32 0 to 15) and, with a name, one more entry. */
static inline void torch_archive(const char *path, const void *pickle, size_t size, const char *extra, const char *text)
{
    float numbers[16];
    rni_writer *out = NULL;
    rni_zip_writer z;
    for (int i = 0; i < 16; i++)
        numbers[i] = (float)i;
    ck_ok(rni_writer_open(&rni_default_allocator, path, &out));
    rni_zip_begin(&z, &rni_default_allocator, out);
    torch_put(&z, "a/data.pkl", pickle, size);
    torch_put(&z, "a/data/0", numbers, sizeof numbers);
    if (extra)
        torch_put(&z, extra, text, strlen(text));
    ck_ok(rni_zip_finish(&z));
    rni_zip_end(&z);
    ck_ok(rni_writer_commit(out));
}

/* The whole of a file, for free(). */
static inline unsigned char *torch_read(const char *path, size_t *size)
{
    FILE *const f = fopen(path, "rb");
    unsigned char *const bytes = malloc(1 << 20);
    ck_assert_msg(f != NULL, "%s is not there", path);
    *size = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return bytes;
}

static inline void torch_write(const char *path, const void *bytes, size_t size)
{
    FILE *const f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

#endif
