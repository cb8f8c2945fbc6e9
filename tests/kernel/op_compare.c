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

/* An element that is compared: what it should be, and the scale of its bound. */
typedef struct element {
    const oc_value *v;
    size_t index;
    double expected, scale;
} element;

/* What was added to what the element held before the run. */
static double term_of(const element *e, rn_dtype dtype)
{
    return fabs(e->expected - oc_stored(dtype, e->v->data[e->index]));
}

/*
 * Sums of bf16 and f16 operands are f32; an output of these types is rounded once more. Where the term is rounded by itself,
 * it is off by half a unit of its own size, and so are the errors of its sum, before it is added and the result rounded.
 */
static double tolerance(const oc_case *c, const element *e, rn_dtype compute)
{
    const rn_dtype dtype = oc_dtype_of(e->v, compute);
    const int single = dtype == RN_F32 || compute != RN_F64;
    const rounding half = rounding_of(compute), last = rounding_of(dtype);
    const double eps = single ? (double)FLT_EPSILON : DBL_EPSILON;
    const double sums = c->factor * sqrt(c->terms) * eps * e->scale + (single ? (double)FLT_MIN : DBL_MIN);
    const double inside = compute == RN_BF16 ? c->rounds_inside * half.relative * e->scale / sqrt(c->terms) : 0;
    const double again = c->rounds_again * (half.relative * e->scale + half.absolute) + inside;
    const double term = c->rounds_term ? last.relative * (term_of(e, dtype) + sums) + last.absolute : 0;
    return (sums + again + term) * (1 + last.relative) + last.relative * fabs(e->expected) + last.absolute;
}

static int within(const oc_case *c, const element *e, rn_dtype compute, double got)
{
    const double expected = e->expected;
    if (isnan(expected) || isnan(got))
        return isnan(expected) && isnan(got);
    const double kept = oc_stored(oc_dtype_of(e->v, compute), expected);
    if (e->v->check == OC_EXACT || isinf(kept))
        return got == kept;
    return got == expected || fabs(got - expected) <= tolerance(c, e, compute);
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
            const element e = {v, k, b, scale_of(v, dtype, scale->data[i], k, most)};
            if (v->check == OC_METRICS ? metric_within(k, a, b) : within(c, &e, dtype, a))
                continue;
            snprintf(message, 300, "value %u, element %zu of %zu: %.9g, expected %.9g, off by %.3g of %.3g allowed",
                     (unsigned)i, k, v->count, a, b, fabs(a - b), tolerance(c, &e, dtype));
            return 0;
        }
    }
    return 1;
}

/* An error as a share of its bound. Never NaN, which fmax() would drop. */
static double share_of(const oc_case *c, const element *e, rn_dtype dtype, double got)
{
    if (!isfinite(got))
        return within(c, e, dtype, got) ? 0 : INFINITY;
    const double share = fabs(got - e->expected) / tolerance(c, e, dtype);
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
            const element e = {v, k, expected->data[i][k], scale_of(v, dtype, scale->data[i], k, most)};
            worst = fmax(worst, share_of(c, &e, dtype, got->data[i][k]));
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
