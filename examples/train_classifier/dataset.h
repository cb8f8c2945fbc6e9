/* SPDX-License-Identifier: MIT */
/* Opens the two halves of a data set, as the command line says. */
#ifndef DATASET_H
#define DATASET_H

#include "options.h"
#include <resnet/resnet.h>

typedef struct data {
    rn_dataset *train, *test;
    rn_dataset_info info; /* of the training half; classes of both */
} data;

void data_open(data *d, rn_context *ctx, const options *o);
void data_close(data *d);

#endif
