/* SPDX-License-Identifier: MIT */
/* The family of the ImageNet nets. */
#ifndef RNI_ZOO_IMAGENET_H
#define RNI_ZOO_IMAGENET_H

#include "zoo/parts.h"

/* Four stages of 64, 128, 256 and 512 channels, times four at the end of bottleneck blocks (He et al. 2015, table 1). */
typedef struct rni_imagenet_net {
    rni_zoo_parts parts;
    int64_t blocks[4]; /* per stage */
    int bottleneck;
    int64_t classes, in_channels;
} rni_imagenet_net;

/* 18, 34, 50, 101 or 152; 0 when there is no such net. */
int rni_imagenet_net_of(int64_t depth, rni_imagenet_net *net);
rn_status rni_imagenet_net_create(const rni_imagenet_net *net, rn_layer **out);

#endif
