/* SPDX-License-Identifier: MIT */
/* The family that the CIFAR nets and the tutorial's net belong to. */
#ifndef RNI_ZOO_CIFAR_H
#define RNI_ZOO_CIFAR_H

#include "zoo/block.h"

/* Three stages of w, 2w and 4w channels with `blocks` basic blocks each, as in He et al. 2015, section 4.2. */
typedef struct rni_cifar_net {
    rni_zoo_style style;
    const char *stem_conv, *stem_bn; /* names of the first layers */
    int64_t blocks, width, classes, in_channels;
} rni_cifar_net;

rn_status rni_cifar_net_create(const rni_cifar_net *net, rn_layer **out);

#endif
