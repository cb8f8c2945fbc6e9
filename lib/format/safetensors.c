/* SPDX-License-Identifier: MIT */
/* Reading safetensors: the header, checked as a whole. */
#include "format/safetensors.h"
#include "base/io.h"
#include "format/types.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct rni_st_file {
    const rn_allocator *allocator;
    char *path;
    rni_file *file;
    uint64_t size, data; /* of the file; where its data begin */
    json_t *header; /* names, type names and metadata point into it */
    json_t *metadata; /* borrowed from header, or NULL */
    rni_st_tensor *tensors;
    size_t count;
    int64_t *dims; /* of all tensors */
};

static rn_status malformed(const rni_st_file *f, const char *name, const char *what)
{
    char text[RNI_ST_NAME_TEXT];
    return rni_fail(RN_E_FORMAT, "%s: tensor %s: %s", f->path, rni_st_name_text(text, name), what);
}

static rn_status read_header_size(rni_st_file *f, uint64_t *n)
{
    unsigned char bytes[8];
    if (f->size < sizeof bytes)
        return rni_fail(RN_E_FORMAT, "%s: %llu bytes are too few for a safetensors file", f->path,
                        (unsigned long long)f->size);
    RNI_TRY(rni_file_read(f->file, 0, bytes, sizeof bytes));
    *n = 0;
    for (int i = 7; i >= 0; i--)
        *n = *n << 8 | bytes[i];
    if (*n > RNI_ST_MAX_HEADER)
        return rni_fail(RN_E_FORMAT, "%s: a header of %llu bytes, expected at most %d", f->path, (unsigned long long)*n,
                        (int)RNI_ST_MAX_HEADER);
    if (*n > f->size - sizeof bytes)
        return rni_fail(RN_E_FORMAT, "%s: a header of %llu bytes in a file of %llu", f->path, (unsigned long long)*n,
                        (unsigned long long)f->size);
    f->data = sizeof bytes + *n;
    return RN_OK;
}

static rn_status parse_json(rni_st_file *f, const char *text, size_t n)
{
    json_error_t error;
    char line[RNI_ST_NAME_TEXT];
    if (n == 0 || text[0] != '{')
        return rni_fail(RN_E_FORMAT, "%s: the header does not begin with '{'", f->path);
    f->header = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (f->header)
        return RN_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return rni_nomem("the header of a safetensors file", n);
    return rni_fail(RN_E_FORMAT, "%s: the header is not valid JSON at byte %d: %s", f->path, error.position,
                    rni_st_name_text(line, error.text));
}

static rn_status read_header(rni_st_file *f)
{
    uint64_t n = 0;
    RNI_TRY(read_header_size(f, &n));
    char *const text = rni_alloc(f->allocator, (size_t)n);
    if (!text)
        return rni_nomem("the header of a safetensors file", n);
    rn_status status = rni_file_read(f->file, 8, text, (size_t)n);
    if (status >= 0)
        status = parse_json(f, text, (size_t)n);
    rni_free(f->allocator, text);
    return status;
}

static rn_status take_metadata(rni_st_file *f)
{
    const char *key;
    json_t *value;
    f->metadata = json_object_get(f->header, "__metadata__");
    if (!f->metadata)
        return RN_OK;
    if (!json_is_object(f->metadata))
        return rni_fail(RN_E_FORMAT, "%s: __metadata__ is no object", f->path);
    json_object_foreach(f->metadata, key, value)
    {
        char text[RNI_ST_NAME_TEXT];
        if (!json_is_string(value))
            return rni_fail(RN_E_FORMAT, "%s: __metadata__: %s is no text", f->path, rni_st_name_text(text, key));
    }
    return RN_OK;
}

/* A whole number, 0 or more. */
static int get_size(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return 0;
    *out = (uint64_t)json_integer_value(value);
    return 1;
}

static rn_status take_shape(rni_st_file *f, rni_st_tensor *t, const json_t *shape, int64_t *dims)
{
    uint64_t count = 1;
    int zero = 0;
    if (!json_is_array(shape))
        return malformed(f, t->name, "no shape");
    t->rank = (int32_t)json_array_size(shape);
    t->dims = dims;
    for (int32_t i = 0; i < t->rank; i++) {
        uint64_t d;
        if (!get_size(json_array_get(shape, (size_t)i), &d))
            return malformed(f, t->name, "a size in its shape is no whole number");
        dims[i] = (int64_t)d;
        zero |= d == 0;
        if (d && count > (uint64_t)INT64_MAX / d)
            return malformed(f, t->name, "its shape overflows");
        count *= d ? d : 1;
    }
    t->count = zero ? 0 : (int64_t)count;
    return RN_OK;
}

static rn_status take_offsets(rni_st_file *f, rni_st_tensor *t, const json_t *offsets, uint64_t element)
{
    char text[RNI_ST_NAME_TEXT], shape[RNI_SHAPE_TEXT];
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !get_size(json_array_get(offsets, 0), &t->begin) ||
        !get_size(json_array_get(offsets, 1), &t->end))
        return malformed(f, t->name, "data_offsets are not two whole numbers");
    if (t->begin > t->end || t->end > f->size - f->data)
        return rni_fail(RN_E_FORMAT, "%s: tensor %s: data_offsets [%llu, %llu] in %llu bytes of data", f->path,
                        rni_st_name_text(text, t->name), (unsigned long long)t->begin, (unsigned long long)t->end,
                        (unsigned long long)(f->size - f->data));
    const uint64_t bytes = t->end - t->begin;
    if (bytes % element != 0 || bytes / element != (uint64_t)t->count)
        return rni_fail(RN_E_FORMAT, "%s: tensor %s: %llu bytes for %s of shape %s", f->path,
                        rni_st_name_text(text, t->name), (unsigned long long)bytes, t->dtype_name,
                        rni_st_shape_text(shape, t));
    return RN_OK;
}

static rn_status take_tensor(rni_st_file *f, const char *name, const json_t *entry, int64_t *dims)
{
    rni_st_tensor *const t = &f->tensors[f->count];
    *t = (rni_st_tensor){.name = name};
    if (!json_is_object(entry))
        return malformed(f, name, "its entry is no object");
    const char *const dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype)
        return malformed(f, name, "no dtype");
    const rni_st_type *const type = rni_st_type_named(dtype);
    if (!type)
        return malformed(f, name, "unknown dtype");
    t->dtype_name = type->name;
    t->dtype = type->dtype;
    RNI_TRY(take_shape(f, t, json_object_get(entry, "shape"), dims));
    RNI_TRY(take_offsets(f, t, json_object_get(entry, "data_offsets"), type->size));
    f->count++;
    return RN_OK;
}

/* Room for all tensors and their shapes. */
static rn_status make_tables(rni_st_file *f)
{
    const char *name;
    json_t *entry;
    size_t total = 0;
    json_object_foreach(f->header, name, entry) total += json_array_size(json_object_get(entry, "shape"));
    f->tensors = rni_calloc(f->allocator, json_object_size(f->header) + 1, sizeof *f->tensors);
    f->dims = rni_calloc(f->allocator, total + 1, sizeof *f->dims);
    if (!f->tensors || !f->dims)
        return rni_nomem("the header of a safetensors file", total * sizeof *f->dims);
    return RN_OK;
}

static rn_status take_tensors(rni_st_file *f)
{
    const char *name;
    json_t *entry;
    RNI_TRY(make_tables(f));
    int64_t *dims = f->dims;
    json_object_foreach(f->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        RNI_TRY(take_tensor(f, name, entry, dims));
        dims += f->tensors[f->count - 1].rank;
    }
    return RN_OK;
}

static int compare_places(const void *a, const void *b)
{
    const rni_st_tensor *const x = a, *const y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const rni_st_tensor *)a)->name, ((const rni_st_tensor *)b)->name);
}

/* By offset, the tensors must follow one another without a gap, from the first byte of the data to the last. */
static rn_status check_places(rni_st_file *f)
{
    uint64_t end = 0;
    qsort(f->tensors, f->count, sizeof *f->tensors, compare_places);
    for (size_t i = 0; i < f->count; i++) {
        if (f->tensors[i].begin > end)
            return malformed(f, f->tensors[i].name, "there is a hole before its data");
        if (f->tensors[i].begin < end)
            return malformed(f, f->tensors[i].name, "its data overlap another tensor's");
        end = f->tensors[i].end;
    }
    if (f->data + end != f->size)
        return rni_fail(RN_E_FORMAT, "%s: %llu bytes follow the last tensor", f->path,
                        (unsigned long long)(f->size - f->data - end));
    qsort(f->tensors, f->count, sizeof *f->tensors, compare_names);
    return RN_OK;
}

static rn_status load(rni_st_file *f, const char *path)
{
    f->path = rni_strdup(f->allocator, path);
    if (!f->path)
        return rni_nomem("a path", strlen(path) + 1);
    RNI_TRY(rni_file_open(f->allocator, path, &f->file, &f->size));
    RNI_TRY(read_header(f));
    RNI_TRY(take_metadata(f));
    RNI_TRY(take_tensors(f));
    return check_places(f);
}

rn_status rni_st_open(const rn_allocator *allocator, const char *path, rni_st_file **out)
{
    rni_st_file *const f = rni_calloc(allocator, 1, sizeof *f);
    if (!f)
        return rni_nomem("a safetensors file", sizeof *f);
    f->allocator = allocator;
    const rn_status status = load(f, path);
    if (status < 0) {
        rni_st_close(f);
        return status;
    }
    *out = f;
    return RN_OK;
}

void rni_st_close(rni_st_file *file)
{
    if (!file)
        return;
    if (file->file)
        rni_file_close(file->file);
    json_decref(file->header);
    rni_free(file->allocator, file->tensors);
    rni_free(file->allocator, file->dims);
    rni_free(file->allocator, file->path);
    rni_free(file->allocator, file);
}

size_t rni_st_count(const rni_st_file *file)
{
    return file->count;
}

const rni_st_tensor *rni_st_at(const rni_st_file *file, size_t index)
{
    return &file->tensors[index];
}

const rni_st_tensor *rni_st_find(const rni_st_file *file, const char *name)
{
    const rni_st_tensor key = {.name = name};
    return bsearch(&key, file->tensors, file->count, sizeof key, compare_names);
}

const char *rni_st_metadata(const rni_st_file *file, const char *key)
{
    return json_string_value(json_object_get(file->metadata, key));
}

const char *rni_st_path(const rni_st_file *file)
{
    return file->path;
}

rn_status rni_st_read(const rni_st_file *file, const rni_st_tensor *t, int64_t first, void *dst, int64_t count)
{
    const size_t size = rn_dtype_size(t->dtype);
    if (!size || first < 0 || count < 0 || first > t->count || count > t->count - first)
        return rni_fail(RN_E_INTERNAL, "a read of %lld elements from %lld on of tensor %s", (long long)count,
                        (long long)first, t->name);
    if (count == 0)
        return RN_OK;
    RNI_TRY(rni_file_read(file->file, file->data + t->begin + (uint64_t)first * size, dst, (size_t)count * size));
    rni_st_swap(dst, size, (size_t)count);
    return RN_OK;
}
