/* SPDX-License-Identifier: MIT */
/*
 * The filter kernel for one level. A tile is N input channels by V vectors of output channels of one tap (or N
 * channels by the three taps of a row), whose sums stay in registers over a band of rows; between bands they rest in
 * memory. Every sum adds pixel after pixel, row after row, whatever the bands and tiles.
 */
#ifndef RNI_CPU_VEC_CONV_FILTER_H
#define RNI_CPU_VEC_CONV_FILTER_H

#include "cpu/conv_kernels.h"
#include "cpu/vec/conv_vector.h"

/* Few enough that the lines a band touches stay in the first cache from tile to tile. */
enum { BAND_PIXELS = 256 };

/* V vectors, or the three taps, by channels. */
typedef struct filter_sums {
    vec a[MAX_CHANNELS][3];
} filter_sums;

/* What the next band reads, asked for in small portions while this one is worked on. */
typedef struct filter_ahead {
    const elem *x, *dy;
    int64_t x_lines, dy_pixels; /* per row of a tile */
} filter_ahead;

/* One tap of some rows. */
typedef struct filter_span {
    int64_t first_row, last_row;   /* of dy */
    int64_t tap, column;           /* row of taps; column of x under column 0 of dy */
    int64_t first_col, last_col;   /* of dy */
    int64_t channel;               /* of x, from that column on */
    float *sum;
    filter_ahead *ahead;
} filter_span;

RNI_INLINE void prefetch_ahead(filter_ahead *ahead, int64_t dy_pixel, const int V)
{
    for (int64_t i = 0; i < ahead->x_lines; i++, ahead->x += LINE)
        _mm_prefetch((const char *)ahead->x, _MM_HINT_T0);
    for (int64_t i = 0; i < ahead->dy_pixels; i++, ahead->dy += dy_pixel)
        UNROLL for (int v = 0; v < V * LANES; v += LINE)
            _mm_prefetch((const char *)(ahead->dy + v), _MM_HINT_T0);
}

RNI_INLINE void load_sums(filter_sums *t, const int N, const int V, const float *sum)
{
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int v = 0; v < V; v++)
            t->a[i][v] = v_load(sum + (i * V + v) * LANES);
}

RNI_INLINE void store_sums(const filter_sums *t, const int N, const int V, float *sum)
{
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int v = 0; v < V; v++)
            v_store(sum + (i * V + v) * LANES, t->a[i][v]);
}

/* The row of x under a row of dy and tap; NULL when it lies outside. */
RNI_INLINE const elem *filter_row(const rni_conv_filter *g, const rni_conv_filter_block *b, int64_t row, int64_t tap)
{
    const int64_t image = row / g->out_height;
    const int64_t h = row % g->out_height * g->step[0] + g->first[0] + tap * g->dilation[0];
    return h < 0 || h >= g->in_height ? NULL : (const elem *)b->x + image * g->in_image + h * g->in_row;
}

RNI_INLINE void filter_pixels(filter_sums *t, const int N, const int V, const elem *x, int64_t x_pixel,
                              const elem *dy, int64_t dy_pixel, int64_t count, mask tail)
{
    for (int64_t p = 0; p < count; p++, x += x_pixel, dy += dy_pixel) {
        vec d[MAX_VECTORS];
        UNROLL for (int v = 0; v < V; v++)
            d[v] = v == V - 1 ? e_load_m(dy + v * LANES, tail) : e_load(dy + v * LANES);
        UNROLL for (int i = 0; i < N; i++) {
            const vec e = e_set(x + i);
            UNROLL for (int v = 0; v < V; v++)
                t->a[i][v] = v_fma(e, d[v], t->a[i][v]);
        }
    }
}

RNI_INLINE void run_filter_tile(const int N, const int V, const rni_conv_filter *g, const rni_conv_filter_block *b,
                            const filter_span *s)
{
    const mask tail = v_first(b->tail);
    filter_sums t;
    load_sums(&t, N, V, s->sum);
    for (int64_t row = s->first_row; row < s->last_row; row++) {
        const elem *const x = filter_row(g, b, row, s->tap);
        prefetch_ahead(s->ahead, g->out_pixel, V);
        if (x)
            filter_pixels(&t, N, V, x + (s->first_col * g->step[1] + s->column) * g->in_pixel + s->channel,
                          g->step[1] * g->in_pixel, (const elem *)b->dy + row * g->out_row + s->first_col * g->out_pixel,
                          g->out_pixel, s->last_col - s->first_col, tail);
    }
    store_sums(&t, N, V, s->sum);
}

/* Three taps: every pixel of x meets the three of dy that it fed; d1 and d2 are those of taps 1 and 2. */
RNI_INLINE void filter_three(filter_sums *t, const int N, const int loads, vec *d1, vec *d2, const elem *x,
                         int64_t x_pixel, const elem *dy, int64_t dy_pixel, int64_t count, mask tail)
{
    for (int64_t q = 0; q < count; q++, x += x_pixel, dy += dy_pixel) {
        const vec d0 = loads ? e_load_m(dy, tail) : v_zero();
        UNROLL for (int i = 0; i < N; i++) {
            const vec e = e_set(x + i);
            t->a[i][0] = v_fma(e, d0, t->a[i][0]);
            t->a[i][1] = v_fma(e, *d1, t->a[i][1]);
            t->a[i][2] = v_fma(e, *d2, t->a[i][2]);
        }
        *d2 = *d1;
        *d1 = d0;
    }
}

RNI_INLINE vec load_column(const rni_conv_filter *g, const elem *dy, int64_t column, mask tail)
{
    return column >= 0 && column < g->out_width ? e_load_m(dy + column * g->out_pixel, tail) : v_zero();
}

RNI_INLINE void run_filter_three(const int N, const rni_conv_filter *g, const rni_conv_filter_block *b,
                             const filter_span *s)
{
    const mask tail = v_first(b->tail);
    const int64_t lead = -g->first[1], pixel = g->in_pixel; /* tap 0 of column q of x is column q + lead of dy */
    const int64_t end = g->out_width - lead < g->in_width ? g->out_width - lead : g->in_width;
    const int64_t middle = end > 0 ? end : 0;
    const int64_t rest = g->in_width - middle < 2 ? g->in_width - middle : 2;
    filter_sums t;
    load_sums(&t, N, 3, s->sum);
    for (int64_t row = s->first_row; row < s->last_row; row++) {
        const elem *const x = filter_row(g, b, row, s->tap), *const dy = (const elem *)b->dy + row * g->out_row;
        prefetch_ahead(s->ahead, g->out_pixel, 1);
        if (!x)
            continue;
        vec d1 = load_column(g, dy, lead - 1, tail), d2 = load_column(g, dy, lead - 2, tail);
        filter_three(&t, N, 1, &d1, &d2, x + s->channel, pixel, dy + lead * g->out_pixel, g->out_pixel, middle, tail);
        filter_three(&t, N, 0, &d1, &d2, x + middle * pixel + s->channel, pixel, dy, 0, rest, tail);
    }
    store_sums(&t, N, 3, s->sum);
}

typedef void filter_tile_fn(const rni_conv_filter *g, const rni_conv_filter_block *b, const filter_span *s);

#define FILTER_TILE(N, V, T)                                                                                     \
    static void filter_##N##x##V##_##T(const rni_conv_filter *g, const rni_conv_filter_block *b,                 \
                                       const filter_span *s)                                                     \
    {                                                                                                            \
        T ? run_filter_three(N, g, b, s) : run_filter_tile(N, V, g, b, s);                                       \
    }
#define FILTER_NAME(N, V, T) filter_##N##x##V##_##T,
#define FILTER_TILES(LIST, V, T)                                                                                 \
    LIST(FILTER_TILE, V, T) static filter_tile_fn *const filter_tiles_##V##_##T[] = {NULL, LIST(FILTER_NAME, V, T)};

/* The tiles of one kind of block. */
typedef struct filter_kind {
    filter_tile_fn *const *tiles;
    int64_t most; /* channels in one */
} filter_kind;

#define FILTER_KIND(V, T)                                                                                        \
    ((filter_kind){filter_tiles_##V##_##T, (int64_t)(sizeof filter_tiles_##V##_##T / sizeof(filter_tile_fn *)) - 1})

/* Cuts `channels` channels from the span's on into tiles of nearly equal width; `size` floats of sums per channel. */
RNI_INLINE void run_channels(filter_kind kind, const rni_conv_filter *g, const rni_conv_filter_block *b, filter_span s,
                         int64_t channels, int64_t size)
{
    const int64_t count = (channels + kind.most - 1) / kind.most, width = channels / count;
    int64_t wider = channels % count;
    for (int64_t i = 0; i < count; i++, wider--) {
        const int64_t n = width + (wider > 0);
        kind.tiles[n](g, b, &s);
        s.channel += n;
        s.sum += n * size;
    }
}

/* Columns of dy whose tap at distance `column` lies inside x. */
RNI_INLINE void clip_columns(const rni_conv_filter *g, filter_span *s)
{
    s->first_col = 0;
    s->last_col = g->out_width;
    while (s->first_col < s->last_col && s->first_col * g->step[1] + s->column < 0)
        s->first_col++;
    while (s->last_col > s->first_col && (s->last_col - 1) * g->step[1] + s->column >= g->in_width)
        s->last_col--;
}

/* One row of taps, tap by tap. With `dense` the columns where all taps lie inside are taken together. */
RNI_INLINE void run_taps(filter_kind kind, const rni_conv_filter *g, const rni_conv_filter_block *b, filter_span s,
                     int64_t size)
{
    int64_t inner_first = 0, inner_last = 0;
    if (g->dense && g->taps[1] > 1 && g->channels < kind.most) {
        filter_span first = s, last = s;
        last.column += (g->taps[1] - 1) * g->dilation[1];
        clip_columns(g, &first);
        clip_columns(g, &last);
        s.first_col = inner_first = first.first_col;
        s.last_col = inner_last = last.last_col;
        if (inner_first < inner_last)
            run_channels(kind, g, b, s, g->taps[1] * g->channels, size);
        else
            inner_first = inner_last = 0;
    }
    for (int64_t tap = 0; tap < g->taps[1]; tap++) {
        filter_span all = s;
        clip_columns(g, &all);
        filter_span left = all, right = all;
        left.last_col = inner_first < inner_last ? inner_first : all.last_col;
        right.first_col = inner_last;
        if (left.first_col < left.last_col)
            run_channels(kind, g, b, left, g->channels, size);
        if (inner_first < inner_last && right.first_col < right.last_col)
            run_channels(kind, g, b, right, g->channels, size);
        s.column += g->dilation[1];
        s.sum += g->channels * size;
    }
}

RNI_INLINE filter_ahead look_ahead(filter_kind kind, const rni_conv_filter *g, const rni_conv_filter_block *b,
                                   int64_t row)
{
    const int64_t tiles = g->taps[0] * (g->triple ? 1 : g->taps[1]) * ((g->channels + kind.most - 1) / kind.most);
    filter_ahead ahead = {.x = b->x, .dy = b->dy};
    if (row >= b->last_row)
        return ahead;
    ahead.x += row / g->out_height * g->in_image + row % g->out_height * g->step[0] * g->in_row;
    ahead.dy += row * g->out_row;
    ahead.x_lines = g->channels == g->in_pixel ? (g->step[0] * g->in_row + LINE * tiles - 1) / (LINE * tiles) : 0;
    ahead.dy_pixels = (g->out_width + tiles - 1) / tiles;
    return ahead;
}

RNI_INLINE void run_filter(filter_kind kind, const rni_conv_filter *g, const rni_conv_filter_block *b)
{
    const int64_t rows = g->out_width < BAND_PIXELS ? BAND_PIXELS / g->out_width : 1;
    const int64_t size = b->vectors * LANES, tap_row = g->taps[1] * g->channels * size;
    for (int64_t row = b->first_row; row < b->last_row; row += rows) {
        filter_ahead ahead = look_ahead(kind, g, b, row + rows);
        filter_span s = {.first_row = row, .column = g->first[1], .ahead = &ahead};
        s.last_row = row + rows < b->last_row ? row + rows : b->last_row;
        for (s.tap = 0; s.tap < g->taps[0]; s.tap++) {
            s.sum = b->sum + s.tap * tap_row;
            if (g->triple)
                run_channels(kind, g, b, s, g->channels, 3 * LANES);
            else
                run_taps(kind, g, b, s, size);
        }
    }
}

#endif
