/* SPDX-License-Identifier: MIT */
/*
 * What every op must give, written from sys/backend.h alone: double arithmetic over operands in plain order, one loop
 * per formula, nothing shared with the backend. The f64 reference has to agree with it.
 */
#include "base/rng.h"
#include "formula_augment.h"
#include "op_runner.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The last op of a case. out() starts as what the value held before. */
typedef struct formula {
    const oc_case *c;
    const rn_op *op;
    const oc_result *got;
    oc_result *expected;
    size_t images, channels, pixels; /* of the first input */
} formula;

static const double *in(const formula *f, uint32_t i)
{
    return i < f->op->num_in && f->op->in[i] != RN_NO_VALUE ? f->got->data[f->op->in[i]] : NULL;
}

static const rn_value *in_value(const formula *f, uint32_t i)
{
    return &f->c->values[f->op->in[i]].v;
}

static double *out(const formula *f, uint32_t i)
{
    return i < f->op->num_out && f->op->out[i] != RN_NO_VALUE ? f->expected->data[f->op->out[i]] : NULL;
}

static const rn_value *out_value(const formula *f, uint32_t i)
{
    return &f->c->values[f->op->out[i]].v;
}

static int has(const formula *f, uint32_t flag)
{
    return (f->op->flags & flag) != 0;
}

static double relu(double x)
{
    return x < 0 ? 0 : x;
}

static size_t count(const formula *f)
{
    return f->images * f->channels * f->pixels;
}

static size_t channel(const formula *f, size_t i)
{
    return i / f->pixels % f->channels;
}

static void bn_stats(const formula *f)
{
    const double n = (double)(f->images * f->pixels);
    double *const mean = out(f, 0), *const var = out(f, 1);
    memset(mean, 0, f->channels * sizeof *mean);
    memset(var, 0, f->channels * sizeof *var);
    for (size_t i = 0; i < count(f); i++)
        mean[channel(f, i)] += in(f, 0)[i] / n;
    double *const rest = calloc(f->channels, sizeof *rest); /* the mean again, closer */
    for (size_t i = 0; i < count(f); i++)
        rest[channel(f, i)] += (in(f, 0)[i] - mean[channel(f, i)]) / n;
    for (size_t k = 0; k < f->channels; k++)
        mean[k] += rest[k];
    free(rest);
    for (size_t i = 0; i < count(f); i++)
        var[channel(f, i)] += pow(in(f, 0)[i] - mean[channel(f, i)], 2) / n;
}

static void bn_running(const formula *f)
{
    const rn_bn_params *const p = &f->c->params.bn;
    const double n = (double)f->c->run.batch * (double)p->pixels;
    out(f, 2)[0] += 1;
    const double m = has(f, RN_OPF_CUMULATIVE) ? 1 / out(f, 2)[0] : p->momentum;
    for (int64_t i = 0; i < in_value(f, 0)->dims[0]; i++) {
        out(f, 0)[i] = (1 - m) * out(f, 0)[i] + m * in(f, 0)[i];
        out(f, 1)[i] = (1 - m) * out(f, 1)[i] + m * in(f, 1)[i] * (n > 1 ? n / (n - 1) : 1);
    }
}

static void bn_apply(const formula *f)
{
    for (size_t i = 0; i < count(f); i++) {
        const size_t k = channel(f, i);
        const double gamma = in(f, 3) ? in(f, 3)[k] : 1, beta = in(f, 4) ? in(f, 4)[k] : 0;
        double y = gamma * (in(f, 0)[i] - in(f, 1)[k]) / sqrt(in(f, 2)[k] + f->c->params.bn.eps) + beta;
        y += has(f, RN_OPF_ADD) ? in(f, 5)[i] : 0;
        out(f, 0)[i] = has(f, RN_OPF_RELU) ? relu(y) : y;
    }
}

static void bn_fold(const formula *f)
{
    for (int64_t i = 0; i < out_value(f, 0)->dims[0]; i++) {
        const double scale = (in(f, 0) ? in(f, 0)[i] : 1) / sqrt(in(f, 3)[i] + f->c->params.bn.eps);
        out(f, 0)[i] = scale;
        out(f, 1)[i] = (in(f, 1) ? in(f, 1)[i] : 0) + ((in(f, 4) ? in(f, 4)[i] : 0) - in(f, 2)[i]) * scale;
    }
}

static void scale_shift(const formula *f)
{
    for (size_t i = 0; i < count(f); i++) {
        const double y = in(f, 0)[i] * in(f, 1)[channel(f, i)] + in(f, 2)[channel(f, i)] +
                         (has(f, RN_OPF_ADD) ? in(f, 3)[i] : 0);
        out(f, 0)[i] = has(f, RN_OPF_RELU) ? relu(y) : y;
    }
}

static double masked(const formula *f, size_t i)
{
    if (in(f, 6)) { /* beta: y is made from x */
        const size_t k = channel(f, i);
        const double deviation = sqrt(in(f, 3)[k] + f->c->params.bn.eps), gamma = in(f, 4) ? in(f, 4)[k] : 1;
        return (in(f, 1)[i] - in(f, 2)[k]) / deviation * gamma + in(f, 6)[k] > 0 ? in(f, 0)[i] : 0;
    }
    return has(f, RN_OPF_RELU) && !(in(f, 5)[i] > 0) ? 0 : in(f, 0)[i];
}

/* One channel: with xhat = (x - mean) / std, dx = gamma / std (g - mean(g) - xhat mean(g xhat)); frozen gamma / std g. */
static void bn_backward_channel(const formula *f, size_t k)
{
    const double deviation = sqrt(in(f, 3)[k] + f->c->params.bn.eps), gamma = in(f, 4) ? in(f, 4)[k] : 1;
    const double n = (double)(f->images * f->pixels);
    double sum_g = 0, sum_gx = 0;
    for (size_t i = 0; i < count(f); i++) {
        if (channel(f, i) != k)
            continue;
        sum_g += masked(f, i);
        sum_gx += masked(f, i) * (in(f, 1)[i] - in(f, 2)[k]) / deviation;
    }
    for (size_t i = 0; i < count(f); i++) {
        if (channel(f, i) != k)
            continue;
        const double xhat = (in(f, 1)[i] - in(f, 2)[k]) / deviation;
        const double follows = has(f, RN_OPF_FROZEN) ? 0 : sum_g / n + xhat * sum_gx / n;
        out(f, 0)[i] = gamma / deviation * (masked(f, i) - follows);
    }
    if (out(f, 1))
        out(f, 1)[k] += sum_gx;
    if (out(f, 2))
        out(f, 2)[k] += sum_g;
}

static void bn_backward(const formula *f)
{
    for (size_t k = 0; k < f->channels; k++)
        bn_backward_channel(f, k);
    for (size_t i = 0; has(f, RN_OPF_ADD) && i < count(f); i++)
        out(f, 3)[i] = masked(f, i) + (has(f, RN_OPF_ACCUMULATE) ? out(f, 3)[i] : 0);
}

static void bias_grad(const formula *f)
{
    for (size_t i = 0; i < count(f); i++)
        out(f, 0)[channel(f, i)] += in(f, 0)[i];
}

static void elementwise(const formula *f)
{
    for (size_t i = 0; i < count(f); i++) {
        const double a = in(f, 0)[i], b = in(f, 1) ? in(f, 1)[i] : 0;
        double *const y = &out(f, 0)[i];
        switch (f->op->kind) {
        case RN_OP_RELU:
            *y = relu(a);
            break;
        case RN_OP_RELU_BACKWARD:
            *y = b > 0 ? a : 0;
            break;
        case RN_OP_ADD:
            *y = has(f, RN_OPF_RELU) ? relu(a + b) : a + b;
            break;
        case RN_OP_ACCUMULATE:
            *y += a;
            break;
        default: /* RN_OP_CONVERT */
            *y = has(f, RN_OPF_ACCUMULATE) ? *y + a : a;
        }
    }
}

static void fill(const formula *f)
{
    memset(out(f, 0), 0, f->c->values[f->op->out[0]].count * sizeof(double));
}

/* A window over one image's channel; backward goes from outputs to inputs. */
typedef struct window {
    size_t height, width, out_height, out_width;
    int64_t kernel[2], stride[2], padding[2];
} window;

static window window_of(const formula *f, const rn_value *large, const rn_value *small)
{
    const rn_pool_params *const p = &f->c->params.pool;
    window w = {(size_t)large->dims[2], (size_t)large->dims[3], (size_t)small->dims[2], (size_t)small->dims[3],
                {large->dims[2], large->dims[3]}, {1, 1}, {0, 0}};
    if (f->op->kind == RN_OP_GLOBAL_AVGPOOL || f->op->kind == RN_OP_GLOBAL_AVGPOOL_BACKWARD)
        return w;
    memcpy(w.kernel, p->kernel, sizeof w.kernel);
    memcpy(w.stride, p->stride, sizeof w.stride);
    memcpy(w.padding, p->padding, sizeof w.padding);
    return w;
}

/* Offset in the image of tap t of output o; -1 in the padding. */
static int64_t tap(const window *w, size_t o, int64_t t)
{
    const int64_t y = (int64_t)(o / w->out_width) * w->stride[0] - w->padding[0] + t / w->kernel[1];
    const int64_t x = (int64_t)(o % w->out_width) * w->stride[1] - w->padding[1] + t % w->kernel[1];
    const int inside = y >= 0 && x >= 0 && y < (int64_t)w->height && x < (int64_t)w->width;
    return inside ? y * (int64_t)w->width + x : -1;
}

/* Taps that average pooling counts: all that lie in the padded image, or only those in the image. */
static double divisor(const formula *f, const window *w, size_t o)
{
    double n = 0;
    for (int64_t t = 0; t < w->kernel[0] * w->kernel[1]; t++) {
        const int64_t y = (int64_t)(o / w->out_width) * w->stride[0] + t / w->kernel[1];
        const int64_t x = (int64_t)(o % w->out_width) * w->stride[1] + t % w->kernel[1];
        const int padded = y < (int64_t)w->height + 2 * w->padding[0] && x < (int64_t)w->width + 2 * w->padding[1];
        n += has(f, RN_OPF_EXCLUDE_PADDING) ? tap(w, o, t) >= 0 : padded;
    }
    return n;
}

static void maxpool(const formula *f)
{
    const window w = window_of(f, in_value(f, 0), out_value(f, 0));
    const size_t outputs = w.out_height * w.out_width;
    for (size_t i = 0; i < f->images * f->channels * outputs; i++) {
        const double *const x = in(f, 0) + i / outputs * f->pixels;
        double best = -INFINITY;
        for (int64_t t = 0; t < w.kernel[0] * w.kernel[1]; t++) {
            const int64_t at = tap(&w, i % outputs, t);
            if (at >= 0 && !isnan(best) && (isnan(x[at]) || x[at] > best))
                best = x[at];
        }
        out(f, 0)[i] = best;
    }
}

static void maxpool_backward(const formula *f)
{
    const window w = window_of(f, out_value(f, 0), in_value(f, 0));
    const size_t outputs = w.out_height * w.out_width, inputs = w.height * w.width;
    memset(out(f, 0), 0, f->images * f->channels * inputs * sizeof(double));
    for (size_t i = 0; i < f->images * f->channels * outputs; i++) {
        const double *const x = in(f, 1) + i / outputs * inputs;
        for (int64_t t = 0; t < w.kernel[0] * w.kernel[1]; t++) {
            const int64_t at = tap(&w, i % outputs, t);
            if (at >= 0 && (x[at] == in(f, 2)[i] || (isnan(x[at]) && isnan(in(f, 2)[i])))) {
                out(f, 0)[i / outputs * inputs + (size_t)at] += in(f, 0)[i];
                break;
            }
        }
    }
}

/* Adaptive pooling along an axis: pixel i is part of output o when floor(o I / O) <= i < ceil((o + 1) I / O). */
static double axis_share(int64_t i, int64_t inputs, int64_t o, int64_t outputs)
{
    const double first = floor((double)(o * inputs) / (double)outputs);
    const double end = ceil((double)((o + 1) * inputs) / (double)outputs);
    return (double)i >= first && (double)i < end ? 1 / (end - first) : 0;
}

/* Every pixel with every output. */
static void adaptive_avgpool(const formula *f, int backward)
{
    const int64_t *const in_dims = (backward ? out_value(f, 0) : in_value(f, 0))->dims;
    const int64_t *const out_dims = (backward ? in_value(f, 0) : out_value(f, 0))->dims;
    const size_t inputs = (size_t)(in_dims[2] * in_dims[3]), outputs = (size_t)(out_dims[2] * out_dims[3]);
    memset(out(f, 0), 0, f->images * f->channels * (backward ? inputs : outputs) * sizeof(double));
    for (size_t plane = 0; plane < f->images * f->channels; plane++) {
        for (size_t i = 0; i < inputs; i++) {
            for (size_t o = 0; o < outputs; o++) {
                const double share =
                    axis_share((int64_t)i / in_dims[3], in_dims[2], (int64_t)o / out_dims[3], out_dims[2]) *
                    axis_share((int64_t)i % in_dims[3], in_dims[3], (int64_t)o % out_dims[3], out_dims[3]);
                if (backward)
                    out(f, 0)[plane * inputs + i] += share * in(f, 0)[plane * outputs + o];
                else
                    out(f, 0)[plane * outputs + o] += share * in(f, 0)[plane * inputs + i];
            }
        }
    }
}

static void avgpool(const formula *f)
{
    if (has(f, RN_OPF_ADAPTIVE)) {
        adaptive_avgpool(f, 0);
        return;
    }
    const window w = window_of(f, in_value(f, 0), out_value(f, 0));
    const size_t outputs = w.out_height * w.out_width;
    for (size_t i = 0; i < f->images * f->channels * outputs; i++) {
        double sum = 0;
        for (int64_t t = 0; t < w.kernel[0] * w.kernel[1]; t++) {
            const int64_t at = tap(&w, i % outputs, t);
            sum += at >= 0 ? in(f, 0)[i / outputs * f->pixels + (size_t)at] : 0;
        }
        out(f, 0)[i] = sum / divisor(f, &w, i % outputs);
    }
}

static void avgpool_backward(const formula *f)
{
    if (has(f, RN_OPF_ADAPTIVE)) {
        adaptive_avgpool(f, 1);
        return;
    }
    const window w = window_of(f, out_value(f, 0), in_value(f, 0));
    const size_t outputs = w.out_height * w.out_width, inputs = w.height * w.width;
    memset(out(f, 0), 0, f->images * f->channels * inputs * sizeof(double));
    for (size_t i = 0; i < f->images * f->channels * outputs; i++) {
        const double part = in(f, 0)[i] / divisor(f, &w, i % outputs);
        for (int64_t t = 0; t < w.kernel[0] * w.kernel[1]; t++) {
            const int64_t at = tap(&w, i % outputs, t);
            if (at >= 0)
                out(f, 0)[i / outputs * inputs + (size_t)at] += part;
        }
    }
}

static void linear(const formula *f)
{
    const size_t inputs = f->channels, outputs = (size_t)out_value(f, 0)->dims[1];
    for (size_t i = 0; i < f->images * outputs; i++) {
        double y = has(f, RN_OPF_BIAS) ? in(f, 2)[i % outputs] : 0;
        for (size_t k = 0; k < inputs; k++)
            y += in(f, 0)[i / outputs * inputs + k] * in(f, 1)[i % outputs * inputs + k];
        out(f, 0)[i] = has(f, RN_OPF_RELU) ? relu(y) : y;
    }
}

static void linear_backward_data(const formula *f)
{
    const size_t outputs = f->channels, inputs = (size_t)out_value(f, 0)->dims[1];
    for (size_t i = 0; i < f->images * inputs; i++) {
        double dx = 0;
        for (size_t o = 0; o < outputs; o++)
            dx += in(f, 0)[i / inputs * outputs + o] * in(f, 1)[o * inputs + i % inputs];
        out(f, 0)[i] = dx;
    }
}

static void linear_backward_filter(const formula *f)
{
    const size_t inputs = f->channels, outputs = (size_t)in_value(f, 1)->dims[1];
    for (size_t i = 0; i < outputs * inputs; i++)
        for (size_t n = 0; n < f->images; n++)
            out(f, 0)[i] += in(f, 0)[n * inputs + i % inputs] * in(f, 1)[n * outputs + i / inputs];
}

/* Softmax of class k for image n and pixel p of the first input. */
static double softmax_at(const formula *f, size_t n, size_t k, size_t p)
{
    const double *const x = in(f, 0) + n * f->channels * f->pixels + p;
    double largest = -INFINITY, sum = 0;
    for (size_t j = 0; j < f->channels; j++)
        largest = fmax(largest, x[j * f->pixels]);
    for (size_t j = 0; j < f->channels; j++)
        sum += exp(x[j * f->pixels] - largest);
    return exp(x[k * f->pixels] - largest) / sum;
}

static void softmax(const formula *f)
{
    for (size_t i = 0; i < count(f); i++)
        out(f, 0)[i] = softmax_at(f, i / f->pixels / f->channels, channel(f, i), i % f->pixels);
}

static void softmax_backward(const formula *f)
{
    for (size_t i = 0; i < count(f); i++) {
        const size_t row = i / f->channels * f->channels;
        double sum = 0;
        for (size_t j = row; j < row + f->channels; j++)
            sum += in(f, 0)[j] * in(f, 1)[j];
        out(f, 0)[i] = in(f, 1)[i] * (in(f, 0)[i] - sum);
    }
}

static double gradient_factor(const formula *f)
{
    const int scaled = (f->c->ops[0].flags & RN_OPF_LOSS_SCALE) != 0;
    return scaled ? f->c->run.grad_scale * out(f, 1)[8] : f->c->run.grad_scale;
}

static void add_metrics(double *m, double loss, double images, double correct)
{
    m[0] += loss * images;
    m[1] = loss;
    m[3] += images;
    m[4] += correct;
    m[5] += 1;
    m[6] += !isfinite(loss);
    m[7] = !isfinite(loss);
}

static void cross_entropy(const formula *f)
{
    const double e = f->c->params.cross_entropy.label_smoothing, n = (double)f->images, k = (double)f->channels;
    double loss = 0, correct = 0;
    for (size_t i = 0; i < f->images; i++) {
        const size_t label = (size_t)in(f, 1)[i];
        size_t best = 0;
        for (size_t j = 0; j < f->channels; j++) {
            const double target = (j == label ? 1 - e : 0) + e / k, p = softmax_at(f, i, j, 0);
            loss -= target * log(p) / n;
            if (in(f, 0)[i * f->channels + j] > in(f, 0)[i * f->channels + best])
                best = j;
            if (out(f, 0))
                out(f, 0)[i * f->channels + j] = (p - target) / n * gradient_factor(f);
        }
        correct += best == label;
    }
    add_metrics(out(f, 1), loss, n, correct);
}

static void soft_cross_entropy(const formula *f)
{
    const double e = f->c->params.cross_entropy.label_smoothing, k = (double)f->channels, n = (double)f->images;
    double loss = 0, correct = 0;
    for (size_t i = 0; i < f->images; i++) {
        const double *const x = in(f, 0) + i * f->channels, *const target = in(f, 1) + i * f->channels;
        double sum = 0, total = 0;
        size_t best = 0, wanted = 0;
        for (size_t j = 0; j < f->channels; j++) {
            sum += exp(x[j]);
            total += (1 - e) * target[j] + e / k;
            best = x[j] > x[best] ? j : best;
            wanted = target[j] > target[wanted] ? j : wanted;
        }
        for (size_t j = 0; j < f->channels; j++) {
            const double p = exp(x[j]) / sum, t = (1 - e) * target[j] + e / k;
            loss -= t * log(p) / n;
            if (out(f, 0))
                out(f, 0)[i * f->channels + j] = (p * total - t) / n * gradient_factor(f);
        }
        correct += best == wanted;
    }
    add_metrics(out(f, 1), loss, n, correct);
}

static void mse(const formula *f)
{
    double loss = 0;
    for (size_t i = 0; i < count(f); i++) {
        const double d = in(f, 0)[i] - in(f, 1)[i];
        loss += d * d / (double)count(f);
        if (out(f, 0))
            out(f, 0)[i] = 2 * d / (double)count(f) * gradient_factor(f);
    }
    add_metrics(out(f, 1), loss, (double)f->images, 0);
}

static void dropout(const formula *f)
{
    const rn_dropout_params *const p = &f->c->params.dropout;
    for (size_t i = 0; i < count(f); i++) {
        uint32_t bits[4];
        rni_philox(f->c->run.seed, RNI_STREAM_DROPOUT + p->stream, (uint32_t)f->c->run.step, (uint32_t)(i / 4), 0, bits);
        out(f, 0)[i] = (double)rni_uniform(bits[i % 4]) >= p->p ? in(f, 0)[i] * (1 / (1 - p->p)) : 0;
    }
}

/* Both directions: walks over the larger image's channels and pixels that have a partner. */
static void pad_shortcut(const formula *f)
{
    const rn_pad_shortcut_params *const p = &f->c->params.pad;
    const int backward = f->op->kind == RN_OP_PAD_SHORTCUT_BACKWARD;
    const int64_t *const x = backward ? out_value(f, 0)->dims : in_value(f, 0)->dims;
    const int64_t *const y = backward ? in_value(f, 0)->dims : out_value(f, 0)->dims;
    const int64_t all = (int64_t)f->images * (backward ? x[1] * x[2] * x[3] : y[1] * y[2] * y[3]);
    memset(out(f, 0), 0, (size_t)all * sizeof(double));
    for (int64_t i = 0; i < (int64_t)f->images * x[1] * y[2] * y[3]; i++) {
        const int64_t ox = i % y[3], oy = i / y[3] % y[2], c = i / (y[2] * y[3]) % x[1], n = i / (x[1] * y[2] * y[3]);
        const int64_t small = ((n * y[1] + c + p->channels_before) * y[2] + oy) * y[3] + ox;
        const int64_t large = ((n * x[1] + c) * x[2] + oy * p->stride[0]) * x[3] + ox * p->stride[1];
        out(f, 0)[backward ? large : small] = in(f, 0)[backward ? small : large];
    }
}

static void grad_norm(const formula *f)
{
    const rn_segments_params *const p = &f->c->params.segments;
    double sum = 0;
    for (uint64_t s = 0; s < p->num_segments; s++)
        for (uint64_t i = 0; i < p->segments[s].count; i++)
            sum += pow(in(f, 0)[p->segments[s].offset + i], 2);
    out(f, 0)[2] = sqrt(sum);
}

static void grad_clip(const formula *f)
{
    const rn_segments_params *const p = &f->c->params.segments;
    const double factor = fmin(1, p->clip_norm / (in(f, 0)[2] + 1e-6));
    for (uint64_t s = 0; s < p->num_segments; s++)
        for (uint64_t i = 0; i < p->segments[s].count; i++)
            out(f, 0)[p->segments[s].offset + i] *= factor;
}

static double update_number(const formula *f)
{
    return (double)f->c->run.optimizer_step - in(f, 1)[11];
}

static void sgd(const formula *f)
{
    const rn_sgd_params *const p = &f->c->params.sgd;
    for (uint64_t k = 0; in(f, 1)[7] == 0 && k < p->num_segments; k++) {
        const rn_segment *const s = &p->segments[k];
        for (uint64_t i = s->offset; i < s->offset + s->count; i++) {
            double g = in(f, 0)[i] + s->weight_decay * out(f, 0)[i];
            if (p->momentum > 0) {
                double *const buf = &out(f, 1)[i];
                *buf = update_number(f) == 1 ? g : p->momentum * *buf + (1 - p->dampening) * g;
                g = p->nesterov ? g + p->momentum * *buf : *buf;
            }
            out(f, 0)[i] -= f->c->lr[s->group] * g;
        }
    }
}

static void adam(const formula *f)
{
    const rn_adam_params *const p = &f->c->params.adam;
    const double t = update_number(f);
    for (uint64_t k = 0; in(f, 1)[7] == 0 && k < p->num_segments; k++) {
        const rn_segment *const s = &p->segments[k];
        const double lr = f->c->lr[s->group];
        for (uint64_t i = s->offset; i < s->offset + s->count; i++) {
            double *const w = &out(f, 0)[i], *const m = &out(f, 1)[i], *const v = m + p->state_stride;
            const double g = in(f, 0)[i] + (p->decoupled ? 0 : s->weight_decay * *w);
            if (p->decoupled)
                *w *= 1 - lr * s->weight_decay;
            *m = p->beta1 * *m + (1 - p->beta1) * g;
            *v = p->beta2 * *v + (1 - p->beta2) * g * g;
            *w -= lr / (1 - pow(p->beta1, t)) * *m / (sqrt(*v / (1 - pow(p->beta2, t))) + p->eps);
        }
    }
}

static void grad_unscale(const formula *f)
{
    const rn_segments_params *const p = &f->c->params.segments;
    double *const m = out(f, 1);
    for (uint64_t s = 0; s < p->num_segments; s++)
        for (uint64_t i = 0; i < p->segments[s].count; i++) {
            double *const g = &out(f, 0)[p->segments[s].offset + i];
            *g /= m[8];
            if (!isfinite((float)*g))
                m[7] = 1;
        }
}

static void loss_scale(const formula *f)
{
    const rn_loss_scale_params *const p = &f->c->params.loss_scale;
    double *const m = out(f, 0), grown = m[8] * p->growth, less = m[8] * p->backoff;
    const int grows = m[7] == 0 && m[9] + 1 >= (double)p->interval;
    m[10] += m[7] != 0;
    m[11] += m[7] != 0 && p->host_counts;
    m[9] = m[7] != 0 || grows ? 0 : m[9] + 1;
    if (m[7] != 0)
        m[8] = less < p->least ? p->least : less;
    else if (grows)
        m[8] = grown > p->most ? p->most : grown;
}

static void lerp(const formula *f)
{
    const double weight = f->c->lr[0];
    for (uint64_t i = 0; i < (uint64_t)in_value(f, 0)->dims[0]; i++)
        if (weight == 1)
            out(f, 0)[i] = in(f, 0)[i];
        else if (weight != 0)
            out(f, 0)[i] += weight * (in(f, 0)[i] - out(f, 0)[i]);
}

static void augment(const formula *f)
{
    const oc_augment a = {
        .params = &f->c->params.augment,
        .stored = in_value(f, 0)->dims,
        .images = in(f, 0),
        .labels = in(f, 1),
        .order = in(f, 2),
        .key = in(f, 3),
        .table = in(f, 4),
        .fill = in(f, 5),
        .mean = in(f, 6),
        .after = in(f, 7),
        .num_after = in(f, 7) ? in_value(f, 7)->dims[0] : 0,
    };
    oc_augment_formula(&a, f->c->run.batch, out(f, 0), out(f, 1));
}

static void (*const formulas[RN_OP_COUNT_])(const formula *f) = {
    [RN_OP_CONVERT] = elementwise,
    [RN_OP_FILL] = fill,
    [RN_OP_BIAS_GRAD] = bias_grad,
    [RN_OP_BN_STATS] = bn_stats,
    [RN_OP_BN_RUNNING] = bn_running,
    [RN_OP_BN_APPLY] = bn_apply,
    [RN_OP_BN_BACKWARD] = bn_backward,
    [RN_OP_BN_FOLD] = bn_fold,
    [RN_OP_SCALE_SHIFT] = scale_shift,
    [RN_OP_RELU] = elementwise,
    [RN_OP_RELU_BACKWARD] = elementwise,
    [RN_OP_ADD] = elementwise,
    [RN_OP_ACCUMULATE] = elementwise,
    [RN_OP_MAXPOOL] = maxpool,
    [RN_OP_MAXPOOL_BACKWARD] = maxpool_backward,
    [RN_OP_AVGPOOL] = avgpool,
    [RN_OP_AVGPOOL_BACKWARD] = avgpool_backward,
    [RN_OP_GLOBAL_AVGPOOL] = avgpool,
    [RN_OP_GLOBAL_AVGPOOL_BACKWARD] = avgpool_backward,
    [RN_OP_LINEAR] = linear,
    [RN_OP_LINEAR_BACKWARD_DATA] = linear_backward_data,
    [RN_OP_LINEAR_BACKWARD_FILTER] = linear_backward_filter,
    [RN_OP_SOFTMAX] = softmax,
    [RN_OP_SOFTMAX_BACKWARD] = softmax_backward,
    [RN_OP_DROPOUT] = dropout,
    [RN_OP_DROPOUT_BACKWARD] = dropout,
    [RN_OP_PAD_SHORTCUT] = pad_shortcut,
    [RN_OP_PAD_SHORTCUT_BACKWARD] = pad_shortcut,
    [RN_OP_CROSS_ENTROPY] = cross_entropy,
    [RN_OP_SOFT_CROSS_ENTROPY] = soft_cross_entropy,
    [RN_OP_MSE] = mse,
    [RN_OP_GRAD_NORM] = grad_norm,
    [RN_OP_GRAD_CLIP] = grad_clip,
    [RN_OP_SGD] = sgd,
    [RN_OP_ADAM] = adam,
    [RN_OP_LERP] = lerp,
    [RN_OP_AUGMENT] = augment,
    [RN_OP_GRAD_UNSCALE] = grad_unscale,
    [RN_OP_LOSS_SCALE] = loss_scale,
};

static void measure(formula *f)
{
    if (!in(f, 0))
        return;
    const rn_value *const v = in_value(f, 0);
    f->images = (size_t)(v->batch_axis == 0 ? f->c->run.batch : v->dims[0]);
    f->channels = v->rank > 1 ? (size_t)v->dims[1] : 1;
    f->pixels = 1;
    for (int32_t i = 2; i < v->rank; i++)
        f->pixels *= (size_t)v->dims[i];
}

int oc_formula(const oc_case *c, const oc_result *got, oc_result *expected)
{
    rn_op op = c->ops[c->num_ops - 1];
    op.in = c->in[c->num_ops - 1];
    op.out = c->out[c->num_ops - 1];
    formula f = {.c = c, .op = &op, .got = got, .expected = expected};
    memset(expected, 0, sizeof *expected);
    if (!formulas[op.kind])
        return 0;
    for (uint32_t i = 0; i < c->num_values; i++) {
        const int made = c->values[i].check != OC_INPUT;
        expected->data[i] = malloc((c->values[i].count + 1) * sizeof(double));
        memcpy(expected->data[i], made ? c->values[i].data : got->data[i], c->values[i].count * sizeof(double));
    }
    for (uint32_t i = 0; c->num_ops > 1 && i < c->num_values; i++) /* made by an op before the last */
        for (uint32_t k = 0; k < c->ops[0].num_out; k++)
            if (c->out[0][k] == i)
                memcpy(expected->data[i], got->data[i], c->values[i].count * sizeof(double));
    measure(&f);
    formulas[op.kind](&f);
    return 1;
}
