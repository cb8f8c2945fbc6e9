/* SPDX-License-Identifier: MIT */
#include "data/mix.h"
#include "base/error.h"
#include "base/rng.h"
#include <math.h>
#include <string.h>

/* Lanes of a batch's random numbers. */
enum { LANE_CHOICE, LANE_BOX, LANE_BETA };

int rni_mix_wanted(const rn_loader_options *o)
{
    return o->mixup_alpha > 0.0 || o->cutmix_alpha > 0.0;
}

static rn_status check_alpha(const char *name, double alpha)
{
    if (!(alpha >= 0.0) || !isfinite(alpha))
        return rni_fail(RN_E_INVALID, "options.%s: expected a finite number, 0 or more, got %g", name, alpha);
    return RN_OK;
}

static rn_status check_probability(const char *name, double p)
{
    if (!(p >= 0.0 && p <= 1.0))
        return rni_fail(RN_E_INVALID, "options.%s: expected 0 to 1, got %g", name, p);
    return RN_OK;
}

rn_status rni_mix_check(const rn_loader_options *o)
{
    RNI_TRY(check_alpha("mixup_alpha", o->mixup_alpha));
    RNI_TRY(check_alpha("cutmix_alpha", o->cutmix_alpha));
    RNI_TRY(check_probability("mix_probability", o->mix_probability));
    return check_probability("cutmix_share", o->cutmix_share);
}

static int choose(const rn_loader_options *o, const uint32_t random[4])
{
    if (!((double)rni_uniform(random[0]) < o->mix_probability))
        return RNI_MIX_NONE;
    if (o->mixup_alpha > 0.0 && o->cutmix_alpha > 0.0)
        return (double)rni_uniform(random[1]) < o->cutmix_share ? RNI_MIX_CUT : RNI_MIX_UP;
    return o->mixup_alpha > 0.0 ? RNI_MIX_UP : RNI_MIX_CUT;
}

static void cut_axis(int64_t size, int64_t centre, double share, int64_t *first, int64_t *end)
{
    const int64_t half = (int64_t)(0.5 * share * (double)size);
    *first = centre > half ? centre - half : 0;
    *end = centre + half < size ? centre + half : size;
}

/* A box around a random pixel, of 1 - lambda of the image before it is cut at the border. Returns lambda after that. */
static double draw_box(rni_mix *m, double lambda, int64_t height, int64_t width, const uint32_t random[4])
{
    const int64_t x = (int64_t)rni_below(random[0], random[1], (uint64_t)width);
    const int64_t y = (int64_t)rni_below(random[2], random[3], (uint64_t)height);
    cut_axis(width, x, sqrt(1.0 - lambda), &m->left, &m->right);
    cut_axis(height, y, sqrt(1.0 - lambda), &m->top, &m->bottom);
    return 1.0 - (double)((m->right - m->left) * (m->bottom - m->top)) / (double)(width * height);
}

rni_mix rni_mix_draw(const rn_loader_options *o, uint32_t epoch, uint32_t batch, int64_t height, int64_t width)
{
    uint32_t random[4];
    rni_philox(o->seed, RNI_STREAM_MIX, epoch, batch, LANE_CHOICE, random);
    rni_mix m = {.kind = choose(o, random), .own = 1.0f};
    if (m.kind == RNI_MIX_NONE)
        return m;
    const double alpha = m.kind == RNI_MIX_CUT ? o->cutmix_alpha : o->mixup_alpha;
    double lambda = rni_beta(o->seed, RNI_STREAM_MIX, epoch, batch, LANE_BETA, alpha, alpha);
    if (m.kind == RNI_MIX_CUT) {
        rni_philox(o->seed, RNI_STREAM_MIX, epoch, batch, LANE_BOX, random);
        lambda = draw_box(&m, lambda, height, width, random);
    }
    m.own = (float)lambda;
    m.other = (float)(1.0 - lambda);
    return m;
}

static void add_weighted(const rni_mix *m, int64_t count, const float *image, const float *partner, float *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = m->own * image[i] + m->other * partner[i];
}

static void paste(const rni_mix *m, const rni_mix_shape *s, const float *partner, float *out)
{
    const int64_t planes = s->nhwc ? 1 : s->channels, pixel = s->nhwc ? s->channels : 1;
    const size_t bytes = (size_t)((m->right - m->left) * pixel) * sizeof *out;
    for (int64_t p = 0; p < planes; p++) {
        for (int64_t y = m->top; y < m->bottom; y++) {
            const int64_t at = ((p * s->height + y) * s->width + m->left) * pixel;
            memcpy(out + at, partner + at, bytes);
        }
    }
}

void rni_mix_images(const rni_mix *m, const rni_mix_shape *s, const float *image, const float *partner, float *out)
{
    const int64_t count = s->channels * s->height * s->width;
    if (m->kind == RNI_MIX_UP) {
        add_weighted(m, count, image, partner, out);
        return;
    }
    memcpy(out, image, (size_t)count * sizeof *out);
    if (m->kind == RNI_MIX_CUT)
        paste(m, s, partner, out);
}
