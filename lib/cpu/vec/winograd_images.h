/* SPDX-License-Identifier: MIT */
/*
 * Winograd's transforms between images and planes for one level; see winograd_kernels.h. T is the form's tile, N = T + 2.
 * With a = 2/3, b = 3/2 (so that a b = 1) and s = a^2 + b^2, one axis of the input is transformed by
 *      1  0   -s   0  1  0
 *      0 -b -b^2   a  1  0
 *      0  b -b^2  -a  1  0
 *      0 -a -a^2   b  1  0
 *      0  a -a^2  -b  1  0
 *      0  1    0  -s  0  1
 * or, where T is 2, by
 *      1  0 -1  0
 *      0  1  1  0
 *      0 -1  1  0
 *      0 -1  0  1
 * and one axis of the products by the powers 0 to T - 1 of the points, the last of which also takes that of infinity.
 */
#ifndef RNI_CPU_VEC_WINOGRAD_IMAGES_H
#define RNI_CPU_VEC_WINOGRAD_IMAGES_H

#include "cpu/vec/elem.h"
#include "cpu/vec/winograd_points.h"

RNI_INLINE void input_axis_of_four(const vec *d, vec *r)
{
    r[0] = v_sub(d[0], d[2]);
    r[1] = v_add(d[1], d[2]);
    r[2] = v_sub(d[2], d[1]);
    r[3] = v_sub(d[3], d[1]);
}

RNI_INLINE void input_axis_of_six(const vec *d, vec *r)
{
    const vec a = v_set(POINT_A), b = v_set(POINT_B), a2 = v_set(POINT_A2), b2 = v_set(POINT_B2), s = v_set(POINT_S);
    const vec even_a = v_fnma(b2, d[2], d[4]), odd_a = v_fnma(b2, d[1], d[3]);
    const vec even_b = v_fnma(a2, d[2], d[4]), odd_b = v_fnma(a2, d[1], d[3]);
    r[0] = v_add(v_fnma(s, d[2], d[4]), d[0]);
    r[1] = v_fma(a, odd_a, even_a);
    r[2] = v_fnma(a, odd_a, even_a);
    r[3] = v_fma(b, odd_b, even_b);
    r[4] = v_fnma(b, odd_b, even_b);
    r[5] = v_add(v_fnma(s, d[3], d[5]), d[1]);
}

/* Four values of a gradient, seen as a filter: its polynomial at the points, without the points' factors. */
RNI_INLINE void gradient_axis(const vec d[4], vec r[6])
{
    const vec a = v_set(POINT_A), b = v_set(POINT_B), a2 = v_set(POINT_A2), b2 = v_set(POINT_B2);
    const vec even_a = v_fma(a2, d[2], d[0]), odd_a = v_fma(a2, d[3], d[1]);
    const vec even_b = v_fma(b2, d[2], d[0]), odd_b = v_fma(b2, d[3], d[1]);
    r[0] = d[0];
    r[1] = v_fma(a, odd_a, even_a);
    r[2] = v_fnma(a, odd_a, even_a);
    r[3] = v_fma(b, odd_b, even_b);
    r[4] = v_fnma(b, odd_b, even_b);
    r[5] = d[3];
}

RNI_INLINE void output_axis_of_four(const vec *m, vec *y)
{
    y[0] = v_add(m[0], v_add(m[1], m[2]));
    y[1] = v_add(m[3], v_sub(m[1], m[2]));
}

RNI_INLINE void output_axis_of_six(const vec *m, vec *y)
{
    const vec even_a = v_add(m[1], m[2]), odd_a = v_sub(m[1], m[2]);
    const vec even_b = v_add(m[3], m[4]), odd_b = v_sub(m[3], m[4]);
    y[0] = v_add(m[0], v_add(even_a, even_b));
    y[1] = v_fma(v_set(POINT_A), odd_a, v_mul(v_set(POINT_B), odd_b));
    y[2] = v_fma(v_set(POINT_A2), even_a, v_mul(v_set(POINT_B2), even_b));
    y[3] = v_fma(v_set(POINT_A * POINT_A2), odd_a, v_fma(v_set(POINT_B * POINT_B2), odd_b, m[5]));
}

RNI_INLINE void output_axis(const int T, const vec *m, vec *y)
{
    if (T == 2)
        output_axis_of_four(m, y);
    else
        output_axis_of_six(m, y);
}

/* Which of a tile's rows and columns lie inside the image. */
typedef struct inside {
    int64_t row0, row1, col0, col1;
} inside;

RNI_INLINE int64_t clip(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

RNI_INLINE inside inside_of(int64_t row, int64_t col, int64_t size, int64_t height, int64_t width)
{
    return (inside){clip(-row, 0, size), clip(height - row, 0, size), clip(-col, 0, size), clip(width - col, 0, size)};
}

RNI_INLINE int is_whole(const inside *in, int64_t size)
{
    return in->row0 == 0 && in->row1 == size && in->col0 == 0 && in->col1 == size;
}

/* A column of N pixels; rows outside are zero. */
RNI_INLINE void load_rows(vec *d, const int N, const elem *x, int64_t row, const inside *in, const int whole, mask m)
{
    UNROLL for (int i = 0; i < N; i++)
        d[i] = whole ? e_load_m(x + i * row, m) : i >= in->row0 && i < in->row1 ? e_load_m(x + i * row, m) : v_zero();
}

RNI_INLINE void input_tile(const elem *x, int64_t pixel, int64_t row, const inside *in, const int whole, const int full,
                           mask m, float *v, int64_t plane)
{
    vec t[6][6];
    UNROLL for (int j = 0; j < 6; j++) {
        vec d[6], r[6];
        if (!whole && (j < in->col0 || j >= in->col1)) {
            UNROLL for (int i = 0; i < 6; i++)
                t[i][j] = v_zero();
            continue;
        }
        if (full && whole)
            UNROLL for (int i = 0; i < 6; i++)
                d[i] = e_load(x + i * row + j * pixel);
        else
            load_rows(d, 6, x + j * pixel, row, in, whole, m);
        input_axis_of_six(d, r);
        UNROLL for (int i = 0; i < 6; i++)
            t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vec r[6];
        input_axis_of_six(t[i], r);
        UNROLL for (int j = 0; j < 6; j++)
            v_store(v + (i * 6 + j) * plane, r[j]);
    }
}

static void input_inner(const elem *x, int64_t pixel, int64_t row, int64_t channels, float *v, int64_t plane)
{
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES)
        input_tile(x + c, pixel, row, NULL, 1, 1, v_first(LANES), v + c, plane);
    if (c < channels)
        input_tile(x + c, pixel, row, NULL, 1, 0, v_first((size_t)(channels - c)), v + c, plane);
}

static void input_edge(const elem *x, int64_t pixel, int64_t row, const inside *in, int64_t channels, float *v,
                       int64_t plane)
{
    for (int64_t c = 0; c < channels; c += LANES) {
        const int64_t lanes = channels - c < LANES ? channels - c : LANES;
        input_tile(x + c, pixel, row, in, 0, 0, v_first((size_t)lanes), v + c, plane);
    }
}

static void winograd_input(const rni_winograd *g, const rni_winograd_span *s, const void *x, int64_t count,
                           const rni_winograd_planes *v)
{
    const int64_t pixel = g->channels, row = g->in_width * pixel;
    float *out = v->at;
    for (int64_t image = s->image; image < s->image + s->images; image++)
        for (int64_t tr = s->row; tr < s->row + s->rows; tr++)
            for (int64_t tc = 0; tc < g->tile_cols; tc++, out += v->tile) {
                const int64_t h = tr * 4 - g->padding[0], w = tc * 4 - g->padding[1];
                const inside in = inside_of(h, w, 6, g->in_height, g->in_width);
                const elem *const from = (const elem *)x + ((image * g->in_height + h) * g->in_width + w) * pixel;
                if (is_whole(&in, 6))
                    input_inner(from, pixel, row, count, out, v->plane);
                else
                    input_edge(from, pixel, row, &in, count, out, v->plane);
            }
}

RNI_INLINE void gradient_tile(const elem *dy, int64_t pixel, int64_t row, const inside *in, const int whole, mask m,
                              float *v, int64_t plane)
{
    vec t[6][4];
    UNROLL for (int j = 0; j < 4; j++) {
        vec d[4], r[6];
        if (!whole && j >= in->col1) {
            UNROLL for (int i = 0; i < 6; i++)
                t[i][j] = v_zero();
            continue;
        }
        load_rows(d, 4, dy + j * pixel, row, in, whole, m);
        gradient_axis(d, r);
        UNROLL for (int i = 0; i < 6; i++)
            t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vec r[6];
        gradient_axis(t[i], r);
        UNROLL for (int j = 0; j < 6; j++)
            v_store(v + (i * 6 + j) * plane, r[j]);
    }
}

static void gradient_tiles(const elem *dy, int64_t pixel, int64_t row, const inside *in, int64_t channels, float *v,
                           int64_t plane)
{
    const int whole = is_whole(in, 4);
    for (int64_t c = 0; c < channels; c += LANES) {
        const mask m = v_first((size_t)(channels - c < LANES ? channels - c : LANES));
        if (whole)
            gradient_tile(dy + c, pixel, row, in, 1, m, v + c, plane);
        else
            gradient_tile(dy + c, pixel, row, in, 0, m, v + c, plane);
    }
}

static void winograd_gradient(const rni_winograd *g, const rni_winograd_span *s, const void *dy, int64_t count,
                              const rni_winograd_planes *v)
{
    const int64_t pixel = g->outs, row = g->out_width * pixel;
    float *out = v->at;
    for (int64_t image = s->image; image < s->image + s->images; image++)
        for (int64_t tr = s->row; tr < s->row + s->rows; tr++)
            for (int64_t tc = 0; tc < g->tile_cols; tc++, out += v->tile) {
                const inside in = inside_of(tr * 4, tc * 4, 4, g->out_height, g->out_width);
                const elem *const from = (const elem *)dy + ((image * g->out_height + tr * 4) * g->out_width + tc * 4) * pixel;
                gradient_tiles(from, pixel, row, &in, count, out, v->plane);
            }
}

/* The TxT outputs of one vector of channels. */
RNI_INLINE void load_products(const int T, const float *m, int64_t plane, vec y[4][4])
{
    const int N = T + 2;
    vec t[4][6];
    UNROLL for (int j = 0; j < N; j++) {
        vec d[6], r[4];
        UNROLL for (int i = 0; i < N; i++)
            d[i] = v_load(m + (i * N + j) * plane);
        output_axis(T, d, r);
        UNROLL for (int i = 0; i < T; i++)
            t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < T; i++)
        output_axis(T, t[i], y[i]);
}

/* `full`: the tile lies inside of the image and has all channels of the vector. */
RNI_INLINE void output_tile(const int T, const float *m, int64_t plane, const rni_winograd_block *b, int64_t at, int64_t bias,
                            int64_t pixel, int64_t row, const inside *in, const int full, mask tail)
{
    vec y[4][4];
    load_products(T, m, plane, y);
    if (b->bias) {
        const vec add = full ? v_load(b->bias + bias) : v_load_m(b->bias + bias, tail);
        UNROLL for (int i = 0; i < T * T; i++)
            y[i / T][i % T] = v_add(y[i / T][i % T], add);
    }
    if (full && b->residual)
        UNROLL for (int i = 0; i < T * T; i++)
            y[i / T][i % T] = v_add(y[i / T][i % T], e_load((const elem *)b->residual + at + i / T * row + i % T * pixel));
    UNROLL for (int i = 0; i < T; i++) {
        if (!full && i >= in->row1)
            return;
        UNROLL for (int j = 0; j < T; j++) {
            const int64_t to = at + i * row + j * pixel;
            if (!full && j >= in->col1)
                continue;
            if (!full && b->residual)
                y[i][j] = v_add(y[i][j], e_load_m((const elem *)b->residual + to, tail));
            if (b->relu)
                y[i][j] = v_relu(y[i][j]);
            if (full)
                e_store((elem *)b->y + to, y[i][j]);
            else
                e_store_m((elem *)b->y + to, y[i][j], tail);
        }
    }
}

RNI_INLINE void output_tiles(const int T, const rni_winograd *g, const rni_winograd_span *s, const rni_winograd_planes *m,
                             const rni_winograd_block *b)
{
    const int64_t pixel = g->outs, row = g->out_width * pixel;
    const mask all = v_first(LANES), last = v_first((size_t)b->tail);
    const float *from = m->at;
    for (int64_t image = s->image; image < s->image + s->images; image++)
        for (int64_t tr = s->row; tr < s->row + s->rows; tr++) {
            int64_t at = (image * g->out_height + tr * T) * row;
            for (int64_t tc = 0; tc < g->tile_cols; tc++, from += m->tile, at += T * pixel) {
                const inside in = {0, g->out_height - tr * T, 0, g->out_width - tc * T};
                const int whole = in.row1 >= T && in.col1 >= T;
                for (int32_t v = 0; v < b->vectors; v++) {
                    const int64_t c = v * LANES;
                    if (whole && (v < b->vectors - 1 || b->tail == LANES))
                        output_tile(T, from + c, m->plane, b, at + c, c, pixel, row, &in, 1, all);
                    else
                        output_tile(T, from + c, m->plane, b, at + c, c, pixel, row, &in, 0, v < b->vectors - 1 ? all : last);
                }
            }
        }
}

static void winograd_output(const rni_winograd *g, const rni_winograd_span *s, const rni_winograd_planes *m,
                            const rni_winograd_block *b)
{
    output_tiles(4, g, s, m, b);
}

#endif
