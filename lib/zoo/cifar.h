/* SPDX-License-Identifier: MIT */
/* The family that the CIFAR nets and the tutorial's net belong to. */
#ifndef RNI_ZOO_CIFAR_H
#define RNI_ZOO_CIFAR_H

#include "zoo/parts.h"

/* Three stages of 16, 32 and 64 channels with `blocks` basic blocks each, as in He et al. 2015, section 4.2. */
typedef struct rni_cifar_net {
    rni_zoo_parts parts;
    const char *stem_conv, *stem_bn; /* names of the first layers */
    int64_t blocks, classes, in_channels;
    int32_t shortcut;
    uint64_t flags; /* RN_CIFAR_* */
} rni_cifar_net;

rn_status rni_cifar_net_create(const rni_cifar_net *net, rn_layer **out);

#endif
