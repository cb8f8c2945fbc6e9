/* SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "check.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static rn_dataset *open_cifar(rn_context *ctx, const options *o, int32_t split)
{
    const int train = split == RN_SPLIT_TRAIN;
    rn_dataset *ds;
    if (train && o->num_train)
        CHECK(rn_cifar_files_open(ctx, o->train, o->num_train, 10, &ds));
    else if (!train && o->test)
        CHECK(rn_cifar_files_open(ctx, &o->test, 1, 10, &ds));
    else
        CHECK(rn_cifar10_open(ctx, o->data, split, &ds));
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

void data_open(data *d, rn_context *ctx, const options *o)
{
    if (strcmp(o->dataset, "cifar10") == 0) {
        d->train = open_cifar(ctx, o, RN_SPLIT_TRAIN);
        d->test = open_cifar(ctx, o, RN_SPLIT_TEST);
    } else {
        d->train = open_idx(ctx, o->data, "train");
        d->test = open_idx(ctx, o->data, "t10k");
    }
    d->train = limited(d->train, o->limit_train);
    d->test = limited(d->test, o->limit_test);
    d->info = (rn_dataset_info)RN_DATASET_INFO_INIT;
    CHECK(rn_dataset_describe(d->train, &d->info));
    if (rn_dataset_classes(d->test) > d->info.classes)
        d->info.classes = rn_dataset_classes(d->test);
}

void data_close(data *d)
{
    rn_dataset_release(d->train);
    rn_dataset_release(d->test);
}
