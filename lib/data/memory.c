/* SPDX-License-Identifier: MIT */
/* Datasets whose images lie in memory, and the one made of tensors. */
#include "data/dataset.h"
#include "tensor/tensor.h"
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

static int64_t label_at(const rni_memory_images *m, int64_t index)
{
    const unsigned char *const at = m->labels + (size_t)index * m->label_stride;
    int64_t label;
    if (m->label_dtype == RN_U8)
        return *at;
    memcpy(&label, at, sizeof label);
    return label;
}

rn_status rni_memory_fetch(const rn_dataset *ds, int64_t index, void *scratch, const void **image, int64_t *label)
{
    const rni_memory_images *const m = &ds->u.memory;
    (void)scratch;
    *image = m->images + (size_t)index * m->image_stride;
    *label = label_at(m, index);
    return RN_OK;
}

void rni_memory_close(rn_dataset *ds)
{
    for (int i = 0; i < 2; i++) {
        rni_free(&ds->ctx->allocator, ds->u.memory.block[i]);
        rn_tensor_release(ds->u.memory.tensor[i]);
    }
}

uint32_t rni_memory_label_sum(const rn_dataset *ds)
{
    uLong sum = crc32(0, NULL, 0);
    for (int64_t i = 0; i < ds->info.count; i++) {
        const uint64_t label = (uint64_t)label_at(&ds->u.memory, i);
        unsigned char bytes[8];
        for (int b = 0; b < 8; b++)
            bytes[b] = (unsigned char)(label >> (8 * b));
        sum = crc32(sum, bytes, sizeof bytes);
    }
    return (uint32_t)sum;
}

static const rni_dataset_class tensor_class = {RNI_MEMORY_CLASS("tensor")};

static rn_status check_tensors(const rn_tensor *images, const rn_tensor *labels)
{
    char shape[2][RNI_SHAPE_TEXT];
    RNI_TRY(rni_tensor_expect_memory(images, "images"));
    RNI_TRY(rni_tensor_expect_memory(labels, "labels"));
    if (!rn_tensor_data(images))
        return rni_fail(RN_E_DEVICE, "images: expected plain [N, C, H, W] in host memory, got a tensor of %s",
                        rn_device_name(images->dev));
    if (!rn_tensor_data(labels))
        return rni_fail(RN_E_DEVICE, "labels: expected host memory, got a tensor of %s", rn_device_name(labels->dev));
    if (images->dtype != RN_U8 && images->dtype != RN_F32)
        return rni_fail(RN_E_DTYPE, "images: expected u8 or f32, got %s", rn_dtype_name(images->dtype));
    if (labels->dtype != RN_I64)
        return rni_fail(RN_E_DTYPE, "labels: expected i64, got %s", rn_dtype_name(labels->dtype));
    if (images->rank != 4)
        return rni_fail(RN_E_SHAPE, "images: expected [N, C, H, W], got %s",
                        rni_shape_text(shape[0], images->rank, images->dims));
    if (labels->rank != 1 || labels->dims[0] != images->dims[0])
        return rni_fail(RN_E_SHAPE, "labels: expected one per image of %s, got %s",
                        rni_shape_text(shape[0], images->rank, images->dims),
                        rni_shape_text(shape[1], labels->rank, labels->dims));
    return RN_OK;
}

/* The largest label + 1; at least 1. */
static rn_status count_classes(const rn_tensor *labels, int64_t *classes)
{
    const int64_t *const label = rn_tensor_data(labels);
    int64_t largest = 0;
    for (int64_t i = 0; i < labels->dims[0]; i++) {
        if (label[i] < 0 || label[i] == INT64_MAX)
            return rni_fail(RN_E_INVALID, "labels: expected 0 or more, got %" PRId64 " at index %" PRId64, label[i], i);
        largest = label[i] > largest ? label[i] : largest;
    }
    *classes = largest + 1;
    return RN_OK;
}

rn_status rn_tensor_dataset_create(rn_tensor *images, rn_tensor *labels, rn_dataset **out)
{
    RNI_REQUIRE(images);
    RNI_REQUIRE(labels);
    RNI_REQUIRE(out);
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rn_dataset *ds = NULL;
    RNI_TRY(check_tensors(images, labels));
    RNI_TRY(count_classes(labels, &info.classes));
    info.count = images->dims[0];
    info.channels = images->dims[1];
    info.height = images->dims[2];
    info.width = images->dims[3];
    info.dtype = images->dtype;
    RNI_TRY(rni_dataset_create(images->dev->ctx, &tensor_class, &info, &ds));
    ds->u.memory = (rni_memory_images){
        .images = rn_tensor_data(images),
        .labels = rn_tensor_data(labels),
        .image_stride = ds->image_bytes,
        .label_stride = sizeof(int64_t),
        .label_dtype = RN_I64,
        .tensor = {rn_tensor_retain(images), rn_tensor_retain(labels)},
    };
    *out = ds;
    return RN_OK;
}
