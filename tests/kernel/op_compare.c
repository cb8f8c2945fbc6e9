/* SPDX-License-Identifier: MIT */
#include "op_runner.h"
#include "base/half.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The most that rounding to a type takes away: relative, and where that is less half the distance of its subnormals. */
typedef struct rounding {
    double relative, absolute;
} rounding;

/* bf16 has subnormals of its own, which the CPU rounds to zero; FLT_MIN covers them. */
static rounding rounding_of(rn_dtype dtype)
{
    return dtype == RN_BF16 ? (rounding){0x1p-8, 0} : dtype == RN_F16 ? (rounding){0x1p-11, 0x1p-25} : (rounding){0, 0};
}

/* Elements that the run touched. */
static size_t used(const oc_value *v, int64_t batch)
{
    return v->v.batch_axis == 0 ? v->count / (size_t)v->v.dims[0] * (size_t)batch : v->count;
}

/* Sums of bf16 and f16 operands are f32; an output of these types is rounded once more. */
static double tolerance(const oc_case *c, const oc_value *v, rn_dtype compute, double expected, double scale)
{
    const rn_dtype dtype = oc_dtype_of(v, compute);
    const int single = dtype == RN_F32 || compute != RN_F64;
    const rounding half = rounding_of(compute), last = rounding_of(dtype);
    const double eps = single ? (double)FLT_EPSILON : DBL_EPSILON;
    const double sums = c->factor * sqrt(c->terms) * eps * scale + (single ? (double)FLT_MIN : DBL_MIN);
    const double again = c->rounds_again * (half.relative * scale + half.absolute);
    return (sums + again) * (1 + last.relative) + last.relative * fabs(expected) + last.absolute;
}

static int within(const oc_case *c, const oc_value *v, rn_dtype compute, double got, double expected, double scale)
{
    if (isnan(expected) || isnan(got))
        return isnan(expected) && isnan(got);
    const double kept = oc_stored(oc_dtype_of(v, compute), expected);
    if (v->check == OC_EXACT || isinf(kept))
        return got == kept;
    return got == expected || fabs(got - expected) <= tolerance(c, v, compute, expected, scale);
}

/* Numbers that are counted are exact; the others are sums in double of what the compute type gave. */
static int metric_within(size_t field, double got, double expected)
{
    return !oc_metric_is_real(field) ? got == expected : fabs(got - expected) <= 64 * (double)FLT_EPSILON * fabs(expected);
}

static double largest(const double *scale, size_t count)
{
    double most = 0;
    for (size_t i = 0; scale && i < count; i++)
        most = fmax(most, scale[i]);
    return most;
}

/* What an element's bound is in proportion to. */
static double scale_of(const oc_value *v, rn_dtype dtype, const double *scale, size_t k, double most)
{
    if (v->scale)
        return v->scale[k] + (dtype == RN_BF16 ? v->bf16_scale : dtype == RN_F16 ? v->f16_scale : 0);
    return scale ? fmax(scale[k], most) : 0;
}

int oc_compare(const oc_case *c, rn_dtype dtype, const oc_result *got, const oc_result *expected,
               const oc_result *scale, char message[300])
{
    for (uint32_t i = 0; i < c->num_values; i++) {
        const oc_value *const v = &c->values[i];
        if (v->check == OC_INPUT || v->check == OC_OPAQUE)
            continue;
        const double most = c->shared_scale ? largest(scale->data[i], used(v, c->run.batch)) : 0;
        for (size_t k = 0; k < used(v, c->run.batch); k++) {
            const double a = got->data[i][k], b = expected->data[i][k];
            const double s = scale_of(v, dtype, scale->data[i], k, most);
            if (v->check == OC_METRICS ? metric_within(k, a, b) : within(c, v, dtype, a, b, s))
                continue;
            snprintf(message, 300, "value %u, element %zu of %zu: %.9g, expected %.9g, off by %.3g of %.3g allowed",
                     (unsigned)i, k, v->count, a, b, fabs(a - b), tolerance(c, v, dtype, b, s));
            return 0;
        }
    }
    return 1;
}

/* An error as a share of its bound. Never NaN, which fmax() would drop. */
static double share_of(const oc_case *c, const oc_value *v, rn_dtype dtype, double got, double expected, double scale)
{
    if (!isfinite(got))
        return within(c, v, dtype, got, expected, scale) ? 0 : INFINITY;
    const double share = fabs(got - expected) / tolerance(c, v, dtype, expected, scale);
    return isnan(share) ? INFINITY : share;
}

double oc_worst(const oc_case *c, rn_dtype dtype, const oc_result *got, const oc_result *expected,
                const oc_result *scale)
{
    double worst = 0;
    for (uint32_t i = 0; i < c->num_values; i++) {
        const oc_value *const v = &c->values[i];
        if (v->check != OC_BOUND)
            continue;
        const double most = c->shared_scale ? largest(scale->data[i], used(v, c->run.batch)) : 0;
        for (size_t k = 0; k < used(v, c->run.batch); k++) {
            worst = fmax(worst, share_of(c, v, dtype, got->data[i][k], expected->data[i][k],
                                         scale_of(v, dtype, scale->data[i], k, most)));
        }
    }
    return worst;
}

int oc_equal(const oc_case *c, const oc_result *a, const oc_result *b, int64_t images, char message[300])
{
    for (uint32_t i = 0; i < c->num_values; i++) {
        const oc_value *const v = &c->values[i];
        const size_t count = used(v, images > 0 ? images : c->run.batch);
        if (v->check == OC_INPUT || v->check == OC_OPAQUE || (images > 0 && v->v.batch_axis != 0))
            continue;
        for (size_t k = 0; k < count; k++) {
            if (memcmp(&a->data[i][k], &b->data[i][k], sizeof(double)) == 0)
                continue;
            snprintf(message, 300, "value %u, element %zu: %.9g and %.9g are not the same bits", (unsigned)i, k,
                     a->data[i][k], b->data[i][k]);
            return 0;
        }
    }
    return 1;
}
