/* SPDX-License-Identifier: MIT */
/* f16: rounding at every level, and ops that move elements. */
#include "base/f16.h"
#include "cpu/kernels.h"
#include "cpu/levels.h"
#include "support.h"

#include <math.h>

/* What IEEE 754 says bits are. */
static double by_definition(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return fraction ? (double)NAN : sign * HUGE_VAL;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

START_TEST(widening)
{
    static uint16_t narrow[65537];
    static float wide[65537];
    for (size_t i = 0; i < 65537; i++)
        narrow[i] = (uint16_t)i;
    for (int32_t level = 0; level <= rni_cpu_usable_level(UINT32_MAX); level++) {
        struct rni_cpu_kernels k;
        rni_kernels_init(&k, level);
        for (size_t odd = 0; odd < 3; odd++) { /* with and without a tail */
            memset(wide, 0, sizeof wide);
            k.convert_f16.widen(wide, narrow, 65537 - odd);
            for (size_t i = 0; i < 65537 - odd; i++) {
                const double expected = by_definition(narrow[i]);
                ck_assert_msg(isnan(expected) ? isnan(wide[i]) : (double)wide[i] == expected,
                              "level %d: 0x%04x is %a, expected %a", (int)level, narrow[i], (double)wide[i], expected);
                ck_assert(!signbit(wide[i]) == !(narrow[i] & 0x8000));
            }
        }
    }
}
END_TEST

/* Of two neighbours the nearer, of equally near ones the even; what would lie behind the largest is 2^16. */
static uint16_t nearest(float f, uint16_t below)
{
    const uint16_t above = (uint16_t)(below + 1);
    const double low = by_definition(below), high = below == 0x7bff ? 0x1p16 : by_definition(above);
    const double down = fabs((double)f) - low, up = high - fabs((double)f);
    ck_assert(down >= 0 && up >= 0);
    return down < up ? below : up < down ? above : below & 1 ? above : below;
}

static void expect(float f, uint16_t magnitude, uint16_t got, int level)
{
    const uint16_t sign = signbit(f) ? 0x8000 : 0;
    if (got != (sign | magnitude))
        ck_abort_msg("level %d: %a is 0x%04x, expected 0x%04x", level, (double)f, got, sign | magnitude);
}

/* Every f32 that lies at, just beside or halfway between two f16, of both signs, and everything in between at random. */
static size_t neighbours(uint16_t below, float *out, uint64_t *random)
{
    const float low = (float)by_definition(below),
                high = below == 0x7bff ? 0x1p16f : (float)by_definition((uint16_t)(below + 1));
    const float middle = (float)(((double)low + (double)high) / 2), exact[] = {low, middle};
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        out[n++] = exact[i];
        out[n++] = nextafterf(exact[i], high);
        if (i == 1)
            out[n++] = nextafterf(middle, low);
    }
    out[n++] = nextafterf(high, low);
    for (int i = 0; i < 3; i++) {
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        out[n++] = (float)((double)low + ((double)high - (double)low) * (double)(*random >> 40) * 0x1p-24);
    }
    return n;
}

START_TEST(rounding)
{
    enum { EACH = 9, FINITE = 0x7c00 };
    static float values[2 * EACH * FINITE];
    static uint16_t rounded[2 * EACH * FINITE], expected[2 * EACH * FINITE];
    uint64_t random = 1;
    size_t count = 0;
    for (int below = 0; below < FINITE; below++) {
        const size_t n = neighbours((uint16_t)below, values + count, &random);
        ck_assert_uint_eq(n, EACH);
        for (size_t i = 0; i < n; i++) {
            values[count + n + i] = -values[count + i];
            expected[count + i] = expected[count + n + i] = nearest(values[count + i], (uint16_t)below);
        }
        count += 2 * n;
    }
    for (int32_t level = 0; level <= rni_cpu_usable_level(UINT32_MAX); level++) {
        struct rni_cpu_kernels k;
        rni_kernels_init(&k, level);
        k.convert_f16.narrow(rounded, values, count - 3);
        for (size_t i = 0; i < count - 3; i++)
            expect(values[i], expected[i], rounded[i], (int)level);
    }
}
END_TEST

START_TEST(beyond_the_range)
{
    static const struct {
        float value;
        uint16_t magnitude;
    } cases[] = {{65504, 0x7bff}, {65519.996f, 0x7bff}, {65520, 0x7c00},   {1e30f, 0x7c00},      {INFINITY, 0x7c00},
                 {0x1p-24f, 1},   {0x1p-25f, 0},        {0x1.8p-25f, 1},   {0x1p-26f, 0},        {0x1p-149f, 0},
                 {0, 0},          {0x1.8p-24f, 2},      {0x1p-14f, 0x400}, {0x1.ff8p-15f, 0x3ff}};
    enum { COUNT = sizeof cases / sizeof *cases };
    for (int32_t level = 0; level <= rni_cpu_usable_level(UINT32_MAX); level++) {
        struct rni_cpu_kernels k;
        float in[2 * COUNT + 3];
        uint16_t out[2 * COUNT + 3];
        rni_kernels_init(&k, level);
        for (size_t i = 0; i < COUNT; i++) {
            in[2 * i] = cases[i].value;
            in[2 * i + 1] = -cases[i].value;
        }
        static const uint32_t nans[3] = {0x7fc00000u, 0xff800001u, 0x7fabc000u};
        memcpy(in + 2 * COUNT, nans, sizeof nans);
        k.convert_f16.narrow(out, in, 2 * COUNT + 3);
        for (size_t i = 0; i < 2 * COUNT; i++)
            expect(in[i], cases[i / 2].magnitude, out[i], (int)level);
        static const uint16_t quiet[3] = {0x7e00, 0xfe00, 0x7f5e}; /* the upper bits of the payload stay */
        ck_assert_int_eq(memcmp(out + 2 * COUNT, quiet, sizeof quiet), 0);
    }
}
END_TEST

/*
 * How many blocks of 2^16 floats a test moves on by: with an argument, all of those that are neither 0 nor infinite in f16.
 * Without one some of them are looked at, in different places of each exponent's 128.
 */
static int all;

static uint32_t after(uint32_t block)
{
    return all && block >> 7 >= 101 && block >> 7 <= 144 ? block + 1 : block + 61;
}

/* Finite f32 of one sign, against double: rounding to a multiple of the spacing at its size. */
START_TEST(floats)
{
    struct rni_cpu_kernels k;
    enum { BLOCK = 1 << 16 };
    static float in[BLOCK];
    static uint16_t plain[BLOCK], fast[BLOCK];
    rni_kernels_init(&k, rni_cpu_usable_level(UINT32_MAX));
    for (uint32_t block = 0; block < 0x7f80; block = after(block)) {
        for (uint32_t i = 0; i < BLOCK; i++) {
            const uint32_t bits = block << 16 | i;
            memcpy(&in[i], &bits, sizeof bits);
            plain[i] = rni_f16_round(in[i]);
        }
        k.convert_f16.narrow(fast, in, BLOCK);
        ck_assert_msg(memcmp(plain, fast, sizeof plain) == 0, "near %a", (double)in[0]);
        const int exponent = block >> 7 < 113 ? -24 : (int)(block >> 7) - 127 - 10;
        const double spacing = ldexp(1, exponent), over = ldexp(1, -exponent);
        for (uint32_t i = 0; i < BLOCK; i++) {
            const double kept = nearbyint((double)in[i] * over) * spacing;
            if ((kept >= 0x1p16 ? HUGE_VAL : kept) != (double)rni_f16_value(plain[i]))
                ck_abort_msg("%a is %a, expected %a", (double)in[i], (double)rni_f16_value(plain[i]), kept);
        }
    }
}
END_TEST

int main(int argc, char **argv)
{
    all = argc > 1 && strcmp(argv[1], "all") == 0;
    Suite *suite = suite_create("f16");
    TCase *tcase = tcase_create("f16");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, widening);
    tcase_add_test(tcase, rounding);
    tcase_add_test(tcase, beyond_the_range);
    tcase_add_test(tcase, floats);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
