/* SPDX-License-Identifier: MIT */
/*
 * PNG through libpng, which reports errors by jumping, as libjpeg does. Whatever a file holds (palettes, grey, 1 to
 * 16 bits, transparency, interlacing) becomes 8-bit RGB; transparency is dropped.
 */
#include "image/format.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

/* Most bytes that a chunk beside the picture may take in memory, and most such chunks that are kept. */
enum { MAX_CHUNK_BYTES = 1 << 20, MAX_CHUNKS = 100 };

typedef struct reader {
    png_structp png;
    png_infop info;
    const rni_decoder *d;
    size_t used; /* bytes */
    jmp_buf jump;
    char message[200];
    png_bytep *rows;
} reader;

static void on_error(png_structp png, png_const_charp message)
{
    reader *const r = png_get_error_ptr(png);
    snprintf(r->message, sizeof r->message, "%s", message);
    longjmp(r->jump, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png, (void)message;
}

static png_voidp allocate(png_structp png, png_alloc_size_t size)
{
    const reader *const r = png_get_mem_ptr(png);
    return rni_alloc(r->d->allocator, size);
}

static void give_back(png_structp png, png_voidp block)
{
    const reader *const r = png_get_mem_ptr(png);
    rni_free(r->d->allocator, block);
}

static void read_bytes(png_structp png, png_bytep to, size_t count)
{
    reader *const r = png_get_io_ptr(png);
    if (count > r->d->size - r->used)
        png_error(png, "ends early");
    memcpy(to, r->d->data + r->used, count);
    r->used += count;
}

/* 0 after a jump. */
static int read_header(rni_decoder *d, reader *r)
{
    if (setjmp(r->jump))
        return 0;
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r, allocate, give_back);
    r->info = r->png ? png_create_info_struct(r->png) : NULL;
    if (!r->info) {
        snprintf(r->message, sizeof r->message, "out of memory");
        return 0;
    }
    png_set_benign_errors(r->png, 1);
    png_set_chunk_malloc_max(r->png, MAX_CHUNK_BYTES);
    png_set_chunk_cache_max(r->png, MAX_CHUNKS);
    png_set_read_fn(r->png, r, read_bytes);
    png_read_info(r->png, r->info);
    d->height = png_get_image_height(r->png, r->info);
    d->width = png_get_image_width(r->png, r->info);
#ifdef PNG_eXIf_SUPPORTED
    png_bytep exif = NULL;
    png_uint_32 size = 0;
    if (png_get_eXIf_1(r->png, r->info, &size, &exif))
        d->orientation = rni_exif_orientation(exif, size);
#endif
    return 1;
}

static rn_status failure(const reader *r)
{
    const int memory = strstr(r->message, "emory") != NULL; /* libpng has texts, no codes */
    return rni_fail(memory ? RN_E_NOMEM : RN_E_FORMAT, "PNG: %s", r->message);
}

static rn_status png_open(rni_decoder *d)
{
    reader *const r = rni_calloc(d->allocator, 1, sizeof *r);
    if (!r)
        return rni_nomem("PNG reader", sizeof *r);
    d->state = r;
    r->d = d;
    return read_header(d, r) ? RN_OK : failure(r);
}

static void png_close(rni_decoder *d)
{
    reader *const r = d->state;
    if (r && r->png)
        png_destroy_read_struct(&r->png, &r->info, NULL);
    if (r)
        rni_free(d->allocator, r->rows);
    rni_free(d->allocator, r);
}

static int prepare_rgb(reader *r)
{
    if (setjmp(r->jump))
        return 0;
    png_set_expand(r->png);
    png_set_strip_16(r->png);
    png_set_gray_to_rgb(r->png);
    png_set_strip_alpha(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    return 1;
}

static int read_rows(reader *r)
{
    if (setjmp(r->jump))
        return 0;
    png_read_image(r->png, r->rows);
    return 1;
}

static rn_status png_read(rni_decoder *d, int64_t least_height, int64_t least_width, rni_pixels *out)
{
    reader *const r = d->state;
    (void)least_height, (void)least_width;
    if (!prepare_rgb(r))
        return failure(r);
    const size_t height = png_get_image_height(r->png, r->info), row_bytes = png_get_rowbytes(r->png, r->info);
    if (row_bytes != 3 * (size_t)png_get_image_width(r->png, r->info))
        return rni_fail(RN_E_INTERNAL, "PNG: rows of %zu bytes cannot be RGB", row_bytes);
    RNI_TRY(rni_pixels_create(d->allocator, (int64_t)height, (int64_t)(row_bytes / 3), out));
    r->rows = rni_calloc(d->allocator, height, sizeof *r->rows);
    if (!r->rows)
        return rni_nomem("PNG reader", height * sizeof *r->rows);
    for (size_t y = 0; y < height; y++)
        r->rows[y] = out->data + y * row_bytes;
    return read_rows(r) ? RN_OK : failure(r);
}

const rni_image_format rni_png_format = {"PNG", png_open, png_read, png_close};
