/* SPDX-License-Identifier: MIT */
/* Values of pickles: their memory, lists and dictionaries, texts. */
#include "format/pickle.h"
#include <string.h>

enum { BLOCK_BYTES = 16 * 1024, ALIGN = 16 };

/* Bytes of memory per byte of pickle, what every pickle may use besides, and what none may exceed. */
enum { PICKLE_FACTOR = 32, PICKLE_ALLOWANCE = 1 << 20, PICKLE_MOST = 128 << 20 };

typedef struct rni_py_block {
    struct rni_py_block *next;
    size_t size;
    _Alignas(ALIGN) char bytes[];
} block;

void rni_py_begin(rni_py_reader *py, const rn_allocator *allocator)
{
    *py = (rni_py_reader){.allocator = allocator};
}

void rni_py_end(rni_py_reader *py)
{
    while (py->blocks) {
        block *const next = py->blocks->next;
        rni_free(py->allocator, py->blocks);
        py->blocks = next;
    }
    rni_py_begin(py, py->allocator);
}

rn_status rni_py_count(rni_py_reader *py, uint64_t bytes)
{
    const uint64_t earned = PICKLE_ALLOWANCE + PICKLE_FACTOR * py->read;
    const uint64_t limit = earned < PICKLE_MOST ? earned : PICKLE_MOST;
    if (bytes > limit || py->used > limit - bytes)
        return rni_fail(RN_E_FORMAT, "the first %llu bytes of a pickle make values of more than %llu bytes",
                        (unsigned long long)py->read, (unsigned long long)limit);
    py->used += bytes;
    return RN_OK;
}

/* A block for one large piece goes behind the first one, whose room stays in use. */
static rn_status new_block(rni_py_reader *py, size_t size, block **out)
{
    RNI_TRY(rni_py_count(py, size));
    block *const b = rni_alloc(py->allocator, sizeof *b + size);
    if (!b)
        return rni_nomem("values of a pickle", size);
    b->size = size;
    if (size > BLOCK_BYTES && py->blocks) {
        b->next = py->blocks->next;
        py->blocks->next = b;
    } else {
        b->next = py->blocks;
        py->blocks = b;
        py->room = size;
    }
    *out = b;
    return RN_OK;
}

rn_status rni_py_alloc(rni_py_reader *py, size_t bytes, void **out)
{
    block *b = py->blocks;
    size_t size;
    if (!rni_add_size(bytes, ALIGN - 1, &size))
        return rni_nomem("values of a pickle", bytes);
    size -= size % ALIGN;
    if (size > BLOCK_BYTES) {
        const int first = !py->blocks;
        RNI_TRY(new_block(py, size, &b));
        if (first)
            py->room = 0;
        *out = b->bytes;
        return RN_OK;
    }
    if (!b || size > py->room)
        RNI_TRY(new_block(py, BLOCK_BYTES, &b));
    *out = b->bytes + (b->size - py->room);
    py->room -= size;
    return RN_OK;
}

rn_status rni_py_new_items(rni_py_reader *py, rni_py_kind kind, rni_py_value *out)
{
    void *items = NULL;
    RNI_TRY(rni_py_alloc(py, sizeof(rni_py_items), &items));
    memset(items, 0, sizeof(rni_py_items));
    *out = (rni_py_value){.kind = kind, .u.items = items};
    return RN_OK;
}

rn_status rni_py_append(rni_py_reader *py, rni_py_items *items, const rni_py_value *values, size_t count)
{
    if (count > items->capacity - items->count) {
        const size_t doubled = items->capacity * 2, needed = items->count + count;
        const size_t capacity = doubled > needed ? doubled : needed;
        void *grown = NULL;
        RNI_TRY(rni_py_alloc(py, capacity * sizeof *values, &grown));
        if (items->count)
            memcpy(grown, items->at, items->count * sizeof *values);
        items->at = grown;
        items->capacity = capacity;
    }
    if (count)
        memcpy(items->at + items->count, values, count * sizeof *values);
    items->count += count;
    return RN_OK;
}

int rni_py_is(const rni_py_value *v, const char *text)
{
    return (v->kind == RNI_PY_TEXT || v->kind == RNI_PY_BYTES) && strlen(text) == v->length &&
           memcmp(v->u.text, text, v->length) == 0;
}

const rni_py_value *rni_py_get(const rni_py_value *dict, const char *key)
{
    if (dict->kind != RNI_PY_DICT)
        return NULL;
    for (size_t i = dict->u.items->count; i >= 2; i -= 2)
        if (rni_py_is(&dict->u.items->at[i - 2], key))
            return &dict->u.items->at[i - 1];
    return NULL;
}

int rni_py_number(const rni_py_value *v, double *out)
{
    if (v->kind != RNI_PY_FLOAT && v->kind != RNI_PY_INT && v->kind != RNI_PY_BOOL)
        return 0;
    *out = v->kind == RNI_PY_FLOAT ? v->u.real : (double)v->u.number;
    return 1;
}

/* Lengths of a character by the upper bits of its first byte; the smallest character that needs this length. */
int32_t rni_py_utf8(const char **at, const char *end)
{
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char first = (unsigned char)*(*at)++;
    if (first < 0x80)
        return first;
    const int more = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 ? 3 : 0;
    int32_t code = first & (0x3f >> more);
    if (!more || end - *at < more)
        return -1;
    for (int i = 0; i < more; i++) {
        const unsigned char next = (unsigned char)*(*at)++;
        if ((next & 0xc0) != 0x80)
            return -1;
        code = code << 6 | (next & 0x3f);
    }
    return code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? -1 : code;
}
