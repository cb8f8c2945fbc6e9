/* SPDX-License-Identifier: MIT */
/* What RN_OP_AUGMENT must give: one step after the other on whole images. */
#include "base/rng.h"
#include "formula_augment.h"
#include <stdlib.h>
#include <string.h>

/* An image on its way, [channels][height][width]. */
typedef struct picture {
    int64_t channels, height, width;
    double *pixels;
} picture;

static double *at(const picture *p, int64_t c, int64_t y, int64_t x)
{
    return &p->pixels[(c * p->height + y) * p->width + x];
}

static picture picture_of(int64_t channels, int64_t height, int64_t width)
{
    return (picture){channels, height, width, calloc((size_t)(channels * height * width), sizeof(double))};
}

static int is_inside(const picture *p, int64_t y, int64_t x)
{
    return y >= 0 && y < p->height && x >= 0 && x < p->width;
}

static void crop(const oc_augment *a, const rn_augment_step *s, int64_t top, int64_t left, picture *p)
{
    const picture result = picture_of(p->channels, s->height, s->width);
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t y = 0; y < s->height; y++)
            for (int64_t x = 0; x < s->width; x++)
                *at(&result, c, y, x) = is_inside(p, top + y, left + x) ? *at(p, c, top + y, left + x)
                                                                        : a->fill[s->level * p->channels + c];
    free(p->pixels);
    *p = result;
}

static void cut(const oc_augment *a, const rn_augment_step *s, int64_t top, int64_t left, const picture *p)
{
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t y = top; y < top + s->height; y++)
            for (int64_t x = left; x < left + s->width; x++)
                if (is_inside(p, y, x))
                    *at(p, c, y, x) = a->fill[s->level * p->channels + c];
}

static void flip(const picture *p)
{
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t y = 0; y < p->height; y++)
            for (int64_t x = 0; x < p->width / 2; x++) {
                const double left = *at(p, c, y, x);
                *at(p, c, y, x) = *at(p, c, y, p->width - 1 - x);
                *at(p, c, y, p->width - 1 - x) = left;
            }
}

static void subtract(const oc_augment *a, const picture *p)
{
    for (int64_t i = 0; i < p->channels * p->height * p->width; i++) {
        const int64_t c = i / (p->height * p->width);
        p->pixels[i] -= a->mean[i];
        for (int64_t k = 0; k < a->num_after; k++)
            p->pixels[i] = (p->pixels[i] - a->after[2 * k * p->channels + c]) / a->after[(2 * k + 1) * p->channels + c];
    }
}

static void apply(const oc_augment *a, const rn_augment_step *s, uint32_t image, picture *p)
{
    uint32_t w[4];
    rni_philox((uint64_t)a->key[0], RNI_STREAM_TRANSFORM, (uint32_t)a->key[1], image, s->lane, w);
    const int64_t top = s->top + (int64_t)rni_below(w[0], w[1], (uint64_t)s->down);
    const int64_t left = s->left + (int64_t)rni_below(w[2], w[3], (uint64_t)s->across);
    switch (s->kind) {
    case RN_AUGMENT_CROP:
        crop(a, s, top, left, p);
        break;
    case RN_AUGMENT_CUT:
        cut(a, s, top, left, p);
        break;
    case RN_AUGMENT_FLIP:
        if (w[0] >> 8 < s->threshold)
            flip(p);
        break;
    default:
        subtract(a, p);
        break;
    }
}

void oc_augment_formula(const oc_augment *a, int64_t rows, double *x, double *y)
{
    const int64_t *const dims = a->stored;
    const int64_t pixels = dims[2] * dims[3], numbers = dims[1] * pixels;
    for (int64_t row = 0; row < rows; row++) {
        const int64_t image = (int64_t)a->order[row];
        picture p = picture_of(dims[1], dims[2], dims[3]);
        for (int64_t i = 0; i < numbers; i++)
            p.pixels[i] = a->table[i / pixels * 256 + (int64_t)a->images[image * numbers + i]];
        for (uint64_t i = 0; i < a->params->num_steps; i++)
            apply(a, &a->params->steps[i], (uint32_t)image, &p);
        const int64_t made = p.channels * p.height * p.width;
        memcpy(x + row * made, p.pixels, (size_t)made * sizeof *x);
        y[row] = a->labels[image];
        free(p.pixels);
    }
}
