/* SPDX-License-Identifier: MIT */
/* Life of a model: collecting its state, placing it in flat storages, copying. */
#include "model/model.h"
#include "layer/layer.h"
#include "model/init.h"
#include <stdlib.h>
#include <string.h>

enum { STATE_ALIGN = 64 };

static uint64_t align_up(uint64_t bytes)
{
    return (bytes + STATE_ALIGN - 1) / STATE_ALIGN * STATE_ALIGN;
}

/* What collecting state entries keeps. */
typedef struct collector {
    rn_model *model;
    size_t capacity;
    uint64_t param_bytes, buffer_bytes;
    rni_state_decl *decls; /* parallel to model->states */
} collector;

static rn_status reserve(collector *c)
{
    rn_model *const m = c->model;
    if (m->num_states < c->capacity)
        return RN_OK;
    const size_t wanted = c->capacity ? c->capacity * 2 : 64;
    rni_state *const states = rni_realloc(&m->ctx->allocator, m->states, wanted * sizeof *states);
    if (!states)
        return rni_nomem("a model's state table", wanted * sizeof *states);
    m->states = states;
    rni_state_decl *const decls = rni_realloc(&m->ctx->allocator, c->decls, wanted * sizeof *decls);
    if (!decls)
        return rni_nomem("a model's state table", wanted * sizeof *decls);
    c->decls = decls;
    c->capacity = wanted;
    return RN_OK;
}

static rn_status collect_state(void *user, const rn_layer *layer, uint32_t slot, const char *name,
                               const rni_state_decl *decl)
{
    collector *const c = user;
    rn_model *const m = c->model;
    int64_t count;
    size_t nbytes;
    RNI_TRY(rni_shape_check(decl->shape.rank, decl->shape.dims, decl->dtype, name, &count, &nbytes));
    RNI_TRY(reserve(c));
    char *const copy = rni_strdup(&m->ctx->allocator, name);
    if (!copy)
        return rni_nomem("a state's name", strlen(name) + 1);
    uint64_t *const total = decl->kind == RN_STATE_PARAMETER ? &c->param_bytes : &c->buffer_bytes;
    rni_state *const s = &m->states[m->num_states];
    *s = (rni_state){.name = copy, .kind = decl->kind, .offset = *total, .layer = layer, .slot = slot};
    s->trainable = decl->kind == RN_STATE_PARAMETER;
    c->decls[m->num_states++] = *decl;
    *total += align_up(nbytes);
    return RN_OK;
}

/* The API wrote bytes of the parameters: entries of that kind that they touch are newer now. */
static void note_written(rn_model *m, int32_t kind, uint64_t offset, uint64_t bytes)
{
    for (size_t i = 0; i < m->num_states; i++) {
        const rni_state *const s = &m->states[i];
        if (s->kind == kind && s->offset < offset + bytes && offset < s->offset + rn_tensor_nbytes(s->value))
            rni_model_written(m, i);
    }
}

static void parameters_written(void *owner, uint64_t offset, uint64_t bytes)
{
    note_written(owner, RN_STATE_PARAMETER, offset, bytes);
}

static void buffers_written(void *owner, uint64_t offset, uint64_t bytes)
{
    note_written(owner, RN_STATE_BUFFER, offset, bytes);
}

static rn_status make_value(rn_model *m, size_t index, const rni_state_decl *decl)
{
    rni_state *const s = &m->states[index];
    rni_storage *const storage = s->kind == RN_STATE_PARAMETER ? m->params : m->buffers;
    return rni_tensor_view(storage, s->offset, decl->dtype, RN_LAYOUT_PLAIN, decl->shape.rank, decl->shape.dims,
                           &s->value);
}

static rn_status make_storages(rn_model *m, const collector *c)
{
    /* A storage of at least one line, so that addresses are never NULL. */
    RNI_TRY(rni_storage_create(m->dev, c->param_bytes + STATE_ALIGN, "the parameters of a model", &m->params));
    RNI_TRY(rni_storage_create(m->dev, c->buffer_bytes + STATE_ALIGN, "the buffers of a model", &m->buffers));
    for (size_t i = 0; i < m->num_states; i++)
        RNI_TRY(make_value(m, i, &c->decls[i]));
    m->params->owner = m->buffers->owner = m;
    m->params->written = parameters_written;
    m->buffers->written = buffers_written;
    return RN_OK;
}

static int compare_names(const void *a, const void *b)
{
    const rni_state *const x = *(rni_state *const *)a, *const y = *(rni_state *const *)b;
    return strcmp(x->name, y->name);
}

/* Fills by_name and finds names that occur twice. */
static rn_status index_names(rn_model *m)
{
    const rn_allocator *const allocator = &m->ctx->allocator;
    const size_t n = m->num_states;
    rni_state **const sorted = rni_calloc(allocator, n + 1, sizeof *sorted);
    m->by_name = rni_calloc(allocator, n + 1, sizeof *m->by_name);
    if (!sorted || !m->by_name) {
        rni_free(allocator, sorted);
        return rni_nomem("a model's state table", n * sizeof *sorted);
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = &m->states[i];
    qsort(sorted, n, sizeof *sorted, compare_names);
    rn_status status = RN_OK;
    for (size_t i = 0; i < n; i++) {
        m->by_name[i] = (uint32_t)(sorted[i] - m->states);
        if (i && status == RN_OK && strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
            status = rni_fail(RN_E_INVALID, "root: two parameters or buffers are named '%s'", sorted[i]->name);
    }
    rni_free(allocator, sorted);
    return status;
}

static rn_status build(rn_model *m, collector *c)
{
    RNI_TRY(rni_layer_check_child(NULL, m->root));
    RNI_TRY(rni_layer_states(m->root, "", collect_state, c));
    RNI_TRY(index_names(m));
    return make_storages(m, c);
}

static rn_status create_bare(rn_context *ctx, rn_layer *root, rn_device *dev, rn_model **out)
{
    rn_model *const m = rni_calloc(&ctx->allocator, 1, sizeof *m);
    if (!m)
        return rni_nomem("a model", sizeof *m);
    atomic_init(&m->references, 1);
    atomic_init(&m->users, 0);
    m->ctx = rn_context_retain(ctx);
    m->dev = dev;
    m->root = rn_layer_retain(root);
    m->clock = 1;
    collector c = {.model = m};
    const rn_status status = build(m, &c);
    rni_free(&ctx->allocator, c.decls);
    if (status < 0) {
        rn_model_release(m);
        return status;
    }
    *out = m;
    return RN_OK;
}

rn_status rn_model_create(rn_context *ctx, rn_layer *root, rn_device *dev, rn_model **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(root);
    RNI_REQUIRE(dev);
    RNI_REQUIRE(out);
    if (rn_device_context(dev) != ctx)
        return rni_fail(RN_E_DEVICE, "dev: %s belongs to another context", rn_device_name(dev));
    rn_model *m = NULL;
    RNI_TRY(create_bare(ctx, root, dev, &m));
    const rn_status status = rn_model_init(m, ctx->seed);
    if (status < 0) {
        rn_model_release(m);
        return status;
    }
    rni_layer_freeze(root);
    *out = m;
    return RN_OK;
}

rn_model *rn_model_retain(rn_model *m)
{
    if (m)
        rni_reference(&m->references);
    return m;
}

/* Tensors that the host still holds must not tell a model that is gone. */
static void release_storage(rni_storage *storage)
{
    if (storage)
        storage->written = NULL;
    rni_storage_release(storage);
}

void rn_model_release(rn_model *m)
{
    if (!m || !rni_unreference(&m->references))
        return;
    rn_context *const ctx = m->ctx;
    for (size_t i = 0; i < m->num_states; i++) {
        rn_tensor_release(m->states[i].value);
        rn_tensor_release(m->states[i].grad);
        rni_free(&ctx->allocator, m->states[i].name);
    }
    rni_free(&ctx->allocator, m->states);
    rni_free(&ctx->allocator, m->by_name);
    release_storage(m->params);
    rni_storage_release(m->grads);
    release_storage(m->buffers);
    rn_layer_release(m->root);
    rni_free(&ctx->allocator, m);
    rn_context_release(ctx);
}

rn_device *rn_model_device(const rn_model *m)
{
    return m ? m->dev : NULL;
}

rn_layer *rn_model_root(const rn_model *m)
{
    return m ? m->root : NULL;
}

rn_status rn_model_copy(const rn_model *m, rn_device *dev, rn_model **out)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(dev);
    RNI_REQUIRE(out);
    RNI_TRY(rni_model_expect_values(m, "rn_model_copy"));
    rn_model *copy = NULL;
    RNI_TRY(create_bare(rn_device_context(dev), m->root, dev, &copy));
    rn_status status = RN_OK;
    for (size_t i = 0; i < m->num_states && status == RN_OK; i++) {
        copy->states[i].trainable = m->states[i].trainable;
        status = rn_tensor_copy(m->states[i].value, copy->states[i].value);
    }
    if (status < 0) {
        rn_model_release(copy);
        return status;
    }
    *out = copy;
    return RN_OK;
}
