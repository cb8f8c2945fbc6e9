/* SPDX-License-Identifier: MIT */
/* Files and datasets for the tests of lib/data. */
#ifndef TEST_DATA_SUPPORT_H
#define TEST_DATA_SUPPORT_H

#include "support.h"
#include <unistd.h>

/* A folder of its own per test process; removed by files_end(). */
typedef struct files {
    char dir[64];
    char *path[8];
    size_t count;
} files;

static inline files files_begin(void)
{
    files f = {"/tmp/resnet-test-XXXXXX", {NULL}, 0};
    ck_assert_ptr_nonnull(mkdtemp(f.dir));
    return f;
}

static inline const char *files_path(files *f, const char *name)
{
    const size_t size = strlen(f->dir) + strlen(name) + 2;
    char *const path = malloc(size);
    snprintf(path, size, "%s/%s", f->dir, name);
    f->path[f->count++] = path;
    return path;
}

/* Writes a file, or another in the place of the last one of that name, and returns its path. */
static inline const char *files_write(files *f, const char *name, const void *data, size_t size)
{
    const char *const last = f->count ? strrchr(f->path[f->count - 1], '/') + 1 : "";
    const char *const path = strcmp(last, name) == 0 ? f->path[f->count - 1] : files_path(f, name);
    FILE *const file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static inline void files_end(files *f)
{
    for (size_t i = 0; i < f->count; i++) {
        unlink(f->path[i]);
        free(f->path[i]);
    }
    ck_assert_int_eq(rmdir(f->dir), 0);
}

/* The byte at (channel, y, x) of image n: different nearly everywhere. */
static inline uint8_t test_pixel(int64_t n, int64_t c, int64_t y, int64_t x)
{
    return (uint8_t)(n * 131 + c * 89 + y * 37 + x * 11 + (n * x * y) % 7);
}

/* `count` images of those pixels in memory, with labels n mod classes. */
static inline rn_dataset *test_images(rn_device *dev, int64_t count, int64_t channels, int64_t size, int64_t classes)
{
    const int64_t dims[4] = {count, channels, size, size};
    rn_tensor *images = NULL, *labels = NULL;
    rn_dataset *ds = NULL;
    ck_ok(rn_tensor_create(dev, RN_U8, 4, dims, &images));
    ck_ok(rn_tensor_create(dev, RN_I64, 1, dims, &labels));
    uint8_t *at = rn_tensor_data(images);
    for (int64_t n = 0; n < count; n++) {
        ((int64_t *)rn_tensor_data(labels))[n] = n % classes;
        for (int64_t i = 0; i < channels * size * size; i++)
            *at++ = test_pixel(n, i / (size * size), i / size % size, i % size);
    }
    ck_ok(rn_tensor_dataset_create(images, labels, &ds));
    rn_tensor_release(images);
    rn_tensor_release(labels);
    return ds;
}

#endif
