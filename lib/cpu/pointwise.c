/* SPDX-License-Identifier: MIT */
#include "cpu/pointwise.h"
#include "base/error.h"
#include "cpu/conv_stats.h"
#include "cpu/scratch.h"
#include <string.h>

/* A chunk's inputs should take so much of a core's cache at most, its pixels stay in these bounds. */
enum { CHUNK_BYTES = 1 << 19, LEAST_PIXELS = 64, MOST_PIXELS = 240 };
/* In so much there is room for two chunks, one of which is on its way, beside weights that stay. */
enum { CORE_BYTES = 7 << 17 };
/* Rows of a multiple of this meet in few sets of a first-level cache. */
enum { SET_BYTES = 4096 };
/* Blocks that make up for a copy of the inputs. */
enum { LEAST_BLOCKS = 4 };
/* So many tasks should be there to share. */
enum { LEAST_TASKS = 8 };
/* Outputs of so many bytes leave the caches before they are read: they are better not read first. */
enum { STREAMED_BYTES = 1 << 24 };

int rni_pointwise_suits(const rn_conv_params *p)
{
    for (int axis = 0; axis < 2; axis++)
        if (p->kernel[axis] != 1 || p->padding[axis] != 0)
            return 0;
    return p->groups == 1;
}

static int is_strided(const rn_conv_params *p)
{
    return p->stride[0] != 1 || p->stride[1] != 1;
}

/* Forward, the input pixels of a chunk; backwards those of dy, which lie together. Copies are `pitch` bytes apart. */
static void gather(const rni_conv_pass *pass, const void *x, int64_t first, int64_t end, void *to, size_t pitch)
{
    const rn_conv_params *const p = pass->p;
    const size_t bytes = (size_t)(pass->sums * pass->k->size);
    char *out = to;
    while (first < end) {
        const rni_pixel_run together = {end - first, first};
        const rni_pixel_run run = pass->backward_data ? together : rni_pointwise_run_of(p, first, end);
        const int64_t step = pass->backward_data ? 1 : p->stride[1];
        for (int64_t i = 0; i < run.count; i++, out += pitch)
            memcpy(out, (const char *)x + (size_t)(run.input + i * step) * bytes, bytes);
        first += run.count;
    }
}

/* Some channels of a chunk, `width` apart in `copy`, to where they belong in the input, or from there. */
static void exchange(const rn_conv_params *p, size_t size, void *copy, int64_t width, int64_t channels, int64_t first,
                     int64_t end, void *dx, int to_input)
{
    const size_t bytes = (size_t)channels * size;
    while (first < end) {
        const rni_pixel_run run = rni_pointwise_run_of(p, first, end);
        for (int64_t i = 0; i < run.count; i++, copy = rni_at(copy, (size_t)width, size)) {
            void *const place = rni_at(dx, (size_t)((run.input + i * p->stride[1]) * p->in_channels), size);
            memcpy(to_input ? place : copy, to_input ? copy : place, bytes);
        }
        first += run.count;
    }
}

typedef struct pointwise_job {
    const rni_conv *c;
    rni_conv_pass pass;
    rni_conv_windows g;
    int64_t pixels, chunk, chunks; /* in all, in a chunk, chunks */
    int64_t parts;                 /* tasks per chunk, by blocks */
    const void *x, *residual;
    void *y;
    rni_conv_stats stats;
    const rni_pixel_source *source; /* of x, or NULL */
    rni_scratch scratch; /* x if it is made, copies of a chunk's inputs and of a block of its outputs */
} pointwise_job;

/*
 * Inputs that lie apart are copied together. So are those whose distance is a multiple of SET_BYTES, which would meet in the
 * same set of a cache, when a task multiplies them by enough blocks.
 */
static int gathers_inputs(const rni_conv_pass *pass)
{
    return is_strided(pass->p) && !pass->backward_data;
}

static int spreads_inputs(const rni_conv_pass *pass)
{
    return pass->sums * pass->k->size % SET_BYTES == 0 && pass->blocks >= LEAST_BLOCKS;
}

static int copies_outputs(const rni_conv_pass *pass)
{
    return is_strided(pass->p) && pass->backward_data;
}

/* Elements from one copied input to the next. */
static int64_t input_pitch(const rni_conv_pass *pass)
{
    return pass->sums + 64 / pass->k->size;
}

/* Pixels of a chunk at most. So few pixels are not cut: each task has all of them, and weights of its own. */
static int64_t most_pixels(const rni_conv_pass *pass, int64_t pixels)
{
    if (pixels <= MOST_PIXELS)
        return pixels;
    const int64_t weights = rni_conv_packed_count(pass) * pass->k->size;
    const int64_t room = weights < CHUNK_BYTES ? rni_conv_min(CHUNK_BYTES, (CORE_BYTES - weights) / 2) : CHUNK_BYTES;
    return rni_conv_max(LEAST_PIXELS, rni_conv_min(MOST_PIXELS, room / (pass->sums * pass->k->size)));
}

/* Elements from one copied output to the next. */
static int64_t out_lanes(const rni_conv_pass *pass)
{
    return pass->k->max_vectors * pass->k->lanes;
}

/* Of x, where a task makes it. */
static size_t made_bytes(const rni_conv_pass *pass, int64_t pixels)
{
    return (size_t)rni_conv_divide_up(pixels * pass->sums * pass->k->size, 64) * 64;
}

/* For a chunk of so many pixels, or of fewer images. */
static size_t slot_bytes(const rni_conv_pass *pass, int64_t pixels, int made)
{
    const int64_t outputs = copies_outputs(pass) ? out_lanes(pass) : 0;
    const int64_t inputs = gathers_inputs(pass) || spreads_inputs(pass) ? input_pitch(pass) : 0;
    return (made ? made_bytes(pass, pixels) : 0) +
           (size_t)(rni_conv_min(pixels, MOST_PIXELS) * (outputs + inputs)) * (size_t)pass->k->size;
}

static int64_t chunk_count(const rni_conv_pass *pass, int64_t pixels)
{
    return rni_conv_divide_up(pixels, most_pixels(pass, pixels));
}

static int64_t chunk_pixels(const void *user, int64_t chunk)
{
    const pointwise_job *const j = user;
    return rni_conv_min(j->chunk, j->pixels - chunk * j->chunk);
}

/* One block of a chunk. With `copy` y is one, which goes where it belongs. */
static void run_block(const pointwise_job *j, rni_conv_windows *g, int64_t chunk, int64_t block, const void *x,
                      void *copy)
{
    const rni_conv_pass *const pass = &j->pass;
    const int64_t pixel = chunk * j->chunk;
    const rni_conv_slice slice = rni_conv_slice_of(pass->outs, pass->k->lanes, pass->k->max_vectors, block);
    rni_conv_block b = {.vectors = slice.vectors, .tail = slice.tail, .last_row = 1, .x = x};
    const size_t size = (size_t)pass->k->size, at = (size_t)(pixel * g->out_pixel + slice.first);
    b.weight = rni_at_const(j->c->w, (size_t)(slice.lane * pass->packed), size);
    b.bias = j->c->bias ? (const float *)j->c->bias + slice.first : NULL;
    const int64_t channels = (slice.vectors - 1) * pass->k->lanes + slice.tail, end = pixel + g->out_width;
    void *const first = rni_at(j->y, (size_t)slice.first, size);
    b.residual = copy && j->residual ? copy : rni_at_const(j->residual, at, size);
    b.y = copy ? copy : rni_at(j->y, at, size);
    if (copy && j->residual)
        exchange(pass->p, size, copy, g->out_pixel, channels, pixel, end, first, 0);
    pass->k->windows(g, &b);
    if (copy)
        exchange(pass->p, size, copy, g->out_pixel, channels, pixel, end, first, 1);
    if (j->stats.moments)
        rni_conv_stats_take(&j->stats, &slice, chunk, b.y, g->out_width, g->out_pixel);
}

/* While a block is multiplied the next one's weights come, unless the cache has all of them since the first chunk. */
static void ask_for_weights(const pointwise_job *j, int64_t chunk, int64_t block, rni_conv_windows *g)
{
    const rni_conv_pass *const pass = &j->pass;
    const size_t size = (size_t)pass->k->size;
    g->weight_lines = 0;
    if (block >= pass->blocks || (chunk >= LEAST_TASKS && rni_conv_packed_count(pass) * pass->k->size < CHUNK_BYTES))
        return;
    const rni_conv_slice slice = rni_conv_slice_of(pass->outs, pass->k->lanes, pass->k->max_vectors, block);
    g->weight_ahead = rni_at_const(j->c->w, (size_t)(slice.lane * pass->packed), size);
    g->weight_lines = slice.vectors * pass->k->lanes * pass->packed * pass->k->size / 64;
}

static void run_blocks(const pointwise_job *j, int64_t chunk, int64_t first, int64_t last, const void *all, void *memory)
{
    const rni_conv_pass *const pass = &j->pass;
    const size_t size = (size_t)pass->k->size;
    rni_conv_windows g = j->g;
    const void *x = rni_at_const(all, (size_t)(chunk * j->chunk * g.in_pixel), size);
    void *copy = NULL;
    g.out_width = g.in_width = chunk_pixels(j, chunk);
    g.ahead = !is_strided(pass->p) && chunk + 1 < j->chunks ? j->chunk * g.in_pixel : 0;
    if (copies_outputs(pass)) {
        copy = memory;
        memory = rni_at(memory, (size_t)(most_pixels(pass, j->pixels) * out_lanes(pass)), size);
        g.out_pixel = out_lanes(pass);
    }
    if (gathers_inputs(pass) || (spreads_inputs(pass) && last - first >= LEAST_BLOCKS)) {
        g.ahead = 0;
        g.in_pixel = input_pitch(pass);
        gather(pass, all, chunk * j->chunk, chunk * j->chunk + g.out_width, memory, (size_t)g.in_pixel * size);
        x = memory;
    }
    for (int64_t block = first; block < last; block++, g.ahead = 0) {
        ask_for_weights(j, chunk, block + 1, &g);
        run_block(j, &g, chunk, block, x, copy);
    }
}

static const void *made(const rni_pixel_source *source, void *memory)
{
    int32_t *const is_made = rni_scratch_note(memory);
    if (!*is_made)
        source->make(source->user, memory);
    *is_made = 1;
    return memory;
}

static void run_chunk(void *arg, size_t index)
{
    const pointwise_job *const j = arg;
    const int64_t part = (int64_t)index % j->parts, blocks = j->pass.blocks;
    void *const taken = slot_bytes(&j->pass, j->pixels, !!j->source) ? rni_scratch_take(&j->scratch, index) : NULL;
    void *const copies = j->source ? rni_at(taken, made_bytes(&j->pass, j->pixels), 1) : taken;
    run_blocks(j, (int64_t)index / j->parts, blocks * part / j->parts, blocks * (part + 1) / j->parts,
               j->source ? made(j->source, taken) : j->x, copies);
    if (taken)
        rni_scratch_give(taken);
}

static uint64_t stats_bytes(const rni_conv_pass *pass, int64_t batch)
{
    const int64_t chunks = chunk_count(pass, rni_pointwise_pixels(pass->p, batch));
    const int64_t floats = rni_conv_stats_floats(chunks, pass->vectors * pass->k->lanes);
    return (uint64_t)(rni_conv_divide_up(floats, 16) * 16) * sizeof(float);
}

static uint64_t workspace_bytes(const rni_conv_pass *pass, int stats, int made, int64_t batch, int32_t threads)
{
    const size_t slot = slot_bytes(pass, rni_pointwise_pixels(pass->p, batch), made);
    return (stats ? stats_bytes(pass, batch) : 0) + (slot ? (uint64_t)threads * rni_scratch_slot_bytes(slot) : 0);
}

uint64_t rni_pointwise_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data, int stats,
                             int64_t batch, int32_t threads)
{
    const rni_conv_pass pass = rni_conv_pass_of(k, p, backward_data);
    return workspace_bytes(&pass, stats, 0, batch, threads);
}

/* Threads that make x. */
static int32_t makers(int32_t threads)
{
    return (int32_t)rni_conv_min(threads, LEAST_TASKS);
}

uint64_t rni_pointwise_made_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int stats, int64_t batch, int32_t threads)
{
    const rni_conv_pass pass = rni_conv_pass_of(k, p, 0);
    return workspace_bytes(&pass, stats, 1, batch, makers(threads));
}

static void describe(pointwise_job *j)
{
    const rni_conv_pass *const pass = &j->pass;
    j->g = (rni_conv_windows){.taps = {1, 1}, .step = {1, 1}, .dilation = {1, 1}, .in_height = 1, .dense = 1, .cached = 1};
    j->g.channels = j->g.in_pixel = pass->sums;
    j->g.out_pixel = pass->outs;
    j->g.relu = (j->c->flags & RN_OPF_RELU) != 0;
    j->pixels = rni_pointwise_pixels(pass->p, j->c->batch);
    j->chunk = rni_conv_divide_up(j->pixels, chunk_count(pass, j->pixels)); /* of nearly equal size */
    j->chunks = rni_conv_divide_up(j->pixels, j->chunk);
    j->parts = rni_conv_min(pass->blocks, rni_conv_divide_up(LEAST_TASKS, j->chunks));
    j->g.stream = !j->stats.moments && !j->residual && j->pixels * pass->outs * pass->k->size >= STREAMED_BYTES &&
                  pass->outs % (64 / pass->k->size) == 0 && !(pass->backward_data && is_strided(pass->p));
}

static rn_status run_job(pointwise_job *j)
{
    const rni_conv *const c = j->c;
    describe(j);
    const size_t tasks = (size_t)(j->chunks * j->parts);
    const size_t slot = slot_bytes(&j->pass, j->pixels, !!j->source);
    const int32_t threads = c->call->cpu->host->num_threads;
    if (slot)
        j->scratch = rni_scratch_make((char *)c->workspace + (j->stats.moments ? stats_bytes(&j->pass, c->batch) : 0), slot,
                                      j->source ? makers(threads) : threads, tasks);
    return rni_cpu_parallel(j->c->call, run_chunk, j, tasks);
}

rn_status rni_pointwise_forward(const rni_conv *c, const rni_conv_kernels *k)
{
    return rni_pointwise_forward_made(c, k, NULL);
}

rn_status rni_pointwise_forward_made(const rni_conv *c, const rni_conv_kernels *k, const rni_pixel_source *source)
{
    pointwise_job j = {.c = c, .pass = rni_conv_pass_of(k, c->p, 0), .x = c->x, .y = c->y, .residual = c->residual};
    j.source = source;
    j.stats = (rni_conv_stats){.c = c, .k = k, .outs = j.pass.outs, .blocks = j.pass.blocks, .user = &j};
    j.stats.moments = c->flags & RN_OPF_STATS ? c->workspace : NULL;
    j.stats.stride = j.pass.vectors * k->lanes;
    j.stats.pixels = chunk_pixels;
    RNI_TRY(run_job(&j));
    j.stats.chunks = j.chunks;
    return j.stats.moments ? rni_conv_stats_finish(&j.stats) : RN_OK;
}

/* With a stride most pixels of dx meet no weight. */
typedef struct gap_job {
    char *dx;
    size_t row; /* bytes */
} gap_job;

static void fill_row(void *arg, size_t index)
{
    const gap_job *const j = arg;
    memset(j->dx + index * j->row, 0, j->row);
}

static rn_status fill_gaps(const rni_conv *c, size_t size)
{
    gap_job j = {c->dx, (size_t)(c->p->in_width * c->p->in_channels) * size};
    return rni_cpu_parallel(c->call, fill_row, &j, (size_t)(c->batch * c->p->in_height));
}

rn_status rni_pointwise_backward_data(const rni_conv *c, const rni_conv_kernels *k)
{
    pointwise_job j = {.c = c, .pass = rni_conv_pass_of(k, c->p, 1), .x = c->dy, .y = c->dx};
    j.residual = c->flags & RN_OPF_ACCUMULATE ? c->dx : NULL;
    if (is_strided(c->p) && !j.residual)
        RNI_TRY(fill_gaps(c, (size_t)k->size));
    return run_job(&j);
}
