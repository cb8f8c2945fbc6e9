/* SPDX-License-Identifier: MIT */
/* Inside of image files: decoding them, and pixels of another size. */
#ifndef RNI_IMAGE_H
#define RNI_IMAGE_H

#include "base/alloc.h"
#include "base/error.h"
#include <resnet/image.h>

/* Largest file that is read, and most pixels unless the options say otherwise (8192 x 8192). */
#define RNI_IMAGE_MAX_BYTES ((uint64_t)1 << 28)
#define RNI_IMAGE_MAX_PIXELS ((int64_t)1 << 26)

/* A decoded picture: RGB, three bytes a pixel, row after row. */
typedef struct rni_pixels {
    uint8_t *data;
    int64_t height, width;
    double scale; /* pixels per pixel of the file: 1, 1/2, 1/4 or 1/8 */
} rni_pixels;

/* A picture that is being decoded. Its bytes must stay; height and width are as it is shown. */
typedef struct rni_decoder rni_decoder;

/* RN_E_UNSUPPORTED for a library without decoders. */
rn_status rni_decoder_available(void);

/*
 * Reads the header. RN_E_FORMAT for what is no picture or more than max_pixels, RN_E_UNSUPPORTED for a kind that is
 * not read or a library without decoders.
 */
rn_status rni_decoder_open(const rn_allocator *allocator, const void *data, size_t size,
                           const rn_image_options *options, rni_decoder **out);
int64_t rni_decoder_height(const rni_decoder *d);
int64_t rni_decoder_width(const rni_decoder *d);
/*
 * Decodes, once. The picture may come smaller than it is, which is faster, but never with sides below these; 0 means
 * as it is. out->data is the caller's to free.
 */
rn_status rni_decoder_read(rni_decoder *d, int64_t least_height, int64_t least_width, rni_pixels *out);
void rni_decoder_close(rni_decoder *d);

/* A tensor u8 [3, H, W] on the CPU. */
rn_status rni_image_tensor(rn_context *ctx, const rni_pixels *pixels, rn_tensor **out);

/* The bytes of a file. */
rn_status rni_image_file(const rn_allocator *allocator, const char *path, void **data, size_t *size);

/* Pixels in memory. Planes, rows and pixels lie this many bytes apart: plane by plane, or pixels of three bytes. */
typedef struct rni_raster {
    const uint8_t *data;
    int64_t channels, height, width;
    size_t plane, row, pixel;
} rni_raster;

/* [C, H, W]. */
static inline rni_raster rni_raster_planes(const uint8_t *data, int64_t channels, int64_t height, int64_t width)
{
    return (rni_raster){data, channels, height, width, (size_t)height * (size_t)width, (size_t)width, 1};
}

static inline rni_raster rni_raster_pixels(const rni_pixels *p)
{
    return (rni_raster){p->data, 3, p->height, p->width, 1, 3 * (size_t)p->width, 3};
}

/*
 * Part of a picture in another size: the box, in pixels of the picture, becomes height x width pixels, of which those
 * in the window are kept.
 */
typedef struct rni_frame {
    double top, left, box_height, box_width;
    int64_t height, width;
    int64_t window_top, window_left, window_height, window_width;
} rni_frame;

/* All of a picture. */
static inline rni_frame rni_frame_whole(int64_t from_height, int64_t from_width, int64_t height, int64_t width)
{
    return (rni_frame){0, 0, (double)from_height, (double)from_width, height, width, 0, 0, height, width};
}

/*
 * Bilinear as Pillow resizes, bit for bit: a triangle that is widened when the picture shrinks, so that no pixel is
 * passed over. Pixels outside the box are not looked at. `out` is [channels, window_height, window_width].
 */
rn_status rni_resize(const rn_allocator *allocator, const rni_raster *from, const rni_frame *frame, uint8_t *out);

#endif
