/* SPDX-License-Identifier: MIT */
/* What full checking remembers of memory. */
#ifndef RNI_SIMULATOR_SHADOW_H
#define RNI_SIMULATOR_SHADOW_H

#include "access.h"

namespace sim
{
/*
 * Who accessed something last: epoch (32 bits), thread (10), others (2), clock (20). An epoch is what lies between two
 * barriers of one block; epochs of all blocks and launches are numbered through.
 */
typedef uint64_t Stamp;
struct Shadow {
    Stamp read, write;
};
/*
 * Accesses are remembered by pairs of bytes, as hardly anything is smaller than two. Those of half a pair are remembered
 * by bytes, apart; and all others look there, too, in a launch that has such.
 */
struct Memory {
    const char *name;
    bool shared;
    Shadow *pairs, *bytes;
    unsigned char *states; /* of every byte: 0, or WRITTEN and FENCED */
};
/* Time: the epoch that runs, and the first ones of the running launch and block. (races.cpp) */
struct Epochs {
    uint32_t now, launch, block;
    bool halves; /* the launch has accesses of half a pair */
};
extern Epochs epochs;

/* The current thread's access against all others' of the launch; at most one report. (races.cpp) */
void check_races(const Memory &memory, size_t at, size_t bytes, Access access, const void *code);
} // namespace sim

#endif
