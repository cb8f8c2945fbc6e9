/* SPDX-License-Identifier: MIT */
/* Softmax, losses and dropout, in the type T with double arithmetic inside. These have no faster form. */

/* Largest of a row, and the sum of exp(x - largest). */
static double row_exp_sum(const T *x, size_t k, double *largest)
{
    double s = 0;
    *largest = (double)x[0];
    for (size_t j = 1; j < k; j++)
        if ((double)x[j] > *largest)
            *largest = (double)x[j];
    for (size_t j = 0; j < k; j++)
        s += exp((double)x[j] - *largest);
    return s;
}

static void softmax(const void *vx, void *vy, size_t rows, size_t k)
{
    for (size_t r = 0; r < rows; r++) {
        const T *const x = (const T *)vx + r * k;
        T *const y = (T *)vy + r * k;
        double largest;
        const double s = row_exp_sum(x, k, &largest);
        for (size_t j = 0; j < k; j++)
            y[j] = (T)(exp((double)x[j] - largest) / s);
    }
}

static void softmax_backward(const void *vdy, const void *vy, void *vdx, size_t rows, size_t k)
{
    for (size_t r = 0; r < rows; r++) {
        const T *const dy = (const T *)vdy + r * k, *const y = (const T *)vy + r * k;
        T *const dx = (T *)vdx + r * k;
        double s = 0;
        for (size_t j = 0; j < k; j++)
            s += (double)dy[j] * (double)y[j];
        for (size_t j = 0; j < k; j++)
            dx[j] = (T)((double)y[j] * ((double)dy[j] - s));
    }
}

/* (1 - e) CE + e mean_k(-log p_k); gradient (softmax - target) times factor. Equal logits: the lower class wins. */
static double cross_entropy_row(const T *x, size_t k, size_t label, double e, double factor, T *dx, int64_t *correct)
{
    double largest, mean_x = 0;
    const double s = row_exp_sum(x, k, &largest), log_sum = largest + log(s);
    size_t best = 0;
    for (size_t j = 0; j < k; j++) {
        mean_x += (double)x[j] / (double)k;
        if (x[j] > x[best])
            best = j;
    }
    *correct += best == label;
    const double loss = (1 - e) * (log_sum - (double)x[label]) + e * (log_sum - mean_x);
    for (size_t j = 0; dx && j < k; j++) {
        const double target = (j == label ? 1 - e : 0) + e / (double)k;
        dx[j] = (T)((exp((double)x[j] - largest) / s - target) * factor);
    }
    return loss;
}

static double cross_entropy(const void *vx, const int64_t *labels, size_t rows, size_t k, double smoothing,
                            double factor, void *vdx, int64_t *correct)
{
    double loss = 0;
    for (size_t r = 0; r < rows; r++)
        loss += cross_entropy_row((const T *)vx + r * k, k, (size_t)labels[r], smoothing, factor,
                                  vdx ? (T *)vdx + r * k : NULL, correct);
    return loss;
}

/* sum_k(-t log p), t = target (1 - e) + e / k; gradient (softmax sum(t) - t) times factor. */
static double soft_cross_entropy_row(const T *x, const T *target, size_t k, double e, double factor, T *dx,
                                     int64_t *correct)
{
    double largest, loss = 0, total = 0;
    const double s = row_exp_sum(x, k, &largest), log_sum = largest + log(s);
    size_t best = 0, wanted = 0;
    for (size_t j = 0; j < k; j++) {
        const double t = (double)target[j] * (1 - e) + e / (double)k;
        loss += t * (log_sum - (double)x[j]);
        total += t;
        if (x[j] > x[best])
            best = j;
        if (target[j] > target[wanted])
            wanted = j;
    }
    *correct += best == wanted;
    for (size_t j = 0; dx && j < k; j++) {
        const double t = (double)target[j] * (1 - e) + e / (double)k;
        dx[j] = (T)((exp((double)x[j] - largest) / s * total - t) * factor);
    }
    return loss;
}

static double soft_cross_entropy(const void *vx, const void *vtarget, size_t rows, size_t k, double smoothing,
                                 double factor, void *vdx, int64_t *correct)
{
    double loss = 0;
    for (size_t r = 0; r < rows; r++)
        loss += soft_cross_entropy_row((const T *)vx + r * k, (const T *)vtarget + r * k, k, smoothing, factor,
                                       vdx ? (T *)vdx + r * k : NULL, correct);
    return loss;
}

/* Pixels first..last-1 of one image: the prediction is [pixels][channels], the target [channels][pixels]. */
static double squared_error(const void *vx, const void *vtarget, size_t channels, size_t pixels, size_t first,
                            size_t last, double factor, void *vdx)
{
    const T *const x = vx, *const target = vtarget;
    T *const dx = vdx;
    double loss = 0;
    for (size_t p = first; p < last; p++) {
        for (size_t c = 0; c < channels; c++) {
            const double d = (double)x[p * channels + c] - (double)target[c * pixels + p];
            loss += d * d;
            if (dx)
                dx[p * channels + c] = (T)(2 * d * factor);
        }
    }
    return loss;
}

static void dropout(const rni_dropout *d, const void *vx, void *vy, size_t first, size_t last)
{
    const T *const x = vx;
    T *const y = vy;
    uint32_t bits[4] = {0, 0, 0, 0};
    for (size_t e = first; e < last; e++) {
        if (e == first || e % 4 == 0)
            rni_philox(d->seed, d->stream, d->step, (uint32_t)(e / 4), (uint32_t)((uint64_t)(e / 4) >> 32), bits);
        /* e counts in NCHW order; memory is [image][pixel][channel]. */
        const size_t image = e / (d->channels * d->pixels), rest = e % (d->channels * d->pixels);
        const size_t i = (image * d->pixels + rest % d->pixels) * d->channels + rest / d->pixels;
        y[i] = (double)rni_uniform(bits[e % 4]) >= d->p ? (T)((double)x[i] * d->factor) : 0;
    }
}
