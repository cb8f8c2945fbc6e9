/* SPDX-License-Identifier: MIT */
/*
 * Fast weight gradients. The rows of all images are cut into chunks, as the shape says and not the number of threads;
 * every chunk sums into its own copy of the weights, and the copies are added in order.
 */
#include "cpu/conv_filter.h"
#include <string.h>

/* So many pieces of work, chunks by blocks of channels, should be there to share. */
enum { FILTER_TASKS = 16 };
/* A chunk should have so many products per weight at least: adding up its copy must not show. */
enum { CHUNK_PRODUCTS = 64 };
/* Sums are turned into weights in pieces of so many vectors. */
enum { PIECE_VECTORS = 192 };

static void describe(rni_filter_job *j, const rn_conv_params *p)
{
    rni_conv_filter *const g = &j->g;
    for (int axis = 0; axis < 2; axis++) {
        g->taps[axis] = p->kernel[axis];
        g->first[axis] = -p->padding[axis];
        g->step[axis] = p->stride[axis];
        g->dilation[axis] = p->dilation[axis];
    }
    g->channels = p->in_channels / p->groups;
    g->in_height = p->in_height;
    g->in_width = p->in_width;
    g->out_height = p->out_height;
    g->out_width = p->out_width;
    g->in_pixel = p->in_channels;
    g->in_row = p->in_width * p->in_channels;
    g->in_image = p->in_height * g->in_row;
    g->out_pixel = p->out_channels;
    g->out_row = p->out_width * p->out_channels;
    g->dense = p->dilation[1] == 1 && p->groups == 1;
}

rni_filter_job rni_filter_plan(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    rni_filter_job j = {.k = k};
    describe(&j, p);
    j.vectors = rni_conv_divide_up(p->out_channels / p->groups, k->lanes);
    j.g.triple = j.vectors <= k->filter_triple && p->kernel[1] == 3 && p->stride[1] == 1 && p->dilation[1] == 1;
    j.block_vectors = j.g.triple ? 1 : k->max_vectors;
    j.blocks = p->groups * rni_conv_divide_up(j.vectors, j.block_vectors);
    j.rows = batch * p->out_height;
    j.copy = p->kernel[0] * p->kernel[1] * j.g.channels * p->groups * j.vectors * k->lanes;
    const int64_t least = rni_conv_divide_up(CHUNK_PRODUCTS, p->out_width);
    j.chunks = rni_conv_min(rni_conv_divide_up(FILTER_TASKS, j.blocks), rni_conv_divide_up(j.rows, least));
    return j;
}

uint64_t rni_conv_filter_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    const rni_filter_job j = rni_filter_plan(k, p, batch);
    return (uint64_t)(j.chunks * j.copy) * sizeof(float);
}

int64_t rni_filter_weights(const rni_filter_job *j)
{
    return j->g.taps[0] * j->g.taps[1] * j->g.channels;
}

static void sum_chunk(void *arg, size_t index)
{
    const rni_filter_job *const j = arg;
    const int64_t chunk = (int64_t)index / j->blocks, outs = j->c->out_per_group;
    const rni_conv_slice slice =
        rni_conv_slice_of(outs, j->k->lanes, j->block_vectors, (int64_t)index % j->blocks);
    rni_conv_filter_block b = {.vectors = slice.vectors, .tail = slice.tail};
    b.x = rni_at_const(j->c->x, (size_t)(slice.group * j->g.channels), (size_t)j->k->size);
    b.dy = rni_at_const(j->c->dy, (size_t)(slice.group * outs + slice.first), (size_t)j->k->size);
    b.sum = j->sums + chunk * j->copy + slice.lane * rni_filter_weights(j);
    b.first_row = j->rows * chunk / j->chunks;
    b.last_row = j->rows * (chunk + 1) / j->chunks;
    memset(b.sum, 0, (size_t)(slice.vectors * j->k->lanes * rni_filter_weights(j)) * sizeof *b.sum);
    j->k->filter(&j->g, &b);
}

/* Adds the other chunks' sums to the first chunk's. */
static void fold_chunks(const rni_filter_job *j, float *sum, int64_t count)
{
    for (int64_t chunk = 1; chunk < j->chunks; chunk++) {
        const float *const other = sum + chunk * j->copy;
        for (int64_t i = 0; i < count; i++)
            sum[i] += other[i];
    }
}

/* Floats between the sums of neighbouring channels, rows of taps and taps of a row. */
typedef struct sum_strides {
    int64_t channel, row, tap;
} sum_strides;

static sum_strides strides_of(const rni_conv_filter *g, int64_t width)
{
    const int64_t row = g->taps[1] * g->channels * width;
    return g->triple ? (sum_strides){3 * width, row, width} : (sum_strides){width, row, g->channels * width};
}

static void add_lane(const rni_conv_filter *g, const float *sum, const sum_strides *stride, int64_t channels, float *dw)
{
    for (int64_t c = 0; c < channels; c++)
        for (int64_t r = 0; r < g->taps[0]; r++)
            for (int64_t s = 0; s < g->taps[1]; s++)
                *dw++ += sum[c * stride->channel + r * stride->row + s * stride->tap];
}

/* A channel's taps come together. */
static void gather_taps(const rni_conv_filter *g, const float *sum, const sum_strides *stride, int64_t channels,
                        int64_t width, float *rows)
{
    for (int64_t c = 0; c < channels; c++)
        for (int64_t r = 0; r < g->taps[0]; r++)
            for (int64_t s = 0; s < g->taps[1]; s++, rows += width)
                memcpy(rows, sum + c * stride->channel + r * stride->row + s * stride->tap, (size_t)width * sizeof *rows);
}

/* Adds the sums of channels first..last-1 to the weights of a slice: a transposition, in pieces that stay in cache. */
static void add_channels(const rni_filter_job *j, const rni_conv_slice *slice, float *sum, int64_t first, int64_t last)
{
    const rni_conv_filter *const g = &j->g;
    const int64_t width = slice->vectors * j->k->lanes, lanes = width - j->k->lanes + slice->tail;
    const int64_t weights = rni_filter_weights(j), taps = g->taps[0] * g->taps[1], channels = last - first;
    const sum_strides stride = strides_of(g, width);
    float rows[PIECE_VECTORS * RNI_CONV_MAX_LANES];
    float *const dw = j->c->dw + (slice->group * j->c->out_per_group + slice->first) * weights + first * taps;
    sum += first * stride.channel;
    for (int64_t r = 0; r < g->taps[0]; r++)
        for (int64_t s = 0; s < (g->triple ? 1 : g->taps[1]); s++)
            fold_chunks(j, sum + r * stride.row + s * stride.tap, channels * stride.channel);
    if (channels * taps * slice->vectors > PIECE_VECTORS) {
        for (int64_t lane = 0; lane < lanes; lane++)
            add_lane(g, sum + lane, &stride, channels, dw + lane * weights);
        return;
    }
    if (taps > 1)
        gather_taps(g, sum, &stride, channels, width, rows);
    j->c->call->kernels->f32.transpose(dw, (size_t)weights, taps > 1 ? rows : sum, (size_t)width,
                                       (size_t)(channels * taps), (size_t)lanes, 1);
}

static void add_chunks(void *arg, size_t index)
{
    const rni_filter_job *const j = arg;
    const rni_conv_slice slice =
        rni_conv_slice_of(j->c->out_per_group, j->k->lanes, j->block_vectors, (int64_t)index);
    const int64_t step = rni_conv_max(1, PIECE_VECTORS / (j->g.taps[0] * j->g.taps[1] * slice.vectors));
    for (int64_t c = 0; c < j->g.channels; c += step)
        add_channels(j, &slice, j->sums + slice.lane * rni_filter_weights(j), c, rni_conv_min(c + step, j->g.channels));
}

rn_status rni_filter_add(rni_filter_job *j)
{
    return rni_cpu_parallel(j->c->call, add_chunks, j, (size_t)j->blocks);
}

rn_status rni_conv_fast_backward_filter(const rni_conv *c, const rni_conv_kernels *k)
{
    rni_filter_job j = rni_filter_plan(k, c->p, c->batch);
    j.c = c;
    j.sums = c->workspace;
    const rn_status status = rni_cpu_parallel(c->call, sum_chunk, &j, (size_t)(j.chunks * j.blocks));
    return status != RN_OK ? status : rni_filter_add(&j);
}
