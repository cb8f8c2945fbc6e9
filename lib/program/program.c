/* SPDX-License-Identifier: MIT */
#include "program/program.h"
#include <string.h>

enum { CHUNK_SIZE = 16 * 1024, VALUE_ALIGN = 64 };

/* Head of a block that operands, params and paths live in. */
typedef struct chunk {
    struct chunk *next;
    uint64_t reserved; /* keeps what follows 16-byte aligned */
} chunk;

void rni_program_init(rni_program *p, const rn_allocator *allocator)
{
    memset(p, 0, sizeof *p);
    p->allocator = allocator;
}

void rni_program_free(rni_program *p)
{
    if (!p->allocator)
        return;
    for (chunk *c = p->chunks; c;) {
        chunk *const next = c->next;
        rni_free(p->allocator, c);
        c = next;
    }
    rni_free(p->allocator, p->values);
    rni_free(p->allocator, p->root);
    rni_free(p->allocator, p->ops);
    rni_program_init(p, p->allocator);
}

void *rni_program_memory(rni_program *p, size_t bytes)
{
    const size_t need = (bytes + 15) / 16 * 16;
    if (!p->chunks || p->chunk_used + need > p->chunk_size) {
        const size_t size = need > CHUNK_SIZE ? need : CHUNK_SIZE;
        chunk *const c = rni_calloc(p->allocator, 1, sizeof(chunk) + size);
        if (!c)
            return NULL;
        c->next = p->chunks;
        p->chunks = c;
        p->chunk_used = 0;
        p->chunk_size = size;
    }
    void *const memory = (char *)p->chunks + sizeof(chunk) + p->chunk_used;
    p->chunk_used += need;
    return memory;
}

const char *rni_program_text(rni_program *p, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *const copy = rni_program_memory(p, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

/* Makes room for one more entry; entries are `size` bytes. */
static rn_status grow(const rn_allocator *allocator, void **array, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return RN_OK;
    const uint32_t wanted = *capacity ? *capacity * 2 : 64;
    void *const grown = rni_realloc(allocator, *array, wanted * size);
    if (!grown)
        return rni_nomem("a program", wanted * size);
    *array = grown;
    *capacity = wanted;
    return RN_OK;
}

static rn_status grow_values(rni_program *p)
{
    uint32_t capacity = p->cap_values;
    RNI_TRY(grow(p->allocator, (void **)&p->root, p->num_values, &capacity, sizeof *p->root));
    return grow(p->allocator, (void **)&p->values, p->num_values, &p->cap_values, sizeof *p->values);
}

rn_status rni_program_value(rni_program *p, rn_dtype dtype, int32_t role, int32_t layout, int32_t rank,
                            const int64_t *dims, int batch, uint32_t *out)
{
    RNI_TRY(grow_values(p));
    rn_value v = {.struct_size = sizeof v, .dtype = dtype, .role = role, .layout = layout, .rank = rank};
    v.batch_axis = batch ? 0 : -1;
    size_t bytes = rn_dtype_size(dtype);
    for (int32_t i = 0; i < rank; i++) {
        v.dims[i] = dims[i];
        if (dims[i] < 0 || !rni_mul_size(bytes, (size_t)dims[i], &bytes) || bytes > (SIZE_MAX >> 2)) {
            char text[RNI_SHAPE_TEXT];
            return rni_fail(RN_E_SHAPE, "a value of shape %s is too large", rni_shape_text(text, rank, dims));
        }
    }
    v.bytes = bytes;
    *out = p->num_values;
    p->root[p->num_values] = p->num_values;
    p->values[p->num_values++] = v;
    return RN_OK;
}

rn_status rni_program_view(rni_program *p, uint32_t of, int32_t layout, int32_t rank, const int64_t *dims,
                           uint32_t *out)
{
    const rn_value viewed = p->values[of];
    uint32_t view;
    RNI_TRY(rni_program_value(p, viewed.dtype, viewed.role, layout, rank, dims, viewed.batch_axis == 0, &view));
    if (p->values[view].bytes != viewed.bytes)
        return rni_fail(RN_E_INTERNAL, "a view of %llu bytes on a value of %llu",
                        (unsigned long long)p->values[view].bytes, (unsigned long long)viewed.bytes);
    p->root[view] = p->root[of];
    *out = view;
    return RN_OK;
}

static const void *copy_into(rni_program *p, const void *data, size_t bytes)
{
    void *const memory = rni_program_memory(p, bytes ? bytes : 1);
    if (memory && bytes)
        memcpy(memory, data, bytes);
    return memory;
}

rn_status rni_program_append(rni_program *p, int32_t kind, uint32_t flags, const uint32_t *in, uint32_t num_in,
                             const uint32_t *out, uint32_t num_out, const void *params, size_t params_size,
                             const char *path)
{
    RNI_TRY(grow(p->allocator, (void **)&p->ops, p->num_ops, &p->cap_ops, sizeof *p->ops));
    rn_op op = {.struct_size = sizeof op, .kind = kind, .flags = flags, .num_in = num_in, .num_out = num_out};
    op.in = copy_into(p, in, num_in * sizeof *in);
    op.out = copy_into(p, out, num_out * sizeof *out);
    op.params = params_size ? copy_into(p, params, params_size) : NULL;
    op.params_size = params_size;
    op.path = rni_program_text(p, path);
    op.workspace = RN_NO_VALUE;
    if (!op.in || !op.out || !op.path || (params_size && !op.params))
        return rni_nomem("a program", params_size + (num_in + num_out) * sizeof *in);
    p->ops[p->num_ops++] = op;
    return RN_OK;
}
