/* SPDX-License-Identifier: MIT */
/* Layers that all nets of the zoo are made of, appended to a sequence under a name. */
#ifndef RNI_ZOO_PARTS_H
#define RNI_ZOO_PARTS_H

#include <resnet/zoo.h>

typedef struct rni_zoo_parts {
    rn_context *ctx;
    int32_t init; /* RN_INIT_* of convolutions and the linear layer */
} rni_zoo_parts;

/* A layer that was just made; gives up this reference. `status` is that of making it. */
rn_status rni_zoo_append_new(rn_layer *seq, const char *name, rn_status status, rn_layer *child);
/* Square, padded so that stride 1 keeps the size; no bias. */
rn_status rni_zoo_append_conv(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t in, int64_t out,
                              int64_t kernel, int64_t stride);
rn_status rni_zoo_append_bn(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t channels);
rn_status rni_zoo_append_relu(const rni_zoo_parts *parts, rn_layer *seq, const char *name);
/* "avgpool", "flatten", "fc". */
rn_status rni_zoo_append_head(const rni_zoo_parts *parts, rn_layer *root, int64_t features, int64_t classes);

#endif
