/* SPDX-License-Identifier: MIT */
/*
 * Forward convolutions and data gradients by Winograd's algorithm. A task takes a group of tiles through all three
 * steps, so that what is transformed stays in the caches: transform the input, multiply, transform the products.
 */
#include "cpu/winograd.h"
#include "base/error.h"
#include "cpu/conv_stats.h"
#include "cpu/scratch.h"
#include <string.h>

/* Transforms cost more than they save below. */
enum { LEAST_CHANNELS = 8, LEAST_SIZE = 3 };
/* Tiles in a group: enough to use a weight often, few enough to stay in a core's cache. */
enum { TILES_NARROW = 16, TILES_WIDE = 32, TILES_WIDEST = 64 };
/* Weights of so many floats stay in a core's cache, or in the one that cores share. */
enum { WEIGHTS_NARROW = 1 << 18, WEIGHTS_WIDE = 1 << 20 };
/* Beside dot products of bf16: so many tiles, for so many pairs of channels or for more. */
enum { FEW_PAIRS = 1 << 16, TILES_FEW_PAIRS = 64, TILES_MANY_PAIRS = 256 };
/* So many tasks should be there to share. */
enum { LEAST_TASKS = 8, MOST_RUNS = 64, UNKNOWN_BATCH = 16 };

static int is_plain_3x3(const rn_conv_params *p)
{
    for (int axis = 0; axis < 2; axis++)
        if (p->kernel[axis] != 3 || p->stride[axis] != 1 || p->dilation[axis] != 1)
            return 0;
    return p->groups == 1 && !p->direct;
}

static double waste(int64_t size)
{
    return (double)(rni_conv_divide_up(size, RNI_WINOGRAD_TILE) * RNI_WINOGRAD_TILE) / (double)size;
}

/*
 * With few images the larger weights are what takes the time, above all where they are transformed again and again and dot
 * products of bf16 are twice as fast.
 */
static int pays(const rni_conv_kernels *k, const rn_conv_params *p, int64_t height, int64_t width)
{
    const double tiles = (double)(p->batch ? p->batch : UNKNOWN_BATCH) * (double)rni_conv_divide_up(height, 4) *
                         (double)rni_conv_divide_up(width, 4);
    const double pairs = (double)p->in_channels * (double)p->out_channels;
    if (k->has_dots && rni_winograd_keeps_taps(p) && tiles < (pairs <= FEW_PAIRS ? TILES_FEW_PAIRS : TILES_MANY_PAIRS))
        return 0;
    return waste(height) * waste(width) < 2 && (36 * pairs < WEIGHTS_WIDE || tiles >= 12);
}

int rni_winograd_suits(const rni_conv_kernels *k, const rn_conv_params *p, uint32_t flags)
{
    const int back = (flags & RN_OPF_BACKWARD_DATA) != 0;
    const int64_t height = back ? p->in_height : p->out_height, width = back ? p->in_width : p->out_width;
    return is_plain_3x3(p) && p->in_channels >= LEAST_CHANNELS && p->out_channels >= LEAST_CHANNELS &&
           height >= LEAST_SIZE && width >= LEAST_SIZE && pays(k, p, height, width);
}

int rni_winograd_suits_filter(const rn_conv_params *p)
{
    return is_plain_3x3(p) && p->in_channels >= LEAST_CHANNELS && p->out_channels >= LEAST_CHANNELS &&
           p->out_height >= LEAST_SIZE && p->out_width >= LEAST_SIZE && waste(p->out_height) * waste(p->out_width) < 1.5;
}

static int64_t wanted_tiles(const rni_winograd *g)
{
    const int64_t weights = RNI_WINOGRAD_PLANES * g->channels * g->outs;
    return weights <= WEIGHTS_NARROW ? TILES_NARROW : weights <= WEIGHTS_WIDE ? TILES_WIDE : TILES_WIDEST;
}

/* Groups of nearly equal size, an even number of them. */
static void cut_images(rni_winograd_pass *pass, int64_t images, int64_t batch)
{
    const int64_t pairs = rni_conv_divide_up(batch, 2 * images);
    pass->group_images = rni_conv_divide_up(batch, 2 * pairs);
    pass->group_rows = pass->g.tile_rows;
    pass->groups = 1;
}

static void cut_rows(rni_winograd_pass *pass, int64_t tiles)
{
    const int64_t rows = rni_conv_max(1, tiles / pass->g.tile_cols);
    pass->groups = rni_conv_divide_up(pass->g.tile_rows, rows);
    pass->group_rows = rni_conv_divide_up(pass->g.tile_rows, pass->groups);
    pass->group_images = 1;
}

void rni_winograd_cut(rni_winograd_pass *pass, int64_t tiles, int64_t batch)
{
    const int64_t image = pass->g.tile_rows * pass->g.tile_cols;
    if (image < tiles)
        cut_images(pass, tiles / image, batch);
    else
        cut_rows(pass, tiles);
    pass->span_tiles = pass->group_images * pass->group_rows * pass->g.tile_cols;
}

rni_winograd_pass rni_winograd_pass_of(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data)
{
    rni_winograd_pass pass = {.parts = 1};
    rni_winograd *const g = &pass.g;
    g->channels = backward_data ? p->out_channels : p->in_channels;
    g->outs = backward_data ? p->in_channels : p->out_channels;
    g->in_height = backward_data ? p->out_height : p->in_height;
    g->in_width = backward_data ? p->out_width : p->in_width;
    g->out_height = backward_data ? p->in_height : p->out_height;
    g->out_width = backward_data ? p->in_width : p->out_width;
    for (int axis = 0; axis < 2; axis++)
        g->padding[axis] = backward_data ? 2 - p->padding[axis] : p->padding[axis];
    g->tile_rows = rni_conv_divide_up(g->out_height, RNI_WINOGRAD_TILE);
    g->tile_cols = rni_conv_divide_up(g->out_width, RNI_WINOGRAD_TILE);
    pass.vectors = rni_conv_divide_up(g->outs, k->lanes);
    pass.blocks = rni_conv_divide_up(pass.vectors, k->max_vectors);
    const int64_t batch = p->batch ? p->batch : UNKNOWN_BATCH;
    rni_winograd_cut(&pass, wanted_tiles(g), batch);
    const int64_t groups = rni_conv_divide_up(batch, pass.group_images) * pass.groups;
    if (groups < LEAST_TASKS)
        pass.parts = rni_conv_min(pass.blocks, LEAST_TASKS / groups);
    return pass;
}

typedef struct winograd_job {
    const rni_conv *c;
    const rni_conv_kernels *k;
    rni_winograd_pass pass;
    int64_t groups, runs; /* of the whole batch; tasks that take some each, one after the other */
    const void *x, *residual;
    void *y;
    int relu, backward_data;
    rni_scratch scratch;
    rni_conv_stats stats;
} winograd_job;

int64_t rni_winograd_padded(int64_t channels, int64_t lanes)
{
    return rni_conv_divide_up(channels, lanes) * lanes;
}

static int64_t input_plane(const rni_winograd_pass *pass, int64_t lanes)
{
    return pass->span_tiles * rni_winograd_padded(pass->g.channels, lanes) + RNI_WINOGRAD_GAP;
}

static int64_t product_plane(const rni_winograd_pass *pass, const rni_conv_kernels *k)
{
    return pass->span_tiles * k->lanes * rni_conv_min(pass->vectors, k->max_vectors) + RNI_WINOGRAD_GAP;
}

/* Of a block's weights that a task transforms itself. */
static int64_t transformed_floats(const rni_winograd_pass *pass, const rni_conv_kernels *k, const rn_conv_params *p)
{
    const int64_t width = k->lanes * rni_conv_min(pass->vectors, k->max_vectors);
    return rni_winograd_keeps_taps(p) ? RNI_WINOGRAD_PLANES * rni_winograd_weight_plane(pass->g.channels, width) : 0;
}

static uint64_t slot_bytes(const rni_winograd_pass *pass, const rni_conv_kernels *k, const rn_conv_params *p)
{
    const int64_t planes = RNI_WINOGRAD_PLANES * (input_plane(pass, k->lanes) + product_plane(pass, k));
    return (uint64_t)(planes + transformed_floats(pass, k, p)) * sizeof(float);
}

int64_t rni_winograd_groups(const rni_winograd_pass *pass, int64_t batch)
{
    return rni_conv_divide_up(batch, pass->group_images) * pass->groups;
}

rni_winograd_span rni_winograd_span_of(const rni_winograd_pass *pass, int64_t batch, int64_t group)
{
    rni_winograd_span s = {.image = group / pass->groups * pass->group_images};
    s.images = rni_conv_min(pass->group_images, batch - s.image);
    s.row = group % pass->groups * pass->group_rows;
    s.rows = rni_conv_min(pass->group_rows, pass->g.tile_rows - s.row);
    return s;
}

/* Rows of pixels that a span covers, through all its images. */
int64_t rni_winograd_pixels(const rni_winograd *g, const rni_winograd_span *s)
{
    const int64_t last = rni_conv_min(g->out_height, (s->row + s->rows) * RNI_WINOGRAD_TILE);
    return s->images * (last - s->row * RNI_WINOGRAD_TILE) * g->out_width;
}

static int64_t chunk_pixels(const void *user, int64_t chunk)
{
    const winograd_job *const j = user;
    const rni_winograd_span s = rni_winograd_span_of(&j->pass, j->c->batch, chunk);
    return rni_winograd_pixels(&j->pass.g, &s);
}

/* First and last element that a span reads of x, as far as the image goes. */
void rni_winograd_reads(const rni_winograd *g, const rni_winograd_span *s, int64_t *first, int64_t *last)
{
    const int64_t row = g->in_width * g->channels, above = s->row * RNI_WINOGRAD_TILE - g->padding[0];
    const int64_t below = rni_conv_min(above + s->rows * RNI_WINOGRAD_TILE + 2, g->in_height);
    *first = (s->image * g->in_height + rni_conv_max(above, 0)) * row;
    *last = ((s->image + s->images - 1) * g->in_height + below) * row;
}

int64_t rni_winograd_lines(int64_t elements, int64_t size)
{
    return rni_conv_divide_up(rni_conv_max(0, elements) * size, 64 * RNI_WINOGRAD_PLANES);
}

/* Element of the output that a span starts with. */
static size_t first_output(const rni_winograd *g, const rni_winograd_span *s)
{
    return (size_t)((s->image * g->out_height + s->row * RNI_WINOGRAD_TILE) * g->out_width * g->outs);
}

/* While the first block is multiplied: where the outputs go. With the last block: what the next group reads. */
static rni_winograd_ahead ahead_of(const winograd_job *j, const rni_winograd_span *s, const rni_winograd_span *next,
                                   int first_block, int last_block)
{
    const rni_winograd *const g = &j->pass.g;
    rni_winograd_ahead ahead = {.a_lines = 0};
    if (first_block) {
        ahead.b = rni_at_const(j->y, first_output(g, s), (size_t)j->k->size);
        ahead.b_lines = rni_winograd_lines(rni_winograd_pixels(g, s) * g->outs, j->k->size);
    }
    if (last_block && next) {
        int64_t first, last;
        rni_winograd_reads(g, next, &first, &last);
        ahead.a = rni_at_const(j->x, (size_t)first, (size_t)j->k->size);
        ahead.a_lines = rni_winograd_lines(last - first, j->k->size);
    }
    return ahead;
}

/* Multiplies and writes one block of output channels. */
static void run_block(const winograd_job *j, const rni_winograd_span *s, int64_t group, int64_t block,
                      const rni_winograd_planes *v, const rni_winograd_planes *m, const rni_winograd_ahead *ahead)
{
    const rni_winograd *const g = &j->pass.g;
    const rni_conv_slice slice = rni_conv_slice_of(g->outs, j->k->lanes, j->k->max_vectors, block);
    const float *u = rni_winograd_block_of(j->c->p, j->c->w, &slice, block, g->channels);
    if (rni_winograd_keeps_taps(j->c->p)) {
        float *const transformed = m->at + RNI_WINOGRAD_PLANES * m->plane;
        rni_winograd_transform(j->k, u, g->channels, slice.vectors, j->backward_data, transformed);
        u = transformed;
    }
    const rni_winograd_planes products = {m->at, m->plane, slice.vectors * j->k->lanes};
    rni_winograd_block b = {.vectors = slice.vectors, .tail = slice.tail, .relu = j->relu};
    b.bias = j->c->bias ? (const float *)j->c->bias + slice.first : NULL;
    b.residual = rni_at_const(j->residual, (size_t)slice.first, (size_t)j->k->size);
    b.y = rni_at(j->y, (size_t)slice.first, (size_t)j->k->size);
    j->k->products->product(v, u, rni_winograd_weight_plane(g->channels, products.tile), g->channels,
                           s->images * s->rows * g->tile_cols, slice.vectors, &products, ahead);
    j->k->images.output(g, s, &products, &b);
    if (j->stats.moments)
        rni_conv_stats_take(&j->stats, &slice, group, rni_at(b.y, first_output(g, s), (size_t)j->k->size),
                            rni_winograd_pixels(g, s), g->outs);
}

static void run_groups(void *arg, size_t index)
{
    const winograd_job *const j = arg;
    const rni_winograd_pass *const pass = &j->pass;
    float *const memory = rni_scratch_take(&j->scratch, index);
    const rni_winograd_planes v = {memory, input_plane(pass, j->k->lanes), rni_winograd_padded(pass->g.channels, j->k->lanes)};
    const rni_winograd_planes m = {memory + RNI_WINOGRAD_PLANES * v.plane, product_plane(pass, j->k), 0};
    const int64_t run = (int64_t)index / pass->parts, part = (int64_t)index % pass->parts;
    const int64_t first = pass->blocks * part / pass->parts, last = pass->blocks * (part + 1) / pass->parts;
    const int64_t end = j->groups * (run + 1) / j->runs;
    for (int64_t group = j->groups * run / j->runs; group < end; group++) {
        const rni_winograd_span s = rni_winograd_span_of(pass, j->c->batch, group);
        const rni_winograd_span next = rni_winograd_span_of(pass, j->c->batch, group + 1);
        j->k->images.input(&pass->g, &s, j->x, pass->g.channels, &v);
        for (int64_t block = first; block < last; block++) {
            const rni_winograd_ahead ahead =
                ahead_of(j, &s, group + 1 < end ? &next : NULL, block == first, block == last - 1);
            run_block(j, &s, group, block, &v, &m, &ahead);
        }
    }
    rni_scratch_give(memory);
}

static uint64_t stats_bytes(const rni_winograd_pass *pass, const rni_conv_kernels *k, int64_t batch)
{
    const int64_t floats = rni_conv_stats_floats(rni_winograd_groups(pass, batch), pass->vectors * k->lanes);
    return (uint64_t)rni_winograd_padded(floats, 16) * sizeof(float);
}

uint64_t rni_winograd_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int backward_data, int stats,
                            int64_t batch, int32_t threads)
{
    const rni_winograd_pass pass = rni_winograd_pass_of(k, p, backward_data);
    return (stats ? stats_bytes(&pass, k, batch) : 0) +
           (uint64_t)threads * rni_scratch_slot_bytes(slot_bytes(&pass, k, p));
}

static rn_status run_job(winograd_job *j)
{
    const rni_conv *const c = j->c;
    const int stats = (c->flags & RN_OPF_STATS) != 0;
    const uint64_t moments = stats ? stats_bytes(&j->pass, j->k, c->batch) : 0;
    j->groups = rni_winograd_groups(&j->pass, c->batch);
    j->runs = rni_conv_min(j->groups, MOST_RUNS);
    j->relu = (c->flags & RN_OPF_RELU) != 0;
    const size_t tasks = (size_t)(j->runs * j->pass.parts);
    j->scratch = rni_scratch_make((char *)c->workspace + moments, slot_bytes(&j->pass, j->k, c->p),
                                  c->call->cpu->host->num_threads, tasks);
    j->stats = (rni_conv_stats){.c = c, .k = j->k, .outs = j->pass.g.outs, .user = j, .pixels = chunk_pixels};
    j->stats.moments = stats ? c->workspace : NULL;
    j->stats.chunks = j->groups;
    j->stats.blocks = j->pass.blocks;
    j->stats.stride = j->pass.vectors * j->k->lanes;
    RNI_TRY(rni_cpu_parallel(c->call, run_groups, j, tasks));
    return stats ? rni_conv_stats_finish(&j->stats) : RN_OK;
}

rn_status rni_winograd_forward(const rni_conv *c, const rni_conv_kernels *k)
{
    winograd_job j = {.c = c, .k = k, .pass = rni_winograd_pass_of(k, c->p, 0), .x = c->x, .y = c->y,
                      .residual = c->residual};
    return run_job(&j);
}

rn_status rni_winograd_backward_data(const rni_conv *c, const rni_conv_kernels *k)
{
    winograd_job j = {.c = c, .k = k, .pass = rni_winograd_pass_of(k, c->p, 1), .x = c->dy, .y = c->dx,
                      .backward_data = 1};
    j.residual = c->flags & RN_OPF_ACCUMULATE ? c->dx : NULL;
    return run_job(&j);
}
