/* SPDX-License-Identifier: MIT */
/* Per-channel sums and batch normalisation over rows of f32. Sums stay in registers over the rows of a chunk. */

/* Vectors of columns summed together, and rows at a time: enough sums of their own to hide an addition's latency. */
enum {
    SUM_VECTORS = 4,
    SUM_COLUMNS = SUM_VECTORS * LANES,
    SUM_ROWS = 2,
    MOMENT_ROWS = LANES == 16 ? 2 : 1, /* as registers allow */
    NARROW_ROWS = 4                    /* for a single vector of columns */
};

/* The vectors `n` of columns from x on, `u` rows at a time; only the last vector may have fewer than LANES (`lanes`). */
RNI_INLINE void sum_columns(const float *x, size_t rows, size_t stride, double *out, const size_t n, const size_t u,
                            size_t lanes)
{
    vec s[NARROW_ROWS][SUM_VECTORS];
    for (size_t k = 0; k < u; k++)
        for (size_t v = 0; v < n; v++)
            s[k][v] = v_zero();
    size_t r = 0;
    for (; r + u <= rows; r += u)
        for (size_t k = 0; k < u; k++, x += stride)
            for (size_t v = 0; v < n; v++)
                s[k][v] = v_add(s[k][v], v_load_n(x + v * LANES, lanes));
    for (; r < rows; r++, x += stride)
        for (size_t v = 0; v < n; v++)
            s[0][v] = v_add(s[0][v], v_load_n(x + v * LANES, lanes));
    for (size_t v = 0; v < n; v++)
        for (size_t k = 0; k < u; k++)
            v_add_to_double_n(out + v * LANES, s[k][v], lanes);
}

static void sum(const void *vx, size_t rows, size_t stride, size_t width, double *out)
{
    const float *const x = vx;
    size_t j = 0;
    for (; j + SUM_COLUMNS <= width; j += SUM_COLUMNS)
        sum_columns(x + j, rows, stride, out + j, SUM_VECTORS, SUM_ROWS, LANES);
    for (; j + LANES <= width; j += LANES)
        sum_columns(x + j, rows, stride, out + j, 1, NARROW_ROWS, LANES);
    if (j < width)
        sum_columns(x + j, rows, stride, out + j, 1, NARROW_ROWS, width - j);
}

RNI_INLINE void moment_step(const float *x, const vec *at, vec *s1, vec *s2, const size_t n, size_t lanes)
{
    for (size_t v = 0; v < n; v++) {
        const vec d = v_sub(v_load_n(x + v * LANES, lanes), at[v]);
        s1[v] = v_add(s1[v], d);
        s2[v] = v_fma(d, d, s2[v]);
    }
}

RNI_INLINE void moment_columns(const float *x, size_t rows, size_t stride, const float *centre, double *m1, double *m2,
                               const size_t n, const size_t u, size_t lanes)
{
    vec s1[NARROW_ROWS][SUM_VECTORS], s2[NARROW_ROWS][SUM_VECTORS], at[SUM_VECTORS];
    for (size_t v = 0; v < n; v++) {
        at[v] = v_load_n(centre + v * LANES, lanes);
        for (size_t k = 0; k < u; k++)
            s1[k][v] = s2[k][v] = v_zero();
    }
    size_t r = 0;
    for (; r + u <= rows; r += u)
        for (size_t k = 0; k < u; k++, x += stride)
            moment_step(x, at, s1[k], s2[k], n, lanes);
    for (; r < rows; r++, x += stride)
        moment_step(x, at, s1[0], s2[0], n, lanes);
    for (size_t v = 0; v < n; v++) {
        for (size_t k = 0; k < u; k++) {
            v_add_to_double_n(m1 + v * LANES, s1[k][v], lanes);
            v_add_to_double_n(m2 + v * LANES, s2[k][v], lanes);
        }
    }
}

static void moments(const void *vx, size_t rows, size_t stride, size_t width, const void *vcentre, double *m1,
                    double *m2)
{
    const float *const x = vx, *const centre = vcentre;
    size_t j = 0;
    for (; j + SUM_COLUMNS <= width; j += SUM_COLUMNS)
        moment_columns(x + j, rows, stride, centre + j, m1 + j, m2 + j, SUM_VECTORS, MOMENT_ROWS, LANES);
    for (; j + LANES <= width; j += LANES)
        moment_columns(x + j, rows, stride, centre + j, m1 + j, m2 + j, 1, NARROW_ROWS, LANES);
    if (j < width)
        moment_columns(x + j, rows, stride, centre + j, m1 + j, m2 + j, 1, NARROW_ROWS, width - j);
}

RNI_INLINE void affine_vector(float *y, const float *x, const float *residual, const float *scale, const float *shift,
                              size_t lanes, const int adds, const int with_relu)
{
    vec v = v_fma(v_load_n(x, lanes), v_load_n(scale, lanes), v_load_n(shift, lanes));
    if (adds)
        v = v_add(v, v_load_n(residual, lanes));
    v_store_n(y, with_relu ? v_relu(v) : v, lanes);
}

RNI_INLINE void affine_rows(float *y, const float *x, const float *residual, const float *scale, const float *shift,
                            size_t rows, size_t width, const int adds, const int with_relu)
{
    for (size_t r = 0; r < rows; r++, x += width, y += width) {
        size_t j = 0;
        for (; j + LANES <= width; j += LANES)
            affine_vector(y + j, x + j, residual + (adds ? j : 0), scale + j, shift + j, LANES, adds, with_relu);
        if (j < width)
            affine_vector(y + j, x + j, residual + (adds ? j : 0), scale + j, shift + j, width - j, adds, with_relu);
        residual += adds ? width : 0;
    }
}

static void affine(void *y, const void *x, const void *residual, const void *scale, const void *shift, size_t rows,
                   size_t width, int with_relu)
{
    if (residual && with_relu)
        affine_rows(y, x, residual, scale, shift, rows, width, 1, 1);
    else if (residual)
        affine_rows(y, x, residual, scale, shift, rows, width, 1, 0);
    else if (with_relu)
        affine_rows(y, x, x, scale, shift, rows, width, 0, 1);
    else
        affine_rows(y, x, x, scale, shift, rows, width, 0, 0);
}

/* g at element i. */
RNI_INLINE vec masked(const rni_bn_rows *r, size_t i, size_t lanes, const int with_mask)
{
    const vec dy = v_load_n((const float *)r->dy + i, lanes);
    return with_mask ? v_where_positive(v_load_n((const float *)r->y + i, lanes), dy) : dy;
}

RNI_INLINE void reduce_columns(const rni_bn_rows *r, size_t j, double *s1, double *s2, const size_t n, size_t lanes,
                               const int with_mask, const int writes)
{
    vec a[SUM_VECTORS], b[SUM_VECTORS], mean[SUM_VECTORS];
    for (size_t v = 0; v < n; v++) {
        a[v] = b[v] = v_zero();
        mean[v] = v_load_n((const float *)r->mean + j + v * LANES, lanes);
    }
    for (size_t row = 0; row < r->rows; row++) {
        for (size_t v = 0; v < n; v++) {
            const size_t i = row * r->stride + j + v * LANES;
            const vec g = masked(r, i, lanes, with_mask);
            a[v] = v_add(a[v], g);
            b[v] = v_fma(g, v_sub(v_load_n((const float *)r->x + i, lanes), mean[v]), b[v]);
            if (writes)
                v_store_n((float *)r->masked + i, g, lanes);
        }
    }
    for (size_t v = 0; v < n; v++) {
        v_add_to_double_n(s1 + j + v * LANES, a[v], lanes);
        v_add_to_double_n(s2 + j + v * LANES, b[v], lanes);
    }
}

RNI_INLINE void reduce_rows(const rni_bn_rows *r, double *s1, double *s2, const int with_mask, const int writes)
{
    size_t j = 0;
    for (; j + SUM_COLUMNS <= r->width; j += SUM_COLUMNS)
        reduce_columns(r, j, s1, s2, SUM_VECTORS, LANES, with_mask, writes);
    for (; j + LANES <= r->width; j += LANES)
        reduce_columns(r, j, s1, s2, 1, LANES, with_mask, writes);
    if (j < r->width)
        reduce_columns(r, j, s1, s2, 1, r->width - j, with_mask, writes);
}

static void bn_reduce(const rni_bn_rows *r, double *s1, double *s2)
{
    if (r->y && r->masked)
        reduce_rows(r, s1, s2, 1, 1);
    else if (r->y)
        reduce_rows(r, s1, s2, 1, 0);
    else if (r->masked)
        reduce_rows(r, s1, s2, 0, 1);
    else
        reduce_rows(r, s1, s2, 0, 0);
}

RNI_INLINE void dx_vector(const rni_bn_rows *r, size_t i, size_t j, size_t lanes, const int with_mask, const int adds)
{
    const vec g = masked(r, i, lanes, with_mask);
    const vec d = v_sub(v_load_n((const float *)r->x + i, lanes), v_load_n((const float *)r->mean + j, lanes));
    const vec rest = v_fma(v_load_n((const float *)r->b + j, lanes), d, v_load_n((const float *)r->c + j, lanes));
    v_store_n((float *)r->dx + i, v_fma(v_load_n((const float *)r->a + j, lanes), g, rest), lanes);
    if (adds)
        v_store_n((float *)r->dres + i, v_add(v_load_n((const float *)r->dres + i, lanes), g), lanes);
}

RNI_INLINE void dx_rows(const rni_bn_rows *r, const int with_mask, const int adds)
{
    for (size_t row = 0; row < r->rows; row++) {
        const size_t i = row * r->stride;
        size_t j = 0;
        for (; j + LANES <= r->width; j += LANES)
            dx_vector(r, i + j, j, LANES, with_mask, adds);
        if (j < r->width)
            dx_vector(r, i + j, j, r->width - j, with_mask, adds);
    }
}

static void bn_dx(const rni_bn_rows *r)
{
    if (r->y && r->dres)
        dx_rows(r, 1, 1);
    else if (r->y)
        dx_rows(r, 1, 0);
    else if (r->dres)
        dx_rows(r, 0, 1);
    else
        dx_rows(r, 0, 0);
}
