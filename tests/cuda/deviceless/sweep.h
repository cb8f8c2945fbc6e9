/* SPDX-License-Identifier: MIT */
/* One convolution planned by the module's code, and looked at by cuDNN's own words. */
#ifndef RNI_DEVICELESS_SWEEP_H
#define RNI_DEVICELESS_SWEEP_H

#include "dnn/conv.h"

typedef struct sweep_row {
    int planned, padded, tensor_cores;
    int32_t refused; /* engines that cuDNN would have taken before it */
    int64_t engine;
    uint64_t plan_workspace, workspace;
    const char *wrong; /* NULL: the engine may serve */
} sweep_row;

void sweep_plan(rni_cuda_device *device, const rni_dnn_problem *problem, sweep_row *row);

#endif
