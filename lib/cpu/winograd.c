/* SPDX-License-Identifier: MIT */
/*
 * Forward convolutions and data gradients by Winograd's algorithm. A task takes a group of tiles through all three
 * steps, so that what is transformed stays in the caches: transform the input, multiply, transform the products.
 */
#include "cpu/winograd.h"
#include "base/error.h"
#include "cpu/conv_stats.h"
#include "cpu/scratch.h"

/* Most tasks that follow each other through the groups. */
enum { MOST_RUNS = 64 };

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

static int64_t input_plane(const rni_winograd_pass *pass, int64_t lanes)
{
    return rni_winograd_plane(pass->span_tiles * rni_winograd_padded(pass->g.channels, lanes), pass->form->size);
}

static int64_t product_plane(const rni_winograd_pass *pass, const rni_conv_kernels *k)
{
    const int64_t width = k->lanes * rni_conv_min(pass->vectors, k->max_vectors);
    return rni_winograd_plane(pass->span_tiles * width, sizeof(float));
}

/* Of a block's weights that a task transforms itself. */
static int64_t transformed_floats(const rni_winograd_pass *pass, const rni_conv_kernels *k, const rn_conv_params *p)
{
    const int64_t width = k->lanes * rni_conv_min(pass->vectors, k->max_vectors), planes = RNI_WINOGRAD_PLANES(pass->form->tile);
    const int own = rni_winograd_keeps_taps(pass->form, p);
    return own ? planes * rni_winograd_weight_plane(pass->form, pass->g.channels, width) : 0;
}

/* A task's memory: inputs, products, weights. Lines of the caches stay whole. */
typedef struct task_bytes {
    uint64_t inputs, products, weights;
} task_bytes;

static task_bytes bytes_of(const rni_winograd_pass *pass, const rni_conv_kernels *k, const rn_conv_params *p)
{
    const int64_t planes = RNI_WINOGRAD_PLANES(pass->form->tile);
    return (task_bytes){(uint64_t)rni_winograd_padded(planes * input_plane(pass, k->lanes) * pass->form->size, 64),
                        (uint64_t)(planes * product_plane(pass, k)) * sizeof(float),
                        (uint64_t)transformed_floats(pass, k, p) * sizeof(float)};
}

static uint64_t slot_bytes(const rni_winograd_pass *pass, const rni_conv_kernels *k, const rn_conv_params *p)
{
    const task_bytes b = bytes_of(pass, k, p);
    return b.inputs + b.products + b.weights;
}

static int64_t chunk_pixels(const void *user, int64_t chunk)
{
    const winograd_job *const j = user;
    const rni_winograd_span s = rni_winograd_span_of(&j->pass, j->c->batch, chunk);
    return rni_winograd_pixels(&j->pass, &s);
}

/* Element of the output that a span starts with. */
static size_t first_output(const rni_winograd_pass *pass, const rni_winograd_span *s)
{
    const rni_winograd *const g = &pass->g;
    return (size_t)((s->image * g->out_height + s->row * pass->form->tile) * g->out_width * g->outs);
}

/* While the first block is multiplied: where the outputs go. With the last block: what the next group reads. */
static rni_winograd_ahead ahead_of(const winograd_job *j, const rni_winograd_span *s, const rni_winograd_span *next,
                                   int first_block, int last_block)
{
    const rni_winograd_pass *const pass = &j->pass;
    rni_winograd_ahead ahead = {.a_lines = 0};
    if (first_block) {
        ahead.b = rni_at_const(j->y, first_output(pass, s), (size_t)j->k->size);
        ahead.b_lines = rni_winograd_lines(pass->form, rni_winograd_pixels(pass, s) * pass->g.outs, j->k->size);
    }
    if (last_block && next) {
        int64_t first, last;
        rni_winograd_reads(pass, next, &first, &last);
        ahead.a = rni_at_const(j->x, (size_t)first, (size_t)j->k->size);
        ahead.a_lines = rni_winograd_lines(pass->form, last - first, j->k->size);
    }
    return ahead;
}

/* Where a task keeps what it transforms. */
typedef struct task_memory {
    rni_winograd_planes inputs, products;
    float *weights;
} task_memory;

static task_memory lay_out(const winograd_job *j, void *memory)
{
    const rni_winograd_pass *const pass = &j->pass;
    const task_bytes b = bytes_of(pass, j->k, j->c->p);
    task_memory m = {.inputs = {memory, input_plane(pass, j->k->lanes), rni_winograd_padded(pass->g.channels, j->k->lanes)}};
    m.products = (rni_winograd_planes){rni_at(memory, b.inputs, 1), product_plane(pass, j->k), 0};
    m.weights = rni_at(memory, b.inputs + b.products, 1);
    return m;
}

/* Multiplies and writes one block of output channels. */
static void run_block(const winograd_job *j, const rni_winograd_span *s, int64_t group, int64_t block,
                      const task_memory *m, const rni_winograd_ahead *ahead)
{
    const rni_winograd *const g = &j->pass.g;
    const rni_winograd_form *const form = j->pass.form;
    const rni_conv_slice slice = rni_conv_slice_of(g->outs, j->k->lanes, j->k->max_vectors, block);
    const void *u = rni_winograd_block_of(form, j->c->p, j->c->w, &slice, block, g->channels);
    if (rni_winograd_keeps_taps(form, j->c->p)) {
        rni_winograd_transform(j->k, u, g->channels, slice.vectors, j->backward_data, m->weights);
        u = m->weights;
    }
    const rni_winograd_planes products = {m->products.at, m->products.plane, slice.vectors * j->k->lanes};
    rni_winograd_block b = {.vectors = slice.vectors, .tail = slice.tail, .relu = j->relu};
    b.bias = j->c->bias ? (const float *)j->c->bias + slice.first : NULL;
    b.residual = rni_at_const(j->residual, (size_t)slice.first, (size_t)j->k->size);
    b.y = rni_at(j->y, (size_t)slice.first, (size_t)j->k->size);
    form->products->product(&m->inputs, u, rni_winograd_weight_plane(form, g->channels, products.tile), g->channels,
                            s->images * s->rows * g->tile_cols, slice.vectors, &products, ahead);
    form->output(g, s, &products, &b);
    if (j->stats.moments)
        rni_conv_stats_take(&j->stats, &slice, group, rni_at(b.y, first_output(&j->pass, s), (size_t)j->k->size),
                            rni_winograd_pixels(&j->pass, s), g->outs);
}

static void run_groups(void *arg, size_t index)
{
    const winograd_job *const j = arg;
    const rni_winograd_pass *const pass = &j->pass;
    void *const memory = rni_scratch_take(&j->scratch, index);
    const task_memory m = lay_out(j, memory);
    const int64_t run = (int64_t)index / pass->parts, part = (int64_t)index % pass->parts;
    const int64_t first = pass->blocks * part / pass->parts, last = pass->blocks * (part + 1) / pass->parts;
    const int64_t end = j->groups * (run + 1) / j->runs;
    for (int64_t group = j->groups * run / j->runs; group < end; group++) {
        const rni_winograd_span s = rni_winograd_span_of(pass, j->c->batch, group);
        const rni_winograd_span next = rni_winograd_span_of(pass, j->c->batch, group + 1);
        pass->form->input(&pass->g, &s, j->x, pass->g.channels, &m.inputs);
        for (int64_t block = first; block < last; block++) {
            const rni_winograd_ahead ahead =
                ahead_of(j, &s, group + 1 < end ? &next : NULL, block == first, block == last - 1);
            run_block(j, &s, group, block, &m, &ahead);
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
    const rni_winograd_pass pass = rni_winograd_pass_of(k, rni_winograd_form_of(k, p), p, backward_data);
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
    winograd_job j = {.c = c, .k = k, .pass = rni_winograd_pass_of(k, rni_winograd_form_of(k, c->p), c->p, 0), .x = c->x, .y = c->y,
                      .residual = c->residual};
    return run_job(&j);
}

rn_status rni_winograd_backward_data(const rni_conv *c, const rni_conv_kernels *k)
{
    winograd_job j = {.c = c, .k = k, .pass = rni_winograd_pass_of(k, rni_winograd_form_of(k, c->p), c->p, 1), .x = c->dy, .y = c->dx,
                      .backward_data = 1};
    j.residual = c->flags & RN_OPF_ACCUMULATE ? c->dx : NULL;
    return run_job(&j);
}
