/* SPDX-License-Identifier: MIT */
#include "format/weights.h"
#include "base/io.h"
#include "format/torch_file.h"
#include <string.h>

/* A tensor of a torch file, in the manner of safetensors. */
typedef struct torch_entry {
    rni_st_tensor common; /* first: what rni_weights_at() gives is this */
    const rni_py_tensor *tensor;
} torch_entry;

struct rni_weights {
    const rn_allocator *allocator;
    rni_st_file *st;       /* one of these two */
    rni_torch_file *torch;
    torch_entry *entries;
    char *names; /* of the entries, one after another */
    size_t count;
};

/* Where training scripts keep a state_dict beside other things. */
static const char *const keys[] = {"state_dict", "model_state_dict", "model", "net", NULL};

static rn_status list_entry(rni_weights *w, const rni_py_value *key, const rni_py_tensor *t, char **name)
{
    if (key->kind != RNI_PY_TEXT && key->kind != RNI_PY_BYTES)
        return rni_fail(RN_E_FORMAT, "%s: a tensor whose name is no text", rni_torch_path(w->torch));
    if (memchr(key->u.text, 0, key->length))
        return rni_fail(RN_E_FORMAT, "%s: a tensor whose name has a zero byte", rni_torch_path(w->torch));
    memcpy(*name, key->u.text, key->length);
    (*name)[key->length] = '\0';
    w->entries[w->count++] = (torch_entry){
        .common = {.name = *name,
                   .dtype_name = t->storage->type->name,
                   .dtype = t->storage->type->dtype,
                   .rank = t->rank,
                   .dims = t->dims,
                   .count = t->count},
        .tensor = t,
    };
    *name += key->length + 1;
    return RN_OK;
}

/* Of a dictionary's values the tensors count; numbers and texts beside them are let be. */
static rn_status list_entries(rni_weights *w, const rni_py_items *dict)
{
    size_t count = 0, bytes = 0;
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        if (dict->at[i + 1].kind == RNI_PY_TENSOR) {
            count++;
            bytes += (size_t)dict->at[i].length + 1;
        }
    w->entries = rni_calloc(w->allocator, count, sizeof *w->entries);
    w->names = rni_alloc(w->allocator, bytes);
    if (!w->entries || !w->names)
        return rni_nomem("names of tensors", count * sizeof *w->entries + bytes);
    char *name = w->names;
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        if (dict->at[i + 1].kind == RNI_PY_TENSOR)
            RNI_TRY(list_entry(w, &dict->at[i], dict->at[i + 1].u.tensor, &name));
    return RN_OK;
}

static rn_status open_torch(rni_weights *w, const char *path)
{
    RNI_TRY(rni_torch_open(w->allocator, path, &w->torch));
    const rni_py_value *const dict = rni_torch_find(w->torch, keys, NULL, NULL);
    if (!dict)
        return rni_fail(RN_E_FORMAT, "%s: there is no dictionary of tensors in it", path);
    return list_entries(w, dict->u.items);
}

static rn_status find_format(const rn_allocator *allocator, const char *path, int *torch)
{
    unsigned char magic[RNI_TORCH_MAGIC] = {0};
    rni_file *file;
    uint64_t size;
    rn_status status = RN_OK;
    RNI_TRY(rni_file_open(allocator, path, &file, &size));
    if (size >= sizeof magic)
        status = rni_file_read(file, 0, magic, sizeof magic);
    rni_file_close(file);
    *torch = rni_torch_begins(magic);
    return status;
}

rn_status rni_weights_open(const rn_allocator *allocator, const char *path, rni_weights **out)
{
    int torch;
    RNI_TRY(find_format(allocator, path, &torch));
    rni_weights *const w = rni_calloc(allocator, 1, sizeof *w);
    if (!w)
        return rni_nomem("a file of weights", sizeof *w);
    w->allocator = allocator;
    const rn_status status = torch ? open_torch(w, path) : rni_st_open(allocator, path, &w->st);
    if (status < 0) {
        rni_weights_close(w);
        return status;
    }
    *out = w;
    return RN_OK;
}

void rni_weights_close(rni_weights *w)
{
    if (!w)
        return;
    rni_st_close(w->st);
    rni_torch_close(w->torch);
    rni_free(w->allocator, w->entries);
    rni_free(w->allocator, w->names);
    rni_free(w->allocator, w);
}

size_t rni_weights_count(const rni_weights *w)
{
    return w->st ? rni_st_count(w->st) : w->count;
}

const rni_st_tensor *rni_weights_at(const rni_weights *w, size_t index)
{
    return w->st ? rni_st_at(w->st, index) : &w->entries[index].common;
}

const char *rni_weights_path(const rni_weights *w)
{
    return w->st ? rni_st_path(w->st) : rni_torch_path(w->torch);
}

rn_status rni_weights_read_as(const rni_weights *w, const rni_st_tensor *t, rn_dtype to, void *dst)
{
    if (w->st)
        return rni_st_read_as(w->st, t, to, dst);
    return rni_torch_read_as(w->torch, ((const torch_entry *)(const void *)t)->tensor, t->name, to, dst);
}
