/* SPDX-License-Identifier: MIT */
/* Shortcut option A of He et al. 2015, section 3.3. */
#include "base/abi.h"
#include "layer/layer.h"
#include <stdio.h>
#include <string.h>

static const rn_pad_shortcut_options defaults = RN_PAD_SHORTCUT_OPTIONS_INIT;

rn_status rn_pad_shortcut_options_init(rn_pad_shortcut_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_pad_shortcut_options");
}

static rn_status pad_infer(const rn_layer *layer, const rni_shape *in, rni_shape *out)
{
    const rn_pad_shortcut_options *const o = &layer->u.pad;
    RNI_TRY(rni_expect_image(in));
    out->dims[1] = in->dims[1] + o->channels_before + o->channels_after;
    for (int i = 0; i < 2; i++)
        out->dims[2 + i] = (in->dims[2 + i] + o->stride[i] - 1) / o->stride[i];
    return RN_OK;
}

static rn_status pad_lower(const rn_layer *layer, rni_lowering *low, const char *path, const rni_edge *in,
                           rni_edge *out)
{
    const rn_pad_shortcut_options *const o = &layer->u.pad;
    const rn_pad_shortcut_params params = {{o->stride[0], o->stride[1]}, o->channels_before, o->channels_after};
    return rni_lower_simple(low, RN_OP_PAD_SHORTCUT, 0, &params, sizeof params, path, in, out);
}

static void pad_describe(const rn_layer *layer, char *text, size_t size)
{
    const rn_pad_shortcut_options *const o = &layer->u.pad;
    snprintf(text, size, "stride %lldx%lld, channels %lld + %lld", (long long)o->stride[0], (long long)o->stride[1],
             (long long)o->channels_before, (long long)o->channels_after);
}

const rni_layer_class rni_pad_shortcut_class = {"PadShortcut", pad_infer, NULL, pad_lower, NULL, pad_describe};

static rn_status check_options(const rn_pad_shortcut_options *o)
{
    const int64_t most = INT64_C(1) << 24;
    for (int i = 0; i < 2; i++)
        if (o->stride[i] < 1 || o->stride[i] > most)
            return rni_fail(RN_E_INVALID, "options.stride: expected 1 or more, got %lld", (long long)o->stride[i]);
    if (o->channels_before < 0 || o->channels_before > most)
        return rni_fail(RN_E_INVALID, "options.channels_before: expected 0 or more, got %lld",
                        (long long)o->channels_before);
    if (o->channels_after < 0 || o->channels_after > most)
        return rni_fail(RN_E_INVALID, "options.channels_after: expected 0 or more, got %lld",
                        (long long)o->channels_after);
    if (o->flags)
        return rni_fail(RN_E_INVALID, "options.flags: expected 0, got %llu", (unsigned long long)o->flags);
    return RN_OK;
}

rn_status rn_pad_shortcut_create(rn_context *ctx, const rn_pad_shortcut_options *options, rn_layer **out)
{
    RNI_REQUIRE(ctx);
    RNI_REQUIRE(options);
    RNI_REQUIRE(out);
    rn_pad_shortcut_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, sizeof o, options, "rn_pad_shortcut_options"));
    RNI_TRY(check_options(&o));
    RNI_TRY(rni_layer_create(ctx, &rni_pad_shortcut_class, out));
    (*out)->u.pad = o;
    return RN_OK;
}
