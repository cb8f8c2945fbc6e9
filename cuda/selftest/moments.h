/* SPDX-License-Identifier: MIT */
/* What statistics of an output are compared with: those of its elements, as they are stored. */
#ifndef RNI_SELFTEST_MOMENTS_H
#define RNI_SELFTEST_MOMENTS_H

#include <math.h>
#include <resnet/sys/backend.h>
#include <stddef.h>

/* Of n elements. */
typedef struct st_moments {
    double n, squares, variance;
    double slope; /* square root of the sum of (y (y - mean))^2: what relative errors of y come to in n / 2 variances */
} st_moments;

/* Of channel k of y [N,C,H,W]. */
static inline st_moments st_moments_of(const double *y, const rn_value *v, size_t k)
{
    const size_t pixels = (size_t)(v->dims[2] * v->dims[3]), channels = (size_t)v->dims[1];
    const size_t n = (size_t)v->dims[0] * pixels;
    st_moments m = {.n = (double)n};
    double sum = 0, slopes = 0;
    for (size_t i = 0; i < n; i++)
        sum += y[(i / pixels * channels + k) * pixels + i % pixels];
    for (size_t i = 0; i < n; i++) {
        const double value = y[(i / pixels * channels + k) * pixels + i % pixels], d = value - sum / m.n;
        m.squares += value * value;
        m.variance += d * d / m.n;
        slopes += value * d * value * d;
    }
    m.slope = sqrt(slopes);
    return m;
}

#endif
