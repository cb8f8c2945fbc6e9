/* SPDX-License-Identifier: MIT */
/* What the processor has and what of it is allowed. */
#ifndef RNI_CPU_LEVELS_H
#define RNI_CPU_LEVELS_H

#include <resnet/sys/cpu.h>

/* "base", "avx2", "avx512", "avx512bf16". */
const char *rni_cpu_level_name(int32_t level);
/* The brand string, terminated. */
void rni_cpu_processor_name(char name[49]);
/* The highest level that is detected, compiled in and, with all below it, in the mask. */
int32_t rni_cpu_usable_level(uint32_t mask);
/* From RN_CPU_LEVEL; all levels when it is not set. */
rn_status rni_cpu_mask_from_environment(uint32_t *mask);

#endif
