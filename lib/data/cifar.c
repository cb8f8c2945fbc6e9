/* SPDX-License-Identifier: MIT */
/*
 * CIFAR-10 and CIFAR-100, binary version (Krizhevsky 2009): records of a label byte (CIFAR-100: a coarse and a fine
 * one) and 3,072 pixels: 1,024 red, 1,024 green, 1,024 blue, each plane row by row. No header. Files of the Python version
 * (cifar_python.c) become such records in memory.
 */
#include "data/dataset.h"
#include "base/io.h"
#include "data/cifar_python.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *cifar10_class_name(const rn_dataset *ds, int64_t index)
{
    static const char *const names[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                        "dog",      "frog",       "horse", "ship", "truck"};
    (void)ds;
    return names[index];
}

static const rni_dataset_class cifar10_class = {RNI_MEMORY_CLASS("cifar10"), .class_name = cifar10_class_name};
static const rni_dataset_class cifar100_class = {RNI_MEMORY_CLASS("cifar100")};

/* Bytes before the pixels; the last one is the label. */
static size_t label_bytes(int64_t classes)
{
    return classes == 100 ? 2 : 1;
}

static rn_status check_size(const char *path, uint64_t size, size_t record)
{
    if (size == 0)
        return rni_fail(RN_E_FORMAT, "%s: expected records of %zu bytes, got an empty file", path, record);
    if (size % record)
        return rni_fail(RN_E_FORMAT,
                        "%s: expected a multiple of %zu bytes, got %" PRIu64 ": %" PRIu64 " records and %" PRIu64
                        " bytes too many",
                        path, record, size, size / record, size % record);
    return RN_OK;
}

/* What a file takes as records, and whether it is a pickle. */
typedef struct file_size {
    uint64_t bytes;
    int python;
} file_size;

static rn_status measure_file(const rn_allocator *allocator, const char *path, int64_t classes, file_size *size)
{
    const size_t record = label_bytes(classes) + RNI_CIFAR_PIXELS;
    rni_file *file = NULL;
    uint64_t count = 0;
    RNI_TRY(rni_cifar_is_python(allocator, path, &size->python));
    if (size->python) {
        RNI_TRY(rni_cifar_python_count(allocator, path, classes, &count));
        size->bytes = count * record;
        return RN_OK;
    }
    RNI_TRY(rni_file_open(allocator, path, &file, &size->bytes));
    rni_file_close(file);
    return check_size(path, size->bytes, record);
}

/* Reads one file to `dst`, which has room for the `expected` bytes it had when it was measured. */
static rn_status read_records(const rn_allocator *allocator, const char *path, unsigned char *dst, uint64_t expected)
{
    rni_file *file = NULL;
    uint64_t size = 0;
    RNI_TRY(rni_file_open(allocator, path, &file, &size));
    const rn_status status = size == expected
                                 ? rni_file_read(file, 0, dst, (size_t)size)
                                 : rni_fail(RN_E_IO, "%s: its size changed from %" PRIu64 " to %" PRIu64
                                            " bytes while it was read", path, expected, size);
    rni_file_close(file);
    return status;
}

static rn_status check_labels(const char *path, const unsigned char *data, uint64_t size, size_t record,
                              int64_t classes)
{
    for (uint64_t i = 0; i < size / record; i++) {
        const int label = data[i * record + label_bytes(classes) - 1];
        if (label >= classes)
            return rni_fail(RN_E_FORMAT, "%s: label of record %" PRIu64 ": expected 0 to %" PRId64 ", got %d", path, i,
                            classes - 1, label);
    }
    return RN_OK;
}

/* Reads all files one after another into `data`. */
static rn_status read_files(const rn_allocator *allocator, const char *const *paths, const file_size *sizes,
                            size_t num_paths, int64_t classes, unsigned char *data)
{
    const size_t record = label_bytes(classes) + RNI_CIFAR_PIXELS;
    for (size_t i = 0; i < num_paths; i++) {
        const uint64_t bytes = sizes[i].bytes;
        RNI_TRY(sizes[i].python ? rni_cifar_python_read(allocator, paths[i], classes, data, bytes / record)
                                : read_records(allocator, paths[i], data, bytes));
        RNI_TRY(check_labels(paths[i], data, bytes, record, classes));
        data += bytes;
    }
    return RN_OK;
}

static rn_status make_dataset(rn_context *ctx, unsigned char *data, uint64_t size, int64_t classes, rn_dataset **out)
{
    const size_t before = label_bytes(classes), record = before + RNI_CIFAR_PIXELS;
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rn_dataset *ds = NULL;
    info.count = (int64_t)(size / record);
    info.classes = classes;
    info.channels = 3;
    info.height = info.width = 32;
    RNI_TRY(rni_dataset_create(ctx, classes == 100 ? &cifar100_class : &cifar10_class, &info, &ds));
    ds->u.memory = (rni_memory_images){
        .images = data + before,
        .labels = data + before - 1,
        .image_stride = record,
        .label_stride = record,
        .label_dtype = RN_U8,
        .block = {data, NULL},
    };
    *out = ds;
    return RN_OK;
}

/* `sizes` has room for num_paths. */
static rn_status open_files(rn_context *ctx, const char *const *paths, size_t num_paths, int64_t classes,
                            file_size *sizes, rn_dataset **out)
{
    uint64_t total = 0;
    for (size_t i = 0; i < num_paths; i++) {
        RNI_TRY(measure_file(&ctx->allocator, paths[i], classes, &sizes[i]));
        total += sizes[i].bytes;
    }
    unsigned char *const data = total <= SIZE_MAX ? rni_alloc(&ctx->allocator, (size_t)total) : NULL;
    if (!data)
        return rni_nomem(paths[0], total);
    rn_status status = read_files(&ctx->allocator, paths, sizes, num_paths, classes, data);
    if (status == RN_OK)
        status = make_dataset(ctx, data, total, classes, out);
    if (status < 0)
        rni_free(&ctx->allocator, data);
    return status;
}

rn_status rn_cifar_files_open(rn_context *ctx, const char *const *paths, size_t num_paths, int64_t classes,
                              rn_dataset **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(paths);
    RNI_REQUIRE(out);
    if (num_paths < 1)
        return rni_fail(RN_E_INVALID, "num_paths: expected 1 or more, got 0");
    if (classes != 10 && classes != 100)
        return rni_fail(RN_E_INVALID, "classes: expected 10 or 100, got %" PRId64, classes);
    for (size_t i = 0; i < num_paths; i++)
        if (!paths[i])
            return rni_fail(RN_E_INVALID, "paths[%zu] is NULL", i);
    file_size *const sizes = rni_calloc(&ctx->allocator, num_paths, sizeof *sizes);
    if (!sizes)
        return rni_nomem("file sizes", num_paths * sizeof *sizes);
    const rn_status status = open_files(ctx, paths, num_paths, classes, sizes, out);
    rni_free(&ctx->allocator, sizes);
    return status;
}

static rn_status join(const rn_allocator *allocator, const char *dir, const char *name, const char *suffix, char **out)
{
    const size_t size = strlen(dir) + 1 + strlen(name) + strlen(suffix) + 1;
    *out = rni_alloc(allocator, size);
    if (!*out)
        return rni_nomem("path", size);
    snprintf(*out, size, "%s/%s%s", dir, name, suffix);
    return RN_OK;
}

/* The Python version's names are the binary version's without ".bin". */
static rn_status find_suffix(const rn_allocator *allocator, const char *dir, const char *name, const char **suffix)
{
    static const char *const suffixes[] = {".bin", ""};
    *suffix = suffixes[0];
    for (int i = 0; i < 2; i++) {
        char *path = NULL;
        RNI_TRY(join(allocator, dir, name, suffixes[i], &path));
        const int there = access(path, F_OK) == 0;
        rni_free(allocator, path);
        if (there) {
            *suffix = suffixes[i];
            return RN_OK;
        }
    }
    return RN_OK;
}

/* Opens files by name in a folder; at most 5. */
static rn_status open_in(rn_context *ctx, const char *dir, const char *const *names, size_t count, int64_t classes,
                         rn_dataset **out)
{
    char *paths[5] = {NULL, NULL, NULL, NULL, NULL};
    const char *suffix;
    RNI_TRY(find_suffix(&ctx->allocator, dir, names[0], &suffix));
    rn_status status = RN_OK;
    for (size_t i = 0; i < count && status == RN_OK; i++)
        status = join(&ctx->allocator, dir, names[i], suffix, &paths[i]);
    if (status == RN_OK)
        status = rn_cifar_files_open(ctx, (const char *const *)paths, count, classes, out);
    for (size_t i = 0; i < count; i++)
        rni_free(&ctx->allocator, paths[i]);
    return status;
}

static rn_status check_split(int32_t split)
{
    if (split == RN_SPLIT_TRAIN || split == RN_SPLIT_TEST)
        return RN_OK;
    return rni_fail(RN_E_INVALID, "split: expected RN_SPLIT_TRAIN or RN_SPLIT_TEST, got %d", (int)split);
}

rn_status rn_cifar10_open(rn_context *ctx, const char *dir, int32_t split, rn_dataset **out)
{
    static const char *const train[] = {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"};
    static const char *const test[] = {"test_batch"};
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(dir);
    RNI_REQUIRE(out);
    RNI_TRY(check_split(split));
    return split == RN_SPLIT_TRAIN ? open_in(ctx, dir, train, 5, 10, out) : open_in(ctx, dir, test, 1, 10, out);
}

rn_status rn_cifar100_open(rn_context *ctx, const char *dir, int32_t split, rn_dataset **out)
{
    static const char *const names[] = {"train", "test"};
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(dir);
    RNI_REQUIRE(out);
    RNI_TRY(check_split(split));
    return open_in(ctx, dir, &names[split], 1, 100, out);
}
