/* SPDX-License-Identifier: MIT */
/*
 * Winograd's transforms and products for one level; see winograd_kernels.h. With a = 2/3, b = 3/2 (so that a b = 1) and
 * s = a^2 + b^2, one axis of the input is transformed by
 *      1  0   -s   0  1  0
 *      0 -b -b^2   a  1  0
 *      0  b -b^2  -a  1  0
 *      0 -a -a^2   b  1  0
 *      0  a -a^2  -b  1  0
 *      0  1    0  -s  0  1
 * and one axis of the products by the powers 0 to 3 of the points, the last of which also takes that of infinity.
 */
#include "cpu/vec/conv_vector.h"
#include "cpu/winograd_kernels.h"

#define POINT_A (2.0f / 3.0f)
#define POINT_B (3.0f / 2.0f)
#define POINT_A2 (4.0f / 9.0f)
#define POINT_B2 (9.0f / 4.0f)
#define POINT_S (97.0f / 36.0f)

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

/* The factors of the points: the product of the differences to the other points. */
#define FACTOR_A (1.0f / (2.0f * POINT_A2 * (POINT_A2 - POINT_B2)))
#define FACTOR_B (1.0f / (2.0f * POINT_B2 * (POINT_B2 - POINT_A2)))

RNI_INLINE void weight_axis(const vec g[3], vec r[6])
{
    const vec even_a = v_fma(v_set(POINT_A2), g[2], g[0]), odd_a = v_mul(v_set(POINT_A), g[1]);
    const vec even_b = v_fma(v_set(POINT_B2), g[2], g[0]), odd_b = v_mul(v_set(POINT_B), g[1]);
    r[0] = g[0];
    r[1] = v_mul(v_set(FACTOR_A), v_add(even_a, odd_a));
    r[2] = v_mul(v_set(FACTOR_A), v_sub(even_a, odd_a));
    r[3] = v_mul(v_set(FACTOR_B), v_add(even_b, odd_b));
    r[4] = v_mul(v_set(FACTOR_B), v_sub(even_b, odd_b));
    r[5] = g[2];
}

/* Three taps of a filter's gradient from the sums, with the points' factors. */
RNI_INLINE void taps_axis(const vec m[6], vec g[3])
{
    const vec even_a = v_mul(v_set(FACTOR_A), v_add(m[1], m[2])), odd_a = v_mul(v_set(FACTOR_A), v_sub(m[1], m[2]));
    const vec even_b = v_mul(v_set(FACTOR_B), v_add(m[3], m[4])), odd_b = v_mul(v_set(FACTOR_B), v_sub(m[3], m[4]));
    g[0] = v_add(m[0], v_add(even_a, even_b));
    g[1] = v_fma(v_set(POINT_A), odd_a, v_mul(v_set(POINT_B), odd_b));
    g[2] = v_add(m[5], v_fma(v_set(POINT_A2), even_a, v_mul(v_set(POINT_B2), even_b)));
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
RNI_INLINE void load_rows(vec *d, const int N, const float *x, int64_t row, const inside *in, const int whole, mask m)
{
    UNROLL for (int i = 0; i < N; i++)
        d[i] = whole ? v_load_m(x + i * row, m) : i >= in->row0 && i < in->row1 ? v_load_m(x + i * row, m) : v_zero();
}

RNI_INLINE void input_tile(const float *x, int64_t pixel, int64_t row, const inside *in, const int whole, const int full,
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
                d[i] = v_load(x + i * row + j * pixel);
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

static void input_inner(const float *x, int64_t pixel, int64_t row, int64_t channels, float *v, int64_t plane)
{
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES)
        input_tile(x + c, pixel, row, NULL, 1, 1, v_first(LANES), v + c, plane);
    if (c < channels)
        input_tile(x + c, pixel, row, NULL, 1, 0, v_first((size_t)(channels - c)), v + c, plane);
}

static void input_edge(const float *x, int64_t pixel, int64_t row, const inside *in, int64_t channels, float *v,
                       int64_t plane)
{
    for (int64_t c = 0; c < channels; c += LANES) {
        const int64_t lanes = channels - c < LANES ? channels - c : LANES;
        input_tile(x + c, pixel, row, in, 0, 0, v_first((size_t)lanes), v + c, plane);
    }
}

static void winograd_input(const rni_winograd *g, const rni_winograd_span *s, const float *x, int64_t count,
                           const rni_winograd_planes *v)
{
    const int64_t pixel = g->channels, row = g->in_width * pixel;
    float *out = v->at;
    for (int64_t image = s->image; image < s->image + s->images; image++)
        for (int64_t tr = s->row; tr < s->row + s->rows; tr++)
            for (int64_t tc = 0; tc < g->tile_cols; tc++, out += v->tile) {
                const int64_t h = tr * 4 - g->padding[0], w = tc * 4 - g->padding[1];
                const inside in = inside_of(h, w, 6, g->in_height, g->in_width);
                const float *const from = x + ((image * g->in_height + h) * g->in_width + w) * pixel;
                if (is_whole(&in, 6))
                    input_inner(from, pixel, row, count, out, v->plane);
                else
                    input_edge(from, pixel, row, &in, count, out, v->plane);
            }
}

RNI_INLINE void gradient_tile(const float *dy, int64_t pixel, int64_t row, const inside *in, const int whole, mask m,
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

static void gradient_tiles(const float *dy, int64_t pixel, int64_t row, const inside *in, int64_t channels, float *v,
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

static void winograd_gradient(const rni_winograd *g, const rni_winograd_span *s, const float *dy, int64_t count,
                              const rni_winograd_planes *v)
{
    const int64_t pixel = g->outs, row = g->out_width * pixel;
    float *out = v->at;
    for (int64_t image = s->image; image < s->image + s->images; image++)
        for (int64_t tr = s->row; tr < s->row + s->rows; tr++)
            for (int64_t tc = 0; tc < g->tile_cols; tc++, out += v->tile) {
                const inside in = inside_of(tr * 4, tc * 4, 4, g->out_height, g->out_width);
                const float *const from = dy + ((image * g->out_height + tr * 4) * g->out_width + tc * 4) * pixel;
                gradient_tiles(from, pixel, row, &in, count, out, v->plane);
            }
}

static void winograd_weights(const float *taps, int64_t tap, float *u, int64_t plane)
{
    vec t[6][3];
    UNROLL for (int j = 0; j < 3; j++) {
        const vec g[3] = {v_load(taps + j * tap), v_load(taps + (3 + j) * tap), v_load(taps + (6 + j) * tap)};
        vec r[6];
        weight_axis(g, r);
        UNROLL for (int i = 0; i < 6; i++)
            t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vec r[6];
        weight_axis(t[i], r);
        UNROLL for (int j = 0; j < 6; j++)
            v_store(u + (i * 6 + j) * plane, r[j]);
    }
}

static void winograd_taps(const float *sum, int64_t plane, float *taps, int64_t tap)
{
    vec t[3][6];
    UNROLL for (int j = 0; j < 6; j++) {
        vec m[6], r[3];
        UNROLL for (int i = 0; i < 6; i++)
            m[i] = v_load(sum + (i * 6 + j) * plane);
        taps_axis(m, r);
        UNROLL for (int i = 0; i < 3; i++)
            t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < 3; i++) {
        vec r[3];
        taps_axis(t[i], r);
        UNROLL for (int j = 0; j < 3; j++)
            v_store(taps + (i * 3 + j) * tap, r[j]);
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
                y[i][j] = v_add(y[i][j], v_load_m(b->residual + to, tail));
            if (b->relu)
                y[i][j] = v_relu(y[i][j]);
            v_store_m(b->y + to, y[i][j], tail);
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

/* Products: P tiles by V vectors of output channels in registers, over all channels. */
RNI_INLINE void product_tile(const int P, const int V, const float *x, int64_t tile, const float *u, int64_t channels,
                             float *m, int64_t m_tile)
{
    sums t;
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V; v++)
            t.a[p][v] = v_zero();
    add_tap(&t, P, V, 0, P, x, tile, u, channels);
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V; v++)
            v_store(m + p * m_tile + v * LANES, t.a[p][v]);
}

typedef void product_fn(const float *x, int64_t tile, const float *u, int64_t channels, float *m, int64_t m_tile);

#define PRODUCT(P, V, T)                                                                                        \
    static void product_##P##x##V(const float *x, int64_t tile, const float *u, int64_t channels, float *m,     \
                                  int64_t m_tile)                                                               \
    {                                                                                                           \
        product_tile(P, V, x, tile, u, channels, m, m_tile);                                                    \
    }
#define PRODUCT_NAME(P, V, T) product_##P##x##V,
#define PRODUCTS(LIST, V) LIST(PRODUCT, V, 0) static product_fn *const products_##V[] = {NULL, LIST(PRODUCT_NAME, V, 0)};
#define MOST_PRODUCTS(V) ((int64_t)(sizeof products_##V / sizeof(product_fn *)) - 1)

RNI_INLINE void ask_ahead(rni_winograd_ahead *ahead, const int writes)
{
    for (int64_t i = 0; i < ahead->b_lines; i++, ahead->b += 16)
        if (writes)
            __builtin_prefetch(ahead->b, 1, 2);
        else
            __builtin_prefetch(ahead->b, 0, 2);
    for (int64_t i = 0; i < ahead->a_lines; i++, ahead->a += 16)
        __builtin_prefetch(ahead->a, 0, 2);
}

RNI_INLINE void run_products(product_fn *const *table, int64_t most, const rni_winograd_planes *v, const float *u,
                             int64_t u_plane, int64_t channels, int64_t tiles,
                             const rni_winograd_planes *m, rni_winograd_ahead ahead)
{
    const int64_t count = (tiles + most - 1) / most, width = tiles / count;
    for (int64_t p = 0; p < RNI_WINOGRAD_PLANES; p++, u += u_plane) {
        const float *x = v->at + p * v->plane;
        float *y = m->at + p * m->plane;
        int64_t wider = tiles % count;
        ask_ahead(&ahead, 1);
        for (int64_t i = 0; i < count; i++, wider--) {
            const int64_t n = width + (wider > 0);
            table[n](x, v->tile, u, channels, y, m->tile);
            x += n * v->tile;
            y += n * m->tile;
        }
    }
}

/*
 * Sums for the filter's gradient: N input channels by V vectors, over all tiles; they start from zero, which rounds less than
 * going on with long sums. For each tile a line of `ahead` is asked for.
 */
RNI_INLINE void product_filter(const int N, const int V, const float *x, int64_t x_tile, const float *dy,
                               int64_t dy_tile, int64_t tiles, float *sum, int64_t channel, const float *ahead,
                               int64_t ahead_tile)
{
    filter_sums t;
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int v = 0; v < V; v++)
            t.a[i][v] = v_zero();
    for (int64_t p = 0; p < tiles; p++, x += x_tile, dy += dy_tile, ahead += ahead_tile) {
        __builtin_prefetch(ahead, 0, 2);
        filter_pixels(&t, N, V, x, x_tile, dy, dy_tile, 1, v_first(LANES));
    }
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int v = 0; v < V; v++)
            v_store(sum + i * channel + v * LANES, v_add(v_load(sum + i * channel + v * LANES), t.a[i][v]));
}

typedef void product_filter_fn(const float *x, int64_t x_tile, const float *dy, int64_t dy_tile, int64_t tiles,
                               float *sum, int64_t channel, const float *ahead, int64_t ahead_tile);

#define PRODUCT_FILTER(N, V, T)                                                                                 \
    static void product_filter_##N##x##V(const float *x, int64_t x_tile, const float *dy, int64_t dy_tile,      \
                                         int64_t tiles, float *sum, int64_t channel, const float *ahead,        \
                                         int64_t ahead_tile)                                                    \
    {                                                                                                           \
        product_filter(N, V, x, x_tile, dy, dy_tile, tiles, sum, channel, ahead, ahead_tile);                   \
    }
#define PRODUCT_FILTER_NAME(N, V, T) product_filter_##N##x##V,
#define PRODUCT_FILTERS(LIST, V)                                                                                \
    LIST(PRODUCT_FILTER, V, 0)                                                                                  \
    static product_filter_fn *const product_filters_##V[] = {NULL, LIST(PRODUCT_FILTER_NAME, V, 0)};
#define MOST_FILTERS(V) ((int64_t)(sizeof product_filters_##V / sizeof(product_filter_fn *)) - 1)

RNI_INLINE void run_filters(product_filter_fn *const *table, int64_t most, const rni_winograd_planes *x,
                            const rni_winograd_planes *dy, int64_t channels, int64_t tiles,
                            const rni_winograd_planes *sum, rni_winograd_ahead ahead)
{
    const int64_t count = (channels + most - 1) / most, width = channels / count;
    for (int64_t p = 0; p < RNI_WINOGRAD_PLANES; p++) {
        const float *from = x->at + p * x->plane, *const d = dy->at + p * dy->plane;
        float *to = sum->at + p * sum->plane;
        int64_t wider = channels % count;
        ask_ahead(&ahead, 0);
        for (int64_t i = 0; i < count; i++, wider--) {
            const int64_t n = width + (wider > 0);
            table[n](from, x->tile, d, dy->tile, tiles, to, sum->tile, from, 0);
            from += n;
            to += n * sum->tile;
        }
    }
}

/* The level's file names the tiles: LIST_1 of one vector, LIST_2 of two. */
PRODUCTS(LIST_1, 1)
PRODUCTS(LIST_2, 2)

static void winograd_product(const rni_winograd_planes *v, const float *u, int64_t u_plane, int64_t channels,
                             int64_t tiles, int32_t vectors, const rni_winograd_planes *m, const rni_winograd_ahead *ahead)
{
    if (vectors == 1)
        run_products(products_1, MOST_PRODUCTS(1), v, u, u_plane, channels, tiles, m, *ahead);
    else
        run_products(products_2, MOST_PRODUCTS(2), v, u, u_plane, channels, tiles, m, *ahead);
}

PRODUCT_FILTERS(LIST_1, 1)
PRODUCT_FILTERS(LIST_2, 2)

static void winograd_filter(const rni_winograd_planes *x, const rni_winograd_planes *dy, int64_t channels,
                            int64_t tiles, int32_t vectors, const rni_winograd_planes *sum,
                            const rni_winograd_ahead *ahead)
{
    if (vectors == 1)
        run_filters(product_filters_1, MOST_FILTERS(1), x, dy, channels, tiles, sum, *ahead);
    else
        run_filters(product_filters_2, MOST_FILTERS(2), x, dy, channels, tiles, sum, *ahead);
}
