/* SPDX-License-Identifier: MIT */
/* The table of a model in the manner of torchinfo, and its multiply-adds. */
#include "layer/layer.h"
#include "model/model.h"
#include <stdio.h>

/* What the walk adds up. */
typedef struct summary {
    const rn_model *model;
    rni_text *text; /* NULL: numbers only */
    int64_t macs;
} summary;

/* "└─Conv2d: layer1.0.conv1" indented by depth, padded to a column. */
static void add_row(summary *s, int32_t depth, const char *type, const char *path, const char *shape, int64_t params,
                    int64_t macs)
{
    char label[RNI_PATH_SIZE + 64], params_text[24] = "--", macs_text[24] = "--";
    snprintf(label, sizeof label, "%*s%s%s%s", (int)depth * 2, "", type, *path ? ": " : "", path);
    if (params)
        snprintf(params_text, sizeof params_text, "%lld", (long long)params);
    if (macs)
        snprintf(macs_text, sizeof macs_text, "%lld", (long long)macs);
    rni_text_append(s->text, "%-48s %-22s %12s %16s\n", label, shape, params_text, macs_text);
}

static int64_t layer_params(const rn_layer *layer)
{
    rni_state_decl decls[RNI_MAX_STATES];
    const uint32_t count = layer->cls->states ? layer->cls->states(layer, decls) : 0;
    int64_t params = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t elements = 1;
        for (int32_t d = 0; d < decls[i].shape.rank; d++)
            elements *= decls[i].shape.dims[d];
        if (decls[i].kind == RN_STATE_PARAMETER)
            params += elements;
    }
    return params;
}

static rn_status visit_leaf(rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *in, rni_edge *out)
{
    summary *const s = v->user;
    char shape[RNI_SHAPE_TEXT];
    (void)in;
    const int64_t macs = layer->cls->macs ? layer->cls->macs(layer, &out->shape) : 0;
    s->macs += macs;
    if (s->text)
        add_row(s, v->depth, layer->cls->type, path, rni_shape_text(shape, out->shape.rank, out->shape.dims),
                layer_params(layer), macs);
    return RN_OK;
}

static rn_status enter_container(rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *in)
{
    summary *const s = v->user;
    (void)in;
    if (s->text)
        add_row(s, v->depth, layer->cls->type, path, "--", 0, 0);
    return RN_OK;
}

static rn_status walk(const rn_model *m, int32_t rank, const int64_t *dims, rni_text *text, summary *s)
{
    *s = (summary){m, text, 0};
    rni_visitor v = {.leaf = visit_leaf, .enter = enter_container, .main_first = 1, .user = s};
    rni_edge in, out;
    RNI_TRY(rni_input_edge(rank, dims, &in));
    return rni_layer_visit(m->root, &v, "", &in, &out);
}

rn_status rn_model_macs(const rn_model *m, int32_t rank, const int64_t *dims, int64_t *out)
{
    summary s;
    RNI_REQUIRE(m);
    RNI_REQUIRE(dims);
    RNI_REQUIRE(out);
    RNI_TRY(walk(m, rank, dims, NULL, &s));
    *out = s.macs;
    return RN_OK;
}

static void add_rule(rni_text *text)
{
    for (int i = 0; i < 101; i++)
        rni_text_append(text, "=");
    rni_text_append(text, "\n");
}

static rn_status compose(const rn_model *m, int32_t rank, const int64_t *dims, rni_text *text)
{
    summary s;
    add_rule(text);
    rni_text_append(text, "%-48s %-22s %12s %16s\n", "Layer (type: path)", "Output shape", "Parameters",
                    "Multiply-adds");
    add_rule(text);
    RNI_TRY(walk(m, rank, dims, text, &s));
    add_rule(text);
    const int64_t all = rn_model_parameter_count(m, 0), trainable = rn_model_parameter_count(m, 1);
    rni_text_append(text, "Parameters: %lld\nTrainable parameters: %lld\nFrozen parameters: %lld\n", (long long)all,
                    (long long)trainable, (long long)(all - trainable));
    rni_text_append(text, "Multiply-adds (M): %.2f\nParameter size (MB): %.2f\n", (double)s.macs * 1e-6,
                    (double)all * 4e-6);
    add_rule(text);
    return text->failed ? rni_nomem("a summary", text->capacity) : RN_OK;
}

rn_status rn_model_summary(const rn_model *m, int32_t rank, const int64_t *dims, rn_write_fn write, void *user)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(dims);
    RNI_REQUIRE(write);
    rni_text text = {.allocator = &m->ctx->allocator};
    rn_status status = compose(m, rank, dims, &text);
    if (status == RN_OK)
        status = write(user, text.data, text.length);
    rni_text_free(&text);
    return status;
}
