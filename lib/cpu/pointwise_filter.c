/* SPDX-License-Identifier: MIT */
/* The filter's gradient of 1x1 convolutions: bands of pixels, each added to all sums while it is in the cache. */
#include "base/error.h"
#include "cpu/conv_filter.h"
#include "cpu/pointwise.h"
#include "cpu/scratch.h"
#include <string.h>

/* So many tasks should be there to share. */
enum { FILTER_TASKS = 16 };
/* Pixels of a band; sums of so many floats stay in a core's cache. */
enum { BAND_PIXELS = 144, CACHED_SUMS = 1 << 17 };

/* Where the input pixels of some outputs are, in elements. */
static void locate(const rn_conv_params *p, int64_t first, int64_t end, int64_t *at)
{
    while (first < end) {
        const rni_pixel_run run = rni_pointwise_run_of(p, first, end);
        for (int64_t i = 0; i < run.count; i++)
            *at++ = (run.input + i * p->stride[1]) * p->in_channels;
        first += run.count;
    }
}

/* Sums of dw: a chunk of pixels into a copy of the weights of its own, by parts of the blocks. */
typedef struct pointwise_filter_job {
    rni_filter_job add;
    int64_t pixels, parts;
    rni_scratch scratch;
} pointwise_filter_job;

static int64_t filter_parts(const rni_filter_job *j)
{
    return rni_conv_min(j->blocks, rni_conv_divide_up(j->copy, CACHED_SUMS));
}

static rni_filter_job copies_of(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    rni_filter_job j = rni_filter_plan(k, p, batch);
    const int64_t bands = rni_conv_divide_up(rni_pointwise_pixels(p, batch), BAND_PIXELS);
    j.chunks = rni_conv_min(bands, rni_conv_divide_up(FILTER_TASKS, filter_parts(&j)));
    return j;
}

/* What the kernel copies: x in panels, and a block of dy. */
static size_t band_bytes(const rni_conv_kernels *k, const rn_conv_params *p)
{
    const int64_t panels = 2 * rni_conv_divide_up(p->in_channels, 4) * k->lanes;
    return (size_t)(BAND_PIXELS * (panels + k->max_vectors * k->lanes)) * (size_t)k->size;
}

uint64_t rni_pointwise_filter_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch, int32_t threads)
{
    const rni_filter_job j = copies_of(k, p, batch);
    return (uint64_t)(rni_conv_divide_up(j.chunks * j.copy, 16) * 16) * sizeof(float) +
           (uint64_t)threads * rni_scratch_slot_bytes(band_bytes(k, p));
}

/* A task's blocks as output channels: the first, how many, lanes before them. */
typedef struct block_range {
    int64_t first, count, lane, lanes;
} block_range;

static block_range range_of(const pointwise_filter_job *j, int64_t part)
{
    const rni_filter_job *const add = &j->add;
    const int64_t outs = add->c->out_per_group, width = add->block_vectors * add->k->lanes;
    block_range r = {.first = add->blocks * part / j->parts * width};
    const int64_t end = rni_conv_min(outs, add->blocks * (part + 1) / j->parts * width);
    r.count = end - r.first;
    r.lane = r.first;
    r.lanes = rni_conv_divide_up(r.count, add->k->lanes) * add->k->lanes;
    return r;
}

static void add_band(const pointwise_filter_job *j, const block_range *r, int64_t first, int64_t count, int more,
                     float *sum, void *memory)
{
    const rni_conv *const c = j->add.c;
    const rn_conv_params *const p = c->p;
    rni_conv_band b = {.dy_pixel = p->out_channels, .count = count, .sum = sum};
    int64_t at[BAND_PIXELS];
    b.channels = p->in_channels;
    b.outs = r->count;
    b.max_vectors = j->add.block_vectors;
    const size_t size = (size_t)j->add.k->size;
    b.dy = rni_at_const(c->dy, (size_t)(first * b.dy_pixel + r->first), size);
    b.memory = memory;
    b.x = c->x;
    b.x_at = at;
    locate(p, first, first + count, at);
    if (more) {
        b.dy_ahead = rni_at_const(b.dy, (size_t)(count * b.dy_pixel), size);
        b.x_pixel = p->stride[1] * p->in_channels;
        b.x_ahead = rni_at_const(b.x, (size_t)(at[count - 1] + b.x_pixel), size);
    }
    j->add.k->band(&b);
}

static void run_filter_part(void *arg, size_t index)
{
    const pointwise_filter_job *const j = arg;
    const rni_filter_job *const add = &j->add;
    const int64_t chunk = (int64_t)index / j->parts, bands = rni_conv_divide_up(j->pixels, BAND_PIXELS);
    const int64_t end = rni_conv_min(j->pixels, bands * (chunk + 1) / add->chunks * BAND_PIXELS);
    const block_range r = range_of(j, (int64_t)index % j->parts);
    float *const sum = add->sums + chunk * add->copy + r.lane * add->c->p->in_channels;
    void *const memory = rni_scratch_take(&j->scratch, index);
    memset(sum, 0, (size_t)(r.lanes * add->c->p->in_channels) * sizeof *sum);
    for (int64_t at = bands * chunk / add->chunks * BAND_PIXELS; at < end; at += BAND_PIXELS)
        add_band(j, &r, at, rni_conv_min(BAND_PIXELS, end - at), at + 2 * BAND_PIXELS <= end, sum, memory);
    rni_scratch_give(memory);
}

rn_status rni_pointwise_backward_filter(const rni_conv *c, const rni_conv_kernels *k)
{
    pointwise_filter_job j = {.add = copies_of(k, c->p, c->batch), .pixels = rni_pointwise_pixels(c->p, c->batch)};
    j.add.c = c;
    j.add.sums = c->workspace;
    j.parts = filter_parts(&j.add);
    j.scratch = rni_scratch_make(j.add.sums + rni_conv_divide_up(j.add.chunks * j.add.copy, 16) * 16,
                                 band_bytes(k, c->p), c->call->cpu->host->num_threads);
    RNI_TRY(rni_cpu_parallel(c->call, run_filter_part, &j, (size_t)(j.add.chunks * j.parts)));
    return rni_filter_add(&j.add);
}
