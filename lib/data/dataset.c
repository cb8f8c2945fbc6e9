/* SPDX-License-Identifier: MIT */
/* What all datasets share, parts of datasets, and datasets of the host's. */
#include "data/dataset.h"
#include "base/abi.h"
#include "tensor/tensor.h"
#include <inttypes.h>
#include <string.h>

static rn_status check_info(const rn_dataset_info *info, int varied, size_t *image_bytes)
{
    const int64_t dims[3] = {info->channels, info->height, info->width};
    int64_t pixels = 0;
    if (info->count < 0)
        return rni_fail(RN_E_INVALID, "info.count: expected 0 or more, got %" PRId64, info->count);
    if (info->classes < 1)
        return rni_fail(RN_E_INVALID, "info.classes: expected 1 or more, got %" PRId64, info->classes);
    if (info->dtype != RN_U8 && info->dtype != RN_F32)
        return rni_fail(RN_E_DTYPE, "info.dtype: expected u8 or f32, got %s", rn_dtype_name(info->dtype));
    for (int i = 0; i < (varied ? 1 : 3); i++)
        if (dims[i] < 1 || dims[i] > INT32_MAX)
            return rni_fail(RN_E_SHAPE, "info: expected channels, height and width of 1 or more, got %" PRId64,
                            dims[i]);
    return rni_shape_check(3, dims, info->dtype, "info: channels, height and width", &pixels, image_bytes);
}

rn_status rni_dataset_create(rn_context *ctx, const rni_dataset_class *cls, const rn_dataset_info *info,
                             rn_dataset **out)
{
    size_t image_bytes = 0;
    RNI_TRY(check_info(info, cls->decode != NULL, &image_bytes));
    rn_dataset *const ds = rni_calloc(&ctx->allocator, 1, sizeof *ds);
    if (!ds)
        return rni_nomem("dataset", sizeof *ds);
    atomic_init(&ds->references, 1);
    ds->ctx = rn_context_retain(ctx);
    ds->cls = cls;
    ds->info = *info;
    ds->info.struct_size = sizeof ds->info;
    ds->image_bytes = image_bytes;
    *out = ds;
    return RN_OK;
}

rn_dataset *rn_dataset_retain(rn_dataset *ds)
{
    if (ds)
        rni_reference(&ds->references);
    return ds;
}

void rn_dataset_release(rn_dataset *ds)
{
    while (ds && rni_unreference(&ds->references)) {
        rn_dataset *const parent = ds->parent;
        rn_context *const ctx = ds->ctx;
        if (!parent)
            ds->cls->close(ds);
        rni_free(&ctx->allocator, ds);
        rn_context_release(ctx);
        ds = parent;
    }
}

rn_status rn_dataset_describe(const rn_dataset *ds, rn_dataset_info *out)
{
    RNI_REQUIRE(ds);
    RNI_REQUIRE(out);
    return rni_abi_write(out, &ds->info, sizeof ds->info, sizeof ds->info, "rn_dataset_info");
}

int64_t rn_dataset_size(const rn_dataset *ds)
{
    return ds ? ds->info.count : 0;
}

int64_t rn_dataset_classes(const rn_dataset *ds)
{
    return ds ? ds->info.classes : 0;
}

static rn_status check_label(const rn_dataset *ds, int64_t index, int64_t found, int64_t *label)
{
    if (found < 0 || found >= ds->info.classes)
        return rni_fail(RN_E_INVALID, "dataset: label of image %" PRId64 ": expected 0 to %" PRId64 ", got %" PRId64,
                        index, ds->info.classes - 1, found);
    *label = found;
    return RN_OK;
}

rn_status rni_dataset_fetch(const rn_dataset *ds, int64_t index, void *scratch, const void **image, int64_t *label)
{
    int64_t found = -1;
    RNI_TRY(ds->cls->fetch(ds, index, scratch, image, &found));
    return check_label(ds, index, found, label);
}

rn_status rni_dataset_decode(const rn_dataset *ds, int64_t index, rni_least_fn least, void *user, rni_decoded *out,
                             int64_t *label)
{
    int64_t found = -1;
    RNI_TRY(ds->cls->decode(ds, index, least, user, out, &found));
    const rn_status status = check_label(ds, index, found, label);
    if (status < 0)
        rni_free(&ds->ctx->allocator, out->pixels.data);
    return status;
}

const char *rn_dataset_class_name(const rn_dataset *ds, int64_t index)
{
    return ds && ds->cls->class_name && index >= 0 && index < ds->info.classes ? ds->cls->class_name(ds, index) : NULL;
}

const char *rn_dataset_item_name(const rn_dataset *ds, int64_t index)
{
    return ds && ds->cls->item_name && index >= 0 && index < ds->info.count ? ds->cls->item_name(ds, index) : NULL;
}

static rn_status check_index(const rn_dataset *ds, int64_t index)
{
    if (index < 0 || index >= ds->info.count)
        return rni_fail(RN_E_INVALID, "index: expected 0 to %" PRId64 ", got %" PRId64, ds->info.count - 1, index);
    return RN_OK;
}

rn_status rn_dataset_read(rn_dataset *ds, int64_t index, void *image, size_t nbytes, int64_t *label)
{
    RNI_REQUIRE(ds);
    RNI_REQUIRE(image);
    RNI_REQUIRE(label);
    RNI_TRY(check_index(ds, index));
    if (ds->cls->decode)
        return rni_fail(RN_E_UNSUPPORTED, "dataset: its images differ in size: rn_dataset_read_image() reads one");
    if (nbytes != ds->image_bytes)
        return rni_fail(RN_E_BUFFER, "nbytes: expected %zu, the size of an image, got %zu", ds->image_bytes, nbytes);
    void *const scratch = rni_alloc(&ds->ctx->allocator, nbytes);
    if (!scratch)
        return rni_nomem("image", nbytes);
    const void *stored = NULL;
    const rn_status status = rni_dataset_fetch(ds, index, scratch, &stored, label);
    if (status == RN_OK)
        memcpy(image, stored, nbytes);
    rni_free(&ds->ctx->allocator, scratch);
    return status;
}

static void as_it_is(void *user, int64_t height, int64_t width, int64_t *least_height, int64_t *least_width)
{
    (void)user, (void)height, (void)width;
    *least_height = *least_width = 0;
}

static rn_status read_picture(rn_dataset *ds, int64_t index, rn_tensor **image, int64_t *label)
{
    rni_decoded decoded;
    int64_t found = 0;
    RNI_TRY(rni_dataset_decode(ds, index, as_it_is, NULL, &decoded, &found));
    const rn_status status = rni_image_tensor(ds->ctx, &decoded.pixels, image);
    rni_free(&ds->ctx->allocator, decoded.pixels.data);
    if (status == RN_OK)
        *label = found;
    return status;
}

rn_status rn_dataset_read_image(rn_dataset *ds, int64_t index, rn_tensor **image, int64_t *label)
{
    RNI_REQUIRE(ds);
    RNI_REQUIRE(image);
    RNI_REQUIRE(label);
    RNI_TRY(check_index(ds, index));
    if (ds->cls->decode)
        return read_picture(ds, index, image, label);
    const int64_t dims[3] = {ds->info.channels, ds->info.height, ds->info.width};
    rn_device *cpu = NULL;
    rn_tensor *t = NULL;
    RNI_TRY(rn_context_find_device(ds->ctx, "cpu", &cpu));
    RNI_TRY(rn_tensor_create(cpu, ds->info.dtype, 3, dims, &t));
    const rn_status status = rn_dataset_read(ds, index, rn_tensor_data(t), t->nbytes, label);
    if (status < 0) {
        rn_tensor_release(t);
        return status;
    }
    *image = t;
    return RN_OK;
}

rn_status rn_dataset_take(rn_dataset *ds, int64_t count, rn_dataset **out)
{
    RNI_REQUIRE(ds);
    RNI_REQUIRE(out);
    if (count < 0 || count > ds->info.count)
        return rni_fail(RN_E_INVALID, "count: expected 0 to %" PRId64 ", got %" PRId64, ds->info.count, count);
    rn_dataset_info info = ds->info;
    rn_dataset *part = NULL;
    info.count = count;
    RNI_TRY(rni_dataset_create(ds->ctx, ds->cls, &info, &part));
    part->parent = rn_dataset_retain(ds);
    part->u = ds->u;
    *out = part;
    return RN_OK;
}

/* The host's status is passed on; one that says "no error" of a failed read would look like a batch or an end. */
static rn_status custom_fetch(const rn_dataset *ds, int64_t index, void *scratch, const void **image, int64_t *label)
{
    const rn_status status = ds->u.custom.vt.read(ds->u.custom.user, index, scratch, label);
    if (status != RN_OK)
        return rni_fail(status < 0 ? status : RN_E_USER, "dataset: reading image %" PRId64 " failed with %s (%d)",
                        index, rn_status_name(status), (int)status);
    *image = scratch;
    return RN_OK;
}

static void custom_close(rn_dataset *ds)
{
    if (ds->u.custom.vt.release)
        ds->u.custom.vt.release(ds->u.custom.user);
}

static const rni_dataset_class custom_class = {.kind = "custom", .fetch = custom_fetch, .close = custom_close};

rn_status rn_custom_dataset_create(rn_context *ctx, const rn_dataset_vtable *vt, void *user,
                                   const rn_dataset_info *info, rn_dataset **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(vt);
    RNI_REQUIRE(info);
    RNI_REQUIRE(out);
    rn_dataset_vtable known = {sizeof known, NULL, NULL};
    rn_dataset_info sizes = RN_DATASET_INFO_INIT;
    RNI_TRY(rni_abi_read(&known, sizeof known, sizeof known, vt, "rn_dataset_vtable"));
    RNI_TRY(rni_abi_read(&sizes, sizeof sizes, sizeof sizes, info, "rn_dataset_info"));
    if (!known.read)
        return rni_fail(RN_E_INVALID, "vt.read is NULL");
    rn_dataset *ds = NULL;
    RNI_TRY(rni_dataset_create(ctx, &custom_class, &sizes, &ds));
    ds->u.custom.vt = known;
    ds->u.custom.user = user;
    *out = ds;
    return RN_OK;
}
