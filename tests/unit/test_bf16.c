/* SPDX-License-Identifier: MIT */
/* bf16: rounding at every level. */
#include "cpu/bf16.h"
#include "cpu/kernels.h"
#include "cpu/levels.h"
#include "support.h"

#include <math.h>

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Of two neighbours the nearer, of equally near ones the even: by distances, which double holds exactly. */
static uint16_t by_definition(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint16_t below = (uint16_t)(bits >> 16);
    if (isnan(f))
        return below | 0x40;
    if (fabsf(f) < 0x1p-126f)
        return below & 0x8000;
    if (isinf(f))
        return below;
    const uint16_t above = (uint16_t)(below + 1);
    const double sign = f < 0 ? -1 : 1, low = (double)rni_bf16_value(below);
    const double high = isinf(rni_bf16_value(above)) ? sign * 0x1p128 : (double)rni_bf16_value(above);
    const double down = fabs((double)f - low), up = fabs((double)f - high);
    return down < up ? below : up < down ? above : below & 1 ? above : below;
}

START_TEST(rounding)
{
    static const uint32_t lower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    enum { LOWER = sizeof lower / sizeof *lower };
    float *const all = malloc(65536 * LOWER * sizeof *all);
    uint16_t *const rounded = malloc(65536 * LOWER * sizeof *rounded);
    for (uint32_t upper = 0; upper < 65536; upper++)
        for (uint32_t i = 0; i < LOWER; i++)
            all[upper * LOWER + i] = from_bits(upper << 16 | lower[i]);
    for (int32_t level = 0; level <= rni_cpu_usable_level(UINT32_MAX); level++) {
        struct rni_cpu_kernels k;
        rni_kernels_init(&k, level);
        for (size_t odd = 0; odd < 2; odd++) { /* with and without a tail */
            k.convert.narrow(rounded, all, 65536 * LOWER - odd);
            for (size_t i = 0; i < 65536 * LOWER - odd; i++)
                ck_assert_msg(rounded[i] == by_definition(all[i]), "level %d: %a is 0x%04x, expected 0x%04x", (int)level,
                              (double)all[i], rounded[i], by_definition(all[i]));
        }
    }
    free(all);
    free(rounded);
}
END_TEST

START_TEST(widening)
{
    uint16_t narrow[65537];
    float wide[65537];
    for (size_t i = 0; i < 65537; i++)
        narrow[i] = (uint16_t)i;
    for (int32_t level = 0; level <= rni_cpu_usable_level(UINT32_MAX); level++) {
        struct rni_cpu_kernels k;
        rni_kernels_init(&k, level);
        k.convert.widen(wide, narrow, 65537);
        for (size_t i = 0; i < 65537; i++) {
            uint32_t bits;
            memcpy(&bits, &wide[i], sizeof bits);
            ck_assert_uint_eq(bits, (uint32_t)narrow[i] << 16);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bf16");
    TCase *tcase = tcase_create("bf16");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, rounding);
    tcase_add_test(tcase, widening);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
