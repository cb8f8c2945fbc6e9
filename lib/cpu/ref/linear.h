/* SPDX-License-Identifier: MIT */
/* Fully connected layers, in the type T with f32 parameters. */

static void linear(const rni_linear *l)
{
    for (size_t n = l->n0; n < l->n1; n++) {
        const T *const x = (const T *)l->x + n * l->inputs;
        for (size_t o = l->o0; o < l->o1; o++) {
            double s = 0;
            for (size_t i = 0; i < l->inputs; i++)
                s += (double)x[i] * (double)l->w[o * l->inputs + i];
            if (l->b)
                s += (double)l->b[o];
            ((T *)l->y)[n * l->outputs + o] = (T)(l->relu && s < 0 ? 0 : s);
        }
    }
}

static void linear_data(const rni_linear *l, void *vdx)
{
    for (size_t n = l->n0; n < l->n1; n++) {
        const T *const dy = (const T *)l->y + n * l->outputs;
        for (size_t i = 0; i < l->inputs; i++) {
            double s = 0;
            for (size_t o = 0; o < l->outputs; o++)
                s += (double)dy[o] * (double)l->w[o * l->inputs + i];
            ((T *)vdx)[n * l->inputs + i] = (T)s;
        }
    }
}

static void linear_filter(const rni_linear *l, float *dw)
{
    const T *const x = l->x, *const dy = l->y;
    for (size_t o = l->o0; o < l->o1; o++) {
        for (size_t i = 0; i < l->inputs; i++) {
            double s = 0;
            for (size_t n = l->n0; n < l->n1; n++)
                s += (double)dy[n * l->outputs + o] * (double)x[n * l->inputs + i];
            dw[o * l->inputs + i] = (float)((double)dw[o * l->inputs + i] + s);
        }
    }
}
