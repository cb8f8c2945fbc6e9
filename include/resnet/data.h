/* SPDX-License-Identifier: MIT */
/**
 * @file data.h
 * Datasets of labelled images and the loader that makes batches of them.
 */
#ifndef RESNET_DATA_H
#define RESNET_DATA_H

#include <resnet/plan.h>
#include <resnet/tensor.h>
#include <resnet/transform.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rn_dataset rn_dataset;
typedef struct rn_loader rn_loader;

/** Splits of a dataset in a folder. */
enum { RN_SPLIT_TRAIN = 0, RN_SPLIT_TEST = 1 };

/** What a dataset holds. The caller sets struct_size. */
typedef struct rn_dataset_info {
    size_t struct_size;
    int64_t count;   /**< images */
    int64_t classes; /**< labels are 0..classes-1 */
    int64_t channels, height, width; /**< height and width are 0 where images differ in size, see image.h */
    rn_dtype dtype; /**< of a stored image: RN_U8 or RN_F32 */
    int32_t reserved; /**< 0 */
} rn_dataset_info;
#define RN_DATASET_INFO_INIT {sizeof(rn_dataset_info), 0, 0, 0, 0, 0, RN_U8, 0}

/** A dataset of the host's. */
typedef struct rn_dataset_vtable {
    size_t struct_size;
    /**
     * Writes image `index` as [channels, height, width] of the dataset's dtype and its label. Called on the
     * loader's worker threads, several at once. A status other than RN_OK reaches rn_loader_next().
     */
    rn_status (*read)(void *user, int64_t index, void *image, int64_t *label);
    void (*release)(void *user); /**< [optional] when the last reference goes */
} rn_dataset_vtable;

/**
 * CIFAR-10: the binary version (data_batch_1..5.bin or test_batch.bin in `dir`) or, where its files are not there, the
 * Python version that torchvision downloads (the same names without ".bin"). Its pickles are read, never run.
 * @return RN_E_NOT_FOUND naming the file, RN_E_FORMAT for a size that is no multiple of 3,073 or a label above 9,
 *         RN_E_UNSUPPORTED for a pickle with more than arrays, lists and texts
 */
RN_API rn_status rn_cifar10_open(rn_context *ctx, const char *dir, int32_t split, rn_dataset **out);

/** CIFAR-100, fine labels, both versions: train.bin or test.bin in `dir`, or train and test. */
RN_API rn_status rn_cifar100_open(rn_context *ctx, const char *dir, int32_t split, rn_dataset **out);

/**
 * Named files in the CIFAR binary format or the Python version's, told apart by their contents.
 * @param classes 10 (records of 3,073 bytes) or 100 (3,074)
 */
RN_API rn_status rn_cifar_files_open(rn_context *ctx, const char *const *paths, size_t num_paths, int64_t classes,
                                     rn_dataset **out);

/**
 * A pair of IDX files (MNIST, Fashion-MNIST), gzip-compressed or not: images u8 [N, H, W] or [N, C, H, W], labels u8 [N].
 * The number of classes is the largest label + 1.
 */
RN_API rn_status rn_idx_open(rn_context *ctx, const char *images, const char *labels, rn_dataset **out);

/**
 * Images in memory.
 * @param images u8 or f32 [N, C, H, W], on a device with host memory; a reference is taken
 * @param labels i64 [N], each 0 or more
 */
RN_API rn_status rn_tensor_dataset_create(rn_tensor *images, rn_tensor *labels, rn_dataset **out);

/** A dataset of the host's. @param info [in] its sizes  @param vt [in] copied */
RN_API rn_status rn_custom_dataset_create(rn_context *ctx, const rn_dataset_vtable *vt, void *user,
                                          const rn_dataset_info *info, rn_dataset **out);

RN_API rn_dataset *rn_dataset_retain(rn_dataset *ds);
RN_API void rn_dataset_release(rn_dataset *ds);
RN_API rn_status rn_dataset_describe(const rn_dataset *ds, rn_dataset_info *out);
/** @return the number of images, 0 for NULL. */
RN_API int64_t rn_dataset_size(const rn_dataset *ds);
/** @return the number of classes, 0 for NULL. */
RN_API int64_t rn_dataset_classes(const rn_dataset *ds);
/** @return the name of a class, owned by the dataset; NULL for a kind without names, a wrong index and NULL. */
RN_API const char *rn_dataset_class_name(const rn_dataset *ds, int64_t index);
/** @return the name of an image: its file, below the folder that was opened; NULL as above. */
RN_API const char *rn_dataset_item_name(const rn_dataset *ds, int64_t index);
/**
 * Reads one stored image and its label. @param nbytes must be the image's size
 * @return RN_E_UNSUPPORTED where images differ in size
 */
RN_API rn_status rn_dataset_read(rn_dataset *ds, int64_t index, void *image, size_t nbytes, int64_t *label);
/** Reads one stored image of any dataset and its label. @param image [out] [C, H, W] of its dtype, on the CPU */
RN_API rn_status rn_dataset_read_image(rn_dataset *ds, int64_t index, rn_tensor **image, int64_t *label);
/**
 * The mean of all images, for rn_transform_subtract(). @param out [out] f32 [C, H, W]; of bytes x / 255
 * @return RN_E_UNSUPPORTED where images differ in size, RN_E_INVALID for a dataset without images
 */
RN_API rn_status rn_dataset_mean(rn_dataset *ds, rn_tensor **out);
/** The first `count` images of a dataset as a dataset. */
RN_API rn_status rn_dataset_take(rn_dataset *ds, int64_t count, rn_dataset **out);

/** Flags of a loader. */
#define RN_LOADER_SHUFFLE 1u   /**< a new order each epoch, a function of seed and epoch */
#define RN_LOADER_DROP_LAST 2u /**< leaves out a last batch that is not full */

/**
 * Where batches are made. Batches are the same, bit by bit, and so are positions and checkpoints.
 *
 * With residency on the device, the loader copies all images, as bytes, and labels to its device when it is made: later
 * changes of a tensor dataset's memory do not reach it. Each batch is made there by one kernel, in order with the
 * plans' work; options.workers and options.prefetch mean nothing. It takes a dataset of u8 images of one size that lies
 * in memory (CIFAR, IDX, tensors, parts of these), and of a transform's steps random crop, centre crop, random hflip,
 * cutout, normalize and subtract, at most 8 that are not normalize; it does not mix.
 */
enum {
    RN_RESIDENCY_HOST = 0,  /**< by the host, and copied */
    RN_RESIDENCY_AUTO = 1,  /**< on the device, where it is not the CPU, the above holds and a quarter of its free memory
                                 is enough; else by the host, and RN_LOG_INFO tells why */
    RN_RESIDENCY_DEVICE = 2 /**< on the device, the CPU as well; RN_E_UNSUPPORTED or RN_E_NOMEM where that cannot be */
};

/**
 * A loader with mixup_alpha or cutmix_alpha above 0 mixes the images of a batch, after all transforms: image i with
 * image i - 1, the first with the last. One lambda ~ Beta(alpha, alpha) holds for the batch; both are a function of
 * seed, epoch and batch. Targets are then class probabilities f32 [n, classes], which cross-entropy takes: lambda for
 * an image's own label, 1 - lambda for its partner's. With options.plan there are as many classes as the plan's output
 * has, if these are more than the dataset's.
 *
 * Mixup (Zhang et al. 2018): lambda image + (1 - lambda) partner. CutMix (Yun et al. 2019): a box of (1 - lambda) of
 * the image's area around a random pixel, cut at the border, comes from the partner; lambda of the target is what is
 * left.
 */
typedef struct rn_loader_options {
    size_t struct_size;
    uint64_t flags;          /**< RN_LOADER_* */
    int64_t batch;           /**< images per batch, 1 or more */
    uint64_t seed;           /**< of shuffling and transforms; 0: the context's */
    int32_t workers;         /**< background threads; 0: none, batches are made in rn_loader_next() */
    int32_t prefetch;        /**< batches made ahead, 1 or more */
    rn_device *device;       /**< [optional] of the batches; NULL: the plan's, without a plan the CPU */
    rn_transform *transform; /**< [optional] */
    rn_plan *plan;           /**< [optional] images in the layout this plan's first layer reads; no conversion later */
    int64_t shard, num_shards; /**< takes every num_shards-th image of the order, beginning with shard */
    double mixup_alpha;      /**< above 0: mixup; 0.2 is usual for ImageNet, 1 for CIFAR */
    double cutmix_alpha;     /**< above 0: CutMix; 1 is usual */
    double mix_probability;  /**< of a batch to be mixed, 0 to 1; others get probabilities of 1 and 0 */
    double cutmix_share;     /**< with both: the probability that a mixed batch is CutMix's, 0 to 1 */
    int32_t residency;       /**< RN_RESIDENCY_* */
    int32_t reserved;        /**< 0 */
} rn_loader_options;
#define RN_LOADER_OPTIONS_INIT                                               \
    {                                                                        \
        sizeof(rn_loader_options), 0, 128, 0, 1, 2, NULL, NULL, NULL, 0, 1,  \
            0.0, 0.0, 1.0, 0.5, RN_RESIDENCY_HOST, 0                         \
    }
RN_API rn_status rn_loader_options_init(rn_loader_options *options, size_t struct_size);

/** Makes a loader that stands before the first batch of epoch 0. */
RN_API rn_status rn_loader_create(rn_dataset *ds, const rn_loader_options *options, rn_loader **out);
RN_API rn_loader *rn_loader_retain(rn_loader *l);
RN_API void rn_loader_release(rn_loader *l);

/**
 * The next batch: images f32 [n, C, H, W] and labels i64 [n], borrowed until the next call. (With options.plan of an
 * f64 plan, f64 images.) A loader that mixes gives class probabilities [n, classes] instead of labels, f32 or f64. A
 * transform with a ten-crop makes ten rows of each image, one after another. After an error the loader stands where it
 * stood: the next call tries the same batch again, and rn_loader_seek() can go past it.
 * @return RN_END after the last batch; the call after that begins the next epoch; RN_E_INVALID for a label outside
 *         0..classes-1; what a dataset of the host's returned
 */
RN_API rn_status rn_loader_next(rn_loader *l, rn_tensor **images, rn_tensor **labels);

/** @return the batches of an epoch, 0 for NULL. */
RN_API int64_t rn_loader_batches(const rn_loader *l);

/** @return the bytes of device memory that its dataset takes (RN_RESIDENCY_*); 0: batches are made by the host. 0 for NULL. */
RN_API uint64_t rn_loader_resident_bytes(const rn_loader *l);

/** Where the loader stands: the epoch and the number of batches handed out in it. */
RN_API rn_status rn_loader_position(const rn_loader *l, int64_t *epoch, int64_t *batch);

/** Goes to just before a batch of an epoch. @return RN_E_INVALID beyond the epoch's batches */
RN_API rn_status rn_loader_seek(rn_loader *l, int64_t epoch, int64_t batch);

#ifdef __cplusplus
}
#endif
#endif
