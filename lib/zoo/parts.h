/* SPDX-License-Identifier: MIT */
/* Layers that all nets of the zoo are made of, appended to a sequence under a name. */
#ifndef RNI_ZOO_PARTS_H
#define RNI_ZOO_PARTS_H

#include <resnet/zoo.h>

/* More channels in a first stage cannot be meant. */
enum { RNI_ZOO_MAX_WIDTH = 1 << 16 };

typedef struct rni_zoo_parts {
    rn_context *ctx;
    int32_t init;      /* RN_INIT_* of convolutions and the linear layer */
    uint64_t bn;       /* RN_BATCHNORM_* of every batch normalisation */
    int zero_last;     /* the last one of a block begins at 0 */
} rni_zoo_parts;

/* RN_E_INVALID unless flags are `own` ones or those of all options; `plain` marks nets without residual blocks. */
rn_status rni_zoo_check_flags(uint64_t flags, uint64_t own, uint64_t plain);
/* RN_E_INVALID for what no family can build. */
rn_status rni_zoo_check_common(int64_t classes, int64_t in_channels, int32_t shortcut, int32_t init);
/* What the flags that all options of the zoo know ask for. */
rni_zoo_parts rni_zoo_parts_of(rn_context *ctx, int32_t init, uint64_t flags);

/* A layer that was just made; gives up this reference. `status` is that of making it. */
rn_status rni_zoo_append_new(rn_layer *seq, const char *name, rn_status status, rn_layer *child);
/* Square, padded so that stride 1 keeps the size; no bias. */
rn_status rni_zoo_append_conv(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t in, int64_t out,
                              int64_t kernel, int64_t stride);
/* 3x3 from `channels` to as many, in groups. */
rn_status rni_zoo_append_grouped(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t channels,
                                 int64_t stride, int64_t groups);
rn_status rni_zoo_append_bn(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t channels);
/* The last one of a block. */
rn_status rni_zoo_append_last_bn(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t channels);
rn_status rni_zoo_append_relu(const rni_zoo_parts *parts, rn_layer *seq, const char *name);
/* "avgpool", "flatten", "fc". */
rn_status rni_zoo_append_head(const rni_zoo_parts *parts, rn_layer *root, int64_t features, int64_t classes);

#endif
