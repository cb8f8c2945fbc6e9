/* SPDX-License-Identifier: MIT */
/**
 * @file sys/cpu.h
 * Kernel levels of the CPU backend. Stable for a minor release only.
 */
#ifndef RESNET_SYS_CPU_H
#define RESNET_SYS_CPU_H

#include <resnet/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Levels, each including those before it. */
enum {
    RN_CPU_BASE = 0,      /**< portable C: the reference kernels */
    RN_CPU_AVX2 = 1,      /**< AVX2, FMA, F16C */
    RN_CPU_AVX512 = 2,    /**< AVX-512 F, BW, DQ, VL */
    RN_CPU_AVX512BF16 = 3 /**< and AVX512_BF16: dot products of bf16 pairs; f32 computes as before */
};

/** @return the highest level this processor and system can run. */
RN_API int32_t rn_cpu_detected_level(void);

/**
 * Limits the kernels of a CPU device to the levels in a mask (bit 1 << RN_CPU_AVX2, ...), for programs made from then
 * on. RN_CPU_BASE is always allowed; a level is used only when all below it are. The environment variable RN_CPU_LEVEL
 * (base, avx2, avx512, avx512bf16), read when a context is made, does the same.
 * @return RN_E_DEVICE for a device that is not the CPU
 */
RN_API rn_status rn_cpu_set_level_mask(rn_device *dev, uint32_t mask);


/** @return the level of a CPU device, -1 for another device. */
RN_API int32_t rn_cpu_level(const rn_device *dev);

#ifdef __cplusplus
}
#endif
#endif
