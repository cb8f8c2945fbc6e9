/* SPDX-License-Identifier: MIT */
/* The one walk over layer trees. */
#include "layer/layer.h"
#include <stdio.h>
#include <string.h>

static const char *shown(const char *path)
{
    return *path ? path : "(root)";
}

/* "layer2.0.conv1 (Conv2d): expected 16 channels, got [8, 32, 16, 16] from layer1.1.relu" */
static rn_status shape_error(rn_status status, const rn_layer *layer, const char *path, const rni_edge *in)
{
    char reason[200], text[RNI_SHAPE_TEXT];
    snprintf(reason, sizeof reason, "%s", rn_error_message());
    return rni_fail(status, "%s (%s): %s, got %s from %s", shown(path), layer->cls->type, reason,
                    rni_shape_text(text, in->shape.rank, in->shape.dims), shown(in->from));
}

static rn_status visit_leaf(const rn_layer *layer, rni_visitor *v, const char *path, const rni_edge *in, rni_edge *out)
{
    out->shape = in->shape;
    const rn_status status = layer->cls->infer(layer, &in->shape, &out->shape);
    if (status < 0)
        return shape_error(status, layer, path, in);
    snprintf(out->from, sizeof out->from, "%s", path);
    out->value = in->value;
    return v->leaf ? v->leaf(v, layer, path, in, out) : RN_OK;
}

static rn_status visit_sequential(const rn_layer *layer, rni_visitor *v, const char *path, const rni_edge *in,
                                  rni_edge *out)
{
    char child_path[RNI_PATH_SIZE];
    rni_edge edge = *in;
    for (size_t i = 0; i < layer->num_children; i++) {
        RNI_TRY(rni_path_join(child_path, path, layer->children[i].name));
        RNI_TRY(rni_layer_visit(layer->children[i].layer, v, child_path, &edge, out));
        edge = *out;
    }
    *out = edge;
    return RN_OK;
}

static rn_status visit_branch(const rn_layer *layer, size_t child, rni_visitor *v, const char *path,
                              const rni_edge *in, rni_edge *out)
{
    char child_path[RNI_PATH_SIZE];
    if (child >= layer->num_children) {
        *out = *in;
        return RN_OK;
    }
    RNI_TRY(rni_path_join(child_path, path, layer->children[child].name));
    return rni_layer_visit(layer->children[child].layer, v, child_path, in, out);
}

static rn_status check_join(const char *path, const rni_edge *main, const rni_edge *shortcut)
{
    const rni_shape *const a = &main->shape, *const b = &shortcut->shape;
    if (a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0)
        return RN_OK;
    char text_a[RNI_SHAPE_TEXT], text_b[RNI_SHAPE_TEXT];
    return rni_fail(RN_E_SHAPE, "%s (Residual): main branch gives %s from %s, shortcut gives %s from %s", shown(path),
                    rni_shape_text(text_a, a->rank, a->dims), shown(main->from),
                    rni_shape_text(text_b, b->rank, b->dims), shown(shortcut->from));
}

static rn_status visit_residual(const rn_layer *layer, rni_visitor *v, const char *path, const rni_edge *in,
                                rni_edge *out)
{
    rni_edge main, shortcut;
    if (v->main_first)
        RNI_TRY(visit_branch(layer, 0, v, path, in, &main));
    RNI_TRY(visit_branch(layer, 1, v, path, in, &shortcut));
    if (!v->main_first)
        RNI_TRY(visit_branch(layer, 0, v, path, in, &main));
    RNI_TRY(check_join(path, &main, &shortcut));
    *out = main;
    snprintf(out->from, sizeof out->from, "%s", path);
    return v->join ? v->join(v, layer, path, &main, &shortcut, out) : RN_OK;
}

static rn_status visit_container(const rn_layer *layer, rni_visitor *v, const char *path, const rni_edge *in,
                                 rni_edge *out)
{
    if (v->enter)
        RNI_TRY(v->enter(v, layer, path, in));
    const rn_status status = layer->cls == &rni_sequential_class ? visit_sequential(layer, v, path, in, out)
                                                                 : visit_residual(layer, v, path, in, out);
    if (status < 0 || !v->leave)
        return status;
    return v->leave(v, layer, path, out);
}

rn_status rni_layer_visit(const rn_layer *layer, rni_visitor *v, const char *path, const rni_edge *in, rni_edge *out)
{
    if (layer->cls->infer)
        return visit_leaf(layer, v, path, in, out);
    if (v->depth >= RNI_MAX_DEPTH)
        return rni_fail(RN_E_INVALID, "%s: layers nest deeper than %d", shown(path), RNI_MAX_DEPTH);
    v->depth++;
    const rn_status status = visit_container(layer, v, path, in, out);
    v->depth--;
    return status;
}

rn_status rni_input_edge(int32_t rank, const int64_t *dims, rni_edge *out)
{
    if (rank < 1 || rank > RN_MAX_RANK)
        return rni_fail(RN_E_INVALID, "rank: expected 1 to %d, got %d", RN_MAX_RANK, (int)rank);
    for (int32_t i = 0; i < rank; i++)
        if (dims[i] < 1)
            return rni_fail(RN_E_SHAPE, "dims[%d]: expected 1 or more, got %lld", (int)i, (long long)dims[i]);
    *out = (rni_edge){.shape = {.rank = rank}, .from = "input"};
    memcpy(out->shape.dims, dims, (size_t)rank * sizeof *dims);
    return RN_OK;
}

rn_status rn_layer_output_shape(const rn_layer *layer, int32_t rank, const int64_t *dims, int32_t *out_rank,
                                int64_t *out_dims)
{
    RNI_REQUIRE(layer);
    RNI_REQUIRE(dims);
    RNI_REQUIRE(out_rank);
    RNI_REQUIRE(out_dims);
    rni_edge in, out;
    rni_visitor v = {.user = NULL};
    RNI_TRY(rni_input_edge(rank, dims, &in));
    RNI_TRY(rni_layer_visit(layer, &v, "", &in, &out));
    *out_rank = out.shape.rank;
    memset(out_dims, 0, RN_MAX_RANK * sizeof *out_dims);
    memcpy(out_dims, out.shape.dims, (size_t)out.shape.rank * sizeof *out_dims);
    return RN_OK;
}
