/* SPDX-License-Identifier: MIT */
#include "cpu/conv_stats.h"

/* From so many moments on, chunks by channels, several threads add them up. */
enum { PARALLEL_MOMENTS = 1 << 15 };

int64_t rni_conv_stats_floats(int64_t chunks, int64_t stride)
{
    return chunks * 3 * stride;
}

static rni_conv_moments moments_of(const rni_conv_stats *s, int64_t chunk, int64_t lane)
{
    float *const centre = s->moments + chunk * 3 * s->stride + lane;
    return (rni_conv_moments){centre, centre + s->stride, centre + 2 * s->stride};
}

void rni_conv_stats_take(const rni_conv_stats *s, const rni_conv_slice *slice, int64_t chunk, const void *y,
                         int64_t count, int64_t pixel)
{
    const rni_conv_moments out = moments_of(s, chunk, slice->lane);
    s->k->moments(y, count, pixel, slice->vectors, slice->tail, &out);
}

/* Statistics of one block's channels so far. */
typedef struct running_moments {
    double count, mean[RNI_CONV_MAX_BLOCK], squares[RNI_CONV_MAX_BLOCK];
} running_moments;

/* Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979. */
static void add_moments(running_moments *to, const rni_conv_moments *m, int64_t count, int64_t channels)
{
    const double share = (double)count / (to->count + (double)count), weight = to->count * share;
    for (int64_t i = 0; i < channels; i++) {
        const double delta = (double)m->centre[i] + (double)m->offset[i] - to->mean[i];
        to->mean[i] += delta * share;
        to->squares[i] += (double)m->squares[i] + delta * delta * weight;
    }
    to->count += (double)count;
}

/* Adds up a block's chunks in order. */
static void combine_block(void *arg, size_t index)
{
    const rni_conv_stats *const s = arg;
    const rni_conv_slice slice = rni_conv_slice_of(s->outs, s->k->lanes, s->k->max_vectors, (int64_t)index);
    const int64_t channels = (slice.vectors - 1) * s->k->lanes + slice.tail;
    running_moments all = {.count = 0};
    for (int64_t chunk = 0; chunk < s->chunks; chunk++) {
        const rni_conv_moments m = moments_of(s, chunk, slice.lane);
        add_moments(&all, &m, s->pixels(s->user, chunk), channels);
    }
    const int64_t first = slice.group * s->outs + slice.first;
    for (int64_t i = 0; i < channels; i++) {
        ((float *)s->c->mean)[first + i] = (float)all.mean[i];
        ((float *)s->c->var)[first + i] = (float)(all.squares[i] / all.count);
    }
}

rn_status rni_conv_stats_finish(const rni_conv_stats *s)
{
    if (s->blocks > 1 && s->chunks * s->stride >= PARALLEL_MOMENTS)
        return rni_cpu_parallel(s->c->call, combine_block, (void *)s, (size_t)s->blocks);
    for (int64_t block = 0; block < s->blocks; block++)
        combine_block((void *)s, (size_t)block);
    return RN_OK;
}
