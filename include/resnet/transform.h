/* SPDX-License-Identifier: MIT */
/**
 * @file transform.h
 * Image transforms of a loader, applied in the order they were added. Random ones depend only on
 * (seed, epoch, index of the image), never on threads or batches.
 *
 * Images of bytes become f32 in [0, 1] (x / 255) first, as torchvision's ToTensor; but for resizing, which takes and
 * makes bytes, as Pillow does. One that resizes (short side, random resized crop, resize) must be the first. It is what
 * images that differ in size need; a short side leaves the other one open, so a crop must follow it directly.
 */
#ifndef RESNET_TRANSFORM_H
#define RESNET_TRANSFORM_H

#include <resnet/tensor.h>

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

/**
 * Cuts out height x width in the middle.
 * As torchvision's CenterCrop, but an image that is smaller is an error, RN_E_SHAPE, when a loader is made.
 */
RN_API rn_status rn_transform_center_crop(rn_transform *t, int64_t height, int64_t width);

/**
 * Ten views of height x width of each image: left and right at the top, left and right at the bottom, the middle; then
 * the same five of the mirrored image (torchvision's TenCrop). A batch of n images has 10 n rows, the views of an image
 * side by side, each with its label; a net's answer is the mean over them. At most one per transform.
 */
RN_API rn_status rn_transform_ten_crop(rn_transform *t, int64_t height, int64_t width);

/**
 * Makes the shorter side a random length, each from `shortest` to `longest` equally likely (He et al. 2015: 256 to
 * 480); equal numbers for a fixed one. The other side follows. Bilinear with antialiasing, see rn_image_resize().
 */
RN_API rn_status rn_transform_short_side(rn_transform *t, int64_t shortest, int64_t longest);

/** Resizes to height x width, whatever the shape was. */
RN_API rn_status rn_transform_resize(rn_transform *t, int64_t height, int64_t width);

/**
 * Cuts out a box of random area, shape and place and resizes it to height x width: torchvision's RandomResizedCrop,
 * with ten attempts and then the middle.
 * @param area  [in, optional] smallest and largest part of the image's area; NULL: 0.08 and 1
 * @param ratio [in, optional] smallest and largest width / height, above 0; NULL: 3/4 and 4/3
 */
RN_API rn_status rn_transform_random_resized_crop(rn_transform *t, int64_t height, int64_t width, const double *area,
                                                  const double *ratio);

/** Mirrors left and right with probability p, 0 to 1. */
RN_API rn_status rn_transform_random_hflip(rn_transform *t, double p);

/**
 * (x - mean) / std per channel, for x in [0, 1].
 * @param channels 1 to 16  @param mean, std [in] one per channel, std above 0; copied
 */
RN_API rn_status rn_transform_normalize(rn_transform *t, int32_t channels, const double *mean, const double *std);

/**
 * Adds a random colour to all pixels of an image (Krizhevsky et al. 2012, section 4.1): the sum over i of a[i] times
 * eigenvalues[i] times the i-th eigenvector of the covariance of RGB values, a[i] normal with mean 0. Belongs before
 * normalize, for x in [0, 1].
 * @param stddev of a[i], 0 or more; 0.1 in the paper
 * @param eigenvalues [in, optional] 3
 * @param eigenvectors [in, optional] 3 x 3, row by row: rows are red, green and blue, columns the vectors
 * Without them, ImageNet's.
 */
RN_API rn_status rn_transform_pca_color(rn_transform *t, double stddev, const double *eigenvalues,
                                        const double *eigenvectors);

/**
 * Subtracts a mean image, pixel by pixel ("per-pixel mean"), see rn_dataset_mean(). At most one per transform.
 * @param mean f32 [C, H, W], as large as the image is at this step; a reference is taken
 */
RN_API rn_status rn_transform_subtract(rn_transform *t, rn_tensor *mean);

/** Sets a size x size square at a random centre to zero (DeVries and Taylor 2017, arXiv 1708.04552), cut at the border. */
RN_API rn_status rn_transform_cutout(rn_transform *t, int64_t size);

/**
 * All steps on one image, without a loader.
 * @param image u8 or f32 [C, H, W] in host memory  @param seed of random steps
 * @param out [out] f32 [1, C, H, W] on the image's device; [10, C, H, W] with a ten-crop
 */
RN_API rn_status rn_transform_apply(const rn_transform *t, const rn_tensor *image, uint64_t seed, rn_tensor **out);

#ifdef __cplusplus
}
#endif
#endif
