/* SPDX-License-Identifier: MIT */
/* Pooling over NHWC images, vectors along channels. */

enum { POOL_VECTORS = 4 };

/* The vectors `n` of channels of one window; x is the image from these channels on. */
RNI_INLINE void window_vectors(const rni_pool *p, const elem *x, elem *y, const rni_window *w, const size_t n,
                               size_t lanes, const int takes_max)
{
    vec s[POOL_VECTORS];
    for (size_t v = 0; v < n; v++)
        s[v] = takes_max ? v_set(-INFINITY) : v_zero();
    for (size_t iy = w->y0; iy < w->y1; iy++) {
        const elem *in = x + (iy * p->width + w->x0) * p->channels;
        for (size_t ix = w->x0; ix < w->x1; ix++, in += p->channels) {
            for (size_t v = 0; v < n; v++) {
                const vec value = e_load_n(in + v * LANES, lanes);
                s[v] = takes_max ? v_max_nan(s[v], value) : v_add(s[v], value);
            }
        }
    }
    const vec count = v_set((float)w->count);
    for (size_t v = 0; v < n; v++)
        e_store_n(y + v * LANES, takes_max ? s[v] : v_div(s[v], count), lanes);
}

RNI_INLINE void pool_rows(const rni_pool *p, const elem *x, elem *y, size_t first, size_t last, const int takes_max)
{
    y += first * p->out_width * p->channels;
    for (size_t row = first; row < last; row++) {
        const elem *const image = x + row / p->out_height * p->height * p->width * p->channels;
        for (size_t ox = 0; ox < p->out_width; ox++, y += p->channels) {
            const rni_window w = rni_pool_window(p, row % p->out_height, ox);
            size_t c = 0;
            for (; c + POOL_VECTORS * LANES <= p->channels; c += POOL_VECTORS * LANES)
                window_vectors(p, image + c, y + c, &w, POOL_VECTORS, LANES, takes_max);
            for (; c + LANES <= p->channels; c += LANES)
                window_vectors(p, image + c, y + c, &w, 1, LANES, takes_max);
            if (c < p->channels)
                window_vectors(p, image + c, y + c, &w, 1, p->channels - c, takes_max);
        }
    }
}

static void maxpool(const rni_pool *p, const void *x, void *y, size_t first, size_t last)
{
    pool_rows(p, x, y, first, last, 1);
}

static void avgpool(const rni_pool *p, const void *x, void *y, size_t first, size_t last)
{
    pool_rows(p, x, y, first, last, 0);
}

/* Adds dy to the first element of the window that equals the maximum, per channel. */
RNI_INLINE void scatter_vector(const rni_pool *p, const elem *x, elem *dx, vec best, vec dy, const rni_window *w,
                               size_t lanes)
{
    mask found = m_none();
    for (size_t iy = w->y0; iy < w->y1; iy++) {
        for (size_t ix = w->x0; ix < w->x1; ix++) {
            const size_t i = (iy * p->width + ix) * p->channels;
            const mask same = v_same(e_load_n(x + i, lanes), best);
            const vec part = v_where(m_and_not(same, found), dy);
            e_store_n(dx + i, v_add(e_load_n(dx + i, lanes), part), lanes);
            found = m_or(found, same);
        }
    }
}

static void maxpool_backward(const rni_pool *p, const void *vdy, const void *vx, const void *vy, void *vdx,
                             size_t image, size_t c0, size_t c1)
{
    const size_t in = p->height * p->width * p->channels, out = p->out_height * p->out_width * p->channels;
    const elem *const dy = (const elem *)vdy + image * out, *const y = (const elem *)vy + image * out;
    const elem *const x = (const elem *)vx + image * in;
    elem *const dx = (elem *)vdx + image * in;
    for (size_t i = 0; i < p->height * p->width; i++)
        memset(dx + i * p->channels + c0, 0, (c1 - c0) * sizeof *dx);
    for (size_t oy = 0; oy < p->out_height; oy++) {
        for (size_t ox = 0; ox < p->out_width; ox++) {
            const rni_window w = rni_pool_window(p, oy, ox);
            for (size_t c = c0; c < c1; c += LANES) {
                const size_t lanes = c1 - c, o = (oy * p->out_width + ox) * p->channels + c;
                scatter_vector(p, x + c, dx + c, e_load_n(y + o, lanes), e_load_n(dy + o, lanes), &w, lanes);
            }
        }
    }
}

static void avgpool_backward(const rni_pool *p, const void *vdy, void *vdx, size_t first, size_t last)
{
    elem *dx = (elem *)vdx + first * p->width * p->channels;
    for (size_t row = first; row < last; row++) {
        const elem *const dy = (const elem *)vdy + row / p->height * p->out_height * p->out_width * p->channels;
        for (size_t ix = 0; ix < p->width; ix++, dx += p->channels) {
            const rni_window outs = rni_pool_covering(p, row % p->height, ix);
            for (size_t c = 0; c < p->channels; c += LANES) {
                vec s = v_zero();
                for (size_t oy = outs.y0; oy < outs.y1; oy++) {
                    for (size_t ox = outs.x0; ox < outs.x1; ox++) {
                        const elem *const in = dy + (oy * p->out_width + ox) * p->channels + c;
                        const vec count = v_set((float)rni_pool_window(p, oy, ox).count);
                        s = v_add(s, v_div(e_load_n(in, p->channels - c), count));
                    }
                }
                e_store_n(dx + c, s, p->channels - c);
            }
        }
    }
}
