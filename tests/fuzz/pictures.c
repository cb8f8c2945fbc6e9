/* SPDX-License-Identifier: MIT */
#include "pictures.h"
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_PIXELS = 1 << 18, CROP = 12 };

static void check_picture(const rn_tensor *image)
{
    const int64_t height = rn_tensor_dim(image, 1), width = rn_tensor_dim(image, 2);
    if (rn_tensor_dim(image, 0) != 3 || height < 1 || width < 1 || height > MAX_PIXELS / width)
        abort();
}

static void decode_whole(const uint8_t *data, size_t size)
{
    rn_image_options o = RN_IMAGE_OPTIONS_INIT;
    rn_tensor *image = NULL;
    o.max_pixels = MAX_PIXELS;
    const rn_status status = rn_image_decode(fuzz_context(), data, size, &o, &image);
    fuzz_check(status);
    if ((status == RN_OK) != (image != NULL))
        abort();
    if (image)
        check_picture(image);
    rn_tensor_release(image);
}

static rn_transform *crop(void)
{
    static rn_transform *t;
    if (!t && (rn_transform_create(fuzz_context(), &t) < 0 ||
               rn_transform_random_resized_crop(t, CROP, CROP, NULL, NULL) < 0))
        abort();
    return t;
}

static void load(const uint8_t *data, size_t size)
{
    const char *const path = fuzz_file(0, data, size);
    rn_image_folder_options folder = RN_IMAGE_FOLDER_OPTIONS_INIT;
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_dataset *ds = NULL;
    rn_loader *l = NULL;
    rn_tensor *images, *labels;
    folder.max_pixels = MAX_PIXELS;
    o.batch = 1, o.workers = 0, o.transform = crop(), o.seed = size + 1;
    if (rn_image_files_open(fuzz_context(), &path, NULL, 1, 1, &folder, &ds) < 0 || rn_loader_create(ds, &o, &l) < 0)
        abort();
    const rn_status status = rn_loader_next(l, &images, &labels);
    fuzz_check(status);
    if (status == RN_OK && rn_tensor_count(images) != 3 * CROP * CROP)
        abort();
    rn_loader_release(l);
    rn_dataset_release(ds);
}

void fuzz_picture(const char *magic, size_t magic_size, const uint8_t *data, size_t size)
{
    uint8_t *const bytes = malloc(size + 1);
    if (!bytes || size < magic_size) {
        free(bytes);
        return;
    }
    memcpy(bytes, data, size);
    memcpy(bytes, magic, magic_size);
    decode_whole(bytes, size);
    load(bytes, size);
    free(bytes);
}
