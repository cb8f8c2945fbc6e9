/* SPDX-License-Identifier: MIT */
/*
 * What this machine can do at best, measured now, for measured speeds to be compared with. Threads of its own, which
 * start together: the pool under test has no part in it. Everything is the best of several rounds.
 */
#ifndef PEAK_H
#define PEAK_H

/* Kinds of arithmetic. The first three are numbered as the kernel levels are. */
enum { PEAK_BASE, PEAK_AVX2, PEAK_AVX512, PEAK_BF16, PEAK_KINDS };

/*
 * Multiply-adds on `threads` threads at once, in GFLOP/s: f32, or for PEAK_BF16 dot products of bf16 pairs summed in
 * f32. 0 when compiler or processor has no such instruction.
 */
double peak_flops(int threads, int kind);

/* The kind a kernel level's arithmetic is held against: levels above AVX-512 have its f32 instructions. */
int peak_kind(int level, int bf16);

/* Bytes read and written, in GB/s, when every thread copies a block that no cache holds. */
double peak_copy(int threads);

/* The same for blocks that stay in a core's second-level cache. */
double peak_copy_cached(int threads);

#endif
