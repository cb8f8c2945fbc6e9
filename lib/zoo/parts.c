/* SPDX-License-Identifier: MIT */
#include "zoo/parts.h"
#include "base/error.h"

rn_status rni_zoo_append_new(rn_layer *seq, const char *name, rn_status status, rn_layer *child)
{
    if (status < 0)
        return status;
    status = rn_sequential_append(seq, name, child);
    rn_layer_release(child);
    return status;
}

rn_status rni_zoo_append_conv(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t in, int64_t out,
                              int64_t kernel, int64_t stride)
{
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.in_channels = in;
    o.out_channels = out;
    o.kernel[0] = o.kernel[1] = kernel;
    o.stride[0] = o.stride[1] = stride;
    o.padding[0] = o.padding[1] = kernel / 2;
    o.init = parts->init;
    const rn_status status = rn_conv2d_create(parts->ctx, &o, &layer);
    return rni_zoo_append_new(seq, name, status, layer);
}

rn_status rni_zoo_append_bn(const rni_zoo_parts *parts, rn_layer *seq, const char *name, int64_t channels)
{
    rn_batchnorm2d_options o = RN_BATCHNORM2D_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.channels = channels;
    const rn_status status = rn_batchnorm2d_create(parts->ctx, &o, &layer);
    return rni_zoo_append_new(seq, name, status, layer);
}

rn_status rni_zoo_append_relu(const rni_zoo_parts *parts, rn_layer *seq, const char *name)
{
    rn_layer *layer = NULL;
    const rn_status status = rn_relu_create(parts->ctx, &layer);
    return rni_zoo_append_new(seq, name, status, layer);
}

rn_status rni_zoo_append_head(const rni_zoo_parts *parts, rn_layer *root, int64_t features, int64_t classes)
{
    rn_linear_options o = RN_LINEAR_OPTIONS_INIT;
    rn_layer *layer = NULL;
    o.in_features = features;
    o.out_features = classes;
    o.init = parts->init;
    rn_status status = rn_global_avgpool2d_create(parts->ctx, &layer);
    RNI_TRY(rni_zoo_append_new(root, "avgpool", status, layer));
    status = rn_flatten_create(parts->ctx, &layer);
    RNI_TRY(rni_zoo_append_new(root, "flatten", status, layer));
    status = rn_linear_create(parts->ctx, &o, &layer);
    return rni_zoo_append_new(root, "fc", status, layer);
}
