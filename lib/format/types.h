/* SPDX-License-Identifier: MIT */
/* Element types in files: names, sizes, byte order, conversion. */
#ifndef RNI_FORMAT_TYPES_H
#define RNI_FORMAT_TYPES_H

#include <resnet/base.h>

typedef struct rni_st_type {
    const char *name; /* "F32" */
    uint64_t size;
    rn_dtype dtype; /* 0: only the file knows it */
} rni_st_type;

/* NULL for an unknown name. */
const rni_st_type *rni_st_type_named(const char *name);
const rni_st_type *rni_st_type_of(rn_dtype dtype);

/* Between the file's little-endian order and the host's: nothing to do on a little-endian host. */
void rni_st_swap(void *elements, size_t size, size_t count);

/* Elements of a type as f32, f64 or i64; 0 when it cannot be. dst must not overlap src. */
int rni_st_convertible(rn_dtype from, rn_dtype to);
void rni_st_convert(const void *src, rn_dtype from, void *dst, rn_dtype to, size_t count);

#endif
