/* SPDX-License-Identifier: MIT */
/* Steps of a transform, and the pipeline that a loader makes of them for the images of a dataset. */
#ifndef RNI_DATA_TRANSFORM_H
#define RNI_DATA_TRANSFORM_H

#include "backend/context.h"
#include "image/image.h"
#include <resnet/data.h>

enum {
    RNI_STEP_CROP,
    RNI_STEP_HFLIP,
    RNI_STEP_NORMALIZE,
    RNI_STEP_CUTOUT,
    RNI_STEP_RESIZE,
    RNI_STEP_SHORT_SIDE,
    RNI_STEP_RESIZED_CROP,
    RNI_STEP_CENTER_CROP,
    RNI_STEP_TEN_CROP,
    RNI_STEP_PCA_COLOR,
    RNI_STEP_SUBTRACT
};
enum { RNI_MAX_CHANNELS = 16, RNI_MAX_STEPS = 64, RNI_TEN_CROP_VIEWS = 10 };

typedef struct rni_step {
    int32_t kind;
    int32_t channels;               /* normalize */
    int64_t padding, height, width; /* crops, resize; cutout: the square's side is `height` */
    int64_t shortest, longest;      /* short side */
    double p;                       /* hflip; pca_color: the standard deviation */
    double area[2], ratio[2];       /* resized crop */
    double mean[RNI_MAX_CHANNELS], std[RNI_MAX_CHANNELS];
    double eigenvalues[3], eigenvectors[9]; /* pca_color */
    rn_tensor *image;                       /* subtract: [C, H, W]; counted by the transform, not by pipelines */
} rni_step;

struct rn_transform {
    atomic_int references;
    rn_context *ctx; /* counted */
    rni_step *steps;
    size_t num_steps, capacity;
};

/* "random crop", for messages. */
const char *rni_step_name(const rni_step *s);

/*
 * What the steps that change numbers, called levels, do to channel c: (x - mean) / std, level by level. From that, what
 * zeros and bytes end as.
 */
typedef struct rni_numbers {
    float *mean, *std; /* [levels][channels] */
    float *fill;       /* [levels + 1][channels]: what a zero put in before a level ends as */
    float *table;      /* [channels][256]: what a byte ends as */
} rni_numbers;

/*
 * First the frame, if there is one: steps at the beginning that resize, with the crop that follows. They make an image
 * of one size of any picture.
 *
 * Then cropping, flipping and padding only choose, for each row and column of the result, a row and column of that
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
    size_t frame_steps; /* 0: stored images have the size in_height x in_width */
    int64_t views;      /* results per image */
    rn_dtype dtype;     /* of stored images */
    int64_t channels, in_height, in_width, out_height, out_width; /* "in": after the frame */
    int64_t longest;    /* axis after any step */
    int32_t levels;     /* steps that change numbers */
    int32_t colours;    /* of these, steps that differ from image to image */
    rni_numbers numbers;
    int32_t mean_level; /* the level that subtracts mean_image; -1: none does */
    float *mean_image;  /* [channels, mean_height, mean_width] */
    int64_t mean_height, mean_width;
} rni_pipeline;

/* transform may be NULL. RN_E_SHAPE when a step does not fit the images, naming it. */
rn_status rni_pipeline_create(const rn_allocator *allocator, const rn_transform *transform,
                              const rn_dataset_info *info, rni_pipeline *out);
void rni_pipeline_free(rni_pipeline *p);

/* Sets `fill` and `table` from `mean` and `std`. */
void rni_numbers_fill(const rni_pipeline *p, rni_numbers *n);

/* Memory that each thread needs, to hand to every run. */
size_t rni_pipeline_scratch(const rni_pipeline *p);

/* Random numbers of one image, and which of its views is meant. */
typedef struct rni_draw {
    uint64_t seed;
    uint32_t epoch, index;
    int64_t view;
} rni_draw;

/* Four random words of a step. `attempt` 0 to 255. */
void rni_draw_words(const rni_draw *draw, size_t step, uint32_t attempt, uint32_t out[4]);

/* Sets frame_steps, and in_height and in_width to what they give. RN_E_SHAPE when nothing makes images one size. */
rn_status rni_pipeline_plan_frame(rni_pipeline *p);

/* With frame_steps: the part of a picture of height x width that this draw takes. */
void rni_pipeline_frame(const rni_pipeline *p, int64_t height, int64_t width, const rni_draw *draw, rni_frame *out);

/* Where a crop that is not random begins in `size` pixels. */
int64_t rni_center_first(int64_t size, int64_t kept);
/* A view of ten: its corner or centre. */
void rni_ten_crop_first(int64_t view, int64_t down, int64_t across, int64_t *top, int64_t *left);

/* One image from storage (after the frame) to `out`, [C, H, W] or, with nhwc, [H, W, C]. */
void rni_pipeline_run(const rni_pipeline *p, void *scratch, const void *image, const rni_draw *draw, int nhwc,
                      float *out);

#endif
