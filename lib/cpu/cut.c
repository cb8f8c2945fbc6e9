/* SPDX-License-Identifier: MIT */
#include "cpu/cut.h"
#include <string.h>

enum { WIDEST_VECTOR = 16, ROW = 64, CHUNK_ELEMENTS = 8192, CHUNK_PIXELS = 64, MOST_JOINED = 64 };

static size_t gcd(size_t a, size_t b)
{
    while (b) {
        const size_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* So many pixels that rows end with a vector and are not too short. */
static size_t repeat_of(size_t channels)
{
    if (channels > MOST_JOINED)
        return 1;
    size_t repeat = WIDEST_VECTOR / gcd(channels, WIDEST_VECTOR);
    while (repeat * channels < ROW)
        repeat *= 2;
    return repeat;
}

rni_cut rni_cut_make(size_t channels, size_t pixels)
{
    rni_cut cut = {.channels = channels, .pixels = pixels, .repeat = repeat_of(channels)};
    cut.width = cut.repeat * channels;
    cut.chunk = CHUNK_ELEMENTS / channels > CHUNK_PIXELS ? CHUNK_ELEMENTS / channels : CHUNK_PIXELS;
    cut.chunk = rni_ceil_div(cut.chunk, cut.repeat) * cut.repeat;
    cut.chunks = rni_ceil_div(pixels, cut.chunk);
    cut.block = cut.repeat > 1 || channels <= RNI_CUT_BLOCK ? cut.width : RNI_CUT_BLOCK;
    cut.blocks = rni_ceil_div(cut.width, cut.block);
    return cut;
}

size_t rni_cut_columns(size_t channels)
{
    return channels > MOST_JOINED ? rni_ceil_div(channels, 64) * 64 : RNI_CUT_JOINED;
}

rni_cut_rows rni_cut_chunk(const rni_cut *cut, size_t chunk)
{
    rni_cut_rows r = {.first = chunk * cut->chunk};
    r.pixels = rni_min_size(cut->chunk, cut->pixels - r.first);
    r.rows = r.pixels / cut->repeat;
    r.rest = (r.pixels % cut->repeat) * cut->channels;
    return r;
}

void rni_cut_spread(const rni_cut *cut, int32_t dtype, void *columns)
{
    const size_t bytes = cut->channels * rn_dtype_size(dtype);
    for (size_t i = 1; i < cut->repeat; i++)
        memcpy((char *)columns + i * bytes, columns, bytes);
}

void rni_cut_gather(const rni_cut *cut, double *columns)
{
    for (size_t i = 1; i < cut->repeat; i++)
        for (size_t c = 0; c < cut->channels; c++)
            columns[c] += columns[i * cut->channels + c];
}
