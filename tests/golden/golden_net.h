/* SPDX-License-Identifier: MIT */
/* libresnet's layers, losses and models for the cases of golden files. */
#ifndef GOLDEN_NET_H
#define GOLDEN_NET_H

#include "golden_file.h"
#include <resnet/resnet.h>

/* The layer tree of a case: by name from the zoo, or as the file describes it. */
rn_status golden_layer(rn_context *ctx, const golden *g, rn_layer **out);
/* A model with the case's weights; RN_E_INVALID when its state is not that of the PyTorch model. */
rn_status golden_model(rn_context *ctx, const golden *g, rn_model **out);
rn_status golden_loss(rn_context *ctx, const golden *g, rn_loss **out);
rn_status golden_optimizer(rn_model *m, const golden *g, rn_optimizer **out);

/* A tensor of a case's numbers in f32 or f64. */
rn_status golden_tensor(rn_device *dev, const golden *g, const char *what, rn_dtype dtype, int32_t rank,
                        const int64_t *dims, double low, double high, rn_tensor **out);
/* Labels or target values for an output of that shape. */
rn_status golden_target(rn_device *dev, const golden *g, int64_t step, rn_dtype dtype, int32_t rank,
                        const int64_t *dims, rn_tensor **out);
/* Compares a tensor of ours; for golden_compare(). */
int golden_check(const golden *g, const char *key, const rn_tensor *t, int precision, const char *how);

/* Runs `check` on each golden file in a folder whose name matches the filter. For main(): 0 or 1. */
int golden_run(int argc, char **argv, int (*check)(rn_context *ctx, const golden *g));

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        rn_status try_status = (call);                                                                                 \
        if (try_status != RN_OK)                                                                                       \
            return try_status;                                                                                         \
    } while (0)

#endif
