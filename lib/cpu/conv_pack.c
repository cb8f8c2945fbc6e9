/* SPDX-License-Identifier: MIT */
/* Packed weights of the fast path: [part][group][block][r][s][i][lane], or [r][i][s][lane] for the three-tap kernel. */
#include "cpu/conv.h"
#include "cpu/kernels.h"
#include <string.h>

/* Below so many weights the calling thread packs alone. */
enum { SERIAL_WEIGHTS = 16384 };
/* Channels that are packed at once: an even number, for pairs. */
enum { PIECE_CHANNELS = 32 };
enum { LINE_FLOATS = 16 };
/* So many taps are packed at once. */
enum { FEW_TAPS = 9 };

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

/* One tap, backward: rows as they are, `outs` floats apart. */
static const float *rows_of(const packing *k, const rni_conv_slice *slice, int64_t c)
{
    const rn_conv_params *const p = k->pass->p;
    return k->w + (slice->group * (p->out_channels / p->groups) + c) * k->pass->outs + slice->first;
}

static void pack_rows(const packing *k, const rni_conv_slice *slice, int64_t c, int64_t channels, int64_t count,
                      int64_t width, float *out)
{
    const int64_t in = k->pass->outs, row = slice->group * (k->pass->p->out_channels / k->pass->p->groups) + c;
    const float *w = rows_of(k, slice, c);
    for (int64_t i = 0; i < channels; i++, w += in, out += width) {
        const float scale = k->scale ? k->scale[row + i] : 1;
        for (int64_t lane = 0; lane < count; lane++)
            out[lane] = w[lane] * scale;
    }
}

/* Rows of other output channels lie pages apart, where no processor looks ahead. Past the end this is only advice. */
static void ask_for(const float *w, int64_t count)
{
    for (int64_t i = 0; i < count; i += LINE_FLOATS)
        __builtin_prefetch(w + i);
}

/* All of few taps: rows [channel][tap] of lanes. Forwards a lane has its channels' taps together, backwards lanes have theirs. */
static void pack_taps(const packing *k, const rni_conv_slice *slice, int64_t c, int64_t channels, int64_t count,
                      int64_t width, float *out)
{
    const rn_conv_params *const p = k->pass->p;
    const int64_t taps = p->kernel[0] * p->kernel[1], in = p->in_channels / p->groups;
    const int64_t row = slice->group * (p->out_channels / p->groups);
    if (!k->pass->backward_data) {
        k->typed->transpose(out, (size_t)width, k->w + ((row + slice->first) * in + c) * taps, (size_t)(in * taps),
                            (size_t)count, (size_t)(channels * taps), 0);
        for (int64_t i = 0; k->scale && i < channels * taps; i++)
            for (int64_t lane = 0; lane < count; lane++)
                out[i * width + lane] *= k->scale[row + slice->first + lane];
        return;
    }
    const float *w = k->w + ((row + c) * in + slice->first) * taps;
    for (int64_t i = 0; i < channels; i++, w += in * taps, out += taps * width) {
        k->typed->transpose(out, (size_t)width, w, (size_t)taps, (size_t)count, (size_t)taps, 0);
        for (int64_t t = 0; k->scale && t < taps * width; t++)
            out[t] *= k->scale[row + c + i];
    }
}

/* Channels c, c + 1, ... of a slice with all taps: rows [channel][tap] of `width` lanes. */
static void pack_channels(const packing *k, const rni_conv_slice *slice, int64_t c, int64_t channels, float *out)
{
    const rni_conv_pass *const pass = k->pass;
    const int64_t taps = pass->p->kernel[0] * pass->p->kernel[1];
    const int64_t width = slice->vectors * pass->k->lanes, count = width - pass->k->lanes + slice->tail;
    if (count < width)
        memset(out, 0, (size_t)(width * channels * taps) * sizeof *out);
    if (taps > 1)
        pack_taps(k, slice, c, channels, count, width, out);
    else
        (pass->backward_data ? pack_rows : pack_columns)(k, slice, c, channels, count, width, out);
}

/* Rows of one tap, `stride` floats from channel to channel, to where channel c of the tap is. */
static void store_tap(const packing *k, const float *rows, int64_t stride, int64_t c, int64_t channels, int64_t width,
                      void *tap)
{
    void *const to = rni_at(tap, (size_t)(c * width), (size_t)k->pass->k->size);
    if (k->pass->k->pairs) {
        k->pass->k->pairs(rows, stride, channels, width, to);
        return;
    }
    for (int64_t i = 0; i < channels; i++)
        memcpy((float *)to + i * width, rows + i * stride, (size_t)width * sizeof(float));
}

/* One of many taps for all channels. */
static void pack_tap(const packing *k, const rni_conv_slice *slice, int64_t tap, void *out)
{
    float rows[PIECE_CHANNELS * RNI_CONV_MAX_BLOCK];
    const int64_t width = slice->vectors * k->pass->k->lanes, channels = k->pass->sums;
    for (int64_t c = 0; c < channels; c += PIECE_CHANNELS) {
        const int64_t some = rni_conv_min(PIECE_CHANNELS, channels - c);
        for (int64_t i = 0; i < some; i++)
            pack_lanes(k, slice, tap, c + i, rows + i * width);
        store_tap(k, rows, width, c, some, width, out);
    }
}

static void pack_triple(const packing *k, const rni_conv_slice *slice, int64_t tap, float *out)
{
    const int64_t width = slice->vectors * k->pass->k->lanes;
    for (int64_t i = 0; i < k->pass->sums; i++)
        pack_lanes(k, slice, tap, i, out + 3 * i * width);
}

/* Where a tap of a part is packed, and which of the kernel's taps it is. */
static void *tap_of(const packing *k, const rni_conv_slice *slice, const rni_conv_part *part, int64_t index,
                    int64_t *tap)
{
    const rni_conv_windows *const g = &part->g;
    const int64_t width = slice->vectors * k->pass->k->lanes, all = k->pass->packed * width;
    const int64_t r = index / g->taps[1], s = index % g->taps[1];
    const int64_t first = part->weights + slice->lane * g->taps[0] * g->taps[1] * k->pass->packed;
    *tap = (part->tap[0] + r * part->tap_step[0]) * k->pass->p->kernel[1] + part->tap[1] + s * part->tap_step[1];
    return rni_at(k->packed, (size_t)(first + r * g->taps[1] * all + s * (g->triple ? width : all)),
                  (size_t)k->pass->k->size);
}

/* Tap by tap: many taps, or those of the three-tap kernel. */
static void pack_part(const packing *k, const rni_conv_slice *slice, const rni_conv_part *part)
{
    for (int64_t i = 0; i < part->g.taps[0] * part->g.taps[1]; i++) {
        int64_t tap;
        void *const out = tap_of(k, slice, part, i, &tap);
        if (part->g.triple)
            pack_triple(k, slice, tap, out);
        else
            pack_tap(k, slice, tap, out);
    }
}

/* Whole rows without a scale need no other place on their way. */
static int is_copied(const packing *k, const rni_conv_slice *slice)
{
    const rn_conv_params *const p = k->pass->p;
    return k->pass->backward_data && p->kernel[0] * p->kernel[1] == 1 && !k->scale && slice->tail == k->pass->k->lanes;
}

/* All taps of some channels, which are read once. */
static void pack_piece(const packing *k, const rni_conv_slice *slice, int64_t c, int64_t channels)
{
    float rows[FEW_TAPS * PIECE_CHANNELS * RNI_CONV_MAX_BLOCK];
    const rni_conv_pass *const pass = k->pass;
    const int64_t taps = pass->p->kernel[0] * pass->p->kernel[1], width = slice->vectors * pass->k->lanes;
    if (is_copied(k, slice)) {
        int64_t tap;
        const rni_conv_part part = rni_conv_part_of(pass, 0);
        store_tap(k, rows_of(k, slice, c), pass->outs, c, channels, width, tap_of(k, slice, &part, 0, &tap));
        return;
    }
    pack_channels(k, slice, c, channels, rows);
    for (int64_t i = 0; i < pass->parts; i++) {
        const rni_conv_part part = rni_conv_part_of(pass, i);
        for (int64_t j = 0; j < part.g.taps[0] * part.g.taps[1]; j++) {
            int64_t tap;
            void *const out = tap_of(k, slice, &part, j, &tap);
            store_tap(k, rows + tap * width, taps * width, c, channels, width, out);
        }
    }
}

static int by_taps(const rni_conv_pass *pass)
{
    return pass->p->kernel[0] * pass->p->kernel[1] > FEW_TAPS || rni_conv_part_of(pass, 0).g.triple;
}

static rni_conv_slice slice_of(const rni_conv_pass *pass, int64_t index)
{
    return rni_conv_slice_of(pass->outs, pass->k->lanes, pass->k->max_vectors, index);
}

/* Asks for the rows of w of which the channels c, c + 1, ... of a slice are a part each. */
static void ask_for_piece(const packing *k, const rni_conv_slice *slice, int64_t c, int64_t channels)
{
    const rni_conv_pass *const pass = k->pass;
    const rn_conv_params *const p = pass->p;
    const int64_t taps = p->kernel[0] * p->kernel[1], in = p->in_channels / p->groups;
    const int64_t lanes = (slice->vectors - 1) * pass->k->lanes + slice->tail;
    const int64_t rows = pass->backward_data ? channels : lanes, row = pass->backward_data ? c : slice->first;
    const int64_t count = pass->backward_data ? lanes : channels, first = pass->backward_data ? slice->first : c;
    const float *w = k->w + ((slice->group * (p->out_channels / p->groups) + row) * in + first) * taps;
    for (int64_t i = 0; i < rows; i++, w += in * taps)
        ask_for(w, count * taps);
}

/* All channels of a slice, whose rows of w lie together. */
static void pack_pieces(const packing *k, int64_t index)
{
    const rni_conv_slice slice = slice_of(k->pass, index);
    const int64_t all = k->pass->sums;
    for (int64_t c = 0; c < all; c += PIECE_CHANNELS) {
        if (c + PIECE_CHANNELS < all)
            ask_for_piece(k, &slice, c + PIECE_CHANNELS, rni_conv_min(PIECE_CHANNELS, all - c - PIECE_CHANNELS));
        pack_piece(k, &slice, c, rni_conv_min(PIECE_CHANNELS, all - c));
    }
}

/* Some channels of all slices: backwards these are rows of w. */
static void pack_rows_of_w(void *arg, size_t index)
{
    const packing *const k = arg;
    const rni_conv_pass *const pass = k->pass;
    const int64_t c = (int64_t)index * PIECE_CHANNELS, channels = rni_conv_min(PIECE_CHANNELS, pass->sums - c);
    const int64_t slices = pass->p->groups * pass->blocks;
    for (int64_t i = 0; i < slices; i++) {
        const rni_conv_slice slice = slice_of(pass, i), next = slice_of(pass, i + 1 < slices ? i + 1 : i);
        if (i + 1 < slices)
            ask_for_piece(k, &next, c, channels);
        pack_piece(k, &slice, c, channels);
    }
}

static void pack_slice(void *arg, size_t index)
{
    const packing *const k = arg;
    if (!by_taps(k->pass)) {
        pack_pieces(k, (int64_t)index);
        return;
    }
    const rni_conv_slice slice = slice_of(k->pass, (int64_t)index);
    for (int64_t i = 0; i < k->pass->parts; i++) {
        const rni_conv_part part = rni_conv_part_of(k->pass, i);
        pack_part(k, &slice, &part);
    }
}

rn_status rni_conv_fast_pack(const rni_cpu_call *call, const rni_conv_pass *pass, const float *w, const float *scale,
                             void *packed)
{
    packing k = {pass, &call->kernels->f32, w, scale, packed};
    const int by_rows = pass->backward_data && !by_taps(pass);
    const rn_task_fn task = by_rows ? pack_rows_of_w : pack_slice;
    const size_t count =
        (size_t)(by_rows ? rni_conv_divide_up(pass->sums, PIECE_CHANNELS) : pass->p->groups * pass->blocks);
    if (count > 1 && rni_conv_packed_count(pass) >= SERIAL_WEIGHTS)
        return rni_cpu_parallel(call, task, &k, count);
    for (size_t i = 0; i < count; i++)
        task(&k, i);
    return RN_OK;
}
