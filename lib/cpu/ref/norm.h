/* SPDX-License-Identifier: MIT */
/* Per-channel sums and batch normalisation, in the type T. */

static void sum(const void *vx, size_t rows, size_t stride, size_t width, double *out)
{
    const T *const x = vx;
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < width; j++)
            out[j] += (double)x[r * stride + j];
}

static void moments(const void *vx, size_t rows, size_t stride, size_t width, const void *vcentre, double *m1,
                    double *m2)
{
    const T *const x = vx, *const centre = vcentre;
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < width; j++) {
            const double d = (double)x[r * stride + j] - (double)centre[j];
            m1[j] += d;
            m2[j] += d * d;
        }
    }
}

static void affine(void *vy, const void *vx, const void *vresidual, const void *vscale, const void *vshift,
                   size_t rows, size_t width, int with_relu)
{
    T *const y = vy;
    const T *const x = vx, *const residual = vresidual, *const scale = vscale, *const shift = vshift;
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < width; j++) {
            const size_t i = r * width + j;
            T v = x[i] * scale[j] + shift[j];
            if (residual)
                v += residual[i];
            y[i] = with_relu && v < 0 ? 0 : v;
        }
    }
}

/* dy, or dy where y > 0; j is the column of element i. */
static T masked(const rni_bn_rows *r, size_t i, size_t j)
{
    const T *const dy = r->dy, *const y = r->y, *const x = r->x, *const scale = r->scale, *const shift = r->shift;
    if (scale)
        return x[i] * scale[j] + shift[j] > 0 ? dy[i] : 0;
    return !y || y[i] > 0 ? dy[i] : 0;
}

static void bn_reduce(const rni_bn_rows *r, double *s1, double *s2)
{
    const T *const x = r->x, *const mean = r->mean;
    T *const out = r->masked;
    for (size_t row = 0; row < r->rows; row++) {
        for (size_t j = 0; j < r->width; j++) {
            const size_t i = row * r->stride + j;
            const T g = masked(r, i, j);
            s1[j] += (double)g;
            s2[j] += (double)g * ((double)x[i] - (double)mean[j]);
            if (out)
                out[i] = g;
        }
    }
}

static void bn_dx(const rni_bn_rows *r)
{
    const T *const x = r->x, *const mean = r->mean, *const a = r->a, *const b = r->b, *const c = r->c;
    T *const dx = r->dx, *const dres = r->dres;
    for (size_t row = 0; row < r->rows; row++) {
        for (size_t j = 0; j < r->width; j++) {
            const size_t i = row * r->stride + j;
            const T g = masked(r, i, j);
            dx[i] = a[j] * g + (b[j] * (x[i] - mean[j]) + c[j]);
            if (dres)
                dres[i] += g;
        }
    }
}
