/* SPDX-License-Identifier: MIT */
/* Batches of stored images: every pixel of a result is traced back through the steps to the one it comes from. */
#include "base/rng.h"
#include "cpu/driver.h"
#include "ops/operands.h"

/* What random words make of a step for one image. */
typedef struct drawn {
    int32_t top, left, flips;
} drawn;

enum { MOST_STEPS = 64 };

typedef struct augment_task {
    const rn_augment_params *params;
    const uint8_t *images;
    const int64_t *labels, *order, *key;
    const float *table, *fill, *mean, *after;
    void *x;
    int64_t *y;
    int32_t dtype, nhwc;
    size_t channels, pixels; /* of a stored image */
    int32_t in_width, mean_width;
    size_t mean_pixels, num_after;
    int32_t height, width; /* of the result */
} augment_task;

/* Where a pixel of the result comes from. */
typedef struct origin {
    int32_t y, x, level; /* level 0 or more: zeros of that level */
    int32_t mean_y, mean_x, subtracted;
} origin;

static rn_status query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return rni_ops_check_augment(op, values);
}

static void draw_steps(const augment_task *t, int64_t image, drawn *d)
{
    for (uint64_t i = 0; i < t->params->num_steps; i++) {
        const rn_augment_step *const s = &t->params->steps[i];
        uint32_t w[4];
        rni_philox((uint64_t)t->key[0], RNI_STREAM_TRANSFORM, (uint32_t)t->key[1], (uint32_t)image, s->lane, w);
        d[i] = (drawn){s->top + (int32_t)rni_below(w[0], w[1], (uint64_t)s->down),
                       s->left + (int32_t)rni_below(w[2], w[3], (uint64_t)s->across), w[0] >> 8 < s->threshold};
    }
}

static int inside(int32_t at, int32_t size)
{
    return at >= 0 && at < size;
}

static origin trace(const augment_task *t, const drawn *d, int32_t y, int32_t x)
{
    origin o = {y, x, -1, 0, 0, 0};
    for (uint64_t i = t->params->num_steps; i-- > 0 && o.level < 0;) {
        const rn_augment_step *const s = &t->params->steps[i];
        switch (s->kind) {
        case RN_AUGMENT_CROP:
            o.y += d[i].top;
            o.x += d[i].left;
            if (!inside(o.y, s->in_height) || !inside(o.x, s->in_width))
                o.level = s->level;
            break;
        case RN_AUGMENT_FLIP:
            o.x = d[i].flips ? s->in_width - 1 - o.x : o.x;
            break;
        case RN_AUGMENT_CUT:
            if (inside(o.y - d[i].top, s->height) && inside(o.x - d[i].left, s->width))
                o.level = s->level;
            break;
        default:
            o.mean_y = o.y, o.mean_x = o.x, o.subtracted = 1;
            break;
        }
    }
    return o;
}

static float value_at(const augment_task *t, const uint8_t *image, const origin *o, size_t c)
{
    float v = o->level >= 0 ? t->fill[(size_t)o->level * t->channels + c]
                            : t->table[c * 256 + image[c * t->pixels + (size_t)(o->y * t->in_width + o->x)]];
    if (!o->subtracted)
        return v;
    v -= t->mean[c * t->mean_pixels + (size_t)(o->mean_y * t->mean_width + o->mean_x)];
    for (size_t a = 0; a < t->num_after; a++)
        v = (v - t->after[2 * a * t->channels + c]) / t->after[(2 * a + 1) * t->channels + c];
    return v;
}

/* As tensors are converted: other than sums, numbers too small for bf16's exponents stay. */
static void set(const augment_task *t, size_t at, float v)
{
    if (t->dtype == RN_BF16)
        ((uint16_t *)t->x)[at] = rni_bf16_round(v);
    else
        rni_set(t->dtype, t->x, at, (double)v);
}

static void make_image(void *arg, size_t row)
{
    const augment_task *const t = arg;
    const size_t pixels = (size_t)t->height * (size_t)t->width, first = row * t->channels * pixels;
    const int64_t index = t->order[row];
    const uint8_t *const image = t->images + (size_t)index * t->channels * t->pixels;
    drawn d[MOST_STEPS];
    draw_steps(t, index, d);
    t->y[row] = t->labels[index];
    for (size_t p = 0; p < pixels; p++) {
        const origin o = trace(t, d, (int32_t)(p / (size_t)t->width), (int32_t)(p % (size_t)t->width));
        for (size_t c = 0; c < t->channels; c++)
            set(t, first + (t->nhwc ? p * t->channels + c : c * pixels + p), value_at(t, image, &o, c));
    }
}

static rn_status run(const rni_cpu_call *c)
{
    const rn_value *const from = rni_cpu_in_value(c, 0), *const mean = rni_cpu_in_value(c, 6);
    const rn_value *const after = rni_cpu_in_value(c, 7), *const x = rni_cpu_out_value(c, 0);
    augment_task t = {
        .params = c->op->params,
        .images = rni_cpu_in(c, 0),
        .labels = rni_cpu_in(c, 1),
        .order = rni_cpu_in(c, 2),
        .key = rni_cpu_in(c, 3),
        .table = rni_cpu_in(c, 4),
        .fill = rni_cpu_in(c, 5),
        .mean = rni_cpu_in(c, 6),
        .after = rni_cpu_in(c, 7),
        .x = rni_cpu_out(c, 0),
        .y = rni_cpu_out(c, 1),
        .dtype = x->dtype,
        .nhwc = x->layout == RN_LAYOUT_NHWC,
        .channels = (size_t)from->dims[1],
        .pixels = rni_cpu_pixels(from),
        .in_width = (int32_t)from->dims[3],
        .mean_width = mean ? (int32_t)mean->dims[2] : 0,
        .mean_pixels = mean ? (size_t)(mean->dims[1] * mean->dims[2]) : 0,
        .num_after = after ? (size_t)after->dims[0] : 0,
        .height = (int32_t)x->dims[2],
        .width = (int32_t)x->dims[3],
    };
    return rni_cpu_for(c, make_image, &t, rni_cpu_images(c, x), rni_cpu_count(c, x));
}

const rni_cpu_driver rni_cpu_augment = {query, run, RNI_BF16_ALWAYS};
