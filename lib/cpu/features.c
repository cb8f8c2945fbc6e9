/* SPDX-License-Identifier: MIT */
#include "cpu/levels.h"
#include "backend/context.h"
#include "base/error.h"
#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include <stdlib.h>
#include <string.h>

static const char *const level_names[] = {"base", "avx2", "avx512", "avx512bf16"};

#if defined(__x86_64__)
#include <cpuid.h>

/* Register state that the system saves: bits of XCR0 (Intel SDM vol. 1, 13.3). */
static uint32_t saved_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

int32_t rn_cpu_detected_level(void)
{
    enum { SAVES_AVX = 0x6, SAVES_AVX512 = 0xe6, HAS_BF16 = 1 << 5 };
    const uint32_t leaf1 = bit_OSXSAVE | bit_FMA | bit_F16C | bit_AVX;
    const uint32_t f_bw_dq_vl = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1) != leaf1)
        return RN_CPU_BASE;
    const uint32_t saved = saved_state();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2) || (saved & SAVES_AVX) != SAVES_AVX)
        return RN_CPU_BASE;
    if ((b & f_bw_dq_vl) != f_bw_dq_vl || (saved & SAVES_AVX512) != SAVES_AVX512)
        return RN_CPU_AVX2;
    return a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & HAS_BF16) ? RN_CPU_AVX512BF16 : RN_CPU_AVX512;
}

void rni_cpu_processor_name(char name[49])
{
    uint32_t r[12];
    memset(name, 0, 49);
    for (uint32_t i = 0; i < 3; i++) {
        if (!__get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3])) {
            strcpy(name, "x86-64 processor");
            return;
        }
    }
    memcpy(name, r, 48);
}

#else

int32_t rn_cpu_detected_level(void)
{
    return RN_CPU_BASE;
}

void rni_cpu_processor_name(char name[49])
{
    strcpy(name, "processor");
}

#endif

const char *rni_cpu_level_name(int32_t level)
{
    return level_names[level];
}

int32_t rni_cpu_usable_level(uint32_t mask)
{
    const int32_t detected = rn_cpu_detected_level();
    const int32_t built = rni_kernels_built_level();
    const int32_t highest = detected < built ? detected : built;
    int32_t level = RN_CPU_BASE;
    while (level < highest && (mask & (1u << (level + 1))))
        level++;
    return level;
}

rn_status rni_cpu_mask_from_environment(uint32_t *mask)
{
    const char *const text = getenv("RN_CPU_LEVEL");
    *mask = UINT32_MAX;
    if (!text || !*text)
        return RN_OK;
    for (int32_t level = RN_CPU_BASE; level <= RN_CPU_AVX512BF16; level++) {
        if (strcmp(text, level_names[level]) == 0) {
            *mask = (2u << level) - 1;
            return RN_OK;
        }
    }
    return rni_fail(RN_E_INVALID, "RN_CPU_LEVEL: base, avx2, avx512 or avx512bf16 expected, got \"%.40s\"", text);
}

static rni_cpu *cpu_of(const rn_device *dev)
{
    return dev && dev->backend == &rni_cpu_backend ? dev->dev : NULL;
}

rn_status rn_cpu_set_level_mask(rn_device *dev, uint32_t mask)
{
    RNI_REQUIRE(dev);
    rni_cpu *const cpu = cpu_of(dev);
    if (!cpu)
        return rni_fail(RN_E_DEVICE, "rn_cpu_set_level_mask: dev: the CPU expected, got \"%s\"", dev->info.name);
    cpu->level = rni_cpu_usable_level(mask);
    return RN_OK;
}

int32_t rn_cpu_level(const rn_device *dev)
{
    const rni_cpu *const cpu = cpu_of(dev);
    return cpu ? cpu->level : -1;
}
