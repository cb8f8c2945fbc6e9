/* SPDX-License-Identifier: MIT */
/*
 * How an activation [pixels][channels] is cut for per-channel work. Few channels are joined to rows of several pixels,
 * so that a row fills vectors; many are cut into blocks. Chunks depend on the shape only.
 */
#ifndef RNI_CPU_CUT_H
#define RNI_CPU_CUT_H

#include "cpu/driver.h"

/* Widest row of joined pixels, and widest block of columns in sums. */
enum { RNI_CUT_JOINED = 1024, RNI_CUT_BLOCK = 256 };

typedef struct rni_cut {
    size_t channels, pixels;
    size_t repeat;        /* pixels per row */
    size_t width;         /* repeat * channels: the period of per-column arrays */
    size_t chunk, chunks; /* pixels per chunk (a multiple of repeat), number of chunks */
    size_t block, blocks; /* columns per task of a sum, number of blocks */
} rni_cut;

rni_cut rni_cut_make(size_t channels, size_t pixels);

/* Elements to reserve for one per-column array. */
size_t rni_cut_columns(size_t channels);

/* One chunk: rows of whole width from pixel `first` on, then `rest` columns of a last, shorter row. */
typedef struct rni_cut_rows {
    size_t first, pixels, rows, rest;
} rni_cut_rows;

rni_cut_rows rni_cut_chunk(const rni_cut *cut, size_t chunk);

/* Repeats the first `channels` of a per-column array to its whole width. */
void rni_cut_spread(const rni_cut *cut, int32_t dtype, void *columns);

/* Sums the repeats of columns into the first `channels`. */
void rni_cut_gather(const rni_cut *cut, double *columns);

#endif
