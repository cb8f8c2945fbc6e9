/* SPDX-License-Identifier: MIT */
/* Pooling over NHWC images, in the type T. Windows are clipped to the image: [y0, y1) x [x0, x1). */

static const T *pixel(const void *images, size_t image, size_t height, size_t width, size_t channels, size_t y,
                      size_t x)
{
    return (const T *)images + ((image * height + y) * width + x) * channels;
}

static void maxpool(const rni_pool *p, const void *vx, void *vy, size_t first, size_t last)
{
    T *y = (T *)vy + first * p->out_width * p->channels;
    for (size_t row = first; row < last; row++) {
        const size_t image = row / p->out_height;
        for (size_t ox = 0; ox < p->out_width; ox++, y += p->channels) {
            const rni_window w = rni_pool_window(p, row % p->out_height, ox);
            for (size_t c = 0; c < p->channels; c++) {
                T best = (T)-INFINITY;
                for (size_t iy = w.y0; iy < w.y1; iy++) {
                    for (size_t ix = w.x0; ix < w.x1; ix++) {
                        const T v = pixel(vx, image, p->height, p->width, p->channels, iy, ix)[c];
                        if (v > best || v != v)
                            best = v;
                    }
                }
                y[c] = best;
            }
        }
    }
}

static void avgpool(const rni_pool *p, const void *vx, void *vy, size_t first, size_t last)
{
    T *y = (T *)vy + first * p->out_width * p->channels;
    for (size_t row = first; row < last; row++) {
        const size_t image = row / p->out_height;
        for (size_t ox = 0; ox < p->out_width; ox++, y += p->channels) {
            const rni_window w = rni_pool_window(p, row % p->out_height, ox);
            for (size_t c = 0; c < p->channels; c++) {
                double s = 0;
                for (size_t iy = w.y0; iy < w.y1; iy++)
                    for (size_t ix = w.x0; ix < w.x1; ix++)
                        s += (double)pixel(vx, image, p->height, p->width, p->channels, iy, ix)[c];
                y[c] = (T)(s / (double)w.count);
            }
        }
    }
}

/* The first element of the window that equals the maximum; a NaN maximum is equal to any NaN. */
static size_t first_maximum(const rni_pool *p, const T *x, const rni_window *w, size_t c, T best)
{
    for (size_t iy = w->y0; iy < w->y1; iy++) {
        for (size_t ix = w->x0; ix < w->x1; ix++) {
            const size_t i = (iy * p->width + ix) * p->channels + c;
            if (x[i] == best || (best != best && x[i] != x[i]))
                return i;
        }
    }
    return (w->y0 * p->width + w->x0) * p->channels + c;
}

static void maxpool_backward(const rni_pool *p, const void *vdy, const void *vx, const void *vy, void *vdx,
                             size_t image, size_t c0, size_t c1)
{
    const size_t in = p->height * p->width * p->channels, out = p->out_height * p->out_width * p->channels;
    const T *const dy = (const T *)vdy + image * out, *const y = (const T *)vy + image * out;
    const T *const x = (const T *)vx + image * in;
    T *const dx = (T *)vdx + image * in;
    for (size_t i = 0; i < p->height * p->width; i++)
        for (size_t c = c0; c < c1; c++)
            dx[i * p->channels + c] = 0;
    for (size_t oy = 0; oy < p->out_height; oy++) {
        for (size_t ox = 0; ox < p->out_width; ox++) {
            const rni_window w = rni_pool_window(p, oy, ox);
            for (size_t c = c0; c < c1; c++) {
                const size_t o = (oy * p->out_width + ox) * p->channels + c;
                dx[first_maximum(p, x, &w, c, y[o])] += dy[o];
            }
        }
    }
}

static void avgpool_backward(const rni_pool *p, const void *vdy, void *vdx, size_t first, size_t last)
{
    T *dx = (T *)vdx + first * p->width * p->channels;
    for (size_t row = first; row < last; row++) {
        const size_t image = row / p->height;
        for (size_t ix = 0; ix < p->width; ix++, dx += p->channels) {
            const rni_window outs = rni_pool_covering(p, row % p->height, ix);
            for (size_t c = 0; c < p->channels; c++) {
                double s = 0;
                for (size_t oy = outs.y0; oy < outs.y1; oy++)
                    for (size_t ox = outs.x0; ox < outs.x1; ox++)
                        s += (double)pixel(vdy, image, p->out_height, p->out_width, p->channels, oy, ox)[c] /
                             (double)rni_pool_window(p, oy, ox).count;
                dx[c] = (T)s;
            }
        }
    }
}
