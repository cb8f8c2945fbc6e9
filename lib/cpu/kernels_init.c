/* SPDX-License-Identifier: MIT */
#include "cpu/kernels.h"
#include <resnet/sys/cpu.h>

int32_t rni_kernels_built_level(void)
{
#if defined(RNI_CPU_AVX2) && defined(RNI_CPU_AVX512) && defined(RNI_CPU_AVX512BF16)
    return RN_CPU_AVX512BF16;
#elif defined(RNI_CPU_AVX2) && defined(RNI_CPU_AVX512)
    return RN_CPU_AVX512;
#elif defined(RNI_CPU_AVX2)
    return RN_CPU_AVX2;
#else
    return RN_CPU_BASE;
#endif
}

void rni_kernels_init(struct rni_cpu_kernels *k, int32_t level)
{
    rni_kernels_base(k);
#if defined(RNI_CPU_AVX2)
    if (level >= RN_CPU_AVX2) {
        rni_kernels_avx2(k);
        rni_kernels_avx2_bf16(k);
        rni_kernels_avx2_f16(k);
    }
#if defined(RNI_CPU_AVX512)
    if (level >= RN_CPU_AVX512) {
        rni_kernels_avx512(k);
        rni_kernels_avx512_bf16(k);
    }
#if defined(RNI_CPU_AVX512BF16)
    if (level >= RN_CPU_AVX512BF16)
        rni_kernels_avx512bf16(k);
#endif
#endif
#endif
    (void)level;
}
