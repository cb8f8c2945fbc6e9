/* SPDX-License-Identifier: MIT */
/* Loaders whose dataset lies on their device against loaders that make batches on the host: the same bits. */
#ifndef TEST_RESIDENT_CASES_H
#define TEST_RESIDENT_CASES_H

#include <resnet/resnet.h>

/* All transforms that can be done on the device, put together in many ways; of several shapes, layouts and types. */
void resident_all_transforms(rn_device *dev, const rn_dtype *dtypes, size_t num_dtypes);
/* Orders: with and without shuffling, parts and shards of a dataset, ends of epochs, going to any batch. */
void resident_all_orders(rn_device *dev);
/* What cannot be done there is refused, with a reason, or left to the host. */
void resident_refusals(rn_device *dev);

/* `count` images u8 [channels, height, width] on the CPU with labels i mod classes. */
rn_dataset *resident_images(rn_context *ctx, int64_t count, int64_t channels, int64_t height, int64_t width);
rn_loader *resident_loader(rn_dataset *ds, const rn_loader_options *o, int32_t residency);

#endif
