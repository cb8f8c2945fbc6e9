/* SPDX-License-Identifier: MIT */
#include "cpu/pointwise.h"
#include "base/error.h"
#include "cpu/conv_filter.h"
#include "cpu/conv_stats.h"
#include <string.h>

/* A chunk's inputs and outputs should take so many floats of a core's cache, its pixels stay in these bounds. */
enum { CHUNK_FLOATS = 1 << 16, LEAST_PIXELS = 48, MOST_PIXELS = 240, PIXELS_STEP = 48 };
/* So many tasks should be there to share. */
enum { LEAST_TASKS = 8, FILTER_TASKS = 16 };
/* Outputs of so many floats leave the caches before they are read: they are better not read first. */
enum { STREAMED_FLOATS = 1 << 22 };
/* Pixels of a band of the filter's gradient; sums of so many floats stay in a core's cache. */
enum { BAND_PIXELS = 96, CACHED_SUMS = 1 << 17 };

int rni_pointwise_suits(const rn_conv_params *p)
{
    for (int axis = 0; axis < 2; axis++)
        if (p->kernel[axis] != 1 || p->stride[axis] != 1 || p->padding[axis] != 0)
            return 0;
    return p->groups == 1;
}

typedef struct pointwise_job {
    const rni_conv *c;
    rni_conv_pass pass;
    rni_conv_windows g;
    int64_t pixels, chunk, chunks; /* in all, in a chunk, chunks */
    int64_t parts;                 /* tasks per chunk, by blocks */
    const float *x, *residual;
    float *y;
    rni_conv_stats stats;
} pointwise_job;

static int64_t chunk_of(const rni_conv_pass *pass)
{
    const int64_t pixels = CHUNK_FLOATS / (pass->sums + pass->outs) / PIXELS_STEP * PIXELS_STEP;
    return rni_conv_max(LEAST_PIXELS, rni_conv_min(MOST_PIXELS, pixels));
}

static int64_t pixels_of(const rn_conv_params *p, int64_t batch)
{
    return batch * p->out_height * p->out_width;
}

static int64_t chunk_pixels(const void *user, int64_t chunk)
{
    const pointwise_job *const j = user;
    return rni_conv_min(j->chunk, j->pixels - chunk * j->chunk);
}

static void run_chunk(void *arg, size_t index)
{
    const pointwise_job *const j = arg;
    const rni_conv_pass *const pass = &j->pass;
    const int64_t chunk = (int64_t)index / j->parts, part = (int64_t)index % j->parts;
    const int64_t last = pass->blocks * (part + 1) / j->parts, pixel = chunk * j->chunk;
    rni_conv_windows g = j->g;
    g.out_width = g.in_width = chunk_pixels(j, chunk);
    g.ahead = chunk + 1 < j->chunks ? j->chunk * g.in_pixel : 0;
    for (int64_t i = pass->blocks * part / j->parts; i < last; i++, g.ahead = 0) {
        const rni_conv_slice slice = rni_conv_slice_of(pass->outs, pass->k->lanes, pass->k->max_vectors, i);
        rni_conv_block b = {.vectors = slice.vectors, .tail = slice.tail, .last_row = 1};
        b.x = j->x + pixel * g.in_pixel;
        b.weight = (const float *)j->c->w + slice.lane * g.channels;
        b.bias = j->c->bias ? (const float *)j->c->bias + slice.first : NULL;
        b.residual = j->residual ? j->residual + pixel * g.out_pixel + slice.first : NULL;
        b.y = j->y + pixel * g.out_pixel + slice.first;
        pass->k->windows(&g, &b);
        if (j->stats.moments)
            rni_conv_stats_take(&j->stats, &slice, chunk, b.y, g.out_width, g.out_pixel);
    }
}

uint64_t rni_pointwise_stats_bytes(const rni_conv_pass *pass, int64_t batch)
{
    const int64_t chunks = rni_conv_divide_up(pixels_of(pass->p, batch), chunk_of(pass));
    return (uint64_t)rni_conv_stats_floats(chunks, pass->vectors * pass->k->lanes) * sizeof(float);
}

static void describe(pointwise_job *j)
{
    const rni_conv_pass *const pass = &j->pass;
    j->g = rni_conv_part_of(pass, 0).g;
    j->g.in_height = 1;
    j->g.relu = (j->c->flags & RN_OPF_RELU) != 0;
    j->pixels = pixels_of(pass->p, j->c->batch);
    j->chunk = chunk_of(pass);
    j->chunks = rni_conv_divide_up(j->pixels, j->chunk);
    j->parts = rni_conv_min(pass->blocks, rni_conv_divide_up(LEAST_TASKS, j->chunks));
    j->g.stream = !j->stats.moments && !j->residual && j->pixels * pass->outs >= STREAMED_FLOATS &&
                  pass->outs % pass->k->lanes == 0;
}

static rn_status run_job(pointwise_job *j)
{
    describe(j);
    return rni_cpu_parallel(j->c->call, run_chunk, j, (size_t)(j->chunks * j->parts));
}

rn_status rni_pointwise_forward(const rni_conv *c, const rni_conv_kernels *k)
{
    pointwise_job j = {.c = c, .pass = rni_conv_pass_of(k, c->p, 0), .x = c->x, .y = c->y, .residual = c->residual};
    j.stats = (rni_conv_stats){.c = c, .k = k, .outs = j.pass.outs, .blocks = j.pass.blocks, .user = &j};
    j.stats.moments = c->flags & RN_OPF_STATS ? c->workspace : NULL;
    j.stats.stride = j.pass.vectors * k->lanes;
    j.stats.pixels = chunk_pixels;
    RNI_TRY(run_job(&j));
    j.stats.chunks = j.chunks;
    return j.stats.moments ? rni_conv_stats_finish(&j.stats) : RN_OK;
}

rn_status rni_pointwise_backward_data(const rni_conv *c, const rni_conv_kernels *k)
{
    pointwise_job j = {.c = c, .pass = rni_conv_pass_of(k, c->p, 1), .x = c->dy, .y = c->dx};
    j.residual = c->flags & RN_OPF_ACCUMULATE ? c->dx : NULL;
    return run_job(&j);
}

/* Sums of dw: a chunk of pixels into a copy of the weights of its own, by parts of the blocks. */
typedef struct pointwise_filter_job {
    rni_filter_job add;
    int64_t pixels, parts;
} pointwise_filter_job;

static int64_t filter_parts(const rni_filter_job *j)
{
    return rni_conv_min(j->blocks, rni_conv_divide_up(j->copy, CACHED_SUMS));
}

static rni_filter_job copies_of(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    rni_filter_job j = rni_filter_plan(k, p, batch);
    const int64_t bands = rni_conv_divide_up(pixels_of(p, batch), BAND_PIXELS);
    j.chunks = rni_conv_min(bands, rni_conv_divide_up(FILTER_TASKS, filter_parts(&j)));
    return j;
}

uint64_t rni_pointwise_filter_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    const rni_filter_job j = copies_of(k, p, batch);
    return (uint64_t)(j.chunks * j.copy) * sizeof(float);
}

/* One band by one block. */
static void add_band(const rni_filter_job *add, const rni_conv_slice *slice, int64_t first, int64_t count, int64_t end,
                     float *copy, int reads_x)
{
    rni_conv_filter g = add->g;
    rni_conv_filter_block b = {.vectors = slice->vectors, .tail = slice->tail, .last_row = 1};
    g.out_width = g.in_width = count;
    g.out_row = count * g.out_pixel;
    g.in_row = count * g.in_pixel;
    g.out_height = g.in_height = 2;
    b.x = (const float *)add->c->x + first * g.in_pixel;
    b.dy = (const float *)add->c->dy + first * g.out_pixel + slice->first;
    b.sum = copy + slice->lane * rni_filter_weights(add);
    b.end_row = first + 2 * count <= end ? 2 : 1;
    b.passes_x = !reads_x;
    add->k->filter(&g, &b);
}

static void run_filter_part(void *arg, size_t index)
{
    const pointwise_filter_job *const j = arg;
    const rni_filter_job *const add = &j->add;
    const int64_t chunk = (int64_t)index / j->parts, part = (int64_t)index % j->parts;
    const int64_t bands = rni_conv_divide_up(j->pixels, BAND_PIXELS);
    const int64_t first_block = add->blocks * part / j->parts, last_block = add->blocks * (part + 1) / j->parts;
    const int64_t end = rni_conv_min(j->pixels, bands * (chunk + 1) / add->chunks * BAND_PIXELS);
    float *const copy = add->sums + chunk * add->copy;
    for (int64_t i = first_block; i < last_block; i++) {
        const rni_conv_slice slice = rni_conv_slice_of(add->c->out_per_group, add->k->lanes, add->block_vectors, i);
        memset(copy + slice.lane * rni_filter_weights(add), 0,
               (size_t)(slice.vectors * add->k->lanes * rni_filter_weights(add)) * sizeof *copy);
    }
    for (int64_t at = bands * chunk / add->chunks * BAND_PIXELS; at < end; at += BAND_PIXELS)
        for (int64_t i = first_block; i < last_block; i++) {
            const rni_conv_slice slice = rni_conv_slice_of(add->c->out_per_group, add->k->lanes, add->block_vectors, i);
            add_band(add, &slice, at, rni_conv_min(BAND_PIXELS, end - at), end, copy, i == first_block);
        }
}

rn_status rni_pointwise_backward_filter(const rni_conv *c, const rni_conv_kernels *k)
{
    pointwise_filter_job j = {.add = copies_of(k, c->p, c->batch), .pixels = pixels_of(c->p, c->batch)};
    j.add.c = c;
    j.add.sums = c->workspace;
    j.parts = filter_parts(&j.add);
    RNI_TRY(rni_cpu_parallel(c->call, run_filter_part, &j, (size_t)(j.add.chunks * j.parts)));
    return rni_filter_add(&j.add);
}
