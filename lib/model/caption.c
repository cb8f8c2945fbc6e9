/* SPDX-License-Identifier: MIT */
#include "model/caption.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add(char text[RNI_CAPTION_SIZE], const char *format, ...) RNI_PRINTF(2, 3);
static void add(char text[RNI_CAPTION_SIZE], const char *format, ...)
{
    const size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + length, RNI_CAPTION_SIZE - length, format, arguments);
    va_end(arguments);
}

/* ", /2", or ", /2x1" where the axes differ; nothing for 1. */
static void add_stride(char text[RNI_CAPTION_SIZE], const int64_t stride[2])
{
    if (stride[0] != stride[1])
        add(text, ", /%lldx%lld", (long long)stride[0], (long long)stride[1]);
    else if (stride[0] != 1)
        add(text, ", /%lld", (long long)stride[0]);
}

static void caption_conv(const rn_layer *layer, const rni_shape *out, char text[RNI_CAPTION_SIZE])
{
    const rn_conv2d_options *const o = &layer->u.conv;
    (void)out;
    add(text, "%lldx%lld conv, %lld", (long long)o->kernel[0], (long long)o->kernel[1], (long long)o->out_channels);
    add_stride(text, o->stride);
    if (o->groups != 1)
        add(text, ", %lld groups", (long long)o->groups);
    if (o->dilation[0] != o->dilation[1])
        add(text, ", dilation %lldx%lld", (long long)o->dilation[0], (long long)o->dilation[1]);
    else if (o->dilation[0] != 1)
        add(text, ", dilation %lld", (long long)o->dilation[0]);
}

static void caption_pool(const rn_layer *layer, const rni_shape *out, char text[RNI_CAPTION_SIZE])
{
    const rn_pool2d_options *const o = &layer->u.pool;
    (void)out;
    add(text, "%lldx%lld %s pool", (long long)o->kernel[0], (long long)o->kernel[1],
        layer->cls == &rni_maxpool2d_class ? "max" : "avg");
    add_stride(text, o->stride);
}

static void caption_adaptive(const rn_layer *layer, const rni_shape *out, char text[RNI_CAPTION_SIZE])
{
    (void)out;
    add(text, "avg pool to %lldx%lld", (long long)layer->u.output[0], (long long)layer->u.output[1]);
}

static void caption_linear(const rn_layer *layer, const rni_shape *out, char text[RNI_CAPTION_SIZE])
{
    (void)out;
    add(text, "fc %lld", (long long)layer->u.linear.out_features);
}

static void caption_pad(const rn_layer *layer, const rni_shape *out, char text[RNI_CAPTION_SIZE])
{
    add(text, "zero padding, %lld", (long long)out->dims[1]);
    add_stride(text, layer->u.pad.stride);
}

static void caption_dropout(const rn_layer *layer, const rni_shape *out, char text[RNI_CAPTION_SIZE])
{
    (void)out;
    add(text, "dropout %g", layer->u.dropout);
}

/* Kinds with sizes to tell, and those that a word says all of. */
static const struct {
    const rni_layer_class *cls;
    void (*caption)(const rn_layer *layer, const rni_shape *out, char text[RNI_CAPTION_SIZE]);
    const char *word;
} captions[] = {
    {&rni_conv2d_class, caption_conv, NULL},
    {&rni_maxpool2d_class, caption_pool, NULL},
    {&rni_avgpool2d_class, caption_pool, NULL},
    {&rni_adaptive_avgpool2d_class, caption_adaptive, NULL},
    {&rni_linear_class, caption_linear, NULL},
    {&rni_pad_shortcut_class, caption_pad, NULL},
    {&rni_dropout_class, caption_dropout, NULL},
    {&rni_global_avgpool2d_class, NULL, "avg pool"},
    {&rni_batchnorm2d_class, NULL, "bn"},
    {&rni_relu_class, NULL, "relu"},
    {&rni_flatten_class, NULL, "flatten"},
    {&rni_softmax_class, NULL, "softmax"},
    {&rni_identity_class, NULL, "identity"},
};

void rni_layer_caption(const rn_layer *layer, const rni_shape *out, char text[RNI_CAPTION_SIZE])
{
    text[0] = '\0';
    for (size_t i = 0; i < sizeof captions / sizeof *captions; i++) {
        if (captions[i].cls != layer->cls)
            continue;
        if (captions[i].caption)
            captions[i].caption(layer, out, text);
        else
            add(text, "%s", captions[i].word);
        return;
    }
    add(text, "%s", layer->cls->type);
}
