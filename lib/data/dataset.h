/* SPDX-License-Identifier: MIT */
/* Inside of datasets. Every kind gives images by index; fetching must be safe on several threads at once. */
#ifndef RNI_DATASET_H
#define RNI_DATASET_H

#include "backend/context.h"
#include "image/image.h"
#include <resnet/data.h>

/* A decoded picture, and the size it has in its file. */
typedef struct rni_decoded {
    rni_pixels pixels;
    int64_t height, width;
} rni_decoded;

/* Says below which sides a picture of height x width must not be reduced; 0: not at all. */
typedef void (*rni_least_fn)(void *user, int64_t height, int64_t width, int64_t *least_height, int64_t *least_width);

typedef struct rni_dataset_class {
    const char *kind; /* "cifar10", for identities */
    /* Points *image at the stored image: memory of the dataset, or `scratch` (image_bytes) after writing it there. */
    rn_status (*fetch)(const rn_dataset *ds, int64_t index, void *scratch, const void **image, int64_t *label);
    /* Instead of fetch, where images differ in size. The pixels are the caller's to free. */
    rn_status (*decode)(const rn_dataset *ds, int64_t index, rni_least_fn least, void *user, rni_decoded *out,
                        int64_t *label);
    /* [optional] After a failed read: 1 when the image is to be left out, as if it were not there. */
    int (*skip)(const rn_dataset *ds, int64_t index, rn_status status);
    const char *(*class_name)(const rn_dataset *ds, int64_t index); /* [optional] index in range */
    const char *(*item_name)(const rn_dataset *ds, int64_t index);  /* [optional] index in range */
    uint32_t (*checksum)(const rn_dataset *ds);                     /* [optional] of the labels, for identities */
    void (*close)(rn_dataset *ds); /* when the last reference goes */
} rni_dataset_class;

/* Images and labels that lie in memory with fixed distances: files read whole, tensors. */
typedef struct rni_memory_images {
    const unsigned char *images, *labels; /* of the first image */
    size_t image_stride, label_stride;    /* bytes from one to the next */
    rn_dtype label_dtype;                 /* RN_U8 or RN_I64 */
    void *block[2];                       /* freed with the dataset */
    rn_tensor *tensor[2];                 /* released with the dataset */
} rni_memory_images;

struct rn_dataset {
    atomic_int references;
    rn_context *ctx;    /* counted */
    rn_dataset *parent; /* counted; of a part: owns what `u` points to */
    const rni_dataset_class *cls;
    rn_dataset_info info;
    size_t image_bytes;
    union {
        rni_memory_images memory;
        struct {
            rn_dataset_vtable vt;
            void *user;
        } custom;
        struct rni_image_folder *folder;
    } u;
};

/* A dataset of `info`'s sizes, which are checked (0 where images differ in size); `u` is zeroed. */
rn_status rni_dataset_create(rn_context *ctx, const rni_dataset_class *cls, const rn_dataset_info *info,
                             rn_dataset **out);

/* One stored image and its label, checked against the number of classes. `index` must be in range. */
rn_status rni_dataset_fetch(const rn_dataset *ds, int64_t index, void *scratch, const void **image, int64_t *label);

/* The same where images differ in size. */
rn_status rni_dataset_decode(const rn_dataset *ds, int64_t index, rni_least_fn least, void *user, rni_decoded *out,
                             int64_t *label);

/* fetch and close of the kinds that live in memory. */
rn_status rni_memory_fetch(const rn_dataset *ds, int64_t index, void *scratch, const void **image, int64_t *label);
void rni_memory_close(rn_dataset *ds);
/* CRC-32 of the labels as 64-bit little-endian numbers. */
uint32_t rni_memory_label_sum(const rn_dataset *ds);
#define RNI_MEMORY_CLASS(name)                                                                                        \
    .kind = (name), .fetch = rni_memory_fetch, .checksum = rni_memory_label_sum, .close = rni_memory_close

#endif
