/* SPDX-License-Identifier: MIT */
/*
 * safetensors files: u64 little-endian N, N bytes of JSON, the data. Numbers are little-endian on every host. The
 * header is read with Jansson, which uses malloc; all else comes from the given allocator.
 */
#ifndef RNI_FORMAT_SAFETENSORS_H
#define RNI_FORMAT_SAFETENSORS_H

#include "tensor/tensor.h"

/* Longest header that is read or written. The format itself allows 100,000,000 bytes. */
enum { RNI_ST_MAX_HEADER = 16 * 1024 * 1024 };

typedef struct rni_st_file rni_st_file;

/* A tensor of an open file. */
typedef struct rni_st_tensor {
    const char *name;
    const char *dtype_name; /* as in the file: "F32", "BOOL" */
    rn_dtype dtype; /* 0 for a type that only the file knows */
    int32_t rank; /* may be above RN_MAX_RANK */
    const int64_t *dims;
    int64_t count;
    uint64_t begin, end; /* bytes from the start of the data */
} rni_st_tensor;

/*
 * Opens a file and checks all of its header, so that every tensor it lists lies inside it.
 * RN_E_NOT_FOUND, RN_E_IO, RN_E_FORMAT; messages begin with the path.
 */
rn_status rni_st_open(const rn_allocator *allocator, const char *path, rni_st_file **out);
void rni_st_close(rni_st_file *file);

size_t rni_st_count(const rni_st_file *file);
/* Sorted by name. */
const rni_st_tensor *rni_st_at(const rni_st_file *file, size_t index);
/* NULL when there is none. */
const rni_st_tensor *rni_st_find(const rni_st_file *file, const char *name);
/* A text of __metadata__, or NULL. */
const char *rni_st_metadata(const rni_st_file *file, const char *key);
const char *rni_st_path(const rni_st_file *file);

/* `count` elements from `first` on, in the host's byte order, of the tensor's own type (which must have a dtype). */
rn_status rni_st_read(const rni_st_file *file, const rni_st_tensor *t, int64_t first, void *dst, int64_t count);
/* Can its elements be given as `to`? Floats as f32 or f64; i64 and i32 as i64. */
int rni_st_converts(const rni_st_tensor *t, rn_dtype to);
/* All elements as `to`. RN_E_DTYPE when that type cannot be given. */
rn_status rni_st_read_as(const rni_st_file *file, const rni_st_tensor *t, rn_dtype to, void *dst);

/* "[16, 3, 3, 3]" for messages, of any rank. */
const char *rni_st_shape_text(char buffer[RNI_SHAPE_TEXT], const rni_st_tensor *t);
/* A name fit for one line of a message: control characters become '?', long ones are cut. */
enum { RNI_ST_NAME_TEXT = 160 };
const char *rni_st_name_text(char buffer[RNI_ST_NAME_TEXT], const char *name);

/* A file to be written: a list of tensors whose elements stay where they are until rni_st_save(). */
typedef struct rni_st_item {
    char *name;
    rn_dtype dtype;
    int32_t rank;
    int64_t dims[RN_MAX_RANK];
    uint64_t bytes;
    const void *data; /* in host memory, or */
    const rni_storage *storage; /* on a device, from offset */
    uint64_t offset;
} rni_st_item;

typedef struct rni_st_pair {
    char *key, *value;
} rni_st_pair;

typedef struct rni_st_builder {
    const rn_allocator *allocator;
    rni_st_item *items;
    size_t num_items, cap_items;
    rni_st_pair *pairs;
    size_t num_pairs, cap_pairs;
} rni_st_builder;

void rni_st_begin(rni_st_builder *b, const rn_allocator *allocator);
void rni_st_end(rni_st_builder *b);
/* Names and texts are copied. */
rn_status rni_st_put_metadata(rni_st_builder *b, const char *key, const char *value);
rn_status rni_st_put_host(rni_st_builder *b, const char *name, rn_dtype dtype, int32_t rank, const int64_t *dims,
                          const void *data);
rn_status rni_st_put_storage(rni_st_builder *b, const char *name, rn_dtype dtype, int32_t rank, const int64_t *dims,
                             const rni_storage *storage, uint64_t offset);
/* `bytes` of an item's elements, from byte `done` on, in the host's order. A device must have been waited for. */
rn_status rni_st_fetch(const rni_st_item *item, uint64_t done, void *dst, uint64_t bytes);
/* Files hold texts in UTF-8 only: RN_E_INVALID for others. */
rn_status rni_st_check_text(const char *text);
/* Writes largest elements first, then by name: the same list gives the same bytes. Replaces `path` when complete. */
rn_status rni_st_save(rni_st_builder *b, const char *path);

#endif
