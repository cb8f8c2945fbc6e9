/* SPDX-License-Identifier: MIT */
/* Inside of files of torch.save(). */
#ifndef RNI_FORMAT_TORCH_STORAGE_H
#define RNI_FORMAT_TORCH_STORAGE_H

#include "format/torch_file.h"
#include "format/zip.h"

/* Where a storage is in a file of the older form. */
typedef struct rni_torch_place {
    const rni_py_storage *storage;
    uint64_t begin, bytes;
    int known; /* the file's list names it */
} rni_torch_place;

struct rni_torch_file {
    const rn_allocator *allocator;
    char *path;
    rni_file *file;
    uint64_t size;
    unsigned char *bytes; /* the pickles; values point into them */
    rni_py_reader py;
    rni_py_value root;
    rni_zip *zip; /* NULL: the older form */
    const char *folder; /* before the names of all entries, with its slash; not terminated */
    size_t folder_length;
    unsigned char *checked; /* per entry: its CRC-32 was compared */
    rni_torch_place *places; /* of the older form, sorted by key */
    size_t num_places;
};

/* Where the bytes of a storage begin in the file; there are as many as its type and count ask for. */
rn_status rni_torch_storage(const rni_torch_file *f, const rni_py_storage *s, uint64_t *begin);

/* Puts the path before an error's message unless it is there. */
rn_status rni_torch_name_path(const rni_torch_file *f, rn_status status);

#endif
