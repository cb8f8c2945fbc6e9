/* SPDX-License-Identifier: MIT */
#include "data/cifar_python.h"
#include "base/io.h"
#include "format/pickle.h"
#include <inttypes.h>
#include <string.h>

/* The largest official file has 155 MB. */
enum { MAX_BYTES = 1 << 30 };

typedef struct batch {
    void *bytes; /* the whole file; values point into it */
    rni_py_reader py;
    const rni_py_array *images;
    const rni_py_items *labels, *coarse; /* coarse NULL: the file has none */
    uint64_t count;
} batch;

rn_status rni_cifar_is_python(const rn_allocator *allocator, const char *path, int *yes)
{
    rni_file *file = NULL;
    uint64_t size = 0;
    unsigned char b[2] = {0, 0};
    RNI_TRY(rni_file_open(allocator, path, &file, &size));
    const rn_status status = size < sizeof b ? RN_OK : rni_file_read(file, 0, b, sizeof b);
    rni_file_close(file);
    *yes = b[0] == 0x80 && b[1] >= 2 && b[1] <= 5;
    return status;
}

static int is_int(const rni_py_value *v, int64_t number)
{
    return v->kind == RNI_PY_INT && v->u.number == number;
}

/* u8 of [N, 3072], or [N, 3, 32, 32] row by row. */
static int right_shape(const rni_py_array *a)
{
    const rni_py_value *const d = a->shape.u.tuple;
    const uint32_t rank = a->shape.length;
    if (!a->dtype || a->dtype->kind != 'u' || a->dtype->size != 1 || rank < 2 || d[0].kind != RNI_PY_INT)
        return 0;
    return (rank == 2 && is_int(&d[1], RNI_CIFAR_PIXELS)) ||
           (rank == 4 && !a->fortran && is_int(&d[1], 3) && is_int(&d[2], 32) && is_int(&d[3], 32));
}

static rn_status take_images(batch *b, const rni_py_value *dict)
{
    const rni_py_value *const data = rni_py_get(dict, "data");
    if (!data || data->kind != RNI_PY_ARRAY || !right_shape(data->u.array))
        return rni_fail(RN_E_FORMAT, "data: expected a NumPy array of u8 [N, %d]", (int)RNI_CIFAR_PIXELS);
    b->images = data->u.array;
    b->count = b->images->data.length / RNI_CIFAR_PIXELS;
    const int64_t rows = b->images->shape.u.tuple[0].u.number;
    if (rows < 1 || b->count != (uint64_t)rows || b->images->data.length % RNI_CIFAR_PIXELS)
        return rni_fail(RN_E_FORMAT, "data: expected %" PRId64 " images, got %" PRIu32 " bytes", rows,
                        b->images->data.length);
    return RN_OK;
}

/* As many whole numbers, 0 to `most`, as images. */
static rn_status take_labels(const batch *b, const rni_py_value *dict, const char *key, int64_t most,
                             const rni_py_items **out)
{
    const rni_py_value *const list = rni_py_get(dict, key);
    if (!list || list->kind != RNI_PY_LIST)
        return rni_fail(RN_E_FORMAT, "%s: expected a list", key);
    if (list->u.items->count != b->count)
        return rni_fail(RN_E_FORMAT, "%s: expected %" PRIu64 " labels, got %zu", key, b->count, list->u.items->count);
    for (size_t i = 0; i < list->u.items->count; i++) {
        const rni_py_value *const label = &list->u.items->at[i];
        if (label->kind != RNI_PY_INT)
            return rni_fail(RN_E_FORMAT, "%s: label of image %zu: expected a whole number", key, i);
        if (label->u.number < 0 || label->u.number > most)
            return rni_fail(RN_E_FORMAT, "%s: label of image %zu: expected 0 to %" PRId64 ", got %" PRId64, key, i, most,
                            label->u.number);
    }
    *out = list->u.items;
    return RN_OK;
}

static rn_status parse(batch *b, size_t size, int64_t classes)
{
    rni_py_value root = {0};
    RNI_TRY(rni_py_read(&b->py, b->bytes, size, NULL, &root));
    RNI_TRY(take_images(b, &root));
    RNI_TRY(take_labels(b, &root, classes == 100 ? "fine_labels" : "labels", classes - 1, &b->labels));
    return classes == 100 && rni_py_get(&root, "coarse_labels")
               ? take_labels(b, &root, "coarse_labels", 19, &b->coarse)
               : RN_OK;
}

static rn_status open_batch(batch *b, const rn_allocator *allocator, const char *path, int64_t classes)
{
    size_t size = 0;
    *b = (batch){.bytes = NULL};
    rni_py_begin(&b->py, allocator);
    RNI_TRY(rni_read_whole(allocator, path, MAX_BYTES, &b->bytes, &size));
    const rn_status status = parse(b, size, classes);
    return status < 0 && status != RN_E_NOMEM ? rni_fail_prefix(status, "%s", path) : status;
}

static void close_batch(batch *b)
{
    rni_free(b->py.allocator, b->bytes);
    rni_py_end(&b->py);
}

rn_status rni_cifar_python_count(const rn_allocator *allocator, const char *path, int64_t classes, uint64_t *count)
{
    batch b;
    const rn_status status = open_batch(&b, allocator, path, classes);
    if (status >= 0)
        *count = b.count;
    close_batch(&b);
    return status;
}

/* In Fortran's order the first pixels of all images come first. */
static void copy_pixels(const batch *b, uint64_t image, unsigned char *dst)
{
    const unsigned char *const from = (const unsigned char *)b->images->data.u.text;
    if (!b->images->fortran) {
        memcpy(dst, from + image * RNI_CIFAR_PIXELS, RNI_CIFAR_PIXELS);
        return;
    }
    for (uint64_t i = 0; i < RNI_CIFAR_PIXELS; i++)
        dst[i] = from[i * b->count + image];
}

static void write_records(const batch *b, int64_t classes, unsigned char *dst)
{
    for (uint64_t i = 0; i < b->count; i++) {
        if (classes == 100)
            *dst++ = b->coarse ? (unsigned char)b->coarse->at[i].u.number : 0;
        *dst++ = (unsigned char)b->labels->at[i].u.number;
        copy_pixels(b, i, dst);
        dst += RNI_CIFAR_PIXELS;
    }
}

rn_status rni_cifar_python_read(const rn_allocator *allocator, const char *path, int64_t classes, unsigned char *dst,
                                uint64_t count)
{
    batch b;
    rn_status status = open_batch(&b, allocator, path, classes);
    if (status >= 0 && b.count != count)
        status = rni_fail(RN_E_IO, "%s: changed from %" PRIu64 " to %" PRIu64 " images while it was read", path, count,
                          b.count);
    if (status >= 0)
        write_records(&b, classes, dst);
    close_batch(&b);
    return status;
}
