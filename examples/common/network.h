/* SPDX-License-Identifier: MIT */
/* Networks with weights from a file, and their answers. */
#ifndef NETWORK_H
#define NETWORK_H

#include <resnet/resnet.h>

/*
 * Reads weights of a net `arch`, with names as the zoo has them, or as in DataParallel's and akamaster's files. When the file does
 * not fit, says which names are missing, unexpected or of another shape, and exits with 1.
 */
void network_load(rn_model *model, const char *arch, const char *path);

/* A net of the zoo with the weights of a file, see network_load(). `classes` 0: as published. */
rn_model *network_open(rn_context *ctx, rn_device *device, const char *arch, int64_t classes, int64_t channels,
                       const char *weights);

/* Says in lines of their own what a load that failed, or was partial, left over. At most some names of each kind. */
void network_report(const rn_load_options *load);

/* fp32, bf16 or fp16; exits with 2 for another name. */
rn_dtype network_dtype(const char *name);

/* A net that is asked for probabilities. */
typedef struct predictor {
    rn_plan *plan;
    rn_tensor *logits, *probabilities; /* of the largest batch */
    int64_t classes;
    float *scores; /* of the last batch: [n, classes] */
} predictor;

/* For batches of up to dims[0] images [C, H, W] = dims[1..3]. */
void predictor_open(predictor *p, rn_model *model, const int64_t dims[4], rn_dtype dtype);
/* Fills p->scores. Returns the number of images. */
int64_t predictor_run(predictor *p, rn_tensor *images);
void predictor_close(predictor *p);

/* The classes of the k largest scores, largest first; equal ones in order. */
void largest(const float *scores, int64_t classes, int64_t k, int64_t *out);

#endif
