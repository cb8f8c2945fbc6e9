/* SPDX-License-Identifier: MIT */
/* An op's workspace in parts, each aligned to 256 bytes. */
#ifndef RNI_CUDA_WORKSPACE_H
#define RNI_CUDA_WORKSPACE_H

#include "cuda.h"

enum { RNI_PART_ALIGN = 256, RNI_VALUE_ALIGN = 64 };

/* Adds a part to `total`, which starts at 0; returns where it begins. */
static inline uint64_t rni_part(uint64_t *total, uint64_t bytes)
{
    const uint64_t offset = *total;
    *total += (bytes + RNI_PART_ALIGN - 1) / RNI_PART_ALIGN * RNI_PART_ALIGN;
    return offset;
}

/* What to ask for: values are less aligned than parts. */
static inline uint64_t rni_parts_bytes(uint64_t total)
{
    return total ? total + RNI_PART_ALIGN - RNI_VALUE_ALIGN : 0;
}

static inline void *rni_part_of(const rni_cuda_call *c, uint64_t offset)
{
    const uintptr_t at = (uintptr_t)rni_cuda_workspace(c);
    return (void *)((at + RNI_PART_ALIGN - 1) / RNI_PART_ALIGN * RNI_PART_ALIGN + offset);
}

#endif
