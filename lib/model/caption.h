/* SPDX-License-Identifier: MIT */
/* What a layer is called in pictures of networks, in the words of He et al. 2015, figure 3. */
#ifndef RNI_MODEL_CAPTION_H
#define RNI_MODEL_CAPTION_H

#include "layer/layer.h"

enum { RNI_CAPTION_SIZE = 128 };

/* "3x3 conv, 64, /2"; the class's type for a kind that has no words here. `out` is what the layer gives. */
void rni_layer_caption(const rn_layer *layer, const rni_shape *out, char text[RNI_CAPTION_SIZE]);

#endif
