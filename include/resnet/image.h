/* SPDX-License-Identifier: MIT */
/**
 * @file image.h
 * Pictures in JPEG and PNG files, folders of them as datasets, and resizing.
 *
 * What a picture is made of becomes 8-bit RGB: grey is repeated, CMYK and YCCK are converted as Pillow does, palettes
 * are looked up, 16 bits are cut to 8, transparency is dropped. The kind is told by the bytes, not by the name.
 *
 * JPEG and PNG are an optional part of the library (rn_build_info(RN_BUILD_FEATURES) holds "images"). Without it, all
 * functions that decode return RN_E_UNSUPPORTED.
 */
#ifndef RESNET_IMAGE_H
#define RESNET_IMAGE_H

#include <resnet/data.h>
#include <resnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flag of reading: EXIF's orientation is not looked at, as by torchvision. Without it pictures are upright. */
#define RN_IMAGE_AS_STORED 1u

typedef struct rn_image_options {
    size_t struct_size;
    uint64_t flags;     /**< RN_IMAGE_* */
    int64_t max_pixels; /**< height x width beyond which a picture is refused before it is decoded, 1 or more */
} rn_image_options;
#define RN_IMAGE_OPTIONS_INIT {sizeof(rn_image_options), 0, 67108864}
RN_API rn_status rn_image_options_init(rn_image_options *options, size_t struct_size);

/**
 * Reads a JPEG or PNG file.
 * @param options [optional]
 * @param out [out] u8 [3, H, W] on the CPU, upright as EXIF's orientation says
 * @return RN_E_NOT_FOUND, RN_E_IO; RN_E_FORMAT for what is no picture, ends early or is larger than max_pixels or
 *         256 MiB; RN_E_UNSUPPORTED; the message begins with the path
 */
RN_API rn_status rn_image_read(rn_context *ctx, const char *path, const rn_image_options *options, rn_tensor **out);

/** Decodes a JPEG or PNG file that lies in memory. As rn_image_read(). */
RN_API rn_status rn_image_decode(rn_context *ctx, const void *data, size_t size, const rn_image_options *options,
                                 rn_tensor **out);

/**
 * Another size, bilinear with antialiasing: the bytes that Pillow's Image.resize(BILINEAR) gives.
 * @param image u8 [C, H, W], C of 1 or more, in host memory  @param height, width 1 or more
 * @param out [out] u8 [C, height, width]
 */
RN_API rn_status rn_image_resize(const rn_tensor *image, int64_t height, int64_t width, rn_tensor **out);

/** Flags of image folders, besides RN_IMAGE_AS_STORED. */
#define RN_IMAGE_FOLDER_SKIP_BROKEN 2u /**< leaves a file that cannot be read out of its batch, and logs a warning */
#define RN_IMAGE_FOLDER_FULL_SIZE 4u   /**< decodes at full size, exact and slower, where a reduced one is enough */

typedef struct rn_image_folder_options {
    size_t struct_size;
    uint64_t flags;         /**< RN_IMAGE_FOLDER_*, RN_IMAGE_AS_STORED */
    int64_t max_pixels;     /**< as in rn_image_options */
    rn_dataset *classes_of; /**< [optional] labels by this dataset's class names; NULL: by the order of folders */
} rn_image_folder_options;
#define RN_IMAGE_FOLDER_OPTIONS_INIT {sizeof(rn_image_folder_options), 0, 67108864, NULL}
RN_API rn_status rn_image_folder_options_init(rn_image_folder_options *options, size_t struct_size);

/**
 * A folder with a folder for each class, as torchvision's ImageFolder reads it: classes are the names of the folders in
 * `dir` in byte order; their pictures are the files below, at any depth, whose names end in .jpg, .jpeg or .png, in
 * upper or lower case. Names that begin with a dot are passed over; links are followed. Files are not opened here.
 *
 * The images differ in size (rn_dataset_info has height and width 0), so a loader needs a transform that begins with a
 * resizing step, see transform.h. JPEGs are decoded at 1/2, 1/4 or 1/8 of their size where the transform makes them
 * that small, unless RN_IMAGE_FOLDER_FULL_SIZE is set.
 *
 * When a loader meets a file that cannot be read, rn_loader_next() fails with a message that begins with its path, or
 * leaves it out: batches are then shorter, and one without any image does not appear.
 * @return RN_E_NOT_FOUND for no such folder, no pictures, or a class without any; RN_E_INVALID for less than two
 *         classes (unless classes_of is set) or a folder that is none of classes_of's classes; RN_E_IO
 */
RN_API rn_status rn_image_folder_open(rn_context *ctx, const char *dir, const rn_image_folder_options *options,
                                      rn_dataset **out);

/**
 * Named files as a dataset, otherwise as rn_image_folder_open().
 * @param paths [in] copied  @param labels [in, optional] one per path, 0 to classes-1; NULL: all 0
 * @param classes 1 or more
 */
RN_API rn_status rn_image_files_open(rn_context *ctx, const char *const *paths, const int64_t *labels, size_t count,
                                     int64_t classes, const rn_image_folder_options *options, rn_dataset **out);

/** @return how many files RN_IMAGE_FOLDER_SKIP_BROKEN has left out so far, each counted once; 0 for other datasets. */
RN_API int64_t rn_image_folder_broken(const rn_dataset *ds);

#ifdef __cplusplus
}
#endif
#endif
