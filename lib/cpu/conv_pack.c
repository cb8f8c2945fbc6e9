/* SPDX-License-Identifier: MIT */
/* Packed weights of the fast path: [part][group][block][r][s][i][lane], or [r][i][s][lane] for the three-tap kernel. */
#include "cpu/conv.h"
#include "cpu/kernels.h"
#include <string.h>

/* Below so many weights the calling thread packs alone. */
enum { SERIAL_WEIGHTS = 16384 };
/* Channels that become pairs at once: an even number. */
enum { PIECE_CHANNELS = 32 };

typedef struct packing {
    const rni_conv_pass *pass;
    const rni_typed_kernels *typed;
    const float *w, *scale;
    void *packed;
} packing;

/* The weights of one tap and channel for all lanes of a slice. */
static void pack_lanes(const packing *k, const rni_conv_slice *slice, int64_t tap, int64_t i, float *out)
{
    const rni_conv_pass *const pass = k->pass;
    const rn_conv_params *const p = pass->p;
    const int64_t taps = p->kernel[0] * p->kernel[1], in = p->in_channels / p->groups;
    const int64_t count = (slice->vectors - 1) * pass->k->lanes + slice->tail;
    const int64_t row = slice->group * (p->out_channels / p->groups); /* the group's first output channel of w */
    for (int64_t lane = 0; lane < count; lane++) {
        const int64_t made = slice->first + lane;
        const int64_t o = row + (pass->backward_data ? i : made), c = pass->backward_data ? made : i;
        const float value = k->w[(o * in + c) * taps + tap];
        out[lane] = k->scale ? value * k->scale[o] : value;
    }
    memset(out + count, 0, (size_t)(slice->vectors * pass->k->lanes - count) * sizeof *out);
}

/* One tap, forward: a transposition. */
static void pack_columns(const packing *k, const rni_conv_slice *slice, int64_t c, int64_t channels, int64_t count,
                         int64_t width, float *out)
{
    const int64_t all = k->pass->sums, row = slice->group * (k->pass->p->out_channels / k->pass->p->groups) + slice->first;
    k->typed->transpose(out, (size_t)width, k->w + row * all + c, (size_t)all, (size_t)count, (size_t)channels, 0);
    for (int64_t i = 0; k->scale && i < channels; i++)
        for (int64_t lane = 0; lane < count; lane++)
            out[i * width + lane] *= k->scale[row + lane];
}

/* One tap, backward: rows as they are. */
static void pack_rows(const packing *k, const rni_conv_slice *slice, int64_t c, int64_t channels, int64_t count,
                      int64_t width, float *out)
{
    const int64_t in = k->pass->outs, row = slice->group * (k->pass->p->out_channels / k->pass->p->groups) + c;
    const float *w = k->w + row * in + slice->first;
    for (int64_t i = 0; i < channels; i++, w += in, out += width) {
        const float scale = k->scale ? k->scale[row + i] : 1;
        for (int64_t lane = 0; lane < count; lane++)
            out[lane] = w[lane] * scale;
    }
}

/* The weights of one tap for channels c, c + 1, ...: rows of `width` lanes. */
static void pack_channels(const packing *k, const rni_conv_slice *slice, int64_t tap, int64_t c, int64_t channels,
                          float *out)
{
    const rni_conv_pass *const pass = k->pass;
    const int64_t width = slice->vectors * pass->k->lanes, count = width - pass->k->lanes + slice->tail;
    if (pass->p->kernel[0] * pass->p->kernel[1] > 1) {
        for (int64_t i = 0; i < channels; i++)
            pack_lanes(k, slice, tap, c + i, out + i * width);
        return;
    }
    if (count < width)
        memset(out, 0, (size_t)(width * channels) * sizeof *out);
    (pass->backward_data ? pack_rows : pack_columns)(k, slice, c, channels, count, width, out);
}

/* One tap for all channels. */
static void pack_tap(const packing *k, const rni_conv_slice *slice, int64_t tap, void *out)
{
    float rows[PIECE_CHANNELS * RNI_CONV_MAX_BLOCK];
    const int64_t width = slice->vectors * k->pass->k->lanes, channels = k->pass->sums;
    if (!k->pass->k->pairs) {
        pack_channels(k, slice, tap, 0, channels, out);
        return;
    }
    for (int64_t c = 0; c < channels; c += PIECE_CHANNELS) {
        const int64_t some = rni_conv_min(PIECE_CHANNELS, channels - c);
        pack_channels(k, slice, tap, c, some, rows);
        k->pass->k->pairs(rows, some, width, rni_at(out, (size_t)(c * width), (size_t)k->pass->k->size));
    }
}

static void pack_triple(const packing *k, const rni_conv_slice *slice, int64_t tap, float *out)
{
    const int64_t width = slice->vectors * k->pass->k->lanes;
    for (int64_t i = 0; i < k->pass->sums; i++)
        pack_lanes(k, slice, tap, i, out + 3 * i * width);
}

static void pack_part(const packing *k, const rni_conv_slice *slice, const rni_conv_part *part)
{
    const rni_conv_windows *const g = &part->g;
    const int64_t width = slice->vectors * k->pass->k->lanes, row = g->taps[1] * k->pass->packed * width;
    const size_t size = (size_t)k->pass->k->size;
    const int64_t first = part->weights + slice->lane * g->taps[0] * g->taps[1] * k->pass->packed;
    for (int64_t r = 0; r < g->taps[0]; r++)
        for (int64_t s = 0; s < g->taps[1]; s++) {
            const int64_t tap = (part->tap[0] + r * part->tap_step[0]) * k->pass->p->kernel[1] + part->tap[1] +
                                s * part->tap_step[1];
            const int64_t at = first + r * row + s * (g->triple ? width : k->pass->packed * width);
            void *const out = rni_at(k->packed, (size_t)at, size);
            if (g->triple)
                pack_triple(k, slice, tap, out);
            else
                pack_tap(k, slice, tap, out);
        }
}

static void pack_slice(void *arg, size_t index)
{
    const packing *const k = arg;
    const rni_conv_pass *const pass = k->pass;
    const rni_conv_slice slice =
        rni_conv_slice_of(pass->outs, pass->k->lanes, pass->k->max_vectors, (int64_t)index);
    for (int64_t i = 0; i < pass->parts; i++) {
        const rni_conv_part part = rni_conv_part_of(pass, i);
        pack_part(k, &slice, &part);
    }
}

rn_status rni_conv_fast_pack(const rni_cpu_call *call, const rni_conv_pass *pass, const float *w, const float *scale,
                             void *packed)
{
    packing k = {pass, &call->kernels->f32, w, scale, packed};
    const size_t count = (size_t)(pass->p->groups * pass->blocks);
    if (count > 1 && rni_conv_packed_count(pass) >= SERIAL_WEIGHTS)
        return rni_cpu_parallel(call, pack_slice, &k, count);
    for (size_t i = 0; i < count; i++)
        pack_slice(&k, i);
    return RN_OK;
}
