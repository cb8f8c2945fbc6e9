/* SPDX-License-Identifier: MIT */
/* Winograd's form of bf16, for a level with dot products; see winograd_kernels.h. */
#include "cpu/vec/winograd_images.h"
#include "cpu/vec/winograd_tiles.h"

RNI_INLINE void dots_weight_axis(const vec g[3], vec r[4])
{
    const vec even = v_mul(v_set(0.5f), v_add(g[0], g[2])), odd = v_mul(v_set(0.5f), g[1]);
    r[0] = g[0];
    r[1] = v_add(even, odd);
    r[2] = v_sub(even, odd);
    r[3] = g[2];
}

RNI_INLINE void dots_weights_of(const float *taps, int64_t tap, half u[16])
{
    vec t[4][3];
    UNROLL for (int j = 0; j < 3; j++) {
        const vec g[3] = {v_load(taps + j * tap), v_load(taps + (3 + j) * tap), v_load(taps + (6 + j) * tap)};
        vec r[4];
        dots_weight_axis(g, r);
        UNROLL for (int i = 0; i < 4; i++)
            t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < 4; i++) {
        vec r[4];
        dots_weight_axis(t[i], r);
        UNROLL for (int j = 0; j < 4; j++)
            u[i * 4 + j] = v_narrow(r[j]);
    }
}

static void dots_weights(const float *taps, const float *second, int64_t tap, void *u, int64_t plane)
{
    half low[16], high[16];
    dots_weights_of(taps, tap, low);
    UNROLL for (int i = 0; i < 16; i++)
        high[i] = h_set(0);
    if (second)
        dots_weights_of(second, tap, high);
    UNROLL for (int i = 0; i < 16; i++)
        p_store((elem *)u + i * plane, p_join(low[i], high[i]));
}

PRODUCTS(LIST_1, 1)
PRODUCTS(WINDOWS_2, 2)

static void dots_product(const rni_winograd_planes *v, const void *u, int64_t u_plane, int64_t channels, int64_t tiles,
                         int32_t vectors, const rni_winograd_planes *m, const rni_winograd_ahead *ahead)
{
    if (vectors == 1 && channels == LANES)
        run_narrow(2, v, u, u_plane, tiles, m, *ahead);
    else if (vectors == 1)
        run_products(2, products_1, MOST_PRODUCTS(1), v, u, u_plane, channels, tiles, m, *ahead);
    else
        run_products(2, products_2, MOST_PRODUCTS(2), v, u, u_plane, channels, tiles, m, *ahead);
}

/* W vectors of channels that lie side by side; of two the first has the even channels and the second the odd ones. */
typedef struct wide {
    vec a[2];
} wide;

RNI_INLINE wide wide_zero(void)
{
    return (wide){{v_zero(), v_zero()}};
}

RNI_INLINE wide wide_load(const int W, const elem *x, mask m)
{
    if (W == 1)
        return (wide){{e_load_m(x, m), v_zero()}};
    const pairs both = p_load(x);
    return (wide){{p_low(both), p_high(both)}};
}

RNI_INLINE void wide_store(const int W, elem *v, wide r)
{
    if (W == 1)
        h_store(v, v_narrow(r.a[0]));
    else
        p_store(v, p_narrow(r.a[0], r.a[1]));
}

RNI_INLINE void wide_axis(const int W, const wide *d, wide *r)
{
    UNROLL for (int w = 0; w < W; w++) {
        const vec in[4] = {d[0].a[w], d[1].a[w], d[2].a[w], d[3].a[w]};
        vec out[4];
        input_axis_of_four(in, out);
        UNROLL for (int i = 0; i < 4; i++)
            r[i].a[w] = out[i];
    }
}

/* Four rows of an image that a row of tiles reads, from `x` on; those from row0 to row1 - 1 lie inside of the image. */
typedef struct band {
    const elem *x;
    int64_t pixel, row, width, row0, row1;
} band;

/* A column of the rows, transformed; what is outside of the image is zero. */
RNI_INLINE void dots_column(const int W, const band *b, const int whole, mask m, int64_t col, wide r[4])
{
    if (col < 0 || col >= b->width) {
        UNROLL for (int i = 0; i < 4; i++)
            r[i] = wide_zero();
        return;
    }
    const elem *const x = b->x + col * b->pixel;
    wide d[4];
    UNROLL for (int i = 0; i < 4; i++)
        d[i] = whole || (i >= b->row0 && i < b->row1) ? wide_load(W, x + i * b->row, m) : wide_zero();
    wide_axis(W, d, r);
}

/* A row of tiles, whose first column is `col`: neighbours share two columns. */
RNI_INLINE void dots_row(const int W, const band *b, const int whole, mask m, int64_t col, int64_t tiles, elem *v,
                         const rni_winograd_planes *planes)
{
    wide c[4][4]; /* columns */
    dots_column(W, b, whole, m, col, c[0]);
    dots_column(W, b, whole, m, col + 1, c[1]);
    for (int64_t t = 0; t < tiles; t++, v += planes->tile, col += 2) {
        dots_column(W, b, whole, m, col + 2, c[2]);
        dots_column(W, b, whole, m, col + 3, c[3]);
        UNROLL for (int i = 0; i < 4; i++) {
            const wide d[4] = {c[0][i], c[1][i], c[2][i], c[3][i]};
            wide r[4];
            wide_axis(W, d, r);
            UNROLL for (int j = 0; j < 4; j++)
                wide_store(W, v + (i * 4 + j) * planes->plane, r[j]);
            c[0][i] = c[2][i];
            c[1][i] = c[3][i];
        }
    }
}

RNI_INLINE void dots_channels(const band *from, const int whole, const rni_winograd *g, int64_t count, elem *v,
                              const rni_winograd_planes *planes)
{
    band b = *from;
    int64_t c = 0;
    for (; c + 2 * LANES <= count; c += 2 * LANES, b.x += 2 * LANES)
        dots_row(2, &b, whole, v_first(LANES), -g->padding[1], g->tile_cols, v + c, planes);
    for (; c < count; c += LANES, b.x += LANES)
        dots_row(1, &b, whole, v_first((size_t)(count - c < LANES ? count - c : LANES)), -g->padding[1], g->tile_cols, v + c,
                 planes);
}

static void dots_input(const rni_winograd *g, const rni_winograd_span *s, const void *x, int64_t count,
                       const rni_winograd_planes *v)
{
    const int64_t row = g->in_width * g->channels;
    elem *to = v->at;
    for (int64_t image = s->image; image < s->image + s->images; image++)
        for (int64_t tr = s->row; tr < s->row + s->rows; tr++, to += g->tile_cols * v->tile) {
            const int64_t h = tr * 2 - g->padding[0];
            const band b = {(const elem *)x + (image * g->in_height + h) * row, g->channels, row, g->in_width,
                            clip(-h, 0, 4), clip(g->in_height - h, 0, 4)};
            if (b.row0 == 0 && b.row1 == 4)
                dots_channels(&b, 1, g, count, to, v);
            else
                dots_channels(&b, 0, g, count, to, v);
        }
}

static void dots_output(const rni_winograd *g, const rni_winograd_span *s, const rni_winograd_planes *m,
                        const rni_winograd_block *b)
{
    output_tiles(2, g, s, m, b);
}

static const rni_winograd_products dots_products = {dots_weights, dots_product, NULL, NULL};
static const rni_winograd_form dots_form = {2, sizeof(elem), STEP, 0, dots_input, NULL, dots_output, &dots_products};
