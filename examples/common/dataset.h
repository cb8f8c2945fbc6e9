/* SPDX-License-Identifier: MIT */
/* Opens the images that a command line names. */
#ifndef DATASET_H
#define DATASET_H

#include "flags.h"
#include <resnet/resnet.h>

typedef struct data_options {
    const char *dataset, *data;
    texts train;      /* named CIFAR files, or a folder, in place of the default split */
    const char *test;
    int skip_broken;  /* pictures that cannot be read are left out */
    int64_t limit_train, limit_test; /* 0: all images */
    int32_t workers;  /* threads that make batches; 0: one */
} data_options;

/* For a program's table of flags: what names test images, and what names training images besides. */
#define DATA_TEST_FLAGS(type, member)                                                                                \
    {"--dataset", FLAG_TEXT, offsetof(type, member.dataset)}, {"--data", FLAG_TEXT, offsetof(type, member.data)},    \
        {"--test", FLAG_TEXT, offsetof(type, member.test)},                                                          \
        {"--skip-broken", FLAG_SWITCH, offsetof(type, member.skip_broken)},                                          \
        {"--workers", FLAG_THREADS, offsetof(type, member.workers)},                                                 \
        {"--limit-test", FLAG_COUNT, offsetof(type, member.limit_test)}
#define DATA_TRAIN_FLAGS(type, member)                                                                               \
    {"--train", FLAG_TEXTS, offsetof(type, member.train)},                                                           \
        {"--limit-train", FLAG_COUNT, offsetof(type, member.limit_train)}

#define DATA_TEST_HELP                                                                                               \
    "  --dataset NAME       fashion-mnist, cifar10, cifar100, or folder: pictures in a folder for each class\n"      \
    "  --data DIR           folder of its files; fashion-mnist: /usr/share/datasets/fashion-mnist unless given;\n"   \
    "                       folder: DIR/train and DIR/val with CLASS/*.jpg, *.jpeg, *.png below\n"                   \
    "  --test FILE          CIFAR binary file to test on, in place of test_batch.bin or test.bin; folder: in place\n" \
    "                       of DIR/val\n"                                                                            \
    "  --limit-test N       only the first N test images\n"                                                          \
    "  --skip-broken        leave pictures out that cannot be read, instead of stopping\n"                   \
    "  --workers N          threads that read and transform images (1)\n"
#define DATA_TRAIN_HELP                                                                                              \
    "  --train FILE,FILE    CIFAR binary files to train on, in place of data_batch_1..5.bin or train.bin;\n"         \
    "                       folder: in place of DIR/train\n"                                                         \
    "  --limit-train N      only the first N training images\n"

/* Sees that the flags go together and completes them. `training`: both halves will be opened. Exits with 2 if not. */
void data_options_check(data_options *o, int training);

/* What pixels are like, in [0, 1], per channel. */
typedef struct pixel_statistics {
    double mean[3];
    double pixel_std[3]; /* over all pixels of all images */
    double image_std[3]; /* the mean of the images' own standard deviations; in wide use for CIFAR-10 */
} pixel_statistics;
const pixel_statistics *data_statistics(const char *dataset);

/* NULL where it is not known. */
const char *data_class_name(const data_options *o, const rn_dataset *ds, int64_t class);

rn_dataset *data_open_train(rn_context *ctx, const data_options *o);
rn_dataset *data_open_test(rn_context *ctx, const data_options *o);

/* Cuts a training set in two: the last `count` images are held out for validation. Gives back both parts in its place. */
void data_hold_out(rn_context *ctx, rn_dataset **train, int64_t count, rn_dataset **validation);

#endif
