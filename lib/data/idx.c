/* SPDX-License-Identifier: MIT */
/*
 * IDX files, the format of MNIST and its family: bytes 0, 0, type (8: u8), number of dimensions; sizes as big-endian
 * 32-bit numbers; data.
 */
#include "data/dataset.h"
#include "base/io.h"
#include <inttypes.h>
#include <string.h>

enum { IDX_U8 = 8, IDX_MAX_RANK = 4 };

/* Enough for any image set of bytes; stops a gzip file that unpacks without end. */
#define IDX_MAX_BYTES ((size_t)1 << (sizeof(size_t) > 4 ? 32 : 30))

typedef struct idx_file {
    void *block; /* the whole file */
    const unsigned char *data;
    int32_t rank;
    int64_t dims[IDX_MAX_RANK];
} idx_file;

static int64_t big_endian(const unsigned char *b)
{
    return (int64_t)b[0] << 24 | (int64_t)b[1] << 16 | (int64_t)b[2] << 8 | b[3];
}

static rn_status check_magic(const char *path, const unsigned char *b, size_t size, int32_t min_rank,
                             int32_t max_rank)
{
    if (size < 4)
        return rni_fail(RN_E_FORMAT, "%s: ends early: expected an IDX header, got %zu bytes", path, size);
    if (b[0] || b[1])
        return rni_fail(RN_E_FORMAT, "%s: expected an IDX file beginning with 00 00, got %02x %02x", path, b[0], b[1]);
    if (b[2] != IDX_U8)
        return rni_fail(RN_E_FORMAT, "%s: expected element type 08 (u8), got %02x", path, b[2]);
    if (b[3] < min_rank || b[3] > max_rank)
        return rni_fail(RN_E_FORMAT, "%s: expected %d to %d dimensions, got %d", path, (int)min_rank, (int)max_rank,
                        b[3]);
    return RN_OK;
}

/* Reads the sizes; the data must fill the rest of the file exactly. */
static rn_status parse_idx(const char *path, const unsigned char *b, size_t size, idx_file *idx)
{
    const size_t header = 4 + 4 * (size_t)b[3];
    size_t need = 1;
    if (size < header)
        return rni_fail(RN_E_FORMAT, "%s: ends early: expected a header of %zu bytes, got %zu", path, header, size);
    idx->rank = b[3];
    for (int32_t i = 0; i < idx->rank; i++) {
        idx->dims[i] = big_endian(b + 4 + 4 * i);
        if (idx->dims[i] == 0)
            return rni_fail(RN_E_FORMAT, "%s: expected sizes of 1 or more, got 0 for dimension %d", path, (int)i);
        if (!rni_mul_size(need, (size_t)idx->dims[i], &need))
            need = SIZE_MAX;
    }
    if (size - header != need)
        return rni_fail(RN_E_FORMAT, "%s: %s: expected %zu bytes of data after the header, got %zu", path,
                        size - header < need ? "ends early" : "is too long", need, size - header);
    idx->data = b + header;
    return RN_OK;
}

static rn_status read_idx(const rn_allocator *allocator, const char *path, int32_t min_rank, int32_t max_rank,
                          idx_file *idx)
{
    size_t size = 0;
    RNI_TRY(rni_read_whole(allocator, path, IDX_MAX_BYTES, &idx->block, &size));
    RNI_TRY(check_magic(path, idx->block, size, min_rank, max_rank));
    return parse_idx(path, idx->block, size, idx);
}

static const rni_dataset_class idx_class = {RNI_MEMORY_CLASS("idx")};

static int64_t largest_label(const idx_file *labels)
{
    int64_t largest = 0;
    for (int64_t i = 0; i < labels->dims[0]; i++)
        largest = labels->data[i] > largest ? labels->data[i] : largest;
    return largest;
}

static rn_status make_dataset(rn_context *ctx, const idx_file *images, const idx_file *labels, rn_dataset **out)
{
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rn_dataset *ds = NULL;
    info.count = images->dims[0];
    info.classes = largest_label(labels) + 1;
    info.channels = images->rank == 4 ? images->dims[1] : 1;
    info.height = images->dims[images->rank - 2];
    info.width = images->dims[images->rank - 1];
    RNI_TRY(rni_dataset_create(ctx, &idx_class, &info, &ds));
    ds->u.memory = (rni_memory_images){
        .images = images->data,
        .labels = labels->data,
        .image_stride = ds->image_bytes,
        .label_stride = 1,
        .label_dtype = RN_U8,
        .block = {images->block, labels->block},
    };
    *out = ds;
    return RN_OK;
}

static rn_status open_pair(rn_context *ctx, const char *images, const char *labels, idx_file pair[2],
                           rn_dataset **out)
{
    RNI_TRY(read_idx(&ctx->allocator, images, 3, 4, &pair[0]));
    RNI_TRY(read_idx(&ctx->allocator, labels, 1, 1, &pair[1]));
    if (pair[0].dims[0] != pair[1].dims[0])
        return rni_fail(RN_E_FORMAT, "%s: expected a label for each of the %" PRId64 " images of %s, got %" PRId64,
                        labels, pair[0].dims[0], images, pair[1].dims[0]);
    return make_dataset(ctx, &pair[0], &pair[1], out);
}

rn_status rn_idx_open(rn_context *ctx, const char *images, const char *labels, rn_dataset **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(images);
    RNI_REQUIRE(labels);
    RNI_REQUIRE(out);
    idx_file pair[2];
    memset(pair, 0, sizeof pair);
    const rn_status status = open_pair(ctx, images, labels, pair, out);
    if (status < 0)
        for (int i = 0; i < 2; i++)
            rni_free(&ctx->allocator, pair[i].block);
    return status;
}
