/* SPDX-License-Identifier: MIT */
/*
 * Files of torch.save(): a zip archive (PyTorch 1.6 and later: a pickle, and an entry per storage), or the older form
 * (five pickles, then the storages). What a file says is never trusted: every tensor lies inside its storage, every
 * storage inside the file, and the CRC-32 of an archive's entries is compared before they are used.
 */
#ifndef RNI_FORMAT_TORCH_FILE_H
#define RNI_FORMAT_TORCH_FILE_H

#include "format/pickle.h"
#include <resnet/base.h>

/* Longest pickle that is read; the tensors' elements are not part of it. */
enum { RNI_TORCH_MAX_PICKLE = 16 * 1024 * 1024 };

typedef struct rni_torch_file rni_torch_file;

/*
 * Whether a file that begins with these bytes is a zip archive or a pickle. A safetensors file may begin with the two
 * bytes that a pickle begins with, but its ninth byte is '{', which is neither's.
 */
enum { RNI_TORCH_MAGIC = 9 };
int rni_torch_begins(const unsigned char bytes[RNI_TORCH_MAGIC]);

/* RN_E_NOT_FOUND, RN_E_IO, RN_E_FORMAT, RN_E_UNSUPPORTED; messages begin with the path. */
rn_status rni_torch_open(const rn_allocator *allocator, const char *path, rni_torch_file **out);
void rni_torch_close(rni_torch_file *file);

/* What was saved. Lives as long as the file is open. */
const rni_py_value *rni_torch_root(const rni_torch_file *file);
const char *rni_torch_path(const rni_torch_file *file);

/*
 * A dictionary that has both keys (`second` NULL: any tensor among its values): the root itself, or what it holds under
 * one of `names` (ended by NULL), or that under one of them again. NULL when there is none.
 */
const rni_py_value *rni_torch_find(const rni_torch_file *file, const char *const *names, const char *first,
                                   const char *second);

/* All elements of a tensor, row by row, as `to`. RN_E_DTYPE when its type is not given as that. `name` for messages. */
rn_status rni_torch_read_as(const rni_torch_file *file, const rni_py_tensor *t, const char *name, rn_dtype to,
                            void *dst);

#endif
