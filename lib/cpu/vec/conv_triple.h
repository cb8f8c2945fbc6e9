/* SPDX-License-Identifier: MIT */
/* Three neighbouring taps together, for tiles of conv_windows.h. Floats only: where few output channels make loads the limit. */

/* The three taps of a row at once: each input pixel q is read once for the outputs q, q-1 and q-2. */
RNI_INLINE void add_three_taps(sums *t, const int P, const int V, const int lo, const int hi, const float *x,
                           int64_t pixel, const float *weight, int64_t n)
{
    for (int64_t i = 0; i < n; i++, weight += 3 * V * LANES) {
        vec w[3][MAX_VECTORS];
        UNROLL for (int v = 0; v < 3 * V; v++)
            w[v / V][v % V] = v_load(weight + v * LANES);
        UNROLL for (int q = 0; q < P + 2; q++)
            if (q >= lo && q < hi) {
                const vec b = v_set(x[q * pixel + i]);
                UNROLL for (int s = 0; s < 3; s++)
                    if (q - s >= 0 && q - s < P)
                        UNROLL for (int v = 0; v < V; v++)
                            t->a[q - s][v] = v_fma(b, w[s][v], t->a[q - s][v]);
            }
    }
}

RNI_INLINE void sum_three_taps(sums *t, const int P, const int V, const rni_conv_windows *g, const place *at)
{
    const int64_t row = g->dilation[0] * g->in_row, n = g->channels;
    const int lo = at->column < 0 ? (int)-at->column : 0;
    const int64_t over = at->column + P + 2 - g->in_width;
    const int hi = over > 0 ? P + 2 - (int)over : P + 2;
    const float *x = at->x, *weight = at->weight;
    for (int64_t r = 0; r < at->rows; r++, x += row, weight += 3 * n * V * LANES) {
        if (lo == 0 && hi == P + 2)
            add_three_taps(t, P, V, 0, P + 2, x, g->in_pixel, weight, n);
        else if (lo == 1 && hi == P + 2)
            add_three_taps(t, P, V, 1, P + 2, x, g->in_pixel, weight, n);
        else if (lo == 0 && hi == P + 1)
            add_three_taps(t, P, V, 0, P + 1, x, g->in_pixel, weight, n);
        else
            add_three_taps(t, P, V, lo, hi, x, g->in_pixel, weight, n);
    }
}
