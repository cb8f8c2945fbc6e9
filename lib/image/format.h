/* SPDX-License-Identifier: MIT */
/* What decode.c and the formats share. */
#ifndef RNI_IMAGE_FORMAT_H
#define RNI_IMAGE_FORMAT_H

#include "image/image.h"

typedef struct rni_image_format {
    const char *name;
    /* Reads the header; sets height, width and orientation as stored. What it leaves in `state` goes with close. */
    rn_status (*open)(rni_decoder *d);
    /* The picture as stored, into out->data, which it allocates and, on an error, leaves to the caller. */
    rn_status (*read)(rni_decoder *d, int64_t least_height, int64_t least_width, rni_pixels *out);
    void (*close)(rni_decoder *d);
} rni_image_format;

struct rni_decoder {
    const rn_allocator *allocator;
    const unsigned char *data;
    size_t size;
    rn_image_options options;
    const rni_image_format *format;
    void *state; /* the format's */
    int64_t height, width;
    int orientation; /* EXIF's: 1 as stored, 2 to 4 mirrored or turned by 180 degrees, 5 to 8 on its side */
};

extern const rni_image_format rni_jpeg_format, rni_png_format;

/* Memory for a picture of height x width. */
rn_status rni_pixels_create(const rn_allocator *allocator, int64_t height, int64_t width, rni_pixels *out);

/* The orientation that EXIF data (a TIFF file in small) tells, 1 when it tells none. */
int rni_exif_orientation(const unsigned char *data, size_t size);

#endif
