/* SPDX-License-Identifier: MIT */
/* Winograd's weights: each pair of channels has 36 instead of 9. */
#include "cpu/kernels.h"
#include "cpu/winograd.h"
#include <string.h>

/* Channels of a block that one task packs. */
enum { PACK_CHANNELS = 16 };

int64_t rni_winograd_packed_floats(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data)
{
    const int64_t channels = backward_data ? p->out_channels : p->in_channels;
    const int64_t outs = backward_data ? p->in_channels : p->out_channels;
    return RNI_WINOGRAD_PLANES * channels * rni_conv_divide_up(outs, k->lanes) * k->lanes;
}

/* Packing: [block][plane][channel][vectors of lanes]. */
typedef struct packing {
    const rn_conv_params *p;
    const rni_conv_kernels *k;
    const rni_typed_kernels *typed;
    const float *w, *scale;
    float *packed;
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

/* One vector of output channels, for channels c and on. Backwards the taps go from the last to the first. */
static void pack_vector(const packing *j, int64_t c, int64_t channels, int64_t first, int64_t count, float *u,
                        int64_t width)
{
    float taps[PACK_CHANNELS * 9 * RNI_CONV_MAX_LANES];
    const int64_t lanes = j->k->lanes, tap = j->backward_data ? -lanes : lanes;
    if (count < lanes)
        memset(taps, 0, (size_t)(channels * 9 * lanes) * sizeof *taps);
    (j->backward_data ? transpose_backward : transpose_forward)(j, c, channels, first, count, taps);
    for (int64_t i = 0; i < channels; i++)
        j->k->winograd.weights(taps + i * 9 * lanes + (j->backward_data ? 8 * lanes : 0), tap, u + i * width,
                               j->channels * width);
}

static void pack_piece(void *arg, size_t index)
{
    const packing *const j = arg;
    const int64_t lanes = j->k->lanes, c = (int64_t)index % j->pieces * PACK_CHANNELS;
    const int64_t channels = rni_conv_min(PACK_CHANNELS, j->channels - c);
    const rni_conv_slice slice =
        rni_conv_slice_of(j->outs, j->k->lanes, j->k->max_vectors, (int64_t)index / j->pieces);
    const int64_t width = slice.vectors * lanes;
    float *const u = j->packed + slice.lane * RNI_WINOGRAD_PLANES * j->channels + c * width;
    for (int64_t v = 0; v < slice.vectors; v++)
        pack_vector(j, c, channels, slice.first + v * lanes, v == slice.vectors - 1 ? slice.tail : lanes, u + v * lanes,
                    width);
}

rn_status rni_winograd_pack(const rni_cpu_call *call, const rni_conv_kernels *k, int backward_data, const float *w,
                            const float *scale, float *packed)
{
    const rn_conv_params *const p = call->op->params;
    packing j = {p, k, &call->kernels->f32, w, scale, packed, .backward_data = backward_data};
    j.channels = backward_data ? p->out_channels : p->in_channels;
    j.outs = backward_data ? p->in_channels : p->out_channels;
    j.pieces = rni_conv_divide_up(j.channels, PACK_CHANNELS);
    const int64_t blocks = rni_conv_divide_up(rni_conv_divide_up(j.outs, k->lanes), k->max_vectors);
    return rni_cpu_parallel(call, pack_piece, &j, (size_t)(blocks * j.pieces));
}
