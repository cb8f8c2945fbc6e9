/* SPDX-License-Identifier: MIT */
#include "base/abi.h"
#include "layer/layer.h"
#include <stdio.h>
#include <string.h>

static const rn_pool2d_options defaults = RN_POOL2D_OPTIONS_INIT;

rn_status rn_pool2d_options_init(rn_pool2d_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_pool2d_options");
}

static rn_status pool_infer(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    const rn_pool2d_options *const o = &layer->u.pool;
    RNI_TRY(rni_expect_image(in));
    RNI_TRY(rni_window_size(in->dims[2], o->kernel[0], o->stride[0], o->padding[0], 1, "height", &out->dims[2]));
    return rni_window_size(in->dims[3], o->kernel[1], o->stride[1], o->padding[1], 1, "width", &out->dims[3]);
}

static rn_status lower_pool(const rn_layer *layer, int32_t kind, rni_lowering *low, const char *path,
                            const rni_edge *in, rni_edge *out)
{
    const rn_pool2d_options *const o = &layer->u.pool;
    rn_pool_params params;
    memcpy(params.kernel, o->kernel, sizeof params.kernel);
    memcpy(params.stride, o->stride, sizeof params.stride);
    memcpy(params.padding, o->padding, sizeof params.padding);
    const uint32_t flags = o->flags & RN_POOL_EXCLUDE_PADDING ? RN_OPF_EXCLUDE_PADDING : 0;
    return rni_lower_simple(low, kind, flags, &params, sizeof params, path, in, out);
}

static rn_status maxpool_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                               rni_edge *out)
{
    return lower_pool(layer, RN_OP_MAXPOOL, low, path, in, out);
}

static rn_status avgpool_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                               rni_edge *out)
{
    return lower_pool(layer, RN_OP_AVGPOOL, low, path, in, out);
}

static void pool_describe(const rn_layer *layer, char *text, size_t size)
{
    const rn_pool2d_options *const o = &layer->u.pool;
    snprintf(text, size, "kernel %lldx%lld, stride %lldx%lld, padding %lldx%lld", (long long)o->kernel[0],
             (long long)o->kernel[1], (long long)o->stride[0], (long long)o->stride[1], (long long)o->padding[0],
             (long long)o->padding[1]);
}

static rn_status global_infer(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    (void)layer;
    RNI_TRY(rni_expect_image(in));
    out->dims[2] = out->dims[3] = 1;
    return RN_OK;
}

static rn_status global_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                              rni_edge *out)
{
    (void)layer;
    return rni_lower_simple(low, RN_OP_GLOBAL_AVGPOOL, 0, NULL, 0, path, in, out);
}

static rn_status adaptive_infer(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    RNI_TRY(rni_expect_image(in));
    memcpy(out->dims + 2, layer->u.output, sizeof layer->u.output);
    return RN_OK;
}

static rn_status adaptive_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                                rni_edge *out)
{
    const rn_pool_params unused = {{1, 1}, {1, 1}, {0, 0}};
    if (memcmp(in->shape.dims + 2, layer->u.output, sizeof layer->u.output) == 0)
        return RN_OK;
    if (layer->u.output[0] == 1 && layer->u.output[1] == 1)
        return global_lower(layer, low, path, in, out);
    return rni_lower_simple(low, RN_OP_AVGPOOL, RN_OPF_ADAPTIVE, &unused, sizeof unused, path, in, out);
}

static void adaptive_describe(const rn_layer *layer, char *text, size_t size)
{
    snprintf(text, size, "%lldx%lld", (long long)layer->u.output[0], (long long)layer->u.output[1]);
}

const rni_layer_class rni_maxpool2d_class = {"MaxPool2d", pool_infer, NULL, maxpool_lower, NULL, pool_describe};
const rni_layer_class rni_avgpool2d_class = {"AvgPool2d", pool_infer, NULL, avgpool_lower, NULL, pool_describe};
const rni_layer_class rni_global_avgpool2d_class = {"GlobalAvgPool2d", global_infer, NULL, global_lower, NULL, NULL};
const rni_layer_class rni_adaptive_avgpool2d_class = {"AdaptiveAvgPool2d", adaptive_infer, NULL,
                                                      adaptive_lower,      NULL,           adaptive_describe};

static rn_status check_options(rn_pool2d_options *o, uint64_t flags)
{
    for (int i = 0; i < 2; i++) {
        if (o->stride[i] == 0)
            o->stride[i] = o->kernel[i];
        if (o->kernel[i] < 1 || o->kernel[i] > (INT64_C(1) << 24))
            return rni_fail(RN_E_INVALID, "options.kernel: expected 1 or more, got %lld", (long long)o->kernel[i]);
        if (o->stride[i] < 1 || o->stride[i] > (INT64_C(1) << 24))
            return rni_fail(RN_E_INVALID, "options.stride: expected 0 or more, got %lld", (long long)o->stride[i]);
        if (o->padding[i] < 0 || o->padding[i] > o->kernel[i] / 2)
            return rni_fail(RN_E_INVALID, "options.padding: expected 0 to half the kernel %lld, got %lld",
                            (long long)o->kernel[i], (long long)o->padding[i]);
    }
    if (o->flags & ~flags)
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in %llu", (unsigned long long)o->flags);
    return RN_OK;
}

static rn_status create_pool(rn_context *ctx, const rni_layer_class *cls, uint64_t flags,
                             const rn_pool2d_options *options, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(options);
    RNI_REQUIRE(out);
    rn_pool2d_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_pool2d_options"));
    RNI_TRY(check_options(&o, flags));
    RNI_TRY(rni_layer_create(ctx, cls, out));
    (*out)->u.pool = o;
    return RN_OK;
}

rn_status rn_maxpool2d_create(rn_context *ctx, const rn_pool2d_options *options, rn_layer **out)
{
    return create_pool(ctx, &rni_maxpool2d_class, 0, options, out);
}

rn_status rn_avgpool2d_create(rn_context *ctx, const rn_pool2d_options *options, rn_layer **out)
{
    return create_pool(ctx, &rni_avgpool2d_class, RN_POOL_EXCLUDE_PADDING, options, out);
}

rn_status rn_global_avgpool2d_create(rn_context *ctx, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    return rni_layer_create(ctx, &rni_global_avgpool2d_class, out);
}

rn_status rn_adaptive_avgpool2d_create(rn_context *ctx, int64_t height, int64_t width, rn_layer **out)
{
    const int64_t most = INT64_C(1) << 24;
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(out);
    if (height < 1 || height > most)
        return rni_fail(RN_E_INVALID, "height: expected 1 or more, got %lld", (long long)height);
    if (width < 1 || width > most)
        return rni_fail(RN_E_INVALID, "width: expected 1 or more, got %lld", (long long)width);
    RNI_TRY(rni_layer_create(ctx, &rni_adaptive_avgpool2d_class, out));
    (*out)->u.output[0] = height;
    (*out)->u.output[1] = width;
    return RN_OK;
}
