/* SPDX-License-Identifier: MIT */
/* Random numbers: the generator's published answers, and the distributions made of it. */
#include "base/rng.h"
#include "support.h"
#include <math.h>

/* kat_vectors of Random123 (Salmon et al. 2011), philox4x32 10. */
START_TEST(known_answers)
{
    static const struct {
        uint32_t counter[4];
        uint64_t key;
        uint32_t answer[4];
    } cases[] = {
        {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         0xffffffffffffffff,
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         0x299f31d0a4093822,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t *const c = cases[i].counter;
        uint32_t out[4];
        rni_philox(cases[i].key, c[0], c[1], c[2], c[3], out);
        ck_assert_mem_eq(out, cases[i].answer, sizeof out);
    }
}
END_TEST

START_TEST(uniform_is_below_one)
{
    ck_assert(rni_uniform(0) == 0.0f);
    ck_assert(rni_uniform(0x100) == 1.0f / 16777216.0f);
    ck_assert(rni_uniform(0xffffffff) == 1.0f - 1.0f / 16777216.0f);
}
END_TEST

START_TEST(normals_are_finite_at_the_ends)
{
    double n[2];
    rni_normal(0, 0, n);
    ck_assert(isfinite(n[0]) && isfinite(n[1]));
    ck_assert_double_eq_tol(n[0], sqrt(64 * log(2)), 1e-12); /* u = 2^-32 */
    rni_normal(0xffffffff, 0x40000000, n);
    ck_assert(n[0] == 0 && n[1] == 0); /* u = 1 */
}
END_TEST

/* Mean, variance, skewness, kurtosis of 400,000 numbers, within five standard errors. */
START_TEST(normals_have_the_moments)
{
    enum { PAIRS = 200000 };
    double m[5] = {0}, cross = 0;
    for (uint32_t i = 0; i < PAIRS; i++) {
        uint32_t r[4];
        double n[2];
        rni_philox(1, 99, 0, i, 0, r);
        rni_normal(r[0], r[1], n);
        cross += n[0] * n[1];
        for (int k = 0; k < 2; k++)
            for (int p = 1; p <= 4; p++)
                m[p] += pow(n[k], p) / (2.0 * PAIRS);
    }
    const double root = sqrt(2.0 * PAIRS);
    ck_assert_double_eq_tol(m[1], 0, 5 / root);
    ck_assert_double_eq_tol(m[2], 1, 5 * sqrt(2) / root);
    ck_assert_double_eq_tol(m[3], 0, 5 * sqrt(15) / root);
    ck_assert_double_eq_tol(m[4], 3, 5 * sqrt(96) / root);
    ck_assert_double_eq_tol(cross / PAIRS, 0, 5 / sqrt(PAIRS));
}
END_TEST

START_TEST(below_is_the_upper_half_of_a_product)
{
    static const uint64_t bounds[] = {1, 2, 3, 10, 0xffffffff, 0x100000000, 0x123456789abcdef, 1ull << 63};
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t r[4];
        rni_philox(2, 0, 0, i, 0, r);
        for (size_t k = 0; k < sizeof bounds / sizeof *bounds; k++) {
            __extension__ typedef unsigned __int128 wide;
            const uint64_t bits = (uint64_t)r[0] << 32 | r[1];
            ck_assert_uint_eq(rni_below(r[0], r[1], bounds[k]), (uint64_t)((wide)bits * bounds[k] >> 64));
        }
    }
    ck_assert_uint_eq(rni_below(0xffffffff, 0xffffffff, 1ull << 63), (1ull << 63) - 1);
    ck_assert_uint_eq(rni_below(0, 0, 7), 0);
}
END_TEST

START_TEST(below_is_even)
{
    enum { DRAWS = 70000, SIDES = 7 };
    double seen[SIDES] = {0}, chi = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint32_t r[4];
        rni_philox(3, 0, 0, i, 0, r);
        seen[rni_below(r[2], r[3], SIDES)]++;
    }
    for (int i = 0; i < SIDES; i++)
        chi += (seen[i] - DRAWS / SIDES) * (seen[i] - DRAWS / SIDES) / (DRAWS / SIDES);
    ck_assert_double_lt(chi, 22.46); /* six degrees of freedom, 0.1 per cent */
}
END_TEST

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* How far the empirical distribution of rni_beta(a, b) is from a true one, times sqrt(n). */
static double beta_distance(double a, double b, double (*cdf)(double))
{
    enum { DRAWS = 4000 };
    static double x[DRAWS];
    double most = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        x[i] = rni_beta(12, RNI_STREAM_MIX, 2, i, 5, a, b);
        ck_assert(x[i] >= 0 && x[i] <= 1);
    }
    qsort(x, DRAWS, sizeof *x, ascending);
    for (int i = 0; i < DRAWS; i++)
        most = fmax(most, fmax(fabs(cdf(x[i]) - (double)i / DRAWS), fabs(cdf(x[i]) - (double)(i + 1) / DRAWS)));
    return most * sqrt(DRAWS);
}

static double cdf_1_1(double x)
{
    return x;
}

static double cdf_half_half(double x)
{
    return 2 / 3.14159265358979323846 * asin(sqrt(x));
}

static double cdf_2_1(double x)
{
    return x * x;
}

static double cdf_3_3(double x)
{
    return x * x * x * (10 - 15 * x + 6 * x * x);
}

/* Kolmogorov and Smirnov: 1.95 is exceeded once in a thousand. */
START_TEST(beta_has_its_distribution)
{
    ck_assert_double_lt(beta_distance(1, 1, cdf_1_1), 1.95);
    ck_assert_double_lt(beta_distance(0.5, 0.5, cdf_half_half), 1.95);
    ck_assert_double_lt(beta_distance(2, 1, cdf_2_1), 1.95);
    ck_assert_double_lt(beta_distance(3, 3, cdf_3_3), 1.95);
    ck_assert_double_gt(beta_distance(3, 3, cdf_1_1), 1.95);
}
END_TEST

/* Small shapes are near 0 or 1 and never NaN; the same numbers come again. */
START_TEST(beta_of_small_and_large_shapes)
{
    enum { DRAWS = 4000 };
    double mean = 0, square = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const double x = rni_beta(1, RNI_STREAM_MIX, 0, i, 0, 0.2, 0.2);
        ck_assert_double_eq(x, rni_beta(1, RNI_STREAM_MIX, 0, i, 0, 0.2, 0.2));
        mean += x / DRAWS;
        square += (x - 0.5) * (x - 0.5) / DRAWS;
        const double tiny = rni_beta(1, RNI_STREAM_MIX, 1, i, 0, 1e-3, 1e-3);
        const double huge = rni_beta(1, RNI_STREAM_MIX, 2, i, 0, 1e6, 1e6);
        ck_assert(tiny >= 0 && tiny <= 1);
        ck_assert_double_eq_tol(huge, 0.5, 0.01);
    }
    ck_assert_double_eq_tol(mean, 0.5, 5 * 0.42 / sqrt(DRAWS));
    ck_assert_double_eq_tol(square, 1 / (4 * 1.4), 5 * 0.08 / sqrt(DRAWS)); /* the variance of Beta(a, a): 1 / (4 (2 a + 1)) */
}
END_TEST

enum { ITEMS = 1000 };

static void ck_permutation(const int64_t *order)
{
    unsigned char seen[ITEMS] = {0};
    for (int i = 0; i < ITEMS; i++) {
        ck_assert(order[i] >= 0 && order[i] < ITEMS && !seen[order[i]]);
        seen[order[i]] = 1;
    }
}

START_TEST(permutations)
{
    int64_t a[ITEMS], b[ITEMS];
    rni_permutation(5, 0, ITEMS, a);
    ck_permutation(a);
    rni_permutation(5, 0, ITEMS, b);
    ck_assert_mem_eq(a, b, sizeof a); /* a function of seed and epoch */
    rni_permutation(5, 1, ITEMS, b);
    ck_permutation(b);
    ck_assert_mem_ne(a, b, sizeof a);
    rni_permutation(6, 0, ITEMS, b);
    ck_assert_mem_ne(a, b, sizeof a);
    rni_permutation(5, 0, 0, NULL);
    rni_permutation(5, 0, 1, b);
    ck_assert_int_eq(b[0], 0);
}
END_TEST

/* All 24 orders of four come equally often. */
START_TEST(permutations_are_even)
{
    enum { EPOCHS = 24000 };
    double seen[256] = {0}, chi = 0;
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        int64_t order[4];
        rni_permutation(8, epoch, 4, order);
        seen[order[0] << 6 | order[1] << 4 | order[2] << 2 | order[3]]++;
    }
    for (int i = 0; i < 256; i++)
        chi += seen[i] > 0 ? (seen[i] - 1000) * (seen[i] - 1000) / 1000 : 0;
    ck_assert_double_lt(chi, 49.73); /* 23 degrees of freedom, 0.1 per cent */
}
END_TEST

SUPPORT_MAIN("rng", known_answers, uniform_is_below_one, normals_are_finite_at_the_ends, normals_have_the_moments,
             below_is_the_upper_half_of_a_product, below_is_even, beta_has_its_distribution,
             beta_of_small_and_large_shapes, permutations, permutations_are_even)
