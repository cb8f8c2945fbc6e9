/* SPDX-License-Identifier: MIT */
/* Winograd's weights: each pair of channels has 36 instead of 9. */
#include "cpu/kernels.h"
#include "cpu/winograd.h"
#include <string.h>

/* Channels of a block that one task packs. */
enum { PACK_CHANNELS = 16 };

/* Taps of so many channels later are asked for. */
enum { TAPS_AHEAD = 8 };

/* Transformed weights of so many floats are kept. */
enum { MOST_WEIGHTS = 1 << 20 };

int rni_winograd_keeps_taps(const rni_winograd_form *form, const rn_conv_params *p)
{
    return form->step == 1 && RNI_WINOGRAD_PLANES(form->tile) * p->in_channels * p->out_channels > MOST_WEIGHTS;
}

int64_t rni_winograd_weight_plane(const rni_winograd_form *form, int64_t channels, int64_t width)
{
    return rni_winograd_plane(rni_winograd_padded(channels, form->step) * width, form->size);
}

/* Elements before a block that has `lane` lanes before it. */
static int64_t block_offset(const rni_winograd_form *form, const rn_conv_params *p, int64_t lane, int64_t block,
                            int64_t channels)
{
    if (rni_winograd_keeps_taps(form, p))
        return lane * 9 * channels;
    const int64_t gaps = block * (RNI_WINOGRAD_GAP / form->size);
    return RNI_WINOGRAD_PLANES(form->tile) * (lane * rni_winograd_padded(channels, form->step) + gaps);
}

const void *rni_winograd_block_of(const rni_winograd_form *form, const rn_conv_params *p, const void *packed,
                                  const rni_conv_slice *slice, int64_t block, int64_t channels)
{
    const int64_t elements = block_offset(form, p, slice->lane, block, channels);
    return rni_at_const(packed, (size_t)elements, (size_t)form->size);
}

uint64_t rni_winograd_packed_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data)
{
    const rni_winograd_form *const form = rni_winograd_form_of(k, p);
    const int64_t channels = backward_data ? p->out_channels : p->in_channels;
    const int64_t outs = backward_data ? p->in_channels : p->out_channels;
    const int64_t vectors = rni_conv_divide_up(outs, k->lanes), blocks = rni_conv_divide_up(vectors, k->max_vectors);
    return (uint64_t)(block_offset(form, p, vectors * k->lanes, blocks, channels) * form->size);
}

void rni_winograd_transform(const rni_conv_kernels *k, const float *taps, int64_t channels, int32_t vectors,
                            int backward_data, float *u)
{
    const int64_t lanes = k->lanes, width = vectors * lanes, tap = backward_data ? -lanes : lanes;
    const int64_t plane = rni_winograd_weight_plane(&k->winograd, channels, width);
    for (int64_t v = 0; v < width; v += lanes)
        for (int64_t c = 0; c < channels; c++, taps += 9 * lanes) {
            for (int64_t i = 0; i < 9; i++)
                __builtin_prefetch(taps + (TAPS_AHEAD * 9 + i) * lanes, 0, 3);
            k->winograd.products->weights(taps + (backward_data ? 8 * lanes : 0), NULL, tap, u + c * width + v, plane);
        }
}

typedef struct packing {
    const rn_conv_params *p;
    const rni_conv_kernels *k;
    const rni_winograd_form *form;
    const rni_typed_kernels *typed;
    const float *w, *scale;
    void *packed;
    int64_t channels, outs, pieces;
    int backward_data;
} packing;

/* Forwards a lane is an output channel: rows of weights [channel][9] become columns. */
static void transpose_forward(const packing *j, int64_t c, int64_t channels, int64_t first, int64_t count, float *taps)
{
    const int64_t row = j->p->in_channels * 9, lanes = j->k->lanes;
    j->typed->transpose(taps, (size_t)lanes, j->w + first * row + c * 9, (size_t)row, (size_t)count,
                        (size_t)(channels * 9), 0);
    for (int64_t i = 0; j->scale && i < channels * 9; i++)
        for (int64_t lane = 0; lane < count; lane++)
            taps[i * lanes + lane] *= j->scale[first + lane];
}

/* Backwards a lane is an input channel, whose taps lie together. */
static void transpose_backward(const packing *j, int64_t c, int64_t channels, int64_t first, int64_t count, float *taps)
{
    const int64_t lanes = j->k->lanes;
    for (int64_t i = 0; i < channels; i++, taps += 9 * lanes) {
        j->typed->transpose(taps, (size_t)lanes, j->w + ((c + i) * j->p->in_channels + first) * 9, 9, (size_t)count, 9, 0);
        for (int64_t t = 0; j->scale && t < 9 * lanes; t++)
            taps[t] *= j->scale[c + i];
    }
}

/* The taps of channels c and on for a vector's channels, from `first` on: `count` of them, then zeros. */
static void transpose_taps(const packing *j, int64_t c, int64_t channels, int64_t first, int64_t count, float *taps)
{
    if (count < j->k->lanes)
        memset(taps, 0, (size_t)(channels * 9 * j->k->lanes) * sizeof *taps);
    (j->backward_data ? transpose_backward : transpose_forward)(j, c, channels, first, count, taps);
}

/* One vector of output channels, transformed; u is that of channel c. */
static void pack_vector(const packing *j, int64_t c, int64_t channels, int64_t first, int64_t count, void *u,
                        int64_t width)
{
    float taps[PACK_CHANNELS * 9 * RNI_CONV_MAX_LANES];
    const int64_t lanes = j->k->lanes, tap = j->backward_data ? -lanes : lanes, all = 9 * lanes;
    const int64_t plane = rni_winograd_weight_plane(j->form, j->channels, width);
    transpose_taps(j, c, channels, first, count, taps);
    for (int64_t i = 0; i < channels; i += j->form->step) {
        const float *const from = taps + i * all + (j->backward_data ? 8 * lanes : 0);
        j->form->products->weights(from, j->form->step > 1 && i + 1 < channels ? from + all : NULL, tap,
                                   rni_at(u, (size_t)(i * width), (size_t)j->form->size), plane);
    }
}

static void pack_piece(void *arg, size_t index)
{
    const packing *const j = arg;
    const int64_t lanes = j->k->lanes, block = (int64_t)index / j->pieces, c = (int64_t)index % j->pieces * PACK_CHANNELS;
    const int64_t channels = rni_conv_min(PACK_CHANNELS, j->channels - c);
    const rni_conv_slice slice = rni_conv_slice_of(j->outs, j->k->lanes, j->k->max_vectors, block);
    const int64_t offset = block_offset(j->form, j->p, slice.lane, block, j->channels), width = slice.vectors * lanes;
    for (int64_t v = 0; v < slice.vectors; v++) {
        const int64_t first = slice.first + v * lanes, count = v == slice.vectors - 1 ? slice.tail : lanes;
        if (rni_winograd_keeps_taps(j->form, j->p))
            transpose_taps(j, c, channels, first, count, (float *)j->packed + offset + (v * j->channels + c) * 9 * lanes);
        else
            pack_vector(j, c, channels, first, count,
                        rni_at(j->packed, (size_t)(offset + c * width + v * lanes * j->form->step), (size_t)j->form->size),
                        width);
    }
}

rn_status rni_winograd_pack(const rni_cpu_call *call, const rni_conv_kernels *k, int backward_data, const float *w,
                            const float *scale, void *packed)
{
    const rn_conv_params *const p = call->op->params;
    packing j = {p, k, rni_winograd_form_of(k, p), &call->kernels->f32, w, scale, packed, .backward_data = backward_data};
    j.channels = backward_data ? p->out_channels : p->in_channels;
    j.outs = backward_data ? p->in_channels : p->out_channels;
    j.pieces = rni_conv_divide_up(j.channels, PACK_CHANNELS);
    const int64_t blocks = rni_conv_divide_up(rni_conv_divide_up(j.outs, k->lanes), k->max_vectors);
    return rni_cpu_parallel(call, pack_piece, &j, (size_t)(blocks * j.pieces));
}
