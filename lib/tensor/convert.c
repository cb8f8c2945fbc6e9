/* SPDX-License-Identifier: MIT */
#include "tensor/convert.h"
#include "base/bf16.h"
#include "base/f16.h"
#include <math.h>
#include <string.h>

static float bits_to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t float_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/*
 * To f32 on the way to a smaller type: what is not exact gets an odd last bit, so that the second rounding sees which side
 * the number is on (Boldo and Melquiond, "When double rounding is odd", 2005).
 */
static float narrow(double d)
{
    const float f = (float)d;
    uint32_t bits = float_to_bits(f);
    if (isnan(d) || (double)f == d)
        return f;
    if (fabs((double)f) > fabs(d))
        bits--;
    return bits_to_float(bits | 1);
}

/* A number wide enough for all types; integers are kept beside, since a double does not hold all of them. */
typedef struct number {
    double real;
    int64_t whole;
    int is_whole;
} number;

static number load(rn_dtype dtype, const void *src, int64_t i)
{
    number n = {0, 0, 0};
    switch (dtype) {
    case RN_F32:
        n.real = (double)((const float *)src)[i];
        break;
    case RN_F64:
        n.real = ((const double *)src)[i];
        break;
    case RN_BF16:
        n.real = (double)rni_bf16_value(((const uint16_t *)src)[i]);
        break;
    case RN_F16:
        n.real = (double)rni_f16_value(((const uint16_t *)src)[i]);
        break;
    case RN_I64:
        n.whole = ((const int64_t *)src)[i];
        n.is_whole = 1;
        break;
    case RN_I32:
        n.whole = ((const int32_t *)src)[i];
        n.is_whole = 1;
        break;
    default:
        n.whole = ((const uint8_t *)src)[i];
        n.is_whole = 1;
        break;
    }
    return n;
}

/* Truncated towards zero, clamped; NaN is 0. */
static int64_t whole_of(number n, int64_t least, int64_t most)
{
    if (!n.is_whole) {
        if (isnan(n.real))
            return 0;
        if (n.real <= (double)least)
            return least;
        if (n.real >= (double)most)
            return most;
        return (int64_t)n.real;
    }
    return n.whole < least ? least : n.whole > most ? most : n.whole;
}

static void store(rn_dtype dtype, void *dst, int64_t i, number n)
{
    const double real = n.is_whole ? (double)n.whole : n.real;
    switch (dtype) {
    case RN_F32:
        ((float *)dst)[i] = n.is_whole ? (float)n.whole : (float)n.real;
        break;
    case RN_F64:
        ((double *)dst)[i] = real;
        break;
    case RN_BF16:
        ((uint16_t *)dst)[i] = rni_bf16_round(narrow(real));
        break;
    case RN_F16:
        ((uint16_t *)dst)[i] = rni_f16_round(narrow(real));
        break;
    case RN_I64:
        ((int64_t *)dst)[i] = whole_of(n, INT64_MIN, INT64_MAX);
        break;
    case RN_I32:
        ((int32_t *)dst)[i] = (int32_t)whole_of(n, INT32_MIN, INT32_MAX);
        break;
    default:
        ((uint8_t *)dst)[i] = (uint8_t)whole_of(n, 0, UINT8_MAX);
        break;
    }
}

void rni_convert(rn_dtype from, const void *src, rn_dtype to, void *dst, int64_t count)
{
    if (from == to) {
        memmove(dst, src, (size_t)count * rn_dtype_size(from));
        return;
    }
    for (int64_t i = 0; i < count; i++)
        store(to, dst, i, load(from, src, i));
}

/* dst[n][j][i] = src[n][i][j] for planes of rows x columns elements. */
static void transpose(int64_t images, int64_t rows, int64_t columns, size_t element, const char *src, char *dst)
{
    for (int64_t n = 0; n < images; n++) {
        const char *const from = src + (size_t)(n * rows * columns) * element;
        char *const to = dst + (size_t)(n * rows * columns) * element;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++)
                memcpy(to + (size_t)(j * rows + i) * element, from + (size_t)(i * columns + j) * element, element);
    }
}

void rni_to_nhwc(const int64_t dims[4], size_t element, const void *src, void *dst)
{
    transpose(dims[0], dims[1], dims[2] * dims[3], element, src, dst);
}

void rni_to_nchw(const int64_t dims[4], size_t element, const void *src, void *dst)
{
    transpose(dims[0], dims[2] * dims[3], dims[1], element, src, dst);
}
