/* SPDX-License-Identifier: MIT */
/* Elements of tensors in files of torch.save(): through strides, as the type that is wanted. */
#include "base/io.h"
#include "format/safetensors.h"
#include "format/torch_storage.h"
#include <string.h>

/* Elements per step of a conversion. */
enum { CHUNK = 1024 };

/* A tensor being read from its first element to its last. */
typedef struct walk {
    const rni_torch_file *file;
    const rni_py_tensor *t;
    size_t size;      /* bytes of an element */
    uint64_t begin;   /* of the tensor's first element, in the file */
    const char *span; /* NULL: contiguous, read as it lies; else from the first element on */
    int64_t index[RNI_PY_MAX_RANK], place; /* of the next element, in the span */
} walk;

static int contiguous(const rni_py_tensor *t)
{
    int64_t expected = 1;
    for (int32_t i = t->rank; i > 0; i--) {
        if (t->dims[i - 1] != 1 && t->strides[i - 1] != expected)
            return 0;
        expected *= t->dims[i - 1];
    }
    return 1;
}

/* Elements from the first to the one that lies last: inside the storage, as was checked when the tensor was made. */
static size_t span_elements(const rni_py_tensor *t)
{
    size_t last = 0;
    for (int32_t i = 0; i < t->rank; i++)
        last += (size_t)(t->dims[i] - 1) * (size_t)t->strides[i];
    return last + 1;
}

static void step(walk *w)
{
    for (int32_t i = w->t->rank; i > 0; i--) {
        w->place += w->t->strides[i - 1];
        if (++w->index[i - 1] < w->t->dims[i - 1])
            return;
        w->place -= w->t->strides[i - 1] * w->t->dims[i - 1];
        w->index[i - 1] = 0;
    }
}

/* The next `count` elements, the first of which has number `first`. */
static rn_status fetch(walk *w, int64_t first, void *dst, size_t count)
{
    if (!w->span)
        RNI_TRY(rni_file_read(w->file->file, w->begin + (uint64_t)first * w->size, dst, count * w->size));
    for (size_t i = 0; w->span && i < count; i++) {
        memcpy((char *)dst + i * w->size, w->span + (size_t)w->place * w->size, w->size);
        step(w);
    }
    rni_st_swap(dst, w->size, count);
    return RN_OK;
}

static rn_status read_all(walk *w, rn_dtype to, void *dst)
{
    const rn_dtype from = w->t->storage->type->dtype;
    int64_t buffer[CHUNK]; /* of the widest type */
    for (int64_t first = 0; first < w->t->count; first += CHUNK) {
        const int64_t left = w->t->count - first;
        const size_t count = (size_t)(left < CHUNK ? left : CHUNK);
        RNI_TRY(fetch(w, first, buffer, count));
        rni_st_convert(buffer, from, (char *)dst + (size_t)first * rn_dtype_size(to), to, count);
    }
    return RN_OK;
}

/* A tensor whose elements do not follow one another is gathered from memory: never more than its storage. */
static rn_status read_scattered(walk *w, rn_dtype to, void *dst)
{
    const size_t bytes = span_elements(w->t) * w->size;
    char *const span = rni_alloc(w->file->allocator, bytes);
    if (!span)
        return rni_nomem("a tensor with strides", bytes);
    w->span = span;
    rn_status status = rni_file_read(w->file->file, w->begin, span, bytes);
    if (status >= 0)
        status = read_all(w, to, dst);
    rni_free(w->file->allocator, span);
    return status;
}

static rn_status read_tensor(const rni_torch_file *f, const rni_py_tensor *t, rn_dtype to, void *dst)
{
    walk w = {.file = f, .t = t, .size = t->storage->type->size};
    RNI_TRY(rni_torch_storage(f, t->storage, &w.begin));
    if (t->count == 0)
        return RN_OK;
    w.begin += (uint64_t)t->offset * w.size;
    return contiguous(t) ? read_all(&w, to, dst) : read_scattered(&w, to, dst);
}

rn_status rni_torch_read_as(const rni_torch_file *f, const rni_py_tensor *t, const char *name, rn_dtype to, void *dst)
{
    char text[RNI_ST_NAME_TEXT];
    const rni_st_type *const type = t->storage->type;
    if (!type->dtype || !rni_st_convertible(type->dtype, to))
        return rni_fail(RN_E_DTYPE, "%s: %s is %s, which is not read as %s", f->path, rni_st_name_text(text, name),
                        type->name, rn_dtype_name(to));
    const rn_status status = read_tensor(f, t, to, dst);
    if (status >= 0 || status == RN_E_NOMEM)
        return status;
    return rni_torch_name_path(f, rni_fail_prefix(status, "%s", rni_st_name_text(text, name)));
}
