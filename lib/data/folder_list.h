/* SPDX-License-Identifier: MIT */
/* The pictures below a folder, by class. */
#ifndef RNI_DATA_FOLDER_LIST_H
#define RNI_DATA_FOLDER_LIST_H

#include "base/alloc.h"
#include "base/error.h"

/* Texts that stay where they are until all go. */
typedef struct rni_texts {
    const rn_allocator *allocator;
    struct rni_text_block *blocks;
    char **at;
    size_t count, capacity;
} rni_texts;

rn_status rni_texts_add(rni_texts *texts, const char *text);
void rni_texts_free(rni_texts *texts);

/* Zero-initialise but for the allocator of both lists. Freed by rni_folder_list_free(), also after an error. */
typedef struct rni_folder_list {
    rni_texts classes; /* names, in the order of labels; may hold some to begin with */
    rni_texts items; /* paths below the folder, in order */
    int64_t *labels;
    size_t labels_capacity;
    size_t others; /* files whose names do not end as pictures' do */
    char first_other[256];
} rni_folder_list;

/*
 * torchvision's ImageFolder: see rn_image_folder_open(). With classes in the list, folders must be among them; without,
 * they become the classes.
 */
rn_status rni_folder_list_read(rni_folder_list *list, const char *dir);
void rni_folder_list_free(rni_folder_list *list);

#endif
