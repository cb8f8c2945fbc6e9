/* SPDX-License-Identifier: MIT */
#include "data/folder_list.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { BLOCK_BYTES = 1 << 16, MAX_DEPTH = 32, MAX_PATH = 4096 };

/* --- texts ------------------------------------------------------------------------------------------------------- */

struct rni_text_block {
    struct rni_text_block *next;
    size_t used, size;
    char text[];
};

/* `bytes` in a block that has room. */
static char *take(rni_texts *t, size_t bytes)
{
    struct rni_text_block *block = t->blocks;
    if (!block || block->size - block->used < bytes) {
        const size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        block = rni_alloc(t->allocator, sizeof *block + size);
        if (!block)
            return NULL;
        *block = (struct rni_text_block){.next = t->blocks, .size = size};
        t->blocks = block;
    }
    block->used += bytes;
    return block->text + block->used - bytes;
}

rn_status rni_texts_add(rni_texts *t, const char *text)
{
    const size_t bytes = strlen(text) + 1;
    if (t->count == t->capacity) {
        const size_t capacity = t->capacity ? 2 * t->capacity : 64;
        char **const at = rni_realloc(t->allocator, t->at, capacity * sizeof *at);
        if (!at)
            return rni_nomem("list of images", capacity * sizeof *at);
        t->at = at;
        t->capacity = capacity;
    }
    char *const copy = take(t, bytes);
    if (!copy)
        return rni_nomem("list of images", bytes);
    t->at[t->count++] = memcpy(copy, text, bytes);
    return RN_OK;
}

void rni_texts_free(rni_texts *t)
{
    while (t->blocks) {
        struct rni_text_block *const block = t->blocks;
        t->blocks = block->next;
        rni_free(t->allocator, block);
    }
    rni_free(t->allocator, t->at);
    t->at = NULL;
    t->count = t->capacity = 0;
}

/* --- order ------------------------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* By folder, then by name, as sorted(os.walk()) and sorted(files) give them. Each path has a slash. */
static int compare_paths(const void *a, const void *b)
{
    const char *const x = *(char *const *)a, *const y = *(char *const *)b;
    const size_t folder_x = (size_t)(strrchr(x, '/') - x), folder_y = (size_t)(strrchr(y, '/') - y);
    const int order = memcmp(x, y, folder_x < folder_y ? folder_x : folder_y);
    if (order)
        return order;
    if (folder_x != folder_y)
        return folder_x < folder_y ? -1 : 1;
    return strcmp(x + folder_x, y + folder_y);
}

/* --- reading folders --------------------------------------------------------------------------------------------- */

static int is_picture(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    const size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t ending = strlen(endings[i]);
        if (length > ending && strcasecmp(name + length - ending, endings[i]) == 0)
            return 1;
    }
    return 0;
}

static rn_status join(char path[MAX_PATH], const char *dir, const char *name)
{
    const int length = snprintf(path, MAX_PATH, "%s/%s", dir, name);
    if (length < 0 || length >= MAX_PATH)
        return rni_fail(RN_E_INVALID, "%.200s...: expected a path of less than %d bytes", dir, MAX_PATH);
    return RN_OK;
}

static rn_status open_folder(const char *path, DIR **out)
{
    *out = opendir(path);
    if (*out)
        return RN_OK;
    return rni_fail(errno == ENOENT || errno == ENOTDIR ? RN_E_NOT_FOUND : RN_E_IO,
                    "%s: cannot be read as a folder: %s", path, strerror(errno));
}

/* The next entry that does not begin with a dot; NULL at the end. */
static rn_status next_entry(DIR *dir, const char *path, const struct dirent **out)
{
    do {
        errno = 0;
        *out = readdir(dir);
    } while (*out && (*out)->d_name[0] == '.');
    return *out || errno == 0 ? RN_OK : rni_fail(RN_E_IO, "%s: cannot be read: %s", path, strerror(errno));
}

/* DT_DIR, DT_REG or another; links count as what they lead to. */
static int kind_of(const struct dirent *entry, const char *path)
{
    struct stat about;
    if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN)
        return entry->d_type;
    if (stat(path, &about) != 0)
        return is_picture(entry->d_name) ? DT_REG : DT_UNKNOWN; /* a dead link is said when it is read */
    return S_ISDIR(about.st_mode) ? DT_DIR : S_ISREG(about.st_mode) ? DT_REG : DT_UNKNOWN;
}

static rn_status read_level(rni_folder_list *list, const char *path, size_t root, int depth);

static rn_status read_entry(rni_folder_list *list, const struct dirent *entry, const char *parent, size_t root,
                            int depth)
{
    char path[MAX_PATH];
    RNI_TRY(join(path, parent, entry->d_name));
    const int kind = kind_of(entry, path);
    if (kind == DT_DIR)
        return read_level(list, path, root, depth + 1);
    if (kind != DT_REG)
        return RN_OK;
    if (is_picture(entry->d_name))
        return rni_texts_add(&list->items, path + root);
    if (list->others++ == 0)
        snprintf(list->first_other, sizeof list->first_other, "%s", path + root);
    return RN_OK;
}

/* All pictures in a folder and the folders in it. Names begin after `root` bytes of the path. */
static rn_status read_level(rni_folder_list *list, const char *path, size_t root, int depth)
{
    DIR *dir = NULL;
    const struct dirent *entry = NULL;
    if (depth > MAX_DEPTH)
        return rni_fail(RN_E_INVALID, "%.200s...: folders are nested more than %d deep", path, MAX_DEPTH);
    RNI_TRY(open_folder(path, &dir));
    rn_status status;
    while ((status = next_entry(dir, path, &entry)) == RN_OK && entry)
        if ((status = read_entry(list, entry, path, root, depth)) < 0)
            break;
    closedir(dir);
    return status;
}

/* Names of the folders in a folder, sorted. */
static rn_status read_folders(const char *path, rni_texts *names)
{
    DIR *dir = NULL;
    const struct dirent *entry = NULL;
    RNI_TRY(open_folder(path, &dir));
    rn_status status;
    while ((status = next_entry(dir, path, &entry)) == RN_OK && entry) {
        char below[MAX_PATH];
        status = join(below, path, entry->d_name);
        if (status == RN_OK && kind_of(entry, below) == DT_DIR)
            status = rni_texts_add(names, entry->d_name);
        if (status < 0)
            break;
    }
    closedir(dir);
    if (status == RN_OK && names->count)
        qsort(names->at, names->count, sizeof *names->at, compare_names);
    return status;
}

static rn_status find_label(const rni_folder_list *list, const char *dir, const char *name, int64_t *label)
{
    for (size_t i = 0; i < list->classes.count; i++)
        if (strcmp(list->classes.at[i], name) == 0) {
            *label = (int64_t)i;
            return RN_OK;
        }
    return rni_fail(RN_E_INVALID, "%s: expected folders named as the classes of options.classes_of, got '%s'", dir,
                    name);
}

static rn_status set_labels(rni_folder_list *list, size_t first, int64_t label)
{
    if (list->items.count > list->labels_capacity) {
        const size_t capacity = list->items.capacity;
        int64_t *const labels = rni_realloc(list->items.allocator, list->labels, capacity * sizeof *labels);
        if (!labels)
            return rni_nomem("list of images", capacity * sizeof *labels);
        list->labels = labels;
        list->labels_capacity = capacity;
    }
    for (size_t i = first; i < list->items.count; i++)
        list->labels[i] = label;
    return RN_OK;
}

/* One class: its pictures, in order, behind those that are there. */
static rn_status read_class(rni_folder_list *list, const char *dir, const char *name)
{
    const size_t first = list->items.count;
    char path[MAX_PATH];
    int64_t label = 0;
    RNI_TRY(find_label(list, dir, name, &label));
    RNI_TRY(join(path, dir, name));
    RNI_TRY(read_level(list, path, strlen(dir) + 1, 1));
    if (list->items.count == first)
        return rni_fail(RN_E_NOT_FOUND, "%s: expected .jpg, .jpeg or .png files of the class, got none", path);
    qsort(list->items.at + first, list->items.count - first, sizeof *list->items.at, compare_paths);
    return set_labels(list, first, label);
}

static rn_status read_classes(rni_folder_list *list, const char *dir, const rni_texts *folders)
{
    const int given = list->classes.count > 0;
    if (folders->count == 0)
        return rni_fail(RN_E_NOT_FOUND, "%s: expected a folder of pictures for each class, got no folders", dir);
    if (!given && folders->count == 1)
        return rni_fail(RN_E_INVALID, "%s: expected folders of two classes or more, got one, '%s'", dir,
                        folders->at[0]);
    for (size_t i = 0; i < folders->count && !given; i++)
        RNI_TRY(rni_texts_add(&list->classes, folders->at[i]));
    for (size_t i = 0; i < folders->count; i++)
        RNI_TRY(read_class(list, dir, folders->at[i]));
    return RN_OK;
}

rn_status rni_folder_list_read(rni_folder_list *list, const char *dir)
{
    rni_texts folders = {.allocator = list->classes.allocator};
    rn_status status = read_folders(dir, &folders);
    if (status == RN_OK)
        status = read_classes(list, dir, &folders);
    rni_texts_free(&folders);
    return status;
}

void rni_folder_list_free(rni_folder_list *list)
{
    rni_texts_free(&list->classes);
    rni_texts_free(&list->items);
    rni_free(list->items.allocator, list->labels);
}
