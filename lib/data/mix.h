/* SPDX-License-Identifier: MIT */
/*
 * Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) within a batch, as torchvision does them: image i is mixed
 * with image i - 1, the first with the last, and one weight, one box and one choice of the two hold for the whole
 * batch.
 */
#ifndef RNI_DATA_MIX_H
#define RNI_DATA_MIX_H

#include <resnet/data.h>

enum { RNI_MIX_NONE, RNI_MIX_UP, RNI_MIX_CUT };

/* What is done to one batch. */
typedef struct rni_mix {
    int kind;
    float own, other; /* weights of an image and its partner in the target; mixup: also in the image */
    int64_t top, bottom, left, right; /* CutMix: what the partner gives */
} rni_mix;

/* Does the loader mix, so that its targets are class probabilities? */
int rni_mix_wanted(const rn_loader_options *o);

/* RN_E_INVALID naming the option. */
rn_status rni_mix_check(const rn_loader_options *o);

/* Draws it for images of height x width: a function of the options, their seed, the epoch and the batch's number. */
rni_mix rni_mix_draw(const rn_loader_options *o, uint32_t epoch, uint32_t batch, int64_t height, int64_t width);

/* [C, H, W] or, with nhwc, [H, W, C]. */
typedef struct rni_mix_shape {
    int64_t channels, height, width;
    int nhwc;
} rni_mix_shape;

/* out = image mixed with its partner. out is neither of them. */
void rni_mix_images(const rni_mix *m, const rni_mix_shape *s, const float *image, const float *partner, float *out);

#endif
