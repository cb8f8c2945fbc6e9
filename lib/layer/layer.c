/* SPDX-License-Identifier: MIT */
#include "layer/layer.h"
#include <stdio.h>
#include <string.h>

/* A tree with more visits than this is refused: shared subtrees can double at every level. */
enum { MAX_VISITS = 1 << 20 };

rn_status rni_layer_create(rn_context *ctx, const rni_layer_class *cls, rn_layer **out)
{
    rn_layer *const layer = rni_calloc(&ctx->allocator, 1, sizeof *layer);
    if (!layer)
        return rni_nomem("a layer", sizeof *layer);
    atomic_init(&layer->references, 1);
    layer->ctx = rn_context_retain(ctx);
    layer->cls = cls;
    *out = layer;
    return RN_OK;
}

rn_layer *rn_layer_retain(rn_layer *layer)
{
    if (layer)
        rni_reference(&layer->references);
    return layer;
}

void rn_layer_release(rn_layer *layer)
{
    if (!layer || !rni_unreference(&layer->references))
        return;
    rn_context *const ctx = layer->ctx;
    for (size_t i = 0; i < layer->num_children; i++) {
        rn_layer_release(layer->children[i].layer);
        rni_free(&ctx->allocator, layer->children[i].name);
    }
    rni_free(&ctx->allocator, layer->children);
    rni_free(&ctx->allocator, layer);
    rn_context_release(ctx);
}

rn_status rni_layer_add_child(rn_layer *layer, const char *name, rn_layer *child)
{
    const rn_allocator *const allocator = &layer->ctx->allocator;
    if (layer->num_children == layer->cap_children) {
        const size_t wanted = layer->cap_children ? layer->cap_children * 2 : 4;
        rni_child *const grown = rni_realloc(allocator, layer->children, wanted * sizeof *grown);
        if (!grown)
            return rni_nomem("a layer's children", wanted * sizeof *grown);
        layer->children = grown;
        layer->cap_children = wanted;
    }
    char *const copy = rni_strdup(allocator, name);
    if (!copy)
        return rni_nomem("a layer's name", strlen(name) + 1);
    layer->children[layer->num_children++] = (rni_child){copy, rn_layer_retain(child)};
    rni_layer_raise_level(child, layer->level + 1);
    return RN_OK;
}

rn_status rni_layer_check_name(const char *name)
{
    if (strlen(name) >= RNI_PATH_SIZE / 2)
        return rni_fail(RN_E_INVALID, "name '%.40s...' is longer than %d bytes", name, RNI_PATH_SIZE / 2 - 1);
    for (const char *c = name; *c; c++)
        if (*c == '.' || (unsigned char)*c <= ' ')
            return rni_fail(RN_E_INVALID, "name '%s' holds a dot, a blank or a control character", name);
    return RN_OK;
}

static rn_status search(const rn_layer *from, const rn_layer *wanted, int32_t level, int32_t *visits)
{
    if (from == wanted)
        return rni_fail(RN_E_INVALID, "child: the layer would contain itself");
    if (level > RNI_MAX_DEPTH)
        return rni_fail(RN_E_INVALID, "child: layers nest deeper than %d", RNI_MAX_DEPTH);
    if (++*visits > MAX_VISITS)
        return rni_fail(RN_E_INVALID, "child: the tree holds more than %d layers", MAX_VISITS);
    for (size_t i = 0; i < from->num_children; i++)
        RNI_TRY(search(from->children[i].layer, wanted, level + 1, visits));
    return RN_OK;
}

rn_status rni_layer_check_child(const rn_layer *layer, const rn_layer *child)
{
    int32_t visits = 0;
    return search(child, layer, layer ? layer->level + 1 : 0, &visits);
}

void rni_layer_raise_level(rn_layer *child, int32_t level)
{
    if (child->level >= level)
        return;
    child->level = level;
    for (size_t i = 0; i < child->num_children; i++)
        rni_layer_raise_level(child->children[i].layer, level + 1);
}

void rni_layer_freeze(rn_layer *layer)
{
    if (layer->frozen)
        return;
    layer->frozen = 1;
    for (size_t i = 0; i < layer->num_children; i++)
        rni_layer_freeze(layer->children[i].layer);
}

rn_status rni_path_join(char out[RNI_PATH_SIZE], const char *path, const char *name)
{
    const char *const dot = *path && *name ? "." : "";
    const int length = snprintf(out, RNI_PATH_SIZE, "%s%s%s", path, dot, name);
    if (length < 0 || length >= RNI_PATH_SIZE)
        return rni_fail(RN_E_INVALID, "path '%.60s...' is longer than %d bytes", path, RNI_PATH_SIZE - 1);
    return RN_OK;
}

rn_status rni_layer_states(const rn_layer *layer, const char *path, rni_state_fn state, void *user)
{
    char name[RNI_PATH_SIZE];
    rni_state_decl decls[RNI_MAX_STATES];
    const uint32_t count = layer->cls->states ? layer->cls->states(layer, decls) : 0;
    for (uint32_t i = 0; i < count; i++) {
        RNI_TRY(rni_path_join(name, path, decls[i].name));
        RNI_TRY(state(user, layer, i, name, &decls[i]));
    }
    for (size_t i = 0; i < layer->num_children; i++) {
        RNI_TRY(rni_path_join(name, path, layer->children[i].name));
        RNI_TRY(rni_layer_states(layer->children[i].layer, name, state, user));
    }
    return RN_OK;
}

/* The child that the first component of `path` names; `rest` begins after it. Children without a name are looked into. */
static rni_child *find_child(rn_layer *layer, const char *path, rn_layer **owner)
{
    for (size_t i = 0; i < layer->num_children; i++) {
        rni_child *const child = &layer->children[i];
        const size_t length = strlen(child->name);
        if (length == 0) {
            rni_child *const found = find_child(child->layer, path, owner);
            if (found)
                return found;
        } else if (strncmp(path, child->name, length) == 0) {
            *owner = layer;
            if (path[length] == '\0')
                return child;
            rni_child *const found = path[length] == '.' ? find_child(child->layer, path + length + 1, owner) : NULL;
            if (found)
                return found;
        }
    }
    return NULL;
}

rn_status rn_layer_replace_child(rn_layer *layer, const char *path, rn_layer *child)
{
    RNI_REQUIRE(layer);
    RNI_REQUIRE(path);
    RNI_REQUIRE(child);
    rn_layer *owner = NULL;
    rni_child *const place = find_child(layer, path, &owner);
    if (!place)
        return rni_fail(RN_E_NOT_FOUND, "path: there is no layer '%s'", path);
    if (layer->frozen || owner->frozen)
        return rni_fail(RN_E_STATE, "layer: a model was made of it, '%s' cannot be replaced", path);
    RNI_TRY(rni_layer_check_child(owner, child));
    rn_layer *const old = place->layer;
    place->layer = rn_layer_retain(child);
    rni_layer_raise_level(child, owner->level + 1);
    rn_layer_release(old);
    return RN_OK;
}
