/* SPDX-License-Identifier: MIT */
/* Element types and memory orders, on the host. */
#ifndef RNI_TENSOR_CONVERT_H
#define RNI_TENSOR_CONVERT_H

#include <resnet/base.h>

/* `count` numbers from one type to another; buffers must not overlap unless the types are equal. */
void rni_convert(rn_dtype from, const void *src, rn_dtype to, void *dst, int64_t count);

/* Images between N, C, H, W and N, H, W, C order; element is the size of one number. */
void rni_to_nhwc(const int64_t dims[4], size_t element, const void *src, void *dst);
void rni_to_nchw(const int64_t dims[4], size_t element, const void *src, void *dst);

#endif
