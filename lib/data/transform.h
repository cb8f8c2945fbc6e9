/* SPDX-License-Identifier: MIT */
/* Steps of a transform, and the pipeline that a loader makes of them for images of one size. */
#ifndef RNI_DATA_TRANSFORM_H
#define RNI_DATA_TRANSFORM_H

#include "backend/context.h"
#include <resnet/data.h>

enum { RNI_STEP_CROP, RNI_STEP_HFLIP, RNI_STEP_NORMALIZE, RNI_STEP_CUTOUT };
enum { RNI_MAX_CHANNELS = 16, RNI_MAX_STEPS = 64 };

typedef struct rni_step {
    int32_t kind;
    int32_t channels;               /* normalize */
    int64_t padding, height, width; /* crop; cutout: the square's side is `height` */
    double p;                       /* hflip */
    double mean[RNI_MAX_CHANNELS], std[RNI_MAX_CHANNELS];
} rni_step;

struct rn_transform {
    atomic_int references;
    rn_context *ctx; /* counted */
    rni_step *steps;
    size_t num_steps, capacity;
};

/*
 * Cropping, flipping and padding only choose, for each row and column of the result, a row and column of the stored
 * image or none: they are composed into two short index lists per image. Then every pixel is written once, with all
 * normalisations applied, in the order of memory that is wanted.
 *
 * Zeros put in by padding or cutout are subject to the normalisations after them, so they carry a level: the number
 * of normalisations before them.
 */
typedef struct rni_pipeline {
    const rn_allocator *allocator;
    rni_step *steps; /* a copy: later changes of the transform do not reach a loader */
    size_t num_steps, num_cutouts;
    rn_dtype dtype; /* of stored images */
    int64_t channels, in_height, in_width, out_height, out_width;
    int64_t longest;    /* axis after any step */
    int32_t levels;     /* normalisations */
    float *mean, *std;  /* [levels][channels] */
    float *fill;        /* [levels + 1][channels]: what a zero of a level ends as */
    float *table;       /* [channels][256]: what a byte ends as */
} rni_pipeline;

/* transform may be NULL. RN_E_SHAPE when a step does not fit the images, naming it. */
rn_status rni_pipeline_create(const rn_allocator *allocator, const rn_transform *transform,
                              const rn_dataset_info *info, rni_pipeline *out);
void rni_pipeline_free(rni_pipeline *p);

/* Memory that each thread needs, to hand to every run. */
size_t rni_pipeline_scratch(const rni_pipeline *p);

/* Random numbers of one image. */
typedef struct rni_draw {
    uint64_t seed;
    uint32_t epoch, index;
} rni_draw;

/* One image from storage to `out`, [C, H, W] or, with nhwc, [H, W, C]. */
void rni_pipeline_run(const rni_pipeline *p, void *scratch, const void *image, const rni_draw *draw, int nhwc,
                      float *out);

#endif
