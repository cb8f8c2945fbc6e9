/* SPDX-License-Identifier: MIT */
/* Datasets: CIFAR and IDX files, tensors, the host's own, parts. */
#include "data_support.h"
#include "data/dataset.h"
#include <zlib.h>

enum { RECORD = 3073, RECORD100 = 3074 };

/* Records with label n mod classes and the pixels of test_pixel(). */
static uint8_t *cifar_records(int64_t count, int64_t classes, size_t *size)
{
    const size_t before = classes == 100 ? 2 : 1, record = before + 3072;
    uint8_t *const data = malloc((size_t)count * record);
    for (int64_t n = 0; n < count; n++) {
        uint8_t *const at = data + (size_t)n * record;
        at[0] = 19; /* coarse label */
        at[before - 1] = (uint8_t)(n % classes);
        for (int64_t i = 0; i < 3072; i++)
            at[before + (size_t)i] = test_pixel(n, i / 1024, i / 32 % 32, i % 32);
    }
    *size = (size_t)count * record;
    return data;
}

static void expect_image(rn_dataset *ds, int64_t index, int64_t expected, int64_t label)
{
    uint8_t image[3072];
    int64_t found = -1;
    ck_ok(rn_dataset_read(ds, index, image, sizeof image, &found));
    ck_assert_int_eq(found, label);
    for (int64_t i = 0; i < 3072; i++)
        ck_assert_uint_eq(image[i], test_pixel(expected, i / 1024, i / 32 % 32, i % 32));
}

START_TEST(cifar10_folder)
{
    static const char *const names[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                        "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    files f = files_begin();
    rn_dataset *train = NULL, *test = NULL;
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    size_t size = 0;
    uint8_t *const data = cifar_records(7, 10, &size);
    for (size_t i = 0; i < 6; i++)
        files_write(&f, names[i], data + i * RECORD, (i == 5 ? 1 : 2) * RECORD);
    ck_ok(rn_cifar10_open(ctx, f.dir, RN_SPLIT_TRAIN, &train));
    ck_ok(rn_cifar10_open(ctx, f.dir, RN_SPLIT_TEST, &test));
    ck_assert_int_eq(rn_dataset_size(train), 10);
    ck_assert_int_eq(rn_dataset_size(test), 1);
    ck_ok(rn_dataset_describe(train, &info));
    ck_assert_int_eq(info.count, 10);
    ck_assert_int_eq(info.classes, 10);
    ck_assert_int_eq(info.channels, 3);
    ck_assert_int_eq(info.height, 32);
    ck_assert_int_eq(info.width, 32);
    ck_assert_int_eq(info.dtype, RN_U8);
    for (int64_t i = 0; i < 10; i++)
        expect_image(train, i, i / 2 + i % 2, i / 2 + i % 2);
    expect_image(test, 0, 5, 5);
    unlink(f.path[2]);
    rn_dataset *gone = test;
    ck_fails(rn_cifar10_open(ctx, f.dir, RN_SPLIT_TRAIN, &gone), RN_E_NOT_FOUND, "data_batch_3.bin");
    ck_assert_ptr_eq(gone, test);
    ck_fails(rn_cifar10_open(ctx, f.dir, 2, &gone), RN_E_INVALID, "split");
    ck_fails(rn_cifar10_open(ctx, NULL, 0, &gone), RN_E_INVALID, "dir is NULL");
    free(data);
    files_end(&f);
    rn_dataset_release(train);
    rn_dataset_release(test);
    rn_context_release(ctx);
}
END_TEST

START_TEST(cifar100_fine_labels)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    files f = files_begin();
    rn_dataset *ds = NULL;
    size_t size = 0;
    uint8_t *const data = cifar_records(101, 100, &size);
    files_write(&f, "train.bin", data, size);
    files_write(&f, "test.bin", data + RECORD100, RECORD100);
    ck_ok(rn_cifar100_open(ctx, f.dir, RN_SPLIT_TRAIN, &ds));
    ck_assert_int_eq(rn_dataset_size(ds), 101);
    ck_assert_int_eq(rn_dataset_classes(ds), 100);
    expect_image(ds, 99, 99, 99);
    expect_image(ds, 100, 100, 0);
    rn_dataset_release(ds);
    ck_ok(rn_cifar100_open(ctx, f.dir, RN_SPLIT_TEST, &ds));
    expect_image(ds, 0, 1, 1);
    rn_dataset_release(ds);
    free(data);
    files_end(&f);
    rn_context_release(ctx);
}
END_TEST

START_TEST(cifar_bad_files)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    files f = files_begin();
    rn_dataset *ds = NULL;
    size_t size = 0;
    uint8_t *const data = cifar_records(3, 10, &size);
    const char *good = files_write(&f, "good", data, size);
    const char *truncated = files_write(&f, "truncated", data, size - 1);
    const char *oversized = files_write(&f, "oversized", data, 2 * RECORD + 5);
    const char *empty = files_write(&f, "empty", data, 0);
    data[2 * RECORD] = 10;
    const char *label = files_write(&f, "label", data, size);
    const char *pair[2] = {good, truncated};
    ck_fails(rn_cifar_files_open(ctx, &truncated, 1, 10, &ds), RN_E_FORMAT, "truncated: expected a multiple of 3073");
    ck_fails(rn_cifar_files_open(ctx, &oversized, 1, 10, &ds), RN_E_FORMAT, "2 records and 5 bytes too many");
    ck_fails(rn_cifar_files_open(ctx, &empty, 1, 10, &ds), RN_E_FORMAT, "empty file");
    ck_fails(rn_cifar_files_open(ctx, &label, 1, 10, &ds), RN_E_FORMAT, "label: label of record 2: expected 0 to 9, got 10");
    ck_fails(rn_cifar_files_open(ctx, &good, 1, 100, &ds), RN_E_FORMAT, "multiple of 3074");
    ck_fails(rn_cifar_files_open(ctx, pair, 2, 10, &ds), RN_E_FORMAT, "truncated");
    ck_fails(rn_cifar_files_open(ctx, pair, 0, 10, &ds), RN_E_INVALID, "num_paths");
    ck_fails(rn_cifar_files_open(ctx, pair, 2, 20, &ds), RN_E_INVALID, "10 or 100, got 20");
    pair[1] = NULL;
    ck_fails(rn_cifar_files_open(ctx, pair, 2, 10, &ds), RN_E_INVALID, "paths[1] is NULL");
    pair[1] = f.dir;
    ck_fails(rn_cifar_files_open(ctx, pair, 2, 10, &ds), RN_E_IO, f.dir);
    ck_assert_ptr_null(ds);
    free(data);
    files_end(&f);
    rn_context_release(ctx);
}
END_TEST

/* An IDX file in memory: header for these dims, then `bytes` bytes counting up from `first`. */
static size_t idx_bytes(uint8_t *to, int rank, const uint32_t *dims, size_t bytes, uint8_t first)
{
    size_t used = 4;
    to[0] = to[1] = 0;
    to[2] = 8;
    to[3] = (uint8_t)rank;
    for (int i = 0; i < rank; i++)
        for (int shift = 24; shift >= 0; shift -= 8)
            to[used++] = (uint8_t)(dims[i] >> shift);
    for (size_t i = 0; i < bytes; i++)
        to[used++] = (uint8_t)(first + i);
    return used;
}

START_TEST(idx_files)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    files f = files_begin();
    rn_dataset *ds = NULL;
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    uint8_t bytes[200], image[12];
    int64_t label = -1;
    const char *images = files_write(&f, "images", bytes, idx_bytes(bytes, 3, (uint32_t[]){3, 4, 2}, 24, 100));
    const char *colour = files_write(&f, "colour", bytes, idx_bytes(bytes, 4, (uint32_t[]){3, 3, 2, 2}, 36, 0));
    const char *labels = files_write(&f, "labels", bytes, idx_bytes(bytes, 1, (uint32_t[]){3}, 3, 4));
    ck_ok(rn_idx_open(ctx, images, labels, &ds));
    ck_ok(rn_dataset_describe(ds, &info));
    ck_assert_int_eq(info.count, 3);
    ck_assert_int_eq(info.classes, 7); /* labels 4, 5, 6 */
    ck_assert_int_eq(info.channels, 1);
    ck_assert_int_eq(info.height, 4);
    ck_assert_int_eq(info.width, 2);
    ck_ok(rn_dataset_read(ds, 2, image, 8, &label));
    ck_assert_int_eq(label, 6);
    ck_assert_uint_eq(image[0], 116);
    ck_assert_uint_eq(image[7], 123);
    ck_fails(rn_dataset_read(ds, 3, image, 8, &label), RN_E_INVALID, "index: expected 0 to 2, got 3");
    ck_fails(rn_dataset_read(ds, -1, image, 8, &label), RN_E_INVALID, "index");
    ck_fails(rn_dataset_read(ds, 0, image, 9, &label), RN_E_BUFFER, "expected 8");
    rn_dataset_release(ds);
    ck_ok(rn_idx_open(ctx, colour, labels, &ds));
    ck_ok(rn_dataset_describe(ds, &info));
    ck_assert_int_eq(info.channels, 3);
    ck_assert_int_eq(info.height, 2);
    rn_dataset_release(ds);
    files_end(&f);
    rn_context_release(ctx);
}
END_TEST

static const char *write_gzip(files *f, const char *name, const uint8_t *data, unsigned size)
{
    const char *const path = files_path(f, name);
    gzFile file = gzopen(path, "wb");
    ck_assert(file != NULL);
    ck_assert_int_eq(gzwrite(file, data, size), (int)size);
    ck_assert_int_eq(gzclose(file), Z_OK);
    return path;
}

START_TEST(idx_gzip)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    files f = files_begin();
    rn_dataset *ds = NULL;
    uint8_t bytes[200], image[8];
    int64_t label = -1;
    const char *images = write_gzip(&f, "images.gz", bytes, (unsigned)idx_bytes(bytes, 3, (uint32_t[]){3, 4, 2}, 24, 9));
    const char *labels = write_gzip(&f, "labels.gz", bytes, (unsigned)idx_bytes(bytes, 1, (uint32_t[]){3}, 3, 0));
    ck_ok(rn_idx_open(ctx, images, labels, &ds));
    ck_ok(rn_dataset_read(ds, 1, image, 8, &label));
    ck_assert_int_eq(label, 1);
    ck_assert_uint_eq(image[0], 17);
    rn_dataset_release(ds);
    ck_assert_int_eq(truncate(images, 30), 0);
    ck_fails(rn_idx_open(ctx, images, labels, &ds), RN_E_FORMAT, "images.gz");
    files_end(&f);
    rn_context_release(ctx);
}
END_TEST

START_TEST(idx_bad_files)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    files f = files_begin();
    rn_dataset *ds = NULL;
    uint8_t bytes[200];
    size_t size = idx_bytes(bytes, 1, (uint32_t[]){3}, 3, 0);
    const char *labels = files_write(&f, "labels", bytes, size);
    const char *four = files_write(&f, "four", bytes, idx_bytes(bytes, 1, (uint32_t[]){4}, 4, 0));
    const char *bad = files_write(&f, "bad", bytes, 0);
    size = idx_bytes(bytes, 3, (uint32_t[]){3, 4, 2}, 25, 0);
    files_write(&f, "bad", bytes, size);
    ck_fails(rn_idx_open(ctx, bad, labels, &ds), RN_E_FORMAT, "bad: is too long: expected 24 bytes");
    ck_assert_int_eq(truncate(bad, (off_t)size - 2), 0);
    ck_fails(rn_idx_open(ctx, bad, labels, &ds), RN_E_FORMAT, "bad: ends early: expected 24 bytes");
    ck_assert_int_eq(truncate(bad, 10), 0);
    ck_fails(rn_idx_open(ctx, bad, labels, &ds), RN_E_FORMAT, "expected a header of 16 bytes, got 10");
    ck_assert_int_eq(truncate(bad, 3), 0);
    ck_fails(rn_idx_open(ctx, bad, labels, &ds), RN_E_FORMAT, "got 3 bytes");
    bytes[0] = 1;
    files_write(&f, "bad", bytes, size);
    ck_fails(rn_idx_open(ctx, bad, labels, &ds), RN_E_FORMAT, "beginning with 00 00, got 01 00");
    bytes[0] = 0, bytes[2] = 13;
    files_write(&f, "bad", bytes, size);
    ck_fails(rn_idx_open(ctx, bad, labels, &ds), RN_E_FORMAT, "08 (u8), got 0d");
    files_write(&f, "bad", bytes, idx_bytes(bytes, 3, (uint32_t[]){3, 0, 2}, 0, 0));
    ck_fails(rn_idx_open(ctx, bad, labels, &ds), RN_E_FORMAT, "got 0 for dimension 1");
    files_write(&f, "bad", bytes, idx_bytes(bytes, 4, (uint32_t[]){~0u, ~0u, ~0u, ~0u}, 24, 0));
    ck_fails(rn_idx_open(ctx, bad, labels, &ds), RN_E_FORMAT, "ends early");
    files_write(&f, "bad", bytes, idx_bytes(bytes, 3, (uint32_t[]){3, 4, 2}, 24, 0));
    ck_fails(rn_idx_open(ctx, bad, four, &ds), RN_E_FORMAT, "four: expected a label for each of the 3 images");
    ck_fails(rn_idx_open(ctx, labels, labels, &ds), RN_E_FORMAT, "expected 3 to 4 dimensions, got 1");
    ck_fails(rn_idx_open(ctx, bad, bad, &ds), RN_E_FORMAT, "expected 1 to 1 dimensions, got 3");
    ck_fails(rn_idx_open(ctx, "/nowhere/images", labels, &ds), RN_E_NOT_FOUND, "/nowhere/images");
    ck_assert_ptr_null(ds);
    files_end(&f);
    rn_context_release(ctx);
}
END_TEST

START_TEST(tensors)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    rn_dataset *ds = test_images(cpu, 5, 2, 3, 4), *part = NULL, *parts = NULL;
    uint8_t image[18];
    int64_t label = -1;
    ck_assert_int_eq(rn_dataset_size(ds), 5);
    ck_assert_int_eq(rn_dataset_classes(ds), 4);
    ck_ok(rn_dataset_take(ds, 3, &part));
    ck_ok(rn_dataset_take(part, 2, &parts));
    ck_fails(rn_dataset_take(part, 4, &parts), RN_E_INVALID, "count: expected 0 to 3, got 4");
    rn_dataset_release(ds);
    rn_dataset_release(part);
    ck_assert_int_eq(rn_dataset_size(parts), 2);
    ck_assert_int_eq(rn_dataset_classes(parts), 4);
    ck_ok(rn_dataset_read(parts, 1, image, sizeof image, &label));
    ck_assert_int_eq(label, 1);
    ck_assert_uint_eq(image[17], test_pixel(1, 1, 2, 2));
    ck_fails(rn_dataset_read(parts, 2, image, sizeof image, &label), RN_E_INVALID, "index");
    rn_dataset_release(parts);
    rn_context_release(ctx);
}
END_TEST

START_TEST(bad_tensors)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    const int64_t dims[4] = {3, 1, 2, 2}, four = 4;
    rn_tensor *images = NULL, *flat = NULL, *labels = NULL, *more = NULL, *halves = NULL;
    rn_dataset *ds = NULL;
    ck_ok(rn_tensor_create(cpu, RN_U8, 4, dims, &images));
    ck_ok(rn_tensor_create(cpu, RN_U8, 2, dims, &flat));
    ck_ok(rn_tensor_create(cpu, RN_F64, 4, dims, &halves));
    ck_ok(rn_tensor_create(cpu, RN_I64, 1, dims, &labels));
    ck_ok(rn_tensor_create(cpu, RN_I64, 1, &four, &more));
    ck_fails(rn_tensor_dataset_create(NULL, labels, &ds), RN_E_INVALID, "images is NULL");
    ck_fails(rn_tensor_dataset_create(flat, labels, &ds), RN_E_SHAPE, "expected [N, C, H, W], got [3, 1]");
    ck_fails(rn_tensor_dataset_create(halves, labels, &ds), RN_E_DTYPE, "u8 or f32, got f64");
    ck_fails(rn_tensor_dataset_create(images, images, &ds), RN_E_DTYPE, "labels: expected i64, got u8");
    ck_fails(rn_tensor_dataset_create(images, more, &ds), RN_E_SHAPE, "[4]");
    ((int64_t *)rn_tensor_data(labels))[2] = -1;
    ck_fails(rn_tensor_dataset_create(images, labels, &ds), RN_E_INVALID, "got -1 at index 2");
    ck_assert_ptr_null(ds);
    rn_tensor_release(images);
    rn_tensor_release(flat);
    rn_tensor_release(halves);
    rn_tensor_release(labels);
    rn_tensor_release(more);
    rn_context_release(ctx);
}
END_TEST

typedef struct host {
    int released;
    rn_status status; /* of image 2 */
} host;

static rn_status host_read(void *user, int64_t index, void *image, int64_t *label)
{
    const host *const h = user;
    memset(image, (int)index, 4);
    *label = index;
    return index == 2 ? h->status : RN_OK;
}

static void host_release(void *user)
{
    ((host *)user)->released++;
}

START_TEST(custom)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    host h = {0, RN_E_USER};
    rn_dataset_vtable vt = {sizeof vt, host_read, host_release};
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rn_dataset *ds = NULL, *part = NULL;
    uint8_t image[4];
    int64_t label = -1;
    info.count = 6, info.classes = 5, info.channels = 1, info.height = info.width = 2;
    ck_ok(rn_custom_dataset_create(ctx, &vt, &h, &info, &ds));
    ck_ok(rn_dataset_read(ds, 3, image, 4, &label));
    ck_assert_int_eq(label, 3);
    ck_assert_uint_eq(image[3], 3);
    ck_fails(rn_dataset_read(ds, 2, image, 4, &label), RN_E_USER, "image 2 failed with RN_E_USER");
    ck_assert_uint_eq(image[3], 3);
    h.status = RN_END; /* would pass for an end of the epoch */
    ck_fails(rn_dataset_read(ds, 2, image, 4, &label), RN_E_USER, "RN_END");
    ck_fails(rn_dataset_read(ds, 5, image, 4, &label), RN_E_INVALID, "label of image 5: expected 0 to 4, got 5");
    ck_assert_int_eq(label, 3);
    ck_ok(rn_dataset_take(ds, 4, &part));
    rn_dataset_release(ds);
    ck_assert_int_eq(h.released, 0);
    rn_dataset_release(part);
    ck_assert_int_eq(h.released, 1);

    vt.read = NULL;
    ck_fails(rn_custom_dataset_create(ctx, &vt, &h, &info, &ds), RN_E_INVALID, "vt.read is NULL");
    vt.read = host_read;
    info.classes = 0;
    ck_fails(rn_custom_dataset_create(ctx, &vt, &h, &info, &ds), RN_E_INVALID, "info.classes");
    info.classes = 5, info.dtype = RN_I64;
    ck_fails(rn_custom_dataset_create(ctx, &vt, &h, &info, &ds), RN_E_DTYPE, "u8 or f32, got i64");
    info.dtype = RN_F32, info.height = 0;
    ck_fails(rn_custom_dataset_create(ctx, &vt, &h, &info, &ds), RN_E_SHAPE, "got 0");
    info.height = info.width = info.channels = INT32_MAX;
    ck_fails(rn_custom_dataset_create(ctx, &vt, &h, &info, &ds), RN_E_SHAPE, "info");
    info.height = info.width = info.channels = 1, info.count = -1;
    ck_fails(rn_custom_dataset_create(ctx, &vt, &h, &info, &ds), RN_E_INVALID, "info.count");
    info.struct_size = 3;
    ck_fails(rn_custom_dataset_create(ctx, &vt, &h, &info, &ds), RN_E_VERSION, "rn_dataset_info");
    ck_assert_int_eq(h.released, 1);
    rn_context_release(ctx);
}
END_TEST

START_TEST(nothing)
{
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rn_dataset_release(NULL);
    ck_assert_ptr_null(rn_dataset_retain(NULL));
    ck_assert_int_eq(rn_dataset_size(NULL), 0);
    ck_assert_int_eq(rn_dataset_classes(NULL), 0);
    ck_fails(rn_dataset_describe(NULL, &info), RN_E_INVALID, "ds is NULL");
}
END_TEST

SUPPORT_MAIN("dataset", cifar10_folder, cifar100_fine_labels, cifar_bad_files, idx_files, idx_gzip, idx_bad_files,
             tensors, bad_tensors, custom, nothing)
