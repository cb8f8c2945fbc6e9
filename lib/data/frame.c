/* SPDX-License-Identifier: MIT */
/* Frames: which part of a picture of any size becomes an image, as torchvision's transforms choose it. */
#include "base/rng.h"
#include "data/transform.h"
#include <inttypes.h>
#include <math.h>

enum { RESIZED_CROP_ATTEMPTS = 10 };

void rni_draw_words(const rni_draw *draw, size_t step, uint32_t attempt, uint32_t out[4])
{
    /* The lane holds the step in its low byte (RNI_MAX_STEPS is less). */
    rni_philox(draw->seed, RNI_STREAM_TRANSFORM, draw->epoch, draw->index, (uint32_t)step | attempt << 8, out);
}

/* round((size - kept) / 2) in Python, where halves go to the even number. */
int64_t rni_center_first(int64_t size, int64_t kept)
{
    const int64_t half = (size - kept) / 2;
    return (size - kept) % 2 && half % 2 ? half + 1 : half;
}

void rni_ten_crop_first(int64_t view, int64_t down, int64_t across, int64_t *top, int64_t *left)
{
    const int64_t corner = view % 5;
    *top = corner == 4 ? rni_center_first(down, 0) : corner / 2 * down;
    *left = corner == 4 ? rni_center_first(across, 0) : corner % 2 * across;
}

static double uniform(uint32_t word, double from, double to)
{
    return from + (to - from) * (double)rni_uniform(word);
}

/* One attempt: a box of random area and shape. 0 when it is not inside the picture. */
static int draw_box(const rni_step *s, int64_t height, int64_t width, const uint32_t random[4], rni_frame *f)
{
    const double area = (double)height * (double)width * uniform(random[0], s->area[0], s->area[1]);
    const double ratio = exp(uniform(random[1], log(s->ratio[0]), log(s->ratio[1])));
    const double w = rint(sqrt(area * ratio)), h = rint(sqrt(area / ratio));
    if (!(w >= 1.0 && h >= 1.0 && w <= (double)width && h <= (double)height))
        return 0;
    f->box_height = h;
    f->box_width = w;
    f->top = (double)rni_below(random[2], 0, (uint64_t)(height - (int64_t)h + 1));
    f->left = (double)rni_below(random[3], 0, (uint64_t)(width - (int64_t)w + 1));
    return 1;
}

/* The largest box in the middle whose shape is allowed. */
static void central_box(const rni_step *s, int64_t height, int64_t width, rni_frame *f)
{
    const double shape = (double)width / (double)height;
    int64_t h = height, w = width;
    if (shape < s->ratio[0])
        h = (int64_t)rint((double)width / s->ratio[0]);
    else if (shape > s->ratio[1])
        w = (int64_t)rint((double)height * s->ratio[1]);
    h = h < 1 ? 1 : h;
    w = w < 1 ? 1 : w;
    f->box_height = (double)h;
    f->box_width = (double)w;
    f->top = (double)((height - h) / 2);
    f->left = (double)((width - w) / 2);
}

static void resized_crop(const rni_step *s, int64_t height, int64_t width, const rni_draw *draw, rni_frame *f)
{
    for (uint32_t attempt = 0; attempt < RESIZED_CROP_ATTEMPTS; attempt++) {
        uint32_t random[4];
        rni_draw_words(draw, 0, attempt, random);
        if (draw_box(s, height, width, random, f))
            return;
    }
    central_box(s, height, width, f);
}

/* Makes the shorter side so long, and the other in proportion. */
static void short_side(const rni_step *s, int64_t height, int64_t width, const rni_draw *draw, rni_frame *f)
{
    uint32_t random[4];
    rni_draw_words(draw, 0, 0, random);
    const int64_t side =
        s->shortest + (int64_t)rni_below(random[0], random[1], (uint64_t)(s->longest - s->shortest + 1));
    f->height = height < width ? side : (int64_t)((double)side * (double)height / (double)width);
    f->width = height < width ? (int64_t)((double)side * (double)width / (double)height) : side;
}

/* Keeps in_height x in_width of the resized picture. */
static void choose_window(const rni_pipeline *p, const rni_draw *draw, rni_frame *f)
{
    const int64_t down = f->height - p->in_height, across = f->width - p->in_width;
    uint32_t random[4];
    switch (p->frame_steps > 1 ? p->steps[1].kind : RNI_STEP_RESIZE) {
    case RNI_STEP_CROP:
        rni_draw_words(draw, 1, 0, random);
        f->window_top = (int64_t)rni_below(random[0], random[1], (uint64_t)down + 1);
        f->window_left = (int64_t)rni_below(random[2], random[3], (uint64_t)across + 1);
        break;
    case RNI_STEP_CENTER_CROP:
        f->window_top = rni_center_first(down, 0);
        f->window_left = rni_center_first(across, 0);
        break;
    case RNI_STEP_TEN_CROP:
        rni_ten_crop_first(draw->view, down, across, &f->window_top, &f->window_left);
        if (draw->view >= RNI_TEN_CROP_VIEWS / 2) /* of the mirrored picture */
            f->window_left = across - f->window_left;
        break;
    default:
        break;
    }
    f->window_height = p->in_height;
    f->window_width = p->in_width;
}

void rni_pipeline_frame(const rni_pipeline *p, int64_t height, int64_t width, const rni_draw *draw, rni_frame *out)
{
    const rni_step *const s = &p->steps[0];
    *out = rni_frame_whole(height, width, s->height, s->width);
    if (s->kind == RNI_STEP_RESIZED_CROP)
        resized_crop(s, height, width, draw, out);
    else if (s->kind == RNI_STEP_SHORT_SIDE)
        short_side(s, height, width, draw, out);
    choose_window(p, draw, out);
}

static int resizes(const rni_step *s)
{
    return s->kind == RNI_STEP_RESIZE || s->kind == RNI_STEP_SHORT_SIDE || s->kind == RNI_STEP_RESIZED_CROP;
}

/* A crop that may stand behind a resized short side: it leaves nothing open. */
static int fixes_size(const rni_step *s)
{
    return s->kind == RNI_STEP_CENTER_CROP || s->kind == RNI_STEP_TEN_CROP ||
           (s->kind == RNI_STEP_CROP && s->padding == 0 && s->height > 0 && s->width > 0);
}

static rn_status frame_short_side(rni_pipeline *p, int varied)
{
    const rni_step *const s = &p->steps[0], *const next = p->num_steps > 1 ? &p->steps[1] : NULL;
    if (next && fixes_size(next)) {
        if (next->height > s->shortest || next->width > s->shortest)
            return rni_fail(RN_E_SHAPE,
                            "transform: step 1, %s: expected at most the short side, %" PRId64 ", got %" PRId64
                            " x %" PRId64,
                            rni_step_name(next), s->shortest, next->height, next->width);
        p->in_height = next->height;
        p->in_width = next->width;
        p->frame_steps = 2;
        return RN_OK;
    }
    if (varied || s->shortest != s->longest)
        return rni_fail(RN_E_SHAPE,
                        "transform: images differ in size after step 0, short side: expected a crop to a "
                        "size, without padding, as step 1, got %s",
                        next ? rni_step_name(next) : "no more steps");
    rni_frame f;
    const rni_draw none = {0, 0, 0, 0};
    const int64_t height = p->in_height, width = p->in_width;
    p->frame_steps = 1;
    rni_pipeline_frame(p, height, width, &none, &f);
    p->in_height = f.height;
    p->in_width = f.width;
    return RN_OK;
}

rn_status rni_pipeline_plan_frame(rni_pipeline *p)
{
    const rni_step *const first = p->num_steps ? &p->steps[0] : NULL;
    const int varied = p->in_height == 0;
    if (!first || !resizes(first)) {
        if (varied)
            return rni_fail(RN_E_SHAPE,
                            "transform: the dataset's images differ in size: expected a random resized crop, a "
                            "resize, or a short side and a crop at the beginning, got %s",
                            first ? rni_step_name(first) : "no steps");
        return RN_OK;
    }
    if (p->dtype != RN_U8)
        return rni_fail(RN_E_DTYPE, "transform: step 0, %s: expected a dataset of u8, got %s", rni_step_name(first),
                        rn_dtype_name(p->dtype));
    if (first->kind == RNI_STEP_SHORT_SIDE)
        return frame_short_side(p, varied);
    p->frame_steps = 1;
    p->in_height = first->height;
    p->in_width = first->width;
    return RN_OK;
}
