/* SPDX-License-Identifier: MIT */
/* Basic and bottleneck blocks, residual or plain, and the stages they stand in. */
#ifndef RNI_ZOO_BLOCK_H
#define RNI_ZOO_BLOCK_H

#include "zoo/parts.h"

/* What the blocks of a net have in common. */
typedef struct rni_zoo_style {
    rni_zoo_parts parts;
    int32_t shortcut; /* RN_SHORTCUT_* */
    int bottleneck;   /* 1x1, 3x3, 1x1 instead of 3x3, 3x3 */
    int stride_first; /* a bottleneck's stride is its first convolution's, not the 3x3's */
    int plain;        /* no shortcuts */
    int zeros_after;  /* option A puts all zero channels after the data */
} rni_zoo_style;

typedef struct rni_zoo_stage {
    const char *name;
    int64_t blocks;
    int64_t inner, out; /* channels of the inner convolutions and of the block */
    int64_t stride;     /* of the first block */
    int64_t groups;     /* of a bottleneck's 3x3 convolution */
} rni_zoo_stage;

/* `channels` come in; those that go out are written there. */
rn_status rni_zoo_append_stage(const rni_zoo_style *style, const rni_zoo_stage *stage, rn_layer *root,
                               int64_t *channels);

#endif
