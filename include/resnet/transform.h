/* SPDX-License-Identifier: MIT */
/**
 * @file transform.h
 * Image transforms of a loader, applied in the order they were added. Random ones depend only on
 * (seed, epoch, index of the image), never on threads or batches.
 *
 * Images of bytes become f32 in [0, 1] (x / 255) first, as torchvision's ToTensor.
 */
#ifndef RESNET_TRANSFORM_H
#define RESNET_TRANSFORM_H

#include <resnet/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_transform rn_transform;

RN_API rn_status rn_transform_create(rn_context *ctx, rn_transform **out);
RN_API rn_transform *rn_transform_retain(rn_transform *t);
RN_API void rn_transform_release(rn_transform *t);

/**
 * Pads with zeros on all sides and cuts out height x width at a random place.
 * @param padding pixels, 0 or more  @param height, width of the result; 0: as the image is
 */
RN_API rn_status rn_transform_random_crop(rn_transform *t, int64_t padding, int64_t height, int64_t width);

/** Mirrors left and right with probability p, 0 to 1. */
RN_API rn_status rn_transform_random_hflip(rn_transform *t, double p);

/**
 * (x - mean) / std per channel, for x in [0, 1].
 * @param channels 1 to 16  @param mean, std [in] one per channel, std above 0; copied
 */
RN_API rn_status rn_transform_normalize(rn_transform *t, int32_t channels, const double *mean, const double *std);

/** Sets a size x size square at a random centre to zero (DeVries and Taylor 2017, arXiv 1708.04552), cut at the border. */
RN_API rn_status rn_transform_cutout(rn_transform *t, int64_t size);

#ifdef __cplusplus
}
#endif
#endif
