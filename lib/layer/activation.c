/* SPDX-License-Identifier: MIT */
/* Layers without state that keep the shape: ReLU, softmax, dropout, identity. */
#include "layer/layer.h"
#include <stdio.h>

static rn_status any_infer(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    (void)layer, (void)in, (void)out;
    return RN_OK;
}

static rn_status relu_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                            rni_edge *out)
{
    (void)layer;
    return rni_lower_simple(low, RN_OP_RELU, 0, NULL, 0, path, in, out);
}

static rn_status softmax_infer(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    (void)layer, (void)out;
    return in->rank == 2 || in->rank == 4 ? RN_OK : rni_fail(RN_E_SHAPE, "expected [N, K] or [N, C, H, W]");
}

static rn_status softmax_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                               rni_edge *out)
{
    (void)layer;
    return rni_lower_simple(low, RN_OP_SOFTMAX, 0, NULL, 0, path, in, out);
}

static rn_status dropout_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                               rni_edge *out)
{
    if (!low->train || layer->u.dropout <= 0)
        return RN_OK;
    const rn_dropout_params params = {layer->u.dropout, low->dropouts++, 0};
    return rni_lower_simple(low, RN_OP_DROPOUT, 0, &params, sizeof params, path, in, out);
}

static void dropout_describe(const rn_layer *layer, char *text, size_t size)
{
    snprintf(text, size, "p %g", layer->u.dropout);
}

static rn_status identity_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                                rni_edge *out)
{
    (void)layer, (void)low, (void)path, (void)in, (void)out;
    return RN_OK;
}

const rni_layer_class rni_relu_class = {"ReLU", any_infer, NULL, relu_lower, NULL, NULL};
const rni_layer_class rni_softmax_class = {"Softmax", softmax_infer, NULL, softmax_lower, NULL, NULL};
const rni_layer_class rni_dropout_class = {"Dropout", any_infer, NULL, dropout_lower, NULL, dropout_describe};
const rni_layer_class rni_identity_class = {"Identity", any_infer, NULL, identity_lower, NULL, NULL};

static rn_status create_plain(rn_context *ctx, const rni_layer_class *cls, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    return rni_layer_create(ctx, cls, out);
}

rn_status rn_relu_create(rn_context *ctx, rn_layer **out)
{
    return create_plain(ctx, &rni_relu_class, out);
}

rn_status rn_softmax_create(rn_context *ctx, rn_layer **out)
{
    return create_plain(ctx, &rni_softmax_class, out);
}

rn_status rn_identity_create(rn_context *ctx, rn_layer **out)
{
    return create_plain(ctx, &rni_identity_class, out);
}

rn_status rn_dropout_create(rn_context *ctx, double p, rn_layer **out)
{
    if (!(p >= 0 && p < 1))
        return rni_fail(RN_E_INVALID, "p: expected 0 <= p < 1, got %g", p);
    RNI_TRY(create_plain(ctx, &rni_dropout_class, out));
    (*out)->u.dropout = p;
    return RN_OK;
}
