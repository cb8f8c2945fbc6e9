/* SPDX-License-Identifier: MIT */
/* Packed weights of the fast path: [part][group][block][r][s][i][lane], or [r][i][s][lane] for the three-tap kernel. */
#include "cpu/conv.h"
#include "cpu/kernels.h"
#include <string.h>

/* Below so many weights the calling thread packs alone. */
enum { SERIAL_WEIGHTS = 16384 };

typedef struct packing {
    const rni_conv_pass *pass;
    const rni_typed_kernels *typed;
    const float *w, *scale;
    float *packed;
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
static void pack_columns(const packing *k, const rni_conv_slice *slice, const float *w, int64_t count, int64_t width,
                         float *out)
{
    const int64_t channels = k->pass->sums;
    k->typed->transpose(out, (size_t)width, w, (size_t)channels, (size_t)count, (size_t)channels, 0);
    const float *const scale =
        k->scale ? k->scale + slice->group * (k->pass->p->out_channels / k->pass->p->groups) + slice->first : NULL;
    for (int64_t i = 0; scale && i < channels; i++)
        for (int64_t lane = 0; lane < count; lane++)
            out[i * width + lane] *= scale[lane];
}

/* One tap, backward: rows as they are. */
static void pack_rows(const packing *k, int64_t row, const float *w, int64_t count, int64_t width, float *out)
{
    const int64_t in = k->pass->outs;
    for (int64_t i = 0; i < k->pass->sums; i++, w += in, out += width) {
        const float scale = k->scale ? k->scale[row + i] : 1;
        for (int64_t lane = 0; lane < count; lane++)
            out[lane] = w[lane] * scale;
    }
}

static void pack_single_tap(const packing *k, const rni_conv_slice *slice, float *out)
{
    const rni_conv_pass *const pass = k->pass;
    const int64_t width = slice->vectors * pass->k->lanes, count = width - pass->k->lanes + slice->tail;
    const int64_t row = slice->group * (pass->p->out_channels / pass->p->groups);
    if (count < width)
        memset(out, 0, (size_t)(width * pass->sums) * sizeof *out);
    if (pass->backward_data)
        pack_rows(k, row, k->w + row * pass->outs + slice->first, count, width, out);
    else
        pack_columns(k, slice, k->w + (row + slice->first) * pass->sums, count, width, out);
}

static void pack_part(const packing *k, const rni_conv_slice *slice, const rni_conv_part *part)
{
    const rni_conv_windows *const g = &part->g;
    const int64_t width = slice->vectors * k->pass->k->lanes;
    float *const out = k->packed + part->weights + slice->lane * g->taps[0] * g->taps[1] * g->channels;
    if (k->pass->p->kernel[0] * k->pass->p->kernel[1] == 1 && g->taps[0] * g->taps[1] == 1) {
        pack_single_tap(k, slice, out);
        return;
    }
    for (int64_t r = 0; r < g->taps[0]; r++)
        for (int64_t s = 0; s < g->taps[1]; s++) {
            const int64_t tap = (part->tap[0] + r * part->tap_step[0]) * k->pass->p->kernel[1] + part->tap[1] +
                                s * part->tap_step[1];
            for (int64_t i = 0; i < g->channels; i++) {
                const int64_t column = g->triple ? i * g->taps[1] + s : s * g->channels + i;
                pack_lanes(k, slice, tap, i, out + (r * g->taps[1] * g->channels + column) * width);
            }
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
                             float *packed)
{
    packing k = {pass, &call->kernels->f32, w, scale, packed};
    const size_t count = (size_t)(pass->p->groups * pass->blocks);
    if (count > 1 && rni_conv_packed_floats(pass) >= SERIAL_WEIGHTS)
        return rni_cpu_parallel(call, pack_slice, &k, count);
    for (size_t i = 0; i < count; i++)
        pack_slice(&k, i);
    return RN_OK;
}
