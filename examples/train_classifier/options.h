/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum { MAX_FILES = 64 };

typedef struct options {
    const char *dataset, *data;
    const char *train[MAX_FILES]; /* named CIFAR-10 files, in place of the default split */
    size_t num_train;
    const char *test;
    const char *arch, *recipe, *device, *out, *dtype;
    int64_t epochs, batch; /* 0: the recipe's */
    double lr;             /* 0: the recipe's */
    uint64_t seed;
    int32_t threads;       /* 0: as many as there are */
    int64_t limit_train, limit_test; /* 0: all images */
    int resume;
    const char *weights, *exported; /* NULL: none */
} options;

/* Exits with 2 when the flags make no sense, with 0 after --help and --list-archs. */
void options_parse(options *o, int argc, char **argv);

#endif
