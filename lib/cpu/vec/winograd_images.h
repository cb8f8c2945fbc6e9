/* SPDX-License-Identifier: MIT */
/*
 * Winograd's transforms between images and planes for one level; see winograd_kernels.h. With a = 2/3, b = 3/2 (so that a b = 1) and
 * s = a^2 + b^2, one axis of the input is transformed by
 *      1  0   -s   0  1  0
 *      0 -b -b^2   a  1  0
 *      0  b -b^2  -a  1  0
 *      0 -a -a^2   b  1  0
 *      0  a -a^2  -b  1  0
 *      0  1    0  -s  0  1
 * and one axis of the products by the powers 0 to 3 of the points, the last of which also takes that of infinity.
 */
#include "cpu/vec/elem.h"
#include "cpu/vec/winograd_points.h"

RNI_INLINE void input_axis(const vec d[6], vec r[6])
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

RNI_INLINE void output_axis(const vec m[6], vec y[4])
{
    const vec even_a = v_add(m[1], m[2]), odd_a = v_sub(m[1], m[2]);
    const vec even_b = v_add(m[3], m[4]), odd_b = v_sub(m[3], m[4]);
    y[0] = v_add(m[0], v_add(even_a, even_b));
    y[1] = v_fma(v_set(POINT_A), odd_a, v_mul(v_set(POINT_B), odd_b));
    y[2] = v_fma(v_set(POINT_A2), even_a, v_mul(v_set(POINT_B2), even_b));
    y[3] = v_fma(v_set(POINT_A * POINT_A2), odd_a, v_fma(v_set(POINT_B * POINT_B2), odd_b, m[5]));
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
        input_axis(d, r);
        UNROLL for (int i = 0; i < 6; i++)
            t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vec r[6];
        input_axis(t[i], r);
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

/* The 4x4 outputs of one vector of channels. */
RNI_INLINE void load_products(const float *m, int64_t plane, vec y[4][4])
{
    vec t[4][6];
    UNROLL for (int j = 0; j < 6; j++) {
        vec d[6], r[4];
        UNROLL for (int i = 0; i < 6; i++)
            d[i] = v_load(m + (i * 6 + j) * plane);
        output_axis(d, r);
        UNROLL for (int i = 0; i < 4; i++)
            t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < 4; i++)
        output_axis(t[i], y[i]);
}

RNI_INLINE void output_tile(const float *m, int64_t plane, const rni_winograd_block *b, int64_t at, int64_t bias,
                            int64_t pixel, int64_t row, const inside *in, const int whole, mask tail)
{
    vec y[4][4];
    load_products(m, plane, y);
    if (b->bias) {
        const vec add = v_load_m(b->bias + bias, tail);
        UNROLL for (int i = 0; i < 16; i++)
            y[i / 4][i % 4] = v_add(y[i / 4][i % 4], add);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        if (!whole && i >= in->row1)
            return;
        UNROLL for (int j = 0; j < 4; j++) {
            const int64_t to = at + i * row + j * pixel;
            if (!whole && j >= in->col1)
                continue;
            if (b->residual)
                y[i][j] = v_add(y[i][j], e_load_m((const elem *)b->residual + to, tail));
            if (b->relu)
                y[i][j] = v_relu(y[i][j]);
            e_store_m((elem *)b->y + to, y[i][j], tail);
        }
    }
}

static void winograd_output(const rni_winograd *g, const rni_winograd_span *s, const rni_winograd_planes *m,
                            const rni_winograd_block *b)
{
    const int64_t pixel = g->outs, row = g->out_width * pixel;
    const float *from = m->at;
    for (int64_t image = s->image; image < s->image + s->images; image++)
        for (int64_t tr = s->row; tr < s->row + s->rows; tr++)
            for (int64_t tc = 0; tc < g->tile_cols; tc++, from += m->tile) {
                const inside in = inside_of(tr * 4, tc * 4, 4, g->out_height, g->out_width);
                const int64_t at = ((image * g->out_height + tr * 4) * g->out_width + tc * 4) * pixel;
                for (int32_t v = 0; v < b->vectors; v++) {
                    const mask tail = v_first(v == b->vectors - 1 ? (size_t)b->tail : LANES);
                    const int64_t c = v * LANES;
                    if (is_whole(&in, 4))
                        output_tile(from + c, m->plane, b, at + c, c, pixel, row, &in, 1, tail);
                    else
                        output_tile(from + c, m->plane, b, at + c, c, pixel, row, &in, 0, tail);
                }
            }
}
