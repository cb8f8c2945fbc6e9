/* SPDX-License-Identifier: MIT */
/* Philox4x32-10: Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. */
#include "base/rng.h"
#include <math.h>

enum { ROUNDS = 10 };

void rni_philox(uint64_t seed, uint32_t stream, uint32_t step, uint32_t index, uint32_t lane, uint32_t out[4])
{
    uint32_t c0 = stream, c1 = step, c2 = index, c3 = lane;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void rni_normal(uint32_t a, uint32_t b, double out[2])
{
    const double two_pi = 6.283185307179586477;
    /* (0, 1]: the logarithm stays finite. */
    const double u = ((double)a + 1.0) * (1.0 / 4294967296.0), v = (double)b * (1.0 / 4294967296.0);
    const double radius = sqrt(-2.0 * log(u));
    out[0] = radius * cos(two_pi * v);
    out[1] = radius * sin(two_pi * v);
}

/* In (0, 1]: its logarithm is finite. */
static double positive_uniform(uint32_t bits)
{
    return ((double)bits + 1.0) * (1.0 / 4294967296.0);
}

/* Where a sequence of lanes stands. */
typedef struct lanes {
    uint64_t seed;
    uint32_t stream, step, index, lane;
} lanes;

/* The logarithm of a Gamma(shape) number. */
static double log_gamma_number(lanes *l, double shape)
{
    const double d = shape + 1.0 - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        uint32_t r[4];
        double x[2];
        rni_philox(l->seed, l->stream, l->step, l->index, l->lane++, r);
        rni_normal(r[0], r[1], x);
        const double root = 1.0 + c * x[0], v = root * root * root;
        if (root > 0.0 && log(positive_uniform(r[2])) < 0.5 * x[0] * x[0] + d * (1.0 - v + log(v)))
            return log(d * v) + log(positive_uniform(r[3])) / shape;
    }
}

double rni_beta(uint64_t seed, uint32_t stream, uint32_t step, uint32_t index, uint32_t lane, double a, double b)
{
    lanes l = {seed, stream, step, index, lane};
    const double x = log_gamma_number(&l, a), y = log_gamma_number(&l, b);
    return 1.0 / (1.0 + exp(y - x));
}

uint64_t rni_below(uint32_t a, uint32_t b, uint64_t n)
{
    const uint64_t bits = (uint64_t)a << 32 | b;
    /* The upper half of the 128-bit product bits * n. */
    const uint64_t low = (bits & 0xffffffffu) * (n & 0xffffffffu), high_low = (bits >> 32) * (n & 0xffffffffu);
    const uint64_t low_high = (bits & 0xffffffffu) * (n >> 32), high = (bits >> 32) * (n >> 32);
    const uint64_t middle = (low >> 32) + (high_low & 0xffffffffu) + (low_high & 0xffffffffu);
    return high + (high_low >> 32) + (low_high >> 32) + (middle >> 32);
}

void rni_permutation(uint64_t seed, uint32_t epoch, int64_t n, int64_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        uint32_t r[4];
        rni_philox(seed, RNI_STREAM_SHUFFLE, epoch, (uint32_t)i, (uint32_t)((uint64_t)i >> 32), r);
        const int64_t k = (int64_t)rni_below(r[0], r[1], (uint64_t)i + 1), swap = out[i];
        out[i] = out[k];
        out[k] = swap;
    }
}
