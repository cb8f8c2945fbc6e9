/* SPDX-License-Identifier: MIT */
/* Pictures of any format that is read: telling them apart, limits, orientation. */
#include "image/format.h"
#include "base/io.h"
#include <inttypes.h>
#include <string.h>

#ifdef RNI_IMAGES
static const struct {
    const rni_image_format *format;
    const char *magic;
    size_t size;
} formats[] = {
    {&rni_jpeg_format, "\xff\xd8\xff", 3},
    {&rni_png_format, "\x89PNG\r\n\x1a\n", 8},
};

static rn_status find_format(const unsigned char *data, size_t size, const rni_image_format **out)
{
    if (size == 0)
        return rni_fail(RN_E_FORMAT, "expected a JPEG or PNG picture, got no bytes");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (size >= formats[i].size && memcmp(data, formats[i].magic, formats[i].size) == 0) {
            *out = formats[i].format;
            return RN_OK;
        }
    return rni_fail(RN_E_FORMAT, "expected a JPEG or PNG picture, got bytes that begin with %02x %02x", data[0],
                    size > 1 ? data[1] : 0);
}

rn_status rni_decoder_available(void)
{
    return RN_OK;
}
#else
rn_status rni_decoder_available(void)
{
    return rni_fail(RN_E_UNSUPPORTED, "this library was built without JPEG and PNG (Meson option 'images')");
}

static rn_status find_format(const unsigned char *data, size_t size, const rni_image_format **out)
{
    (void)data, (void)size, (void)out;
    return rni_decoder_available();
}
#endif

static rn_status check_size(const rni_decoder *d)
{
    const int64_t most = d->options.max_pixels;
    if (d->height < 1 || d->width < 1)
        return rni_fail(RN_E_FORMAT, "%s: expected a picture, got %" PRId64 " x %" PRId64 " pixels", d->format->name,
                        d->height, d->width);
    if (d->height > most / d->width)
        return rni_fail(RN_E_FORMAT, "%s: expected at most %" PRId64 " pixels, got %" PRId64 " x %" PRId64,
                        d->format->name, most, d->height, d->width);
    return RN_OK;
}

static void swap(int64_t *a, int64_t *b)
{
    const int64_t old = *a;
    *a = *b;
    *b = old;
}

static int on_its_side(const rni_decoder *d)
{
    return d->orientation >= 5;
}

static rn_status open_picture(rni_decoder *d)
{
    RNI_TRY(find_format(d->data, d->size, &d->format));
    RNI_TRY(d->format->open(d));
    RNI_TRY(check_size(d));
    if (d->options.flags & RN_IMAGE_AS_STORED)
        d->orientation = 1;
    if (on_its_side(d))
        swap(&d->height, &d->width);
    return RN_OK;
}

rn_status rni_decoder_open(const rn_allocator *allocator, const void *data, size_t size,
                           const rn_image_options *options, rni_decoder **out)
{
    rni_decoder *const d = rni_calloc(allocator, 1, sizeof *d);
    if (!d)
        return rni_nomem("picture", sizeof *d);
    d->allocator = allocator;
    d->data = data;
    d->size = size;
    d->options = *options;
    d->orientation = 1;
    const rn_status status = open_picture(d);
    if (status < 0) {
        rni_decoder_close(d);
        return status;
    }
    *out = d;
    return RN_OK;
}

void rni_decoder_close(rni_decoder *d)
{
    if (!d)
        return;
    if (d->format)
        d->format->close(d);
    rni_free(d->allocator, d);
}

int64_t rni_decoder_height(const rni_decoder *d)
{
    return d->height;
}

int64_t rni_decoder_width(const rni_decoder *d)
{
    return d->width;
}

rn_status rni_pixels_create(const rn_allocator *allocator, int64_t height, int64_t width, rni_pixels *out)
{
    size_t bytes = 0;
    if (!rni_mul_size((size_t)height, 3 * (size_t)width, &bytes))
        return rni_nomem("picture", UINT64_MAX);
    out->data = rni_alloc(allocator, bytes);
    if (!out->data)
        return rni_nomem("picture", bytes);
    out->height = height;
    out->width = width;
    out->scale = 1.0;
    return RN_OK;
}

/* Where the pixel that is shown at (y, x) is stored. */
static size_t stored_at(int orientation, const rni_pixels *stored, int64_t y, int64_t x)
{
    const int64_t bottom = stored->height - 1, right = stored->width - 1;
    int64_t row = orientation >= 5 ? x : y, column = orientation >= 5 ? y : x;
    if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
        row = bottom - row;
    if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
        column = right - column;
    return 3 * (size_t)(row * stored->width + column);
}

static rn_status turn(const rni_decoder *d, rni_pixels *pixels)
{
    const rni_pixels stored = *pixels;
    rni_pixels shown;
    const int side = on_its_side(d);
    RNI_TRY(rni_pixels_create(d->allocator, side ? stored.width : stored.height, side ? stored.height : stored.width,
                              &shown));
    uint8_t *to = shown.data;
    for (int64_t y = 0; y < shown.height; y++)
        for (int64_t x = 0; x < shown.width; x++, to += 3)
            memcpy(to, stored.data + stored_at(d->orientation, &stored, y, x), 3);
    rni_free(d->allocator, stored.data);
    shown.scale = stored.scale;
    *pixels = shown;
    return RN_OK;
}

rn_status rni_decoder_read(rni_decoder *d, int64_t least_height, int64_t least_width, rni_pixels *out)
{
    rni_pixels pixels = {.data = NULL};
    int64_t height = least_height ? least_height : d->height, width = least_width ? least_width : d->width;
    if (on_its_side(d))
        swap(&height, &width);
    rn_status status = d->format->read(d, height, width, &pixels);
    if (status == RN_OK && d->orientation > 1)
        status = turn(d, &pixels);
    if (status < 0) {
        rni_free(d->allocator, pixels.data);
        return status;
    }
    *out = pixels;
    return RN_OK;
}

rn_status rni_image_file(const rn_allocator *allocator, const char *path, void **data, size_t *size)
{
    rni_file *file = NULL;
    uint64_t bytes = 0;
    RNI_TRY(rni_file_open(allocator, path, &file, &bytes));
    void *const block = bytes <= RNI_IMAGE_MAX_BYTES ? rni_alloc(allocator, (size_t)bytes) : NULL;
    rn_status status = RN_OK;
    if (bytes > RNI_IMAGE_MAX_BYTES)
        status = rni_fail(RN_E_FORMAT, "%s: expected at most %" PRIu64 " bytes, got %" PRIu64, path,
                          RNI_IMAGE_MAX_BYTES, bytes);
    else if (!block)
        status = rni_nomem(path, bytes);
    if (status == RN_OK)
        status = rni_file_read(file, 0, block, (size_t)bytes);
    rni_file_close(file);
    if (status < 0) {
        rni_free(allocator, block);
        return status;
    }
    *data = block;
    *size = (size_t)bytes;
    return RN_OK;
}
