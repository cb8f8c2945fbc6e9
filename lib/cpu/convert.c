/* SPDX-License-Identifier: MIT */
/* Copies between layouts (NCHW and NHWC) and element types. */
#include "ops/operands.h"
#include "cpu/driver.h"
#include <string.h>

enum { TASK_ELEMENTS = 8192, BUFFER = 4096 };

typedef struct convert_task {
    const rni_typed_kernels *kernels;
    const rni_typed_kernels *floats;
    const rni_half_kernels *convert; /* of the half type; not used between bf16 and f16 */
    const void *src;
    void *dst;
    int32_t src_type, dst_type;
    size_t src_size, dst_size;
    int accumulate;
    size_t count;
    /* Of a change of layout: images of [channels][pixels] or the other way round, cut along pixels. */
    size_t channels, pixels, group, groups;
    int to_nhwc;
} convert_task;

static rn_status query(const rni_cpu *cpu, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)cpu;
    (void)info;
    return rni_ops_check_convert(op, values);
}

/* Element types differ, or sums are to be rounded: element by element. */
static void cast(const convert_task *t, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++)
        rni_set(t->dst_type, t->dst, i,
                (t->accumulate ? rni_get(t->dst_type, t->dst, i) : 0) + rni_get(t->src_type, t->src, i));
}

static void flat_piece(void *arg, size_t index)
{
    const convert_task *const t = arg;
    const size_t first = index * TASK_ELEMENTS, n = rni_min_size(TASK_ELEMENTS, t->count - first);
    void *const dst = rni_at(t->dst, first, t->dst_size);
    const void *const src = rni_at_const(t->src, first, t->src_size);
    if (!t->accumulate && t->src_type == RN_F32 && rni_is_half(t->dst_type))
        t->convert->narrow(dst, src, n);
    else if (!t->accumulate && rni_is_half(t->src_type) && t->dst_type == RN_F32)
        t->convert->widen(dst, src, n);
    else if (t->src_type != t->dst_type || (t->accumulate && rni_is_half(t->dst_type)))
        cast(t, first, n);
    else if (t->accumulate)
        t->kernels->add(dst, dst, src, n, 0);
    else
        memcpy(dst, src, n * t->dst_size);
}

/* Rows of floats in a buffer, to or from where they lie: all at once when they follow one another there too. */
static void round_rows(const convert_task *t, size_t out, size_t out_row, const float *from, size_t rows,
                       size_t columns)
{
    const size_t together = out_row == columns ? rows : 1;
    for (size_t i = 0; i < rows; i += together)
        t->convert->narrow((uint16_t *)t->dst + out + i * out_row, from + i * columns, together * columns);
}

static void widen_rows(const convert_task *t, size_t in, size_t in_row, float *to, size_t rows, size_t columns)
{
    const size_t together = in_row == columns ? rows : 1;
    for (size_t i = 0; i < rows; i += together)
        t->convert->widen(to + i * columns, (const uint16_t *)t->src + in + i * in_row, together * columns);
}

/* Some pixels of channels, transposed in f32, with rounding on the way in or out. */
static void transpose_half(const convert_task *t, size_t nchw, size_t nhwc, size_t pixels)
{
    float from[BUFFER], to[BUFFER];
    const size_t channels = t->channels;
    const size_t rows = t->to_nhwc ? channels : pixels, columns = t->to_nhwc ? pixels : channels;
    const size_t in = t->to_nhwc ? nchw : nhwc, in_row = t->to_nhwc ? t->pixels : channels;
    const size_t out = t->to_nhwc ? nhwc : nchw, out_row = t->to_nhwc ? channels : t->pixels;
    const float *src = (const float *)t->src + in;
    float *dst = (float *)t->dst + out;
    if (rni_is_half(t->src_type)) {
        widen_rows(t, in, in_row, from, rows, columns);
        src = from;
    }
    if (rni_is_half(t->dst_type))
        dst = to;
    t->floats->transpose(dst, dst == to ? rows : out_row, src, src == from ? columns : in_row, rows, columns, 0);
    if (rni_is_half(t->dst_type))
        round_rows(t, out, out_row, to, columns, rows);
}

/* Between f32 and a half type, or within one, in portions that fit the buffers. */
static void cast_pixels(const convert_task *t, size_t base, size_t first, size_t last)
{
    const size_t step = BUFFER / t->channels;
    for (size_t p = first; p < last; p += step)
        transpose_half(t, base + p, base + p * t->channels, rni_min_size(step, last - p));
}

/* Both differ: rare, so element by element. */
static void cast_layout(const convert_task *t, size_t image, size_t first, size_t last)
{
    for (size_t p = first; p < last; p++) {
        for (size_t c = 0; c < t->channels; c++) {
            const size_t base = image * t->channels * t->pixels;
            const size_t nchw = base + c * t->pixels + p, nhwc = base + p * t->channels + c;
            const size_t to = t->to_nhwc ? nhwc : nchw, from = t->to_nhwc ? nchw : nhwc;
            const double old = t->accumulate ? rni_get(t->dst_type, t->dst, to) : 0;
            rni_set(t->dst_type, t->dst, to, old + rni_get(t->src_type, t->src, from));
        }
    }
}

static void layout_piece(void *arg, size_t index)
{
    const convert_task *const t = arg;
    const size_t image = index / t->groups, first = index % t->groups * t->group;
    const size_t last = rni_min_size(first + t->group, t->pixels), base = image * t->channels * t->pixels;
    const int from_half = rni_is_half(t->src_type), to_half = rni_is_half(t->dst_type), halves = from_half || to_half;
    const int direct = t->src_type == t->dst_type || (from_half ? t->dst_type : t->src_type) == RN_F32;
    if (halves && direct && !t->accumulate && t->channels <= BUFFER) {
        cast_pixels(t, base, first, last);
        return;
    }
    if (halves || t->src_type != t->dst_type) {
        cast_layout(t, image, first, last);
        return;
    }
    const size_t nchw = base + first, nhwc = base + first * t->channels;
    void *const dst = rni_at(t->dst, t->to_nhwc ? nhwc : nchw, t->dst_size);
    const void *const src = rni_at_const(t->src, t->to_nhwc ? nchw : nhwc, t->src_size);
    if (t->to_nhwc)
        t->kernels->transpose(dst, t->channels, src, t->pixels, t->channels, last - first, t->accumulate);
    else
        t->kernels->transpose(dst, t->pixels, src, t->channels, last - first, t->channels, t->accumulate);
}

static rn_status run_layout(const rni_cpu_call *c, convert_task *t, const rn_value *to)
{
    t->to_nhwc = to->layout == RN_LAYOUT_NHWC;
    t->group = rni_ceil_div(TASK_ELEMENTS, t->channels);
    t->group = rni_ceil_div(t->group, 16) * 16;
    t->groups = rni_ceil_div(t->pixels, t->group);
    return rni_cpu_for(c, layout_piece, t, t->count / (t->channels * t->pixels) * t->groups, t->count);
}

static rn_status run(const rni_cpu_call *c)
{
    const rn_value *const from = rni_cpu_in_value(c, 0), *const to = rni_cpu_out_value(c, 0);
    convert_task t = {.kernels = rni_cpu_typed(c, to->dtype),
                      .floats = &c->kernels->f32,
                      .convert = from->dtype == RN_F16 || to->dtype == RN_F16 ? &c->kernels->convert_f16
                                                                              : &c->kernels->convert,
                      .src = rni_cpu_in(c, 0),
                      .dst = rni_cpu_out(c, 0),
                      .src_type = from->dtype,
                      .dst_type = to->dtype,
                      .src_size = rn_dtype_size(from->dtype),
                      .dst_size = rn_dtype_size(to->dtype),
                      .accumulate = (c->op->flags & RN_OPF_ACCUMULATE) != 0,
                      .count = rni_cpu_count(c, to)};
    if (from->layout != to->layout) {
        t.channels = (size_t)to->dims[1];
        t.pixels = rni_cpu_pixels(to);
        if (t.count && t.channels > 1 && t.pixels > 1)
            return run_layout(c, &t, to);
    }
    return rni_cpu_for(c, flat_piece, &t, rni_ceil_div(t.count, TASK_ELEMENTS), t.count);
}

const rni_cpu_driver rni_cpu_convert = {query, run, RNI_BF16_ALWAYS};
