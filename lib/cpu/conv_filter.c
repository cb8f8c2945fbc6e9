/* SPDX-License-Identifier: MIT */
/*
 * Fast weight gradients. The rows of all images are cut into chunks, as the shape says and not the number of threads;
 * every chunk sums into its own copy of the weights, and the copies are added in order.
 */
#include "cpu/conv.h"
#include <string.h>

/* So many pieces of work, chunks by blocks of channels, should be there to share. */
enum { FILTER_TASKS = 32 };
/* A chunk should have so many products at least: adding up its copy must not show. */
enum { CHUNK_PRODUCTS = 64 }; /* per weight */

typedef struct filter_job {
    const rni_conv *c;
    const rni_conv_kernels *k;
    rni_conv_filter g;
    int32_t block_vectors;
    int64_t vectors, blocks; /* per group; of all groups */
    int64_t rows, chunks;    /* rows of dy, of all images */
    int64_t copy;            /* floats of one copy of the weights */
    float *sums;
} filter_job;

static void describe(filter_job *j, const rn_conv_params *p)
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
    g->triple = p->kernel[1] == 3 && p->stride[1] == 1 && p->dilation[1] == 1;
    g->dense = p->dilation[1] == 1 && p->groups == 1;
}

static filter_job plan(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    filter_job j = {.k = k};
    describe(&j, p);
    j.block_vectors = j.g.triple ? 1 : k->filter_vectors;
    j.vectors = rni_conv_divide_up(p->out_channels / p->groups, k->lanes);
    j.blocks = p->groups * rni_conv_divide_up(j.vectors, j.block_vectors);
    j.rows = batch * p->out_height;
    j.copy = p->kernel[0] * p->kernel[1] * j.g.channels * p->groups * j.vectors * k->lanes;
    const int64_t least = rni_conv_divide_up(CHUNK_PRODUCTS, p->out_width);
    j.chunks = rni_conv_min(rni_conv_divide_up(FILTER_TASKS, j.blocks), rni_conv_divide_up(j.rows, least));
    return j;
}

uint64_t rni_conv_filter_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    const filter_job j = plan(k, p, batch);
    return (uint64_t)(j.chunks * j.copy) * sizeof(float);
}

static int64_t block_floats(const filter_job *j)
{
    return j->g.taps[0] * j->g.taps[1] * j->g.channels;
}

static void sum_chunk(void *arg, size_t index)
{
    const filter_job *const j = arg;
    const int64_t chunk = (int64_t)index / j->blocks, outs = j->c->out_per_group;
    const rni_conv_slice slice =
        rni_conv_slice_of(outs, j->k->lanes, j->block_vectors, (int64_t)index % j->blocks);
    rni_conv_filter_block b = {.vectors = slice.vectors, .tail = slice.tail};
    b.x = (const float *)j->c->x + slice.group * j->g.channels;
    b.dy = (const float *)j->c->dy + slice.group * outs + slice.first;
    b.sum = j->sums + chunk * j->copy + slice.lane * block_floats(j);
    b.first_row = j->rows * chunk / j->chunks;
    b.last_row = j->rows * (chunk + 1) / j->chunks;
    memset(b.sum, 0, (size_t)(slice.vectors * j->k->lanes * block_floats(j)) * sizeof *b.sum);
    j->k->filter(&j->g, &b);
}

/* Adds the chunks' sums of one tap and channel to the weights of a slice. */
static void add_lanes(const filter_job *j, const rni_conv_slice *slice, const float *sum, int64_t weight)
{
    const int64_t count = (slice->vectors - 1) * j->k->lanes + slice->tail, row = block_floats(j);
    float total[RNI_CONV_MAX_BLOCK];
    memcpy(total, sum, (size_t)count * sizeof *total);
    for (int64_t chunk = 1; chunk < j->chunks; chunk++)
        for (int64_t lane = 0; lane < count; lane++)
            total[lane] += sum[chunk * j->copy + lane];
    float *const dw = j->c->dw + (slice->group * j->c->out_per_group + slice->first) * row + weight;
    for (int64_t lane = 0; lane < count; lane++)
        dw[lane * row] += total[lane];
}

static void add_chunks(void *arg, size_t index)
{
    const filter_job *const j = arg;
    const rni_conv_filter *const g = &j->g;
    const rni_conv_slice slice =
        rni_conv_slice_of(j->c->out_per_group, j->k->lanes, j->block_vectors, (int64_t)index);
    const float *sum = j->sums + slice.lane * block_floats(j);
    const int64_t taps = g->taps[0] * g->taps[1], width = slice.vectors * j->k->lanes;
    for (int64_t i = 0; i < block_floats(j); i++, sum += width) {
        const int64_t r = i / (g->taps[1] * g->channels), rest = i % (g->taps[1] * g->channels);
        const int64_t s = g->triple ? rest % 3 : rest / g->channels, c = g->triple ? rest / 3 : rest % g->channels;
        add_lanes(j, &slice, sum, c * taps + r * g->taps[1] + s);
    }
}

rn_status rni_conv_fast_backward_filter(const rni_conv *c, const rni_conv_kernels *k)
{
    filter_job j = plan(k, c->p, c->batch);
    j.c = c;
    j.sums = c->workspace;
    const rn_status status = rni_cpu_parallel(c->call, sum_chunk, &j, (size_t)(j.chunks * j.blocks));
    return status != RN_OK ? status : rni_cpu_parallel(c->call, add_chunks, &j, (size_t)j.blocks);
}
