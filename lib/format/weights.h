/* SPDX-License-Identifier: MIT */
/* Named tensors of a file, whatever its format: safetensors, or what torch.save() wrote. */
#ifndef RNI_FORMAT_WEIGHTS_H
#define RNI_FORMAT_WEIGHTS_H

#include "format/safetensors.h"

typedef struct rni_weights rni_weights;

/* The format is found by the file's first bytes. RN_E_NOT_FOUND, RN_E_IO, RN_E_FORMAT, RN_E_UNSUPPORTED. */
rn_status rni_weights_open(const rn_allocator *allocator, const char *path, rni_weights **out);
void rni_weights_close(rni_weights *w);

size_t rni_weights_count(const rni_weights *w);
const rni_st_tensor *rni_weights_at(const rni_weights *w, size_t index);
const char *rni_weights_path(const rni_weights *w);
/* All elements of a tensor of this file as `to`; see rni_st_converts(). */
rn_status rni_weights_read_as(const rni_weights *w, const rni_st_tensor *t, rn_dtype to, void *dst);

#endif
