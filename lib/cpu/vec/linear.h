/* SPDX-License-Identifier: MIT */
/*
 * Fully connected layers in f32: tiles of the output in registers. How an output is summed does not depend on the tile
 * it is in, so an image's outputs are the same bits in every batch.
 */

enum { TILE = 4, WIDE = LANES == 16 ? 4 : 2 };

RNI_INLINE void dot_step(vec s[TILE][TILE], const float *x, const float *w, size_t stride, const size_t nx,
                         const size_t nw, size_t lanes)
{
    vec b[TILE];
    for (size_t j = 0; j < nw; j++)
        b[j] = v_load_n(w + j * stride, lanes);
    for (size_t i = 0; i < nx; i++) {
        const vec a = v_load_n(x + i * stride, lanes);
        for (size_t j = 0; j < nw; j++)
            s[i][j] = v_fma(a, b[j], s[i][j]);
    }
}

/* Dot products of nx rows of x with nw rows of w, vectors along the inputs. */
RNI_INLINE void dot_tile(const rni_linear *l, size_t n, size_t o, const size_t nx, const size_t nw)
{
    const float *const x = (const float *)l->x + n * l->inputs, *const w = l->w + o * l->inputs;
    vec s[TILE][TILE];
    for (size_t i = 0; i < nx; i++)
        for (size_t j = 0; j < nw; j++)
            s[i][j] = v_zero();
    size_t k = 0;
    for (; k + LANES <= l->inputs; k += LANES)
        dot_step(s, x + k, w + k, l->inputs, nx, nw, LANES);
    if (k < l->inputs)
        dot_step(s, x + k, w + k, l->inputs, nx, nw, l->inputs - k);
    for (size_t i = 0; i < nx; i++) {
        for (size_t j = 0; j < nw; j++) {
            const float y = v_sum(s[i][j]) + (l->b ? l->b[o + j] : 0);
            ((float *)l->y)[(n + i) * l->outputs + o + j] = l->relu && y < 0 ? 0 : y;
        }
    }
}

static void linear(const rni_linear *l)
{
    size_t o = l->o0;
    for (; o + TILE <= l->o1; o += TILE) {
        size_t n = l->n0;
        for (; n + TILE <= l->n1; n += TILE)
            dot_tile(l, n, o, TILE, TILE);
        for (; n < l->n1; n++)
            dot_tile(l, n, o, 1, TILE);
    }
    for (; o < l->o1; o++) {
        size_t n = l->n0;
        for (; n + TILE <= l->n1; n += TILE)
            dot_tile(l, n, o, TILE, 1);
        for (; n < l->n1; n++)
            dot_tile(l, n, o, 1, 1);
    }
}

/* c[r][j] (+)= sum over k of a(r, k) b[k][j]: what both gradients are. */
typedef struct outer {
    float *c;
    const float *a, *b;
    size_t a_row, a_k; /* strides of a */
    size_t rows, depth, cols; /* b and c have rows of cols */
    int accumulate;
} outer;

RNI_INLINE void outer_tile(const outer *t, size_t r, size_t j, const size_t nr, const size_t nv, size_t lanes)
{
    vec s[TILE][WIDE];
    for (size_t i = 0; i < nr; i++)
        for (size_t v = 0; v < nv; v++)
            s[i][v] = v_zero();
    for (size_t k = 0; k < t->depth; k++) {
        vec b[WIDE];
        for (size_t v = 0; v < nv; v++)
            b[v] = v_load_n(t->b + k * t->cols + j + v * LANES, lanes);
        for (size_t i = 0; i < nr; i++) {
            const vec a = v_set(t->a[(r + i) * t->a_row + k * t->a_k]);
            for (size_t v = 0; v < nv; v++)
                s[i][v] = v_fma(a, b[v], s[i][v]);
        }
    }
    for (size_t i = 0; i < nr; i++) {
        for (size_t v = 0; v < nv; v++) {
            float *const c = t->c + (r + i) * t->cols + j + v * LANES;
            v_store_n(c, t->accumulate ? v_add(v_load_n(c, lanes), s[i][v]) : s[i][v], lanes);
        }
    }
}

RNI_INLINE void outer_columns(const outer *t, size_t j, const size_t nv, size_t lanes)
{
    size_t r = 0;
    for (; r + TILE <= t->rows; r += TILE)
        outer_tile(t, r, j, TILE, nv, lanes);
    for (; r < t->rows; r++)
        outer_tile(t, r, j, 1, nv, lanes);
}

static void outer_run(const outer *t)
{
    size_t j = 0;
    for (; j + WIDE * LANES <= t->cols; j += WIDE * LANES)
        outer_columns(t, j, WIDE, LANES);
    for (; j + LANES <= t->cols; j += LANES)
        outer_columns(t, j, 1, LANES);
    if (j < t->cols)
        outer_columns(t, j, 1, t->cols - j);
}

static void linear_data(const rni_linear *l, void *vdx)
{
    const outer t = {.c = (float *)vdx + l->n0 * l->inputs,
                     .a = (const float *)l->y + l->n0 * l->outputs,
                     .b = l->w,
                     .a_row = l->outputs,
                     .a_k = 1,
                     .rows = l->n1 - l->n0,
                     .depth = l->outputs,
                     .cols = l->inputs};
    outer_run(&t);
}

static void linear_filter(const rni_linear *l, float *dw)
{
    const outer t = {.c = dw + l->o0 * l->inputs,
                     .a = (const float *)l->y + l->n0 * l->outputs + l->o0,
                     .b = (const float *)l->x + l->n0 * l->inputs,
                     .a_row = 1,
                     .a_k = l->outputs,
                     .rows = l->o1 - l->o0,
                     .depth = l->n1 - l->n0,
                     .cols = l->inputs,
                     .accumulate = 1};
    outer_run(&t);
}
