/* SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct known_set {
    const char *name;
    int64_t cifar_classes; /* 0: not in the CIFAR format */
    const char *first_file, *folder;
    pixel_statistics pixels;
    const char *classes[11];
} known_set;

static const known_set known_sets[] = {
    {"fashion-mnist", 0, NULL, "/usr/share/datasets/fashion-mnist", {{0.2860}, {0.3530}, {0.3530}},
     {"T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"}},
    {"cifar10", 10, "data_batch_1.bin", NULL,
     {{0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}, {0.2023, 0.1994, 0.2010}},
     {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}},
    {"cifar100", 100, "train.bin", NULL,
     {{0.5071, 0.4865, 0.4409}, {0.2673, 0.2564, 0.2762}, {0.2673, 0.2564, 0.2762}}, {NULL}},
    {"folder", 0, "train", NULL, {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}, {0.229, 0.224, 0.225}}, {NULL}},
};

static const known_set *find_set(const char *name)
{
    for (size_t i = 0; i < sizeof known_sets / sizeof known_sets[0]; i++)
        if (strcmp(known_sets[i].name, name) == 0)
            return &known_sets[i];
    fail(2, "--dataset: expected fashion-mnist, cifar10, cifar100 or folder, got '%s'", name);
}

const pixel_statistics *data_statistics(const char *dataset)
{
    return &find_set(dataset)->pixels;
}

static int is_folder(const data_options *o)
{
    return strcmp(o->dataset, "folder") == 0;
}

const char *data_class_name(const data_options *o, const rn_dataset *ds, int64_t class)
{
    const known_set *const set = find_set(o->dataset);
    const char *const name = rn_dataset_class_name(ds, class);
    if (name)
        return name;
    for (int64_t i = 0; set->classes[i]; i++)
        if (i == class)
            return set->classes[i];
    return NULL;
}

void data_options_check(data_options *o, int training)
{
    if (!o->dataset)
        fail(2, "--dataset is missing: fashion-mnist, cifar10, cifar100 or folder (--help tells more)");
    const known_set *const set = find_set(o->dataset);
    if (!set->cifar_classes && !is_folder(o) && (o->train.count || o->test))
        fail(2, "--train and --test name CIFAR files or folders: they go with --dataset cifar10, cifar100 or folder");
    if (is_folder(o) && o->train.count > 1)
        fail(2, "--train: expected one folder, got %zu", o->train.count);
    if (!o->data)
        o->data = set->folder;
    if (!o->data && !(o->test && (o->train.count || !training)))
        fail(2, "--data is missing: the folder with %s%s", set->first_file,
             set->cifar_classes == 10 ? " (examples/fetch_cifar10 downloads it)" : "");
}

/* DIR/NAME, or DIR/NAME.gz where that is there. */
static void idx_path(char *path, size_t size, const char *dir, const char *name)
{
    if (snprintf(path, size, "%s/%s.gz", dir, name) >= (int)size)
        fail(1, "--data: the path is too long: %s", dir);
    if (access(path, F_OK) != 0)
        path[strlen(path) - strlen(".gz")] = '\0';
}

static rn_dataset *open_idx(rn_context *ctx, const char *dir, const char *split)
{
    char name[64], images[4096], labels[4096];
    rn_dataset *ds;
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", split);
    idx_path(images, sizeof images, dir, name);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", split);
    idx_path(labels, sizeof labels, dir, name);
    CHECK(rn_idx_open(ctx, images, labels, &ds));
    return ds;
}

/* DIR/NAME when there is such a folder, DIR/OTHER if not. */
static void folder_path(char *path, size_t size, const char *dir, const char *name, const char *other)
{
    struct stat s;
    if (snprintf(path, size, "%s/%s", dir, name) >= (int)size - 1)
        fail(1, "--data: the path is too long: %s", dir);
    if (other && stat(path, &s) != 0)
        snprintf(path, size, "%s/%s", dir, other);
}

static rn_dataset *open_folder(rn_context *ctx, const data_options *o, const char *path, rn_dataset *classes_of)
{
    rn_image_folder_options options = RN_IMAGE_FOLDER_OPTIONS_INIT;
    rn_dataset *ds;
    options.flags = o->skip_broken ? RN_IMAGE_FOLDER_SKIP_BROKEN : 0;
    options.classes_of = classes_of;
    CHECK(rn_image_folder_open(ctx, path, &options, &ds));
    return ds;
}

static rn_dataset *open_train_folder(rn_context *ctx, const data_options *o)
{
    char path[4096];
    if (o->train.count)
        return open_folder(ctx, o, o->train.item[0], NULL);
    folder_path(path, sizeof path, o->data, "train", NULL);
    return open_folder(ctx, o, path, NULL);
}

/* A test image has the class of that name in training, when the training images are there. */
static rn_dataset *open_test_folder(rn_context *ctx, const data_options *o)
{
    char path[4096];
    rn_dataset *train = NULL;
    if (o->data || o->train.count) {
        folder_path(path, sizeof path, o->data ? o->data : "", "train", NULL);
        if (o->train.count || access(path, F_OK) == 0)
            train = open_train_folder(ctx, o);
    }
    if (!o->test)
        folder_path(path, sizeof path, o->data, "val", "test");
    rn_dataset *const test = open_folder(ctx, o, o->test ? o->test : path, train);
    rn_dataset_release(train);
    return test;
}

static rn_dataset *open_split(rn_context *ctx, const data_options *o, int32_t split)
{
    const known_set *const set = find_set(o->dataset);
    const int train = split == RN_SPLIT_TRAIN;
    rn_dataset *ds;
    if (is_folder(o))
        ds = train ? open_train_folder(ctx, o) : open_test_folder(ctx, o);
    else if (train && o->train.count)
        CHECK(rn_cifar_files_open(ctx, o->train.item, o->train.count, set->cifar_classes, &ds));
    else if (!train && o->test)
        CHECK(rn_cifar_files_open(ctx, &o->test, 1, set->cifar_classes, &ds));
    else if (set->cifar_classes == 10)
        CHECK(rn_cifar10_open(ctx, o->data, split, &ds));
    else if (set->cifar_classes == 100)
        CHECK(rn_cifar100_open(ctx, o->data, split, &ds));
    else
        ds = open_idx(ctx, o->data, train ? "train" : "t10k");
    return ds;
}

static rn_dataset *limited(rn_dataset *whole, int64_t limit)
{
    rn_dataset *part;
    if (limit == 0 || limit >= rn_dataset_size(whole))
        return whole;
    CHECK(rn_dataset_take(whole, limit, &part));
    rn_dataset_release(whole); /* the part has its own reference */
    return part;
}

rn_dataset *data_open_train(rn_context *ctx, const data_options *o)
{
    return limited(open_split(ctx, o, RN_SPLIT_TRAIN), o->limit_train);
}

rn_dataset *data_open_test(rn_context *ctx, const data_options *o)
{
    return limited(open_split(ctx, o, RN_SPLIT_TEST), o->limit_test);
}

/* The last images of a set, as a set of the program's own. */
typedef struct rest {
    rn_dataset *whole;
    int64_t first;
    size_t image_bytes;
} rest;

static rn_status read_rest(void *user, int64_t index, void *image, int64_t *label)
{
    const rest *const r = user;
    return rn_dataset_read(r->whole, r->first + index, image, r->image_bytes, label);
}

static void release_rest(void *user)
{
    rest *const r = user;
    rn_dataset_release(r->whole);
    free(r);
}

void data_hold_out(rn_context *ctx, rn_dataset **train, int64_t count, rn_dataset **validation)
{
    const rn_dataset_vtable vt = {sizeof vt, read_rest, release_rest};
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rn_dataset *const whole = *train;
    rest *const r = allocate(1, sizeof *r);
    CHECK(rn_dataset_describe(whole, &info));
    if (!info.height)
        fail(1, "validation: expected 0 for folders of pictures, whose test images are the validation set");
    if (count >= info.count)
        fail(1, "validation: expected fewer than the %lld training images, got %lld", (long long)info.count,
             (long long)count);
    *r = (rest){whole, info.count - count, (size_t)(info.channels * info.height * info.width) * rn_dtype_size(info.dtype)};
    CHECK(rn_dataset_take(whole, r->first, train));
    info.count = count;
    CHECK(rn_custom_dataset_create(ctx, &vt, r, &info, validation));
}
