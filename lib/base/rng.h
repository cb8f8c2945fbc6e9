/* SPDX-License-Identifier: MIT */
/*
 * Philox4x32-10 (Salmon et al. 2011): counter-based random numbers. key = seed;
 * counter = (stream, epoch or step, index, lane). Fixed from the first release.
 */
#ifndef RNI_BASE_RNG_H
#define RNI_BASE_RNG_H

#include <stdint.h>

/* Streams, so that no two uses share numbers. */
enum {
    RNI_STREAM_INIT = 1,      /* index = state entry, lane = element / 4 */
    RNI_STREAM_SHUFFLE = 2,
    RNI_STREAM_TRANSFORM = 3, /* index = image, lane = step of the transform */
    RNI_STREAM_MIX = 4,       /* index = batch, lane: see data/mix.c */
    RNI_STREAM_DROPOUT = 16   /* and up: one per dropout layer; (stream, step, element/4 low, element/4 high) */
};

void rni_philox(uint64_t seed, uint32_t stream, uint32_t step, uint32_t index, uint32_t lane, uint32_t out[4]);

/* In [0, 1), 24 bits, exact in f32. */
static inline float rni_uniform(uint32_t bits)
{
    return (float)(bits >> 8) * (1.0f / 16777216.0f);
}

/* Two standard normals from two words (Box-Muller in double). */
void rni_normal(uint32_t a, uint32_t b, double out[2]);

/*
 * Beta(a, b), a and b above 0, in [0, 1]: X / (X + Y) of Gamma numbers X and Y, by their logarithms, so that small
 * shapes do not underflow. Gamma(s) is Gamma(s + 1) u^(1/s), and that is drawn by rejection: Marsaglia and Tsang, "A
 * Simple Method for Generating Gamma Variables", 2000. Takes as many lanes from `lane` on as it needs: a normal, the
 * test's uniform and u each.
 */
double rni_beta(uint64_t seed, uint32_t stream, uint32_t step, uint32_t index, uint32_t lane, double a, double b);

/* Below n (1..2^63) without bias worth naming: 64-bit multiply-shift of two words. */
uint64_t rni_below(uint32_t a, uint32_t b, uint64_t n);

/* Fisher-Yates over 0..n-1, a function of (seed, epoch). */
void rni_permutation(uint64_t seed, uint32_t epoch, int64_t n, int64_t *out);

#endif
