/* SPDX-License-Identifier: MIT */
/* Sequential and residual: layers made of layers. How they are walked is in visit.c. */
#include "base/abi.h"
#include "layer/layer.h"
#include <stdio.h>
#include <string.h>

const rni_layer_class rni_sequential_class = {.type = "Sequential"};
const rni_layer_class rni_residual_class = {.type = "Residual"};

static const rn_residual_options defaults = RN_RESIDUAL_OPTIONS_INIT;

rn_status rn_residual_options_init(rn_residual_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_residual_options");
}

rn_status rn_sequential_create(rn_context *ctx, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    return rni_layer_create(ctx, &rni_sequential_class, out);
}

static rn_status check_unused(const rn_layer *seq, const char *name)
{
    if (!*name)
        return RN_OK;
    for (size_t i = 0; i < seq->num_children; i++)
        if (strcmp(seq->children[i].name, name) == 0)
            return rni_fail(RN_E_INVALID, "name: there is already a layer '%s'", name);
    return RN_OK;
}

rn_status rn_sequential_append(rn_layer *seq, const char *name, rn_layer *child)
{
    char index[24];
    RNI_REQUIRE(seq);
    RNI_REQUIRE(child);
    if (seq->cls != &rni_sequential_class)
        return rni_fail(RN_E_INVALID, "seq: expected a sequential, got %s", seq->cls->type);
    if (seq->frozen)
        return rni_fail(RN_E_STATE, "seq: a model was made of it, nothing can be appended");
    if (!name) {
        snprintf(index, sizeof index, "%zu", seq->num_children);
        name = index;
    }
    RNI_TRY(rni_layer_check_name(name));
    RNI_TRY(check_unused(seq, name));
    RNI_TRY(rni_layer_check_child(seq, child));
    return rni_layer_add_child(seq, name, child);
}

static rn_status add_branch(rn_layer *layer, const char *name, rn_layer *branch)
{
    RNI_TRY(rni_layer_check_child(layer, branch));
    return rni_layer_add_child(layer, name, branch);
}

rn_status rn_residual_create(rn_context *ctx, rn_layer *main, rn_layer *shortcut, const rn_residual_options *options,
                             rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(main);
    RNI_REQUIRE(out);
    rn_residual_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_residual_options"));
    if (o.flags & ~(uint64_t)RN_RESIDUAL_NO_RELU)
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in %llu", (unsigned long long)o.flags);
    const char *const main_name = o.main_name ? o.main_name : "";
    const char *const shortcut_name = o.shortcut_name ? o.shortcut_name : "";
    RNI_TRY(rni_layer_check_name(main_name));
    RNI_TRY(rni_layer_check_name(shortcut_name));
    rn_layer *layer = NULL;
    RNI_TRY(rni_layer_create(ctx, &rni_residual_class, &layer));
    layer->u.residual_flags = o.flags;
    rn_status status = add_branch(layer, main_name, main);
    if (status == RN_OK && shortcut)
        status = add_branch(layer, shortcut_name, shortcut);
    if (status < 0) {
        rn_layer_release(layer);
        return status;
    }
    *out = layer;
    return RN_OK;
}
