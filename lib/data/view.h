/* SPDX-License-Identifier: MIT */
/* Where each pixel of a result comes from: what the steps of a pipeline come to for one image. */
#ifndef RNI_DATA_VIEW_H
#define RNI_DATA_VIEW_H

#include "data/transform.h"

/* Part of the result that cutout set to zero. */
typedef struct rni_rect {
    int64_t top, bottom, left, right; /* bottom and right are beyond it */
    int32_t level;
} rni_rect;

/* Where the rows or columns of the result come from: an index of the stored image, or -1 - level for zeros. */
typedef struct rni_axis {
    int32_t *from, *spare;
    int64_t size;
} rni_axis;

typedef struct rni_view {
    rni_axis rows, cols;
    rni_axis mean_rows, mean_cols; /* where they are in the mean image; of size 0 before it is subtracted */
    rni_rect *rects;
    size_t num_rects;
    int32_t level; /* steps that change numbers, so far */
    rni_numbers numbers;
} rni_view;

/* Goes through the steps behind the frame. `scratch` (rni_pipeline_scratch() bytes) holds what the view points to. */
void rni_view_make(const rni_pipeline *p, void *scratch, const rni_draw *draw, rni_view *out);

#endif
