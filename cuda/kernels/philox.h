/* SPDX-License-Identifier: MIT */
/* Philox4x32-10 (Salmon et al. 2011), as base/rng.c has it. */
#ifndef RNI_CUDA_PHILOX_H
#define RNI_CUDA_PHILOX_H

#include "kernels/vector.h"

struct rni_random_words {
    uint32_t word0, word1, word2, word3;
};

__device__ __forceinline__ rni_random_words rni_philox_words(uint64_t seed, uint32_t stream, uint32_t step,
                                                             uint64_t index)
{
    rni_random_words c = {stream, step, (uint32_t)index, (uint32_t)(index >> 32)};
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    UNROLL
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c.word0, p1 = (uint64_t)0xCD9E8D57u * c.word2;
        c = {(uint32_t)(p1 >> 32) ^ c.word1 ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c.word3 ^ k1, (uint32_t)p0};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

/* Word 0 to 3; a choice of registers, not an array in memory. */
__device__ __forceinline__ uint32_t rni_random_word(const rni_random_words &w, uint32_t which)
{
    const uint32_t low = which & 1u ? w.word1 : w.word0, high = which & 1u ? w.word3 : w.word2;
    return which & 2u ? high : low;
}

#endif
