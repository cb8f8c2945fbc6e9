/* SPDX-License-Identifier: MIT */
/* VGG-19, which He et al. 2015 hold their nets against (figure 3, left). */
#ifndef RNI_ZOO_VGG_H
#define RNI_ZOO_VGG_H

#include "zoo/parts.h"

/* with_bn: batch normalisation after every convolution. */
rn_status rni_vgg19_create(const rni_zoo_parts *parts, int with_bn, int64_t classes, int64_t in_channels, rn_layer **out);

#endif
