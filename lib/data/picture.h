/* SPDX-License-Identifier: MIT */
/* From a dataset's item to an image of the size that a pipeline reads, whichever way the dataset keeps it. */
#ifndef RNI_DATA_PICTURE_H
#define RNI_DATA_PICTURE_H

#include "data/dataset.h"
#include "data/transform.h"

typedef struct rni_picture {
    const rn_allocator *allocator;
    const void *stored; /* without a frame: the image */
    rni_raster raster; /* with one: its pixels, `scale` as large as those of the picture */
    double scale;
    int64_t height, width; /* the picture's own */
    void *block; /* freed with it */
} rni_picture;

/*
 * Reads item `index`. What a view of this draw needs is there; other views of it may be made, too. `stored` is memory
 * for image_bytes of the dataset.
 */
rn_status rni_picture_open(const rn_dataset *ds, int64_t index, const rni_pipeline *p, const rni_draw *draw,
                           void *stored, rni_picture *out, int64_t *label);
void rni_picture_close(rni_picture *picture);

/* Bytes for the image that a frame makes; 0 without one. */
size_t rni_picture_framed_bytes(const rni_pipeline *p);

/* Points *image at what rni_pipeline_run() reads: the stored image, or `framed` after writing it there. */
rn_status rni_picture_view(const rni_picture *picture, const rni_pipeline *p, const rni_draw *draw, void *framed,
                           const void **image);

#endif
