/* SPDX-License-Identifier: MIT */
/* Optimizer steps in f32, one pass over all arrays. */

static void sgd(const rni_sgd *s, float *p, const float *g, float *buf, size_t n)
{
    const vec decay = v_set((float)s->weight_decay), momentum = v_set((float)s->momentum);
    const vec keep = v_set((float)(1 - s->dampening)), rate = v_set((float)-s->lr);
    for (size_t i = 0; i < n; i += LANES) {
        const size_t lanes = n - i;
        const vec w = v_load_n(p + i, lanes);
        vec d = v_fma(decay, w, v_load_n(g + i, lanes));
        if (buf) {
            const vec b = s->first ? d : v_fma(momentum, v_load_n(buf + i, lanes), v_mul(keep, d));
            v_store_n(buf + i, b, lanes);
            d = s->nesterov ? v_fma(momentum, b, d) : b;
        }
        v_store_n(p + i, v_fma(rate, d, w), lanes);
    }
}

static void adam(const rni_adam *a, float *p, const float *g, float *m, float *v, size_t n)
{
    const vec beta1 = v_set((float)a->beta1), rest1 = v_set((float)(1 - a->beta1));
    const vec beta2 = v_set((float)a->beta2), rest2 = v_set((float)(1 - a->beta2));
    const vec eps = v_set((float)a->eps), root = v_set((float)(1 / sqrt(a->correction2)));
    const vec rate = v_set((float)(-a->lr / a->correction1));
    const vec shrink = v_set((float)(a->decoupled ? 1 - a->lr * a->weight_decay : 1));
    const vec decay = v_set((float)(a->decoupled ? 0 : a->weight_decay));
    for (size_t i = 0; i < n; i += LANES) {
        const size_t lanes = n - i;
        const vec w = v_load_n(p + i, lanes), d = v_fma(decay, w, v_load_n(g + i, lanes));
        const vec mean = v_fma(beta1, v_load_n(m + i, lanes), v_mul(rest1, d));
        const vec square = v_fma(beta2, v_load_n(v + i, lanes), v_mul(v_mul(rest2, d), d));
        const vec step = v_div(mean, v_fma(v_sqrt(square), root, eps));
        v_store_n(m + i, mean, lanes);
        v_store_n(v + i, square, lanes);
        v_store_n(p + i, v_fma(rate, step, v_mul(shrink, w)), lanes);
    }
}

/* As torch.lerp: from the nearer end. */
static void lerp(double weight, float *a, const float *b, size_t n)
{
    const int far = weight >= 0.5;
    const vec step = v_set((float)(far ? weight - 1 : weight));
    for (size_t i = 0; i < n; i += LANES) {
        const size_t lanes = n - i;
        const vec from = v_load_n(a + i, lanes), to = v_load_n(b + i, lanes);
        v_store_n(a + i, v_fma(step, v_sub(to, from), far ? to : from), lanes);
    }
}

static void scale(void *vx, double factor, size_t n)
{
    float *const x = vx;
    const vec f = v_set((float)factor);
    for (size_t i = 0; i < n; i += LANES)
        v_store_n(x + i, v_mul(v_load_n(x + i, n - i), f), n - i);
}

/* Squares are exact in double. */
static double sum_squares(const void *vx, size_t n)
{
    const float *const x = vx;
    dvec a = d_zero(), b = d_zero();
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        a = d_add_square(a, v_load(x + i));
        b = d_add_square(b, v_load(x + i + LANES));
    }
    for (; i < n; i += LANES)
        a = d_add_square(a, v_load_n(x + i, n - i));
    return d_sum(a) + d_sum(b);
}
