/* SPDX-License-Identifier: MIT */
/*
 * JPEG through libjpeg, which reports errors by jumping. Every call of it that can fail stands in a function with a
 * setjmp() of its own, and all that must survive the jump lives in `reader`. libjpeg allocates with malloc.
 */
#include "image/format.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* Each scan of a progressive picture goes over all of it, however short the scan: more are an attack. */
enum { MAX_SCANS = 500 };

typedef struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    rn_status status; /* of the jump */
    char message[JMSG_LENGTH_MAX];
    int ended; /* all bytes are read, and more were wanted */
    int scans; /* passed */
} reader;

static reader *reader_of(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

static void leave(reader *r, rn_status status, const char *message)
{
    r->status = status;
    if (message)
        snprintf(r->message, sizeof r->message, "%s", message);
    longjmp(r->jump, 1);
}

static void on_error(j_common_ptr jpeg)
{
    reader *const r = reader_of(jpeg);
    const int code = jpeg->err->msg_code, memory = code == JERR_OUT_OF_MEMORY || code == JERR_NO_BACKING_STORE;
    jpeg->err->format_message(jpeg, r->message);
    leave(r, memory ? RN_E_NOMEM : RN_E_FORMAT, r->ended && !memory ? "ends early" : NULL);
}

/* Damage that libjpeg gets over is passed over, as by Pillow, but for data that is not there. */
static void on_warning(j_common_ptr jpeg, int level)
{
    reader *const r = reader_of(jpeg);
    if (level < 0 && r->ended && jpeg->err->msg_code == JWRN_HIT_MARKER)
        leave(r, RN_E_FORMAT, "ends early");
}

static void say_nothing(j_common_ptr jpeg)
{
    (void)jpeg;
}

/* After the last byte comes an end marker: what is whole up to there can still be shown. */
static boolean end_of_data(j_decompress_ptr jpeg)
{
    static const JOCTET end[2] = {0xff, JPEG_EOI};
    reader_of((j_common_ptr)jpeg)->ended = 1;
    jpeg->src->next_input_byte = end;
    jpeg->src->bytes_in_buffer = sizeof end;
    return TRUE;
}

static void skip_bytes(j_decompress_ptr jpeg, long count)
{
    struct jpeg_source_mgr *const source = jpeg->src;
    if (count <= 0)
        return;
    if ((unsigned long)count > source->bytes_in_buffer) {
        end_of_data(jpeg);
        return;
    }
    source->next_input_byte += count;
    source->bytes_in_buffer -= (size_t)count;
}

static void source_nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static void on_progress(j_common_ptr jpeg)
{
    const j_decompress_ptr whole = (j_decompress_ptr)jpeg;
    if (jpeg->is_decompressor && whole->input_scan_number > MAX_SCANS)
        leave(reader_of(jpeg), RN_E_FORMAT, "has too many scans");
}

/* Memory is bounded by the pixels that are allowed: four coefficients of two bytes each. */
static void prepare(rni_decoder *d, reader *r)
{
    const int64_t most = 8 * d->options.max_pixels + (1 << 26);
    r->jpeg.mem->max_memory_to_use = most > INT32_MAX ? INT32_MAX : (long)most;
    r->source.next_input_byte = d->data;
    r->source.bytes_in_buffer = d->size;
    r->source.init_source = source_nothing;
    r->source.fill_input_buffer = end_of_data;
    r->source.skip_input_data = skip_bytes;
    r->source.resync_to_restart = jpeg_resync_to_restart;
    r->source.term_source = source_nothing;
    r->jpeg.src = &r->source;
    r->progress.progress_monitor = on_progress;
    r->jpeg.progress = &r->progress;
}

static int stored_orientation(const struct jpeg_decompress_struct *jpeg)
{
    static const char start[] = "Exif\0"; /* and its own terminator */
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length > sizeof start && memcmp(m->data, start, sizeof start) == 0)
            return rni_exif_orientation(m->data + sizeof start, m->data_length - sizeof start);
    return 1;
}

/* 0 after a jump. */
static int read_header(rni_decoder *d, reader *r)
{
    if (setjmp(r->jump))
        return 0;
    jpeg_create_decompress(&r->jpeg);
    prepare(d, r);
    jpeg_save_markers(&r->jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&r->jpeg, TRUE);
    d->height = r->jpeg.image_height;
    d->width = r->jpeg.image_width;
    d->orientation = stored_orientation(&r->jpeg);
    return 1;
}

static rn_status failure(const reader *r)
{
    return rni_fail(r->status, "JPEG: %s", r->message);
}

static rn_status jpeg_open(rni_decoder *d)
{
    reader *const r = rni_calloc(d->allocator, 1, sizeof *r);
    if (!r)
        return rni_nomem("JPEG reader", sizeof *r);
    d->state = r;
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->jpeg.client_data = r;
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_warning;
    r->errors.output_message = say_nothing;
    return read_header(d, r) ? RN_OK : failure(r);
}

static void jpeg_close(rni_decoder *d)
{
    reader *const r = d->state;
    if (r)
        jpeg_destroy_decompress(&r->jpeg);
    rni_free(d->allocator, r);
}

/* The smallest of the sizes that are fast, and not below the one wanted. */
static void choose_scale(struct jpeg_decompress_struct *jpeg, int64_t least_height, int64_t least_width)
{
    jpeg->scale_denom = 8;
    for (jpeg->scale_num = 1; jpeg->scale_num < 8; jpeg->scale_num *= 2) {
        const int64_t up = jpeg->scale_num;
        if (up * jpeg->image_height / 8 >= least_height && up * jpeg->image_width / 8 >= least_width)
            return;
    }
}

static rn_status choose_colours(struct jpeg_decompress_struct *jpeg)
{
    switch (jpeg->jpeg_color_space) {
    case JCS_GRAYSCALE:
    case JCS_YCbCr:
    case JCS_RGB:
        jpeg->out_color_space = JCS_RGB;
        return RN_OK;
    case JCS_CMYK:
    case JCS_YCCK:
        jpeg->out_color_space = JCS_CMYK;
        return RN_OK;
    default:
        return rni_fail(RN_E_UNSUPPORTED, "JPEG: expected 1, 3 or 4 colour components, got %d", jpeg->num_components);
    }
}

/* a b / 255, rounded. */
static int scaled(int a, int b)
{
    const int product = a * b + 128;
    return (product + (product >> 8)) >> 8;
}

/* Files hold inverted inks, as Adobe writes them; then as Pillow. */
static void write_inks(const JSAMPLE *ink, int64_t count, uint8_t *rgb)
{
    for (int64_t x = 0; x < count; x++)
        for (int c = 0; c < 3; c++)
            rgb[3 * x + c] = (uint8_t)(ink[4 * x + 3] - scaled(255 - ink[4 * x + c], ink[4 * x + 3]));
}

static int start(reader *r)
{
    if (setjmp(r->jump))
        return 0;
    jpeg_start_decompress(&r->jpeg);
    return 1;
}

static int read_rows(reader *r, rni_pixels *out)
{
    struct jpeg_decompress_struct *const jpeg = &r->jpeg;
    const size_t row_bytes = 3 * (size_t)out->width;
    if (setjmp(r->jump))
        return 0;
    const int inks = jpeg->out_color_space == JCS_CMYK;
    JSAMPARRAY line = inks ? jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, 4 * jpeg->output_width, 1) : NULL;
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = out->data + jpeg->output_scanline * row_bytes;
        if (jpeg_read_scanlines(jpeg, inks ? line : &row, 1) == 1 && inks)
            write_inks(line[0], out->width, row);
    }
    return 1;
}

static rn_status jpeg_read(rni_decoder *d, int64_t least_height, int64_t least_width, rni_pixels *out)
{
    reader *const r = d->state;
    choose_scale(&r->jpeg, least_height, least_width);
    RNI_TRY(choose_colours(&r->jpeg));
    if (!start(r))
        return failure(r);
    /* A progressive picture without its end lacks scans: all of it is there, but vague. */
    if (r->ended && jpeg_has_multiple_scans(&r->jpeg))
        return rni_fail(RN_E_FORMAT, "JPEG: ends early");
    RNI_TRY(rni_pixels_create(d->allocator, r->jpeg.output_height, r->jpeg.output_width, out));
    out->scale = r->jpeg.scale_num / 8.0;
    return read_rows(r, out) ? RN_OK : failure(r);
}

const rni_image_format rni_jpeg_format = {"JPEG", jpeg_open, jpeg_read, jpeg_close};
