/* SPDX-License-Identifier: MIT */
/* Writing safetensors. */
#include "base/io.h"
#include "format/safetensors.h"
#include "format/types.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Bytes fetched from a device, or turned to little-endian, at a time. */
enum { CHUNK = 256 * 1024 };

void rni_st_begin(rni_st_builder *b, const rn_allocator *allocator)
{
    *b = (rni_st_builder){.allocator = allocator};
}

void rni_st_end(rni_st_builder *b)
{
    for (size_t i = 0; i < b->num_items; i++)
        rni_free(b->allocator, b->items[i].name);
    for (size_t i = 0; i < b->num_pairs; i++) {
        rni_free(b->allocator, b->pairs[i].key);
        rni_free(b->allocator, b->pairs[i].value);
    }
    rni_free(b->allocator, b->items);
    rni_free(b->allocator, b->pairs);
    rni_st_begin(b, b->allocator);
}

rn_status rni_st_put_metadata(rni_st_builder *b, const char *key, const char *value)
{
    RNI_TRY(rni_grow(b->allocator, (void **)&b->pairs, b->num_pairs, &b->cap_pairs, sizeof *b->pairs, "metadata"));
    const rni_st_pair pair = {rni_strdup(b->allocator, key), rni_strdup(b->allocator, value)};
    if (pair.key && pair.value) {
        b->pairs[b->num_pairs++] = pair;
        return RN_OK;
    }
    rni_free(b->allocator, pair.key);
    rni_free(b->allocator, pair.value);
    return rni_nomem("metadata", strlen(key) + strlen(value));
}

static rn_status put(rni_st_builder *b, const char *name, rni_st_item item, const int64_t *dims)
{
    const rni_st_type *const type = rni_st_type_of(item.dtype);
    int64_t count;
    size_t bytes;
    if (!type)
        return rni_fail(RN_E_DTYPE, "%s: %s cannot be saved", name, rn_dtype_name(item.dtype));
    RNI_TRY(rni_shape_check(item.rank, dims, item.dtype, name, &count, &bytes));
    RNI_TRY(rni_grow(b->allocator, (void **)&b->items, b->num_items, &b->cap_items, sizeof *b->items, "a list of tensors"));
    item.name = rni_strdup(b->allocator, name);
    if (!item.name)
        return rni_nomem("a name", strlen(name) + 1);
    item.bytes = bytes;
    for (int32_t i = 0; i < item.rank; i++)
        item.dims[i] = dims[i];
    b->items[b->num_items++] = item;
    return RN_OK;
}

rn_status rni_st_put_host(rni_st_builder *b, const char *name, rn_dtype dtype, int32_t rank, const int64_t *dims,
                          const void *data)
{
    return put(b, name, (rni_st_item){.dtype = dtype, .rank = rank, .data = data}, dims);
}

rn_status rni_st_put_storage(rni_st_builder *b, const char *name, rn_dtype dtype, int32_t rank, const int64_t *dims,
                             const rni_storage *storage, uint64_t offset)
{
    const rni_st_item item = {.dtype = dtype, .rank = rank, .storage = storage, .offset = offset};
    return put(b, name, item, dims);
}

/* Larger elements first, so that all are aligned to their size; then by name. */
static int compare_items(const void *a, const void *b)
{
    const rni_st_item *const x = a, *const y = b;
    const size_t size_x = rn_dtype_size(x->dtype), size_y = rn_dtype_size(y->dtype);
    if (size_x != size_y)
        return size_x > size_y ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(((const rni_st_pair *)a)->key, ((const rni_st_pair *)b)->key);
}

static json_t *shape_json(const rni_st_item *item)
{
    json_t *const shape = json_array();
    for (int32_t i = 0; i < item->rank; i++)
        if (json_array_append_new(shape, json_integer(item->dims[i])) < 0)
            break; /* no memory: seen by the length */
    if (json_array_size(shape) == (size_t)item->rank)
        return shape;
    json_decref(shape);
    return NULL;
}

/* Adds one tensor's entry; 0 without memory. */
static int add_entry(json_t *header, const rni_st_item *item, uint64_t begin)
{
    return json_object_set_new(header, item->name,
                               json_pack("{s:s, s:o, s:[I, I]}", "dtype", rni_st_type_of(item->dtype)->name, "shape",
                                         shape_json(item), "data_offsets", (json_int_t)begin,
                                         (json_int_t)(begin + item->bytes))) == 0;
}

static int add_metadata(json_t *header, const rni_st_builder *b)
{
    json_t *const metadata = json_object();
    int ok = json_object_set_new(header, "__metadata__", metadata) == 0;
    for (size_t i = 0; ok && i < b->num_pairs; i++)
        ok = json_object_set_new(metadata, b->pairs[i].key, json_string(b->pairs[i].value)) == 0;
    return ok;
}

rn_status rni_st_check_text(const char *text)
{
    char line[RNI_ST_NAME_TEXT];
    json_t *const value = json_string(text);
    json_decref(value);
    return value ? RN_OK : rni_fail(RN_E_INVALID, "%s is not UTF-8 and cannot be saved", rni_st_name_text(line, text));
}

static rn_status check_texts(const rni_st_builder *b)
{
    for (size_t i = 0; i < b->num_items; i++)
        RNI_TRY(rni_st_check_text(b->items[i].name));
    for (size_t i = 0; i < b->num_pairs; i++)
        RNI_TRY(rni_st_check_text(b->pairs[i].value));
    return RN_OK;
}

/* 0 without memory. */
static int fill_header(json_t *header, const rni_st_builder *b)
{
    uint64_t begin = 0;
    int ok = b->num_pairs == 0 || add_metadata(header, b);
    for (size_t i = 0; ok && i < b->num_items; i++) {
        ok = add_entry(header, &b->items[i], begin);
        begin += b->items[i].bytes;
    }
    return ok;
}

/* The header's text, for free(). */
static rn_status make_header(const rni_st_builder *b, char **text)
{
    json_t *const header = json_object();
    const int filled = header && fill_header(header, b);
    /* Equal names replace each other. */
    const int unique = json_object_size(header) == b->num_items + (b->num_pairs != 0);
    *text = filled && unique ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (filled && !unique)
        return rni_fail(RN_E_INVALID, "two entries of a safetensors file have the same name");
    return *text ? RN_OK : rni_nomem("the header of a safetensors file", b->num_items * 100);
}

static rn_status write_header(rni_writer *w, const char *text)
{
    const size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    if (padded > RNI_ST_MAX_HEADER)
        return rni_fail(RN_E_INVALID, "a safetensors header of %zu bytes, expected at most %d", padded,
                        (int)RNI_ST_MAX_HEADER);
    unsigned char size[8];
    for (int i = 0; i < 8; i++)
        size[i] = (unsigned char)((uint64_t)padded >> 8 * i);
    RNI_TRY(rni_writer_write(w, size, sizeof size));
    RNI_TRY(rni_writer_write(w, text, length));
    return rni_writer_write(w, "        ", padded - length);
}

static rn_status fetch_raw(const rni_st_item *item, uint64_t done, void *dst, uint64_t bytes)
{
    if (item->data) {
        memcpy(dst, (const char *)item->data + done, bytes);
        return RN_OK;
    }
    rn_device *const dev = item->storage->dev;
    if (done == 0)
        RNI_TRY(rni_device_wait(dev));
    return dev->backend->copy_out(dev->dev, dev->queue, dst, (const char *)item->storage->data + item->offset + done,
                                  bytes);
}

rn_status rni_st_fetch(const rni_st_item *item, uint64_t done, void *dst, uint64_t bytes)
{
    const size_t size = rn_dtype_size(item->dtype);
    RNI_TRY(fetch_raw(item, done, dst, bytes));
    rni_st_swap(dst, size, (size_t)bytes / size);
    return RN_OK;
}

static rn_status write_item(rni_writer *w, const rni_st_item *item, void *buffer)
{
    for (uint64_t done = 0; done < item->bytes;) {
        const uint64_t bytes = item->bytes - done < CHUNK ? item->bytes - done : CHUNK;
        RNI_TRY(rni_st_fetch(item, done, buffer, bytes));
        RNI_TRY(rni_writer_write(w, buffer, (size_t)bytes));
        done += bytes;
    }
    return RN_OK;
}

static rn_status write_all(const rni_st_builder *b, rni_writer *w, const char *text)
{
    RNI_TRY(write_header(w, text));
    void *const buffer = rni_alloc(b->allocator, CHUNK);
    if (!buffer)
        return rni_nomem("writing a file", CHUNK);
    rn_status status = RN_OK;
    for (size_t i = 0; status >= 0 && i < b->num_items; i++)
        status = write_item(w, &b->items[i], buffer);
    rni_free(b->allocator, buffer);
    return status;
}

static rn_status save_text(const rni_st_builder *b, const char *path, const char *text)
{
    rni_writer *w;
    RNI_TRY(rni_writer_open(b->allocator, path, &w));
    const rn_status status = write_all(b, w, text);
    if (status >= 0)
        return rni_writer_commit(w);
    rni_writer_abort(w);
    return status;
}

rn_status rni_st_save(rni_st_builder *b, const char *path)
{
    if (b->num_items)
        qsort(b->items, b->num_items, sizeof *b->items, compare_items);
    if (b->num_pairs)
        qsort(b->pairs, b->num_pairs, sizeof *b->pairs, compare_pairs);
    RNI_TRY(check_texts(b));
    char *text;
    RNI_TRY(make_header(b, &text));
    const rn_status status = save_text(b, path, text);
    free(text);
    return status;
}
