/* SPDX-License-Identifier: MIT */
/* Datasets of picture files: a folder for each class, or files by name. */
#include "base/abi.h"
#include "data/dataset.h"
#include "data/folder_list.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

typedef struct rni_image_folder {
    rni_folder_list list;
    char *dir; /* that item names are below; NULL: they are whole paths */
    uint64_t flags;
    rn_image_options decoding;
    atomic_uchar *broken; /* one per item: it has been left out */
    atomic_llong num_broken;
} rni_image_folder;

static const rn_image_folder_options defaults = RN_IMAGE_FOLDER_OPTIONS_INIT;

rn_status rn_image_folder_options_init(rn_image_folder_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_image_folder_options");
}

/* --- reading items ----------------------------------------------------------------------------------------------- */

static rn_status decode_bytes(const rni_image_folder *folder, const rn_allocator *allocator, const void *data,
                              size_t size, rni_least_fn least, void *user, rni_decoded *out)
{
    rni_decoder *decoder = NULL;
    int64_t least_height = 0, least_width = 0;
    RNI_TRY(rni_decoder_open(allocator, data, size, &folder->decoding, &decoder));
    out->height = rni_decoder_height(decoder);
    out->width = rni_decoder_width(decoder);
    if (!(folder->flags & RN_IMAGE_FOLDER_FULL_SIZE))
        least(user, out->height, out->width, &least_height, &least_width);
    const rn_status status = rni_decoder_read(decoder, least_height, least_width, &out->pixels);
    rni_decoder_close(decoder);
    return status;
}

static rn_status decode_file(const rni_image_folder *folder, const rn_allocator *allocator, const char *path,
                             rni_least_fn least, void *user, rni_decoded *out)
{
    void *data = NULL;
    size_t size = 0;
    RNI_TRY(rni_image_file(allocator, path, &data, &size));
    const rn_status status = decode_bytes(folder, allocator, data, size, least, user, out);
    rni_free(allocator, data);
    return status < 0 ? rni_fail_prefix(status, "%s", path) : status;
}

static rn_status folder_decode(const rn_dataset *ds, int64_t index, rni_least_fn least, void *user, rni_decoded *out,
                               int64_t *label)
{
    const rni_image_folder *const folder = ds->u.folder;
    const rn_allocator *const allocator = &ds->ctx->allocator;
    const char *const name = folder->list.items.at[index], *const dir = folder->dir;
    *label = folder->list.labels[index];
    if (!dir)
        return decode_file(folder, allocator, name, least, user, out);
    const size_t size = strlen(dir) + strlen(name) + 2;
    char *const path = rni_alloc(allocator, size);
    if (!path)
        return rni_nomem("path", size);
    snprintf(path, size, "%s/%s", dir, name);
    const rn_status status = decode_file(folder, allocator, path, least, user, out);
    rni_free(allocator, path);
    return status;
}

static int folder_skip(const rn_dataset *ds, int64_t index, rn_status status)
{
    rni_image_folder *const folder = ds->u.folder;
    const int broken =
        status == RN_E_FORMAT || status == RN_E_IO || status == RN_E_NOT_FOUND || status == RN_E_UNSUPPORTED;
    if (!broken || !(folder->flags & RN_IMAGE_FOLDER_SKIP_BROKEN))
        return 0;
    if (!atomic_exchange(&folder->broken[index], 1)) {
        atomic_fetch_add(&folder->num_broken, 1);
        rni_log(ds->ctx, RN_LOG_WARNING, "%s: left out", rn_error_message());
    }
    return 1;
}

static const char *folder_class_name(const rn_dataset *ds, int64_t index)
{
    const rni_texts *const classes = &ds->u.folder->list.classes;
    return classes->count ? classes->at[index] : NULL;
}

static const char *folder_item_name(const rn_dataset *ds, int64_t index)
{
    return ds->u.folder->list.items.at[index];
}

/* Of names, labels and what decides how files are decoded. */
static uint32_t folder_checksum(const rn_dataset *ds)
{
    const rni_image_folder *const folder = ds->u.folder;
    const uint64_t flags = folder->flags & (RN_IMAGE_AS_STORED | RN_IMAGE_FOLDER_FULL_SIZE);
    char text[40];
    uLong sum = crc32(0, NULL, 0);
    for (int64_t i = 0; i < ds->info.count; i++) {
        const char *const name = folder->list.items.at[i];
        const int length = snprintf(text, sizeof text, ":%" PRId64 ":%" PRIu64, folder->list.labels[i], flags);
        sum = crc32(sum, (const Bytef *)name, (uInt)strlen(name));
        sum = crc32(sum, (const Bytef *)text, (uInt)length);
    }
    return (uint32_t)sum;
}

static void free_folder(const rn_allocator *allocator, rni_image_folder *folder)
{
    if (!folder)
        return;
    rni_folder_list_free(&folder->list);
    rni_free(allocator, folder->dir);
    rni_free(allocator, folder->broken);
    rni_free(allocator, folder);
}

static void folder_close(rn_dataset *ds)
{
    free_folder(&ds->ctx->allocator, ds->u.folder);
}

static const rni_dataset_class image_folder_class = {
    .kind = "images",
    .decode = folder_decode,
    .skip = folder_skip,
    .class_name = folder_class_name,
    .item_name = folder_item_name,
    .checksum = folder_checksum,
    .close = folder_close,
};

int64_t rn_image_folder_broken(const rn_dataset *ds)
{
    return ds && ds->cls == &image_folder_class ? (int64_t)atomic_load(&ds->u.folder->num_broken) : 0;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static rn_status read_options(const rn_image_folder_options *given, rn_image_folder_options *o)
{
    const uint64_t known = RN_IMAGE_AS_STORED | RN_IMAGE_FOLDER_SKIP_BROKEN | RN_IMAGE_FOLDER_FULL_SIZE;
    *o = defaults;
    RNI_TRY(rni_abi_read(o, sizeof *o, sizeof *o, given, "rn_image_folder_options"));
    if (o->flags & ~known)
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in 0x%" PRIx64, o->flags);
    if (o->max_pixels < 1)
        return rni_fail(RN_E_INVALID, "options.max_pixels: expected 1 or more, got %" PRId64, o->max_pixels);
    if (o->classes_of && !rn_dataset_class_name(o->classes_of, 0))
        return rni_fail(RN_E_INVALID, "options.classes_of: expected a dataset whose classes have names");
    return RN_OK;
}

static rn_status create_folder(const rn_allocator *allocator, const rn_image_folder_options *o, rni_image_folder **out)
{
    rni_image_folder *const folder = rni_calloc(allocator, 1, sizeof *folder);
    if (!folder)
        return rni_nomem("image folder", sizeof *folder);
    folder->list.classes.allocator = folder->list.items.allocator = allocator;
    folder->flags = o->flags;
    folder->decoding = (rn_image_options)RN_IMAGE_OPTIONS_INIT;
    folder->decoding.flags = o->flags & RN_IMAGE_AS_STORED;
    folder->decoding.max_pixels = o->max_pixels;
    atomic_init(&folder->num_broken, 0);
    *out = folder;
    return RN_OK;
}

/* The dataset owns the folder from here on; on an error it does not. */
static rn_status make_dataset(rn_context *ctx, rni_image_folder *folder, int64_t classes, rn_dataset **out)
{
    const size_t count = folder->list.items.count;
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rn_dataset *ds = NULL;
    folder->broken = rni_calloc(&ctx->allocator, count, sizeof *folder->broken);
    if (!folder->broken)
        return rni_nomem("image folder", count);
    info.count = (int64_t)count;
    info.classes = classes;
    info.channels = 3;
    RNI_TRY(rni_dataset_create(ctx, &image_folder_class, &info, &ds));
    ds->u.folder = folder;
    *out = ds;
    return RN_OK;
}

static rn_status fill_from_dir(rn_context *ctx, rni_image_folder *folder, const char *dir, const rn_dataset *classes_of)
{
    const rni_folder_list *const list = &folder->list;
    folder->dir = rni_strdup(&ctx->allocator, dir);
    if (!folder->dir)
        return rni_nomem("image folder", strlen(dir) + 1);
    for (int64_t i = 0; i < rn_dataset_classes(classes_of); i++)
        RNI_TRY(rni_texts_add(&folder->list.classes, rn_dataset_class_name(classes_of, i)));
    RNI_TRY(rni_folder_list_read(&folder->list, dir));
    if (list->others)
        rni_log(ctx, RN_LOG_WARNING, "%s: %zu files are neither .jpg, .jpeg nor .png and are left out, such as %s", dir,
                list->others, list->first_other);
    return RN_OK;
}

rn_status rn_image_folder_open(rn_context *ctx, const char *dir, const rn_image_folder_options *options,
                               rn_dataset **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(dir);
    RNI_REQUIRE(out);
    rn_image_folder_options o;
    rni_image_folder *folder = NULL;
    RNI_TRY(read_options(options, &o));
    RNI_TRY(rni_decoder_available());
    RNI_TRY(create_folder(&ctx->allocator, &o, &folder));
    rn_status status = fill_from_dir(ctx, folder, dir, o.classes_of);
    if (status == RN_OK)
        status = make_dataset(ctx, folder, (int64_t)folder->list.classes.count, out);
    if (status < 0)
        free_folder(&ctx->allocator, folder);
    return status;
}

static rn_status fill_from_paths(rni_image_folder *folder, const char *const *paths, const int64_t *labels,
                                 size_t count, int64_t classes)
{
    rni_folder_list *const list = &folder->list;
    list->labels = rni_calloc(list->items.allocator, count, sizeof *list->labels);
    if (!list->labels)
        return rni_nomem("list of images", count * sizeof *list->labels);
    for (size_t i = 0; i < count; i++) {
        if (!paths[i])
            return rni_fail(RN_E_INVALID, "paths[%zu] is NULL", i);
        if (labels && (labels[i] < 0 || labels[i] >= classes))
            return rni_fail(RN_E_INVALID, "labels[%zu]: expected 0 to %" PRId64 ", got %" PRId64, i, classes - 1,
                            labels[i]);
        list->labels[i] = labels ? labels[i] : 0;
        RNI_TRY(rni_texts_add(&list->items, paths[i]));
    }
    return RN_OK;
}

static rn_status take_class_names(rni_image_folder *folder, const rn_dataset *classes_of, int64_t classes)
{
    if (!classes_of)
        return RN_OK;
    if (rn_dataset_classes(classes_of) != classes)
        return rni_fail(RN_E_INVALID, "options.classes_of: expected a dataset of %" PRId64 " classes, got %" PRId64,
                        classes, rn_dataset_classes(classes_of));
    for (int64_t i = 0; i < classes; i++)
        RNI_TRY(rni_texts_add(&folder->list.classes, rn_dataset_class_name(classes_of, i)));
    return RN_OK;
}

rn_status rn_image_files_open(rn_context *ctx, const char *const *paths, const int64_t *labels, size_t count,
                              int64_t classes, const rn_image_folder_options *options, rn_dataset **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(paths);
    RNI_REQUIRE(out);
    rn_image_folder_options o;
    rni_image_folder *folder = NULL;
    RNI_TRY(read_options(options, &o));
    if (classes < 1)
        return rni_fail(RN_E_INVALID, "classes: expected 1 or more, got %" PRId64, classes);
    RNI_TRY(rni_decoder_available());
    RNI_TRY(create_folder(&ctx->allocator, &o, &folder));
    rn_status status = take_class_names(folder, o.classes_of, classes);
    if (status == RN_OK)
        status = fill_from_paths(folder, paths, labels, count, classes);
    if (status == RN_OK)
        status = make_dataset(ctx, folder, classes, out);
    if (status < 0)
        free_folder(&ctx->allocator, folder);
    return status;
}
