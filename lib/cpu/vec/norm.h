/* SPDX-License-Identifier: MIT */
/* Per-channel sums and batch normalisation over rows. Sums stay in registers over the rows of a chunk. */

/* Vectors of columns summed together, and rows at a time: enough sums of their own to hide an addition's latency. */
enum {
    SUM_VECTORS = 4,
    SUM_COLUMNS = SUM_VECTORS * LANES,
    SUM_ROWS = 2,
    MOMENT_ROWS = LANES == 16 ? 2 : 1, /* as registers allow */
    NARROW_ROWS = 4,                   /* for a single vector of columns */
    ROWS_AHEAD = 16                    /* asked for: no processor foresees what is next in a block of columns */
};

/* The vectors `n` of columns from x on, `u` rows at a time; only the last vector may have fewer than LANES (`lanes`). */
RNI_INLINE void sum_columns(const elem *x, size_t rows, size_t stride, double *out, const size_t n, const size_t u,
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
                s[k][v] = v_add(s[k][v], e_load_n(x + v * LANES, lanes));
    for (; r < rows; r++, x += stride)
        for (size_t v = 0; v < n; v++)
            s[0][v] = v_add(s[0][v], e_load_n(x + v * LANES, lanes));
    for (size_t v = 0; v < n; v++)
        for (size_t k = 0; k < u; k++)
            v_add_to_double_n(out + v * LANES, s[k][v], lanes);
}

static void sum(const void *vx, size_t rows, size_t stride, size_t width, double *out)
{
    const elem *const x = vx;
    size_t j = 0;
    for (; j + SUM_COLUMNS <= width; j += SUM_COLUMNS)
        sum_columns(x + j, rows, stride, out + j, SUM_VECTORS, SUM_ROWS, LANES);
    for (; j + LANES <= width; j += LANES)
        sum_columns(x + j, rows, stride, out + j, 1, NARROW_ROWS, LANES);
    if (j < width)
        sum_columns(x + j, rows, stride, out + j, 1, NARROW_ROWS, width - j);
}

RNI_INLINE void moment_step(const elem *x, const vec *at, vec *s1, vec *s2, const size_t n, size_t lanes)
{
    for (size_t v = 0; v < n; v++) {
        const vec d = v_sub(e_load_n(x + v * LANES, lanes), at[v]);
        s1[v] = v_add(s1[v], d);
        s2[v] = v_fma(d, d, s2[v]);
    }
}

RNI_INLINE void moment_columns(const elem *x, size_t rows, size_t stride, const float *centre, double *m1, double *m2,
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
    const elem *const x = vx;
    const float *const centre = vcentre;
    size_t j = 0;
    for (; j + SUM_COLUMNS <= width; j += SUM_COLUMNS)
        moment_columns(x + j, rows, stride, centre + j, m1 + j, m2 + j, SUM_VECTORS, MOMENT_ROWS, LANES);
    for (; j + LANES <= width; j += LANES)
        moment_columns(x + j, rows, stride, centre + j, m1 + j, m2 + j, 1, NARROW_ROWS, LANES);
    if (j < width)
        moment_columns(x + j, rows, stride, centre + j, m1 + j, m2 + j, 1, NARROW_ROWS, width - j);
}

RNI_INLINE void affine_vector(elem *y, const elem *x, const elem *residual, const float *scale, const float *shift,
                              size_t lanes, const int adds, const int with_relu)
{
    vec v = v_fma(e_load_n(x, lanes), v_load_n(scale, lanes), v_load_n(shift, lanes));
    if (adds)
        v = v_add(v, e_load_n(residual, lanes));
    e_store_n(y, with_relu ? v_relu(v) : v, lanes);
}

RNI_INLINE void affine_rows(elem *y, const elem *x, const elem *residual, const float *scale, const float *shift,
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

/* Where the mask of ReLU comes from. */
enum { NO_MASK, MASK_OF_Y, MASK_OF_X };

RNI_INLINE int mask_of(const rni_bn_rows *r)
{
    return r->scale ? MASK_OF_X : r->y ? MASK_OF_Y : NO_MASK;
}

/* g at element i; y is made from x as affine_vector() does. */
RNI_INLINE vec masked(const rni_bn_rows *r, size_t i, size_t lanes, const int kind, vec x, vec scale, vec shift)
{
    const vec dy = e_load_n((const elem *)r->dy + i, lanes);
    if (kind == NO_MASK)
        return dy;
    return v_where_positive(kind == MASK_OF_X ? v_fma(x, scale, shift) : e_load_n((const elem *)r->y + i, lanes), dy);
}

/* What will be read soon; past the end this is only advice. */
RNI_INLINE void ask_for_rows(const rni_bn_rows *r, size_t i, const int kind)
{
    __builtin_prefetch((const elem *)r->x + i);
    __builtin_prefetch((const elem *)r->dy + i);
    if (kind == MASK_OF_Y)
        __builtin_prefetch((const elem *)r->y + i);
}

RNI_INLINE void reduce_columns(const rni_bn_rows *r, size_t j, double *s1, double *s2, const size_t n, size_t lanes,
                               const int kind, const int writes)
{
    const size_t ahead = r->stride > SUM_COLUMNS ? ROWS_AHEAD * r->stride : 0;
    vec a[SUM_VECTORS], b[SUM_VECTORS], mean[SUM_VECTORS], scale[SUM_VECTORS], shift[SUM_VECTORS];
    for (size_t v = 0; v < n; v++) {
        a[v] = b[v] = scale[v] = shift[v] = v_zero();
        mean[v] = v_load_n((const float *)r->mean + j + v * LANES, lanes);
        if (kind == MASK_OF_X) {
            scale[v] = v_load_n((const float *)r->scale + j + v * LANES, lanes);
            shift[v] = v_load_n((const float *)r->shift + j + v * LANES, lanes);
        }
    }
    for (size_t row = 0; row < r->rows; row++) {
        for (size_t v = 0; v < n; v++) {
            const size_t i = row * r->stride + j + v * LANES;
            const vec x = e_load_n((const elem *)r->x + i, lanes);
            if (ahead && v * LANES % LINE == 0)
                ask_for_rows(r, i + ahead, kind);
            const vec g = masked(r, i, lanes, kind, x, scale[v], shift[v]);
            a[v] = v_add(a[v], g);
            b[v] = v_fma(g, v_sub(x, mean[v]), b[v]);
            if (writes)
                e_store_n((elem *)r->masked + i, g, lanes);
        }
    }
    for (size_t v = 0; v < n; v++) {
        v_add_to_double_n(s1 + j + v * LANES, a[v], lanes);
        v_add_to_double_n(s2 + j + v * LANES, b[v], lanes);
    }
}

RNI_INLINE void reduce_rows(const rni_bn_rows *rows, double *s1, double *s2, const int kind, const int writes)
{
    const rni_bn_rows r = *rows; /* which stores cannot change */
    size_t j = 0;
    for (; j + SUM_COLUMNS <= r.width; j += SUM_COLUMNS)
        reduce_columns(&r, j, s1, s2, SUM_VECTORS, LANES, kind, writes);
    for (; j + LANES <= r.width; j += LANES)
        reduce_columns(&r, j, s1, s2, 1, LANES, kind, writes);
    if (j < r.width)
        reduce_columns(&r, j, s1, s2, 1, r.width - j, kind, writes);
}

static void bn_reduce(const rni_bn_rows *r, double *s1, double *s2)
{
    const int kind = mask_of(r);
    if (kind == MASK_OF_X)
        reduce_rows(r, s1, s2, MASK_OF_X, 0);
    else if (kind == MASK_OF_Y && r->masked)
        reduce_rows(r, s1, s2, MASK_OF_Y, 1);
    else if (kind == MASK_OF_Y)
        reduce_rows(r, s1, s2, MASK_OF_Y, 0);
    else if (r->masked)
        reduce_rows(r, s1, s2, NO_MASK, 1);
    else
        reduce_rows(r, s1, s2, NO_MASK, 0);
}

RNI_INLINE void dx_vector(const rni_bn_rows *r, size_t i, size_t j, size_t lanes, const int kind, const int adds)
{
    const vec x = e_load_n((const elem *)r->x + i, lanes), none = v_zero();
    const vec scale = kind == MASK_OF_X ? v_load_n((const float *)r->scale + j, lanes) : none;
    const vec shift = kind == MASK_OF_X ? v_load_n((const float *)r->shift + j, lanes) : none;
    const vec g = masked(r, i, lanes, kind, x, scale, shift);
    const vec d = v_sub(x, v_load_n((const float *)r->mean + j, lanes));
    const vec rest = v_fma(v_load_n((const float *)r->b + j, lanes), d, v_load_n((const float *)r->c + j, lanes));
    e_store_n((elem *)r->dx + i, v_fma(v_load_n((const float *)r->a + j, lanes), g, rest), lanes);
    if (adds)
        e_store_n((elem *)r->dres + i, v_add(e_load_n((const elem *)r->dres + i, lanes), g), lanes);
}

RNI_INLINE void dx_rows(const rni_bn_rows *rows, const int kind, const int adds)
{
    const rni_bn_rows r = *rows; /* which stores cannot change */
    for (size_t row = 0; row < r.rows; row++) {
        const size_t i = row * r.stride;
        size_t j = 0;
        for (; j + LANES <= r.width; j += LANES)
            dx_vector(&r, i + j, j, LANES, kind, adds);
        if (j < r.width)
            dx_vector(&r, i + j, j, r.width - j, kind, adds);
    }
}

static void bn_dx(const rni_bn_rows *r)
{
    const int kind = mask_of(r);
    if (kind == MASK_OF_X)
        dx_rows(r, MASK_OF_X, 0);
    else if (kind == MASK_OF_Y && r->dres)
        dx_rows(r, MASK_OF_Y, 1);
    else if (kind == MASK_OF_Y)
        dx_rows(r, MASK_OF_Y, 0);
    else if (r->dres)
        dx_rows(r, NO_MASK, 1);
    else
        dx_rows(r, NO_MASK, 0);
}
