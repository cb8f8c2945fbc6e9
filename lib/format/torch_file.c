/* SPDX-License-Identifier: MIT */
/* Opening files of torch.save(), both forms, and finding storages in them. */
#include "format/torch_file.h"
#include "base/io.h"
#include "format/torch_storage.h"
#include <stdlib.h>
#include <string.h>

/* The first pickle of the older form: the number 0x1950a86a20f9469cfc6c. The second one: 1001. */
static const unsigned char legacy_magic[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                             0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e};
enum { LEGACY_PROTOCOL = 1001 };

int rni_torch_begins(const unsigned char bytes[RNI_TORCH_MAGIC])
{
    const int zip = memcmp(bytes, RNI_ZIP_MAGIC, sizeof RNI_ZIP_MAGIC - 1) == 0;
    return bytes[8] != '{' && (zip || (bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5));
}

/* Reads `size` bytes at `offset`, to be kept for the values that point into them. */
static rn_status read_bytes(rni_torch_file *f, uint64_t offset, size_t size)
{
    f->bytes = rni_alloc(f->allocator, size);
    if (!f->bytes)
        return rni_nomem("a pickle", size);
    return rni_file_read(f->file, offset, f->bytes, size);
}

/* --- zip --- */

/* "<folder>/data.pkl"; its folder goes before the names of all entries. */
static const rni_zip_entry *find_pickle(const rni_zip *zip, size_t *folder)
{
    static const char name[] = "data.pkl";
    for (size_t i = 0; i < rni_zip_count(zip); i++) {
        const rni_zip_entry *const e = rni_zip_at(zip, i);
        const char *const slash = memchr(e->name, '/', e->name_length);
        *folder = slash ? (size_t)(slash - e->name) + 1 : 0;
        if (e->name_length == *folder + sizeof name - 1 && memcmp(e->name + *folder, name, sizeof name - 1) == 0)
            return e;
    }
    return NULL;
}

/* Finds the bytes of an entry once its CRC-32 was compared. */
static rn_status use_entry(const rni_torch_file *f, const rni_zip_entry *e, uint64_t *offset)
{
    const size_t index = (size_t)(e - rni_zip_at(f->zip, 0));
    RNI_TRY(rni_zip_locate(f->zip, e, offset));
    if (!f->checked[index])
        RNI_TRY(rni_zip_check(f->zip, e, *offset));
    f->checked[index] = 1;
    return RN_OK;
}

static const rni_zip_entry *find_entry(const rni_torch_file *f, const char *part, const char *name, size_t length)
{
    rni_text whole = {.allocator = f->allocator};
    rni_text_append(&whole, "%.*s%s%.*s", (int)f->folder_length, f->folder, part, (int)length, name);
    const rni_zip_entry *const e = whole.failed ? NULL : rni_zip_find(f->zip, whole.data, whole.length);
    rni_text_free(&whole);
    return e;
}

static rn_status check_byte_order(const rni_torch_file *f)
{
    char order[7] = "";
    uint64_t offset = 0;
    const rni_zip_entry *const e = find_entry(f, "byteorder", "", 0);
    if (!e)
        return RN_OK;
    RNI_TRY(use_entry(f, e, &offset));
    if (e->size == 6)
        RNI_TRY(rni_file_read(f->file, offset, order, 6));
    return strcmp(order, "little") == 0
               ? RN_OK
               : rni_fail(RN_E_UNSUPPORTED, "its numbers are not little-endian");
}

static rn_status open_zip(rni_torch_file *f)
{
    uint64_t offset;
    RNI_TRY(rni_zip_open(f->allocator, f->file, f->size, &f->zip));
    const rni_zip_entry *const e = find_pickle(f->zip, &f->folder_length);
    if (!e)
        return rni_fail(RN_E_FORMAT, "a zip archive without data.pkl: not written by torch.save()");
    f->folder = e->name;
    if (e->size > RNI_TORCH_MAX_PICKLE)
        return rni_fail(RN_E_UNSUPPORTED, "data.pkl has %llu bytes, expected at most %d", (unsigned long long)e->size,
                        (int)RNI_TORCH_MAX_PICKLE);
    f->checked = rni_calloc(f->allocator, rni_zip_count(f->zip), 1);
    if (!f->checked)
        return rni_nomem("the entries of a zip archive", rni_zip_count(f->zip));
    RNI_TRY(check_byte_order(f));
    RNI_TRY(use_entry(f, e, &offset));
    RNI_TRY(read_bytes(f, offset, (size_t)e->size));
    const rn_status status = rni_py_read(&f->py, f->bytes, (size_t)e->size, NULL, &f->root);
    return status < 0 && status != RN_E_NOMEM ? rni_fail_prefix(status, "data.pkl") : status;
}

static rn_status find_in_zip(const rni_torch_file *f, const rni_py_storage *s, uint64_t *begin, uint64_t *bytes)
{
    const rni_zip_entry *const e = find_entry(f, "data/", s->key.u.text, s->key.length);
    if (!e)
        return rni_fail(RN_E_FORMAT, "there is no entry data/%.*s for a tensor", (int)(s->key.length % 60),
                        s->key.u.text);
    *bytes = e->size;
    return use_entry(f, e, begin);
}

/* --- the older form --- */

static int compare_keys(const rni_py_value *a, const rni_py_value *b)
{
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->u.text, b->u.text, a->length);
}

static int compare_places(const void *a, const void *b)
{
    return compare_keys(&((const rni_torch_place *)a)->storage->key, &((const rni_torch_place *)b)->storage->key);
}

static rni_torch_place *find_place(const rni_torch_file *f, const rni_py_value *key)
{
    const rni_py_storage wanted = {.key = *key};
    const rni_torch_place place = {.storage = &wanted};
    return bsearch(&place, f->places, f->num_places, sizeof place, compare_places);
}

/* A place per storage that the pickle knows, sorted by key; storages of one key are one. */
static rn_status make_places(rni_torch_file *f)
{
    f->places = rni_calloc(f->allocator, f->py.num_storages + 1, sizeof *f->places);
    if (!f->places)
        return rni_nomem("the storages of a file", f->py.num_storages * sizeof *f->places);
    size_t count = 0;
    for (const rni_py_storage *s = f->py.storages; s; s = s->next)
        f->places[count++].storage = s;
    qsort(f->places, count, sizeof *f->places, compare_places);
    for (size_t i = 0; i < count; i++)
        if (!f->num_places || compare_places(&f->places[f->num_places - 1], &f->places[i]) != 0)
            f->places[f->num_places++] = f->places[i];
    return RN_OK;
}

/* A storage: its number of elements, i64, then they. Moves `offset` behind it. */
static rn_status take_place(rni_torch_file *f, const rni_py_value *key, uint64_t *offset)
{
    unsigned char b[8];
    uint64_t count = 0, bytes;
    rni_torch_place *const place =
        key->kind == RNI_PY_TEXT || key->kind == RNI_PY_BYTES ? find_place(f, key) : NULL;
    if (!place)
        return rni_fail(RN_E_FORMAT, "its list of storages names one that no tensor uses");
    RNI_TRY(rni_file_read(f->file, *offset, b, sizeof b));
    for (int i = 7; i >= 0; i--)
        count = count << 8 | b[i];
    *offset += sizeof b;
    if (count != (uint64_t)place->storage->count || __builtin_mul_overflow(count, place->storage->type->size, &bytes) ||
        bytes > f->size - *offset)
        return rni_fail(RN_E_FORMAT, "ends early, or a storage has %llu elements where the pickle says %lld",
                        (unsigned long long)count, (long long)place->storage->count);
    *place = (rni_torch_place){.storage = place->storage, .begin = *offset, .bytes = bytes, .known = 1};
    *offset += bytes;
    return RN_OK;
}

static rn_status check_system(const rni_py_value *version, const rni_py_value *system)
{
    const rni_py_value *const little = rni_py_get(system, "little_endian");
    if (version->kind != RNI_PY_INT || version->u.number != LEGACY_PROTOCOL)
        return rni_fail(RN_E_VERSION, "a file of torch.save() of another version than %d", (int)LEGACY_PROTOCOL);
    if (little && (little->kind != RNI_PY_BOOL || !little->u.number))
        return rni_fail(RN_E_UNSUPPORTED, "its numbers are not little-endian");
    return RN_OK;
}

/* Version, system, what was saved, keys of storages: one pickle after another. */
static rn_status read_pickles(rni_torch_file *f, size_t size, rni_py_value *keys, size_t *end)
{
    rni_py_value version, system;
    rni_py_value *const values[] = {&version, &system, &f->root, keys};
    *end = sizeof legacy_magic;
    for (int i = 0; i < 4; i++) {
        size_t used;
        const rn_status status = rni_py_read(&f->py, f->bytes + *end, size - *end, &used, values[i]);
        if (status < 0)
            return status == RN_E_NOMEM ? status : rni_fail_prefix(status, "pickle %d from byte %zu", i + 2, *end);
        if (i == 1)
            RNI_TRY(check_system(&version, &system));
        *end += used;
    }
    return keys->kind == RNI_PY_LIST ? RN_OK : rni_fail(RN_E_FORMAT, "it has no list of storages");
}

static rn_status open_legacy(rni_torch_file *f)
{
    const size_t size = (size_t)(f->size < RNI_TORCH_MAX_PICKLE ? f->size : RNI_TORCH_MAX_PICKLE);
    rni_py_value keys;
    size_t end;
    RNI_TRY(read_bytes(f, 0, size));
    if (size < sizeof legacy_magic || memcmp(f->bytes, legacy_magic, sizeof legacy_magic) != 0)
        return rni_fail(RN_E_FORMAT, "a pickle, but not written by torch.save()");
    RNI_TRY(read_pickles(f, size, &keys, &end));
    RNI_TRY(make_places(f));
    uint64_t offset = end;
    for (size_t i = 0; i < keys.u.items->count; i++)
        RNI_TRY(take_place(f, &keys.u.items->at[i], &offset));
    return RN_OK;
}

static rn_status find_in_legacy(const rni_torch_file *f, const rni_py_storage *s, uint64_t *begin, uint64_t *bytes)
{
    const rni_torch_place *const place = find_place(f, &s->key);
    if (!place || !place->known)
        return rni_fail(RN_E_FORMAT, "a tensor's storage is not in its list of storages");
    *begin = place->begin;
    *bytes = place->bytes;
    return RN_OK;
}

/* --- both --- */

rn_status rni_torch_storage(const rni_torch_file *f, const rni_py_storage *s, uint64_t *begin)
{
    uint64_t bytes = 0, wanted;
    RNI_TRY(f->zip ? find_in_zip(f, s, begin, &bytes) : find_in_legacy(f, s, begin, &bytes));
    if (__builtin_mul_overflow((uint64_t)s->count, s->type->size, &wanted) || wanted != bytes)
        return rni_fail(RN_E_FORMAT, "a storage has %llu bytes, expected %lld elements of %s", (unsigned long long)bytes,
                        (long long)s->count, s->type->name);
    return RN_OK;
}

rn_status rni_torch_name_path(const rni_torch_file *f, rn_status status)
{
    const size_t length = strlen(f->path);
    if (status >= 0 || status == RN_E_NOMEM || strncmp(rn_error_message(), f->path, length) == 0)
        return status;
    return rni_fail_prefix(status, "%s", f->path);
}

static rn_status load(rni_torch_file *f, const char *path)
{
    unsigned char magic[RNI_TORCH_MAGIC] = {0};
    f->path = rni_strdup(f->allocator, path);
    if (!f->path)
        return rni_nomem("a path", strlen(path) + 1);
    RNI_TRY(rni_file_open(f->allocator, path, &f->file, &f->size));
    if (f->size >= sizeof magic)
        RNI_TRY(rni_file_read(f->file, 0, magic, sizeof magic));
    if (!rni_torch_begins(magic))
        return rni_fail(RN_E_FORMAT, "neither a zip archive nor a pickle: not written by torch.save()");
    return magic[0] == 0x80 ? open_legacy(f) : open_zip(f);
}

rn_status rni_torch_open(const rn_allocator *allocator, const char *path, rni_torch_file **out)
{
    rni_torch_file *const f = rni_calloc(allocator, 1, sizeof *f);
    if (!f)
        return rni_nomem("a file of torch.save()", sizeof *f);
    f->allocator = allocator;
    rni_py_begin(&f->py, allocator);
    rn_status status = load(f, path);
    if (status < 0) {
        status = f->path ? rni_torch_name_path(f, status) : status;
        rni_torch_close(f);
        return status;
    }
    *out = f;
    return RN_OK;
}

void rni_torch_close(rni_torch_file *f)
{
    if (!f)
        return;
    rni_zip_close(f->zip);
    if (f->file)
        rni_file_close(f->file);
    rni_py_end(&f->py);
    rni_free(f->allocator, f->places);
    rni_free(f->allocator, f->checked);
    rni_free(f->allocator, f->bytes);
    rni_free(f->allocator, f->path);
    rni_free(f->allocator, f);
}

const rni_py_value *rni_torch_root(const rni_torch_file *f)
{
    return &f->root;
}

const char *rni_torch_path(const rni_torch_file *f)
{
    return f->path;
}

static int has_tensor(const rni_py_value *dict)
{
    for (size_t i = 1; i < dict->u.items->count; i += 2)
        if (dict->u.items->at[i].kind == RNI_PY_TENSOR)
            return 1;
    return 0;
}

static const rni_py_value *find_below(const rni_py_value *dict, const char *const *names, const char *first,
                                      const char *second, int depth)
{
    if (dict->kind != RNI_PY_DICT)
        return NULL;
    for (size_t i = 0; names[i] && depth > 0; i++) {
        const rni_py_value *const inner = rni_py_get(dict, names[i]);
        const rni_py_value *const found = inner ? find_below(inner, names, first, second, depth - 1) : NULL;
        if (found)
            return found;
    }
    return (second ? rni_py_get(dict, first) && rni_py_get(dict, second) : has_tensor(dict)) ? dict : NULL;
}

const rni_py_value *rni_torch_find(const rni_torch_file *f, const char *const *names, const char *first,
                                   const char *second)
{
    return find_below(&f->root, names, first, second, 2);
}
