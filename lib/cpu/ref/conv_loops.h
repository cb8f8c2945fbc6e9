/* SPDX-License-Identifier: MIT */
/*
 * Convolution by the formula, for one element type T:
 *   y[n,h,w,o] = sum over r,s,i of x[n, h*stride + r*dilation - padding, ..., i] * w[o,i,r,s]
 * (a cross-correlation, as torch.nn.functional.conv2d). Sums are taken in double.
 */

static void NAME(pack)(const rn_conv_params *p, int backward_data, const float *w, const void *scale_, void *packed)
{
    const T *const scale = scale_;
    T *const out = packed;
    const int64_t in = p->in_channels / p->groups, outs = p->out_channels / p->groups;
    const int64_t taps = p->kernel[0] * p->kernel[1];
    for (int64_t o = 0; o < p->out_channels; o++)
        for (int64_t i = 0; i < in; i++)
            for (int64_t t = 0; t < taps; t++) {
                const double value = (double)w[(o * in + i) * taps + t] * (scale ? (double)scale[o] : 1.0);
                const int64_t channel = o / outs * in + i;
                out[backward_data ? (channel * taps + t) * outs + o % outs : (o * taps + t) * in + i] = (T)value;
            }
}

static double NAME(output)(const rni_conv *c, const T *image, int64_t oh, int64_t ow, int64_t o)
{
    const rn_conv_params *const p = c->p;
    const int64_t in = c->in_per_group, taps = p->kernel[0] * p->kernel[1];
    double sum = 0;
    for (int64_t t = 0; t < taps; t++) {
        const int64_t h = oh * p->stride[0] + t / p->kernel[1] * p->dilation[0] - p->padding[0];
        const int64_t w = ow * p->stride[1] + t % p->kernel[1] * p->dilation[1] - p->padding[1];
        if (h < 0 || h >= p->in_height || w < 0 || w >= p->in_width)
            continue;
        const T *const x = image + (h * p->in_width + w) * p->in_channels + o / c->out_per_group * in;
        const T *const weight = (const T *)c->w + (o * taps + t) * in;
        for (int64_t i = 0; i < in; i++)
            sum += (double)x[i] * (double)weight[i];
    }
    return sum;
}

/* One row of one image. */
static void NAME(forward_row)(void *arg, size_t index)
{
    const rni_conv *const c = arg;
    const rn_conv_params *const p = c->p;
    const int64_t n = (int64_t)index / p->out_height, oh = (int64_t)index % p->out_height;
    const T *const image = (const T *)c->x + n * p->in_height * p->in_width * p->in_channels;
    int64_t at = (int64_t)index * p->out_width * p->out_channels;
    for (int64_t ow = 0; ow < p->out_width; ow++)
        for (int64_t o = 0; o < p->out_channels; o++, at++) {
            double value = NAME(output)(c, image, oh, ow, o);
            if (c->bias)
                value += (double)((const T *)c->bias)[o];
            if (c->residual)
                value += (double)((const T *)c->residual)[at];
            if ((c->flags & RN_OPF_RELU) && value < 0)
                value = 0;
            ((T *)c->y)[at] = (T)value;
        }
}

/* Mean and biased variance of one channel, in two passes. */
static void NAME(channel_stats)(void *arg, size_t index)
{
    const rni_conv *const c = arg;
    const rn_conv_params *const p = c->p;
    const int64_t count = c->batch * p->out_height * p->out_width;
    const T *const y = (const T *)c->y + index;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)y[i * p->out_channels];
    const double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++) {
        const double d = (double)y[i * p->out_channels] - mean;
        squares += d * d;
    }
    ((T *)c->mean)[index] = (T)mean;
    ((T *)c->var)[index] = (T)(squares / (double)count);
}

static rn_status NAME(forward)(const rni_conv *c)
{
    const rn_status status =
        rni_cpu_parallel(c->call, NAME(forward_row), (void *)c, (size_t)(c->batch * c->p->out_height));
    if (status != RN_OK || !(c->flags & RN_OPF_STATS))
        return status;
    return rni_cpu_parallel(c->call, NAME(channel_stats), (void *)c, (size_t)c->p->out_channels);
}

/* The output position whose window holds input position `at` under tap `t`; -1 when there is none. */
static int64_t NAME(window)(const rn_conv_params *p, int axis, int64_t at, int64_t t, int64_t outputs)
{
    const int64_t shifted = at + p->padding[axis] - t * p->dilation[axis];
    if (shifted < 0 || shifted % p->stride[axis])
        return -1;
    return shifted / p->stride[axis] < outputs ? shifted / p->stride[axis] : -1;
}

static double NAME(input_gradient)(const rni_conv *c, const T *image, int64_t h, int64_t w, int64_t i)
{
    const rn_conv_params *const p = c->p;
    const int64_t outs = c->out_per_group, taps = p->kernel[0] * p->kernel[1];
    double sum = 0;
    for (int64_t t = 0; t < taps; t++) {
        const int64_t oh = NAME(window)(p, 0, h, t / p->kernel[1], p->out_height);
        const int64_t ow = NAME(window)(p, 1, w, t % p->kernel[1], p->out_width);
        if (oh < 0 || ow < 0)
            continue;
        const T *const dy = image + (oh * p->out_width + ow) * p->out_channels + i / c->in_per_group * outs;
        const T *const weight = (const T *)c->w + (i * taps + t) * outs;
        for (int64_t o = 0; o < outs; o++)
            sum += (double)dy[o] * (double)weight[o];
    }
    return sum;
}

static void NAME(backward_data_row)(void *arg, size_t index)
{
    const rni_conv *const c = arg;
    const rn_conv_params *const p = c->p;
    const int64_t n = (int64_t)index / p->in_height, h = (int64_t)index % p->in_height;
    const T *const image = (const T *)c->dy + n * p->out_height * p->out_width * p->out_channels;
    T *const dx = (T *)c->dx + (int64_t)index * p->in_width * p->in_channels;
    for (int64_t w = 0; w < p->in_width; w++)
        for (int64_t i = 0; i < p->in_channels; i++) {
            const int64_t at = w * p->in_channels + i;
            const double value = NAME(input_gradient)(c, image, h, w, i);
            dx[at] = (T)(c->flags & RN_OPF_ACCUMULATE ? (double)dx[at] + value : value);
        }
}

static rn_status NAME(backward_data)(const rni_conv *c)
{
    return rni_cpu_parallel(c->call, NAME(backward_data_row), (void *)c, (size_t)(c->batch * c->p->in_height));
}

static double NAME(weight_gradient)(const rni_conv *c, int64_t o, int64_t i, int64_t r, int64_t s)
{
    const rn_conv_params *const p = c->p;
    const T *const x = (const T *)c->x + o / c->out_per_group * c->in_per_group + i;
    const T *const dy = (const T *)c->dy + o;
    double sum = 0;
    for (int64_t row = 0; row < c->batch * p->out_height; row++) {
        const int64_t n = row / p->out_height;
        const int64_t h = row % p->out_height * p->stride[0] + r * p->dilation[0] - p->padding[0];
        if (h < 0 || h >= p->in_height)
            continue;
        for (int64_t ow = 0; ow < p->out_width; ow++) {
            const int64_t w = ow * p->stride[1] + s * p->dilation[1] - p->padding[1];
            if (w >= 0 && w < p->in_width)
                sum += (double)dy[(row * p->out_width + ow) * p->out_channels] *
                       (double)x[((n * p->in_height + h) * p->in_width + w) * p->in_channels];
        }
    }
    return sum;
}

/* All weights of one output channel. */
static void NAME(backward_filter_channel)(void *arg, size_t index)
{
    const rni_conv *const c = arg;
    const rn_conv_params *const p = c->p;
    float *dw = c->dw + (int64_t)index * c->in_per_group * p->kernel[0] * p->kernel[1];
    for (int64_t i = 0; i < c->in_per_group; i++)
        for (int64_t r = 0; r < p->kernel[0]; r++)
            for (int64_t s = 0; s < p->kernel[1]; s++, dw++)
                *dw = (float)((double)*dw + NAME(weight_gradient)(c, (int64_t)index, i, r, s));
}

static rn_status NAME(backward_filter)(const rni_conv *c)
{
    return rni_cpu_parallel(c->call, NAME(backward_filter_channel), (void *)c, (size_t)c->p->out_channels);
}

const rni_conv_reference NAME(rni_conv_reference) = {NAME(pack), NAME(forward), NAME(backward_data),
                                                     NAME(backward_filter)};
