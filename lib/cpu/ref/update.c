/* SPDX-License-Identifier: MIT */
/* Optimizer steps as torch.optim.SGD and torch.optim.Adam define them; the base table. */
#include "cpu/kernels.h"
#include <math.h>

static void sgd(const rni_sgd *s, float *p, const float *g, float *buf, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double d = (double)g[i] + s->weight_decay * (double)p[i];
        if (buf) {
            const double b = s->first ? d : s->momentum * (double)buf[i] + (1 - s->dampening) * d;
            buf[i] = (float)b;
            d = s->nesterov ? d + s->momentum * b : b;
        }
        p[i] = (float)((double)p[i] - s->lr * d);
    }
}

static void adam(const rni_adam *a, float *p, const float *g, float *m, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double w = (double)p[i], d = (double)g[i];
        if (a->decoupled)
            w *= 1 - a->lr * a->weight_decay;
        else
            d += a->weight_decay * w;
        const double mean = a->beta1 * (double)m[i] + (1 - a->beta1) * d;
        const double square = a->beta2 * (double)v[i] + (1 - a->beta2) * d * d;
        m[i] = (float)mean;
        v[i] = (float)square;
        p[i] = (float)(w - a->lr / a->correction1 * mean / (sqrt(square / a->correction2) + a->eps));
    }
}

static void lerp(double weight, float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] = (float)((1 - weight) * (double)a[i] + weight * (double)b[i]);
}

void rni_kernels_base(struct rni_cpu_kernels *k)
{
    rni_kernels_ref_f32(&k->f32);
    rni_kernels_ref_f64(&k->f64);
    k->bf16 = (rni_typed_kernels){.sum = NULL};
    rni_kernels_ref_bf16(&k->convert);
    rni_kernels_ref_f16(&k->convert_f16);
    k->update = (rni_update_kernels){.sgd = sgd, .adam = adam, .lerp = lerp};
}
