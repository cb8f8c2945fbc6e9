/* SPDX-License-Identifier: MIT */
/*
 * Filter gradients by Winograd's algorithm: three taps per axis come from tiles of four gradients and six inputs. A task
 * adds up one part of the channels over the groups of a chunk, transformed, and transforms the sums into taps at its end.
 */
#include "base/error.h"
#include "cpu/conv_filter.h"
#include "cpu/scratch.h"
#include "cpu/winograd.h"

/* Tiles in a group; a row of so many or more is one. */
enum { GROUP_TILES = 32, ROW_TILES = 12 };
/* Input channels and blocks of output channels in a part, tasks there should be to share. */
enum { PART_CHANNELS = 64, PART_BLOCKS = 2, LEAST_TASKS = 16 };

/* Of the form of floats. */
enum { PLANES = RNI_WINOGRAD_PLANES(4) };

typedef struct filter_pass {
    rni_winograd_pass pass; /* of the groups; over x, with the outputs of the convolution */
    int64_t parts, part;    /* of input channels: how many, and channels in one */
    int64_t spans, width;   /* of blocks of output channels: how many, and lanes in one */
} filter_pass;

typedef struct winograd_filter_job {
    rni_filter_job add; /* the chunks' copies of the weights */
    filter_pass f;
    int64_t groups;
    rni_scratch scratch;
} winograd_filter_job;

static filter_pass filter_pass_of(const rni_conv_kernels *k, const rn_conv_params *p)
{
    filter_pass f = {.pass = rni_winograd_pass_of(k, &k->winograd, p, 0)};
    const int64_t cols = f.pass.g.tile_cols;
    rni_winograd_cut(&f.pass, cols < ROW_TILES ? GROUP_TILES : cols, p->batch ? p->batch : GROUP_TILES);
    f.parts = rni_conv_divide_up(p->in_channels, PART_CHANNELS);
    f.part = rni_winograd_padded(rni_conv_divide_up(p->in_channels, f.parts), k->lanes);
    f.parts = rni_conv_divide_up(p->in_channels, f.part);
    f.spans = rni_conv_divide_up(f.pass.blocks, PART_BLOCKS);
    f.width = rni_conv_min(f.pass.vectors, PART_BLOCKS * k->max_vectors) * k->lanes;
    return f;
}

static int64_t chunk_count(const filter_pass *f, int64_t batch)
{
    const int64_t tasks = f->parts * f->spans;
    return rni_conv_min(rni_conv_divide_up(LEAST_TASKS, tasks), rni_winograd_groups(&f->pass, batch));
}

static int64_t x_plane(const filter_pass *f)
{
    return rni_winograd_plane(f->pass.span_tiles * f->part, sizeof(float));
}

static int64_t dy_plane(const filter_pass *f)
{
    return rni_winograd_plane(f->pass.span_tiles * f->width, sizeof(float));
}

static int64_t sum_plane(const filter_pass *f)
{
    return rni_winograd_plane(f->part * f->width, sizeof(float));
}

static uint64_t slot_bytes(const filter_pass *f)
{
    return (uint64_t)(PLANES * (x_plane(f) + dy_plane(f) + sum_plane(f))) * sizeof(float);
}

static rni_filter_job copies_of(const rni_conv_kernels *k, const rn_conv_params *p, const filter_pass *f, int64_t batch)
{
    rni_filter_job j = rni_filter_plan(k, p, batch);
    j.g.triple = 0;
    j.block_vectors = k->max_vectors;
    j.blocks = f->pass.blocks;
    j.chunks = chunk_count(f, batch);
    return j;
}

uint64_t rni_winograd_filter_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch, int32_t threads)
{
    const filter_pass f = filter_pass_of(k, p);
    const rni_filter_job j = copies_of(k, p, &f, batch);
    return (uint64_t)(j.chunks * j.copy) * sizeof(float) + (uint64_t)threads * rni_scratch_slot_bytes(slot_bytes(&f));
}

/* The memory of a task. */
typedef struct task_memory {
    rni_winograd_planes x, dy, sum;
} task_memory;

static task_memory lay_out(const filter_pass *f, float *memory, int64_t width)
{
    task_memory m;
    m.x = (rni_winograd_planes){memory, x_plane(f), f->part};
    m.dy = (rni_winograd_planes){(float *)m.x.at + PLANES * m.x.plane, dy_plane(f), width};
    m.sum = (rni_winograd_planes){(float *)m.dy.at + PLANES * m.dy.plane, sum_plane(f), width};
    return m;
}

/* What a task adds up: input channels first..first+count-1 by the output channels of some blocks. */
typedef struct filter_part {
    int64_t first, count, chunk;
    int64_t block, blocks, out, outs; /* first block, first output channel, and how many */
} filter_part;

static rni_conv_slice slice_of(const winograd_filter_job *j, int64_t block)
{
    return rni_conv_slice_of(j->f.pass.g.outs, j->add.k->lanes, j->add.k->max_vectors, block);
}

/* What the next group reads, when it lies in one piece. */
static rni_winograd_ahead ahead_of(const winograd_filter_job *j, const filter_part *part, int64_t group)
{
    const rni_winograd_pass *const pass = &j->f.pass;
    const rni_winograd *const g = &pass->g;
    const rni_conv *const c = j->add.c;
    const rni_winograd_span s = rni_winograd_span_of(pass, c->batch, group);
    const int64_t size = j->add.k->size;
    rni_winograd_ahead ahead = {.a_lines = 0};
    int64_t first, last;
    rni_winograd_reads(pass, &s, &first, &last);
    if (part->count == g->channels || part->first == 0) {
        ahead.a = rni_at_const(c->x, (size_t)first, (size_t)size);
        ahead.a_lines = rni_winograd_lines(pass->form, last - first, size);
    }
    if (part->out == 0) {
        const int64_t row = s.image * g->out_height + s.row * pass->form->tile;
        ahead.b = rni_at_const(c->dy, (size_t)(row * g->out_width * g->outs), (size_t)size);
        ahead.b_lines = rni_winograd_lines(pass->form, rni_winograd_pixels(pass, &s) * g->outs, size);
    }
    return ahead;
}

/* The same columns of planes, from a block's first lane on. */
static rni_winograd_planes columns_of(const rni_winograd_planes *planes, int64_t lane)
{
    return (rni_winograd_planes){(float *)planes->at + lane, planes->plane, planes->tile};
}

static void add_products(const winograd_filter_job *j, const filter_part *part, const task_memory *m, int64_t tiles, int fresh,
                         const rni_winograd_ahead *ahead)
{
    const rni_winograd_ahead none = {.a_lines = 0};
    const int64_t first = slice_of(j, part->block).lane;
    for (int64_t i = 0; i < part->blocks; i++) {
        const rni_conv_slice slice = slice_of(j, part->block + i);
        const rni_winograd_planes dy = columns_of(&m->dy, slice.lane - first), sum = columns_of(&m->sum, slice.lane - first);
        j->add.k->winograd.products->filter(&m->x, &dy, part->count, tiles, slice.vectors, &sum, fresh,
                                            i == 0 ? ahead : &none);
    }
}

static void add_groups(const winograd_filter_job *j, const filter_part *part, const task_memory *m)
{
    const rni_winograd_pass *const pass = &j->f.pass;
    const rni_conv *const c = j->add.c;
    const rni_conv_kernels *const k = j->add.k;
    const int64_t first = j->groups * part->chunk / j->add.chunks, last = j->groups * (part->chunk + 1) / j->add.chunks;
    for (int64_t group = first; group < last; group++) {
        const rni_winograd_span s = rni_winograd_span_of(pass, c->batch, group);
        k->winograd.input(&pass->g, &s, rni_at_const(c->x, (size_t)part->first, (size_t)k->size), part->count, &m->x);
        k->winograd.gradient(&pass->g, &s, rni_at_const(c->dy, (size_t)part->out, (size_t)k->size), part->outs, &m->dy);
        const rni_winograd_ahead none = {.a_lines = 0}, ahead = group + 1 < last ? ahead_of(j, part, group + 1) : none;
        add_products(j, part, m, s.images * s.rows * pass->g.tile_cols, group == first, &ahead);
    }
}

/* Into the chunk's copy of the weights: those of one block. */
static void write_block(const winograd_filter_job *j, const filter_part *part, const rni_conv_slice *slice,
                        const rni_winograd_planes *sum)
{
    const int64_t lanes = j->add.k->lanes, width = slice->vectors * lanes, channels = j->add.g.channels;
    float *const copy = j->add.sums + part->chunk * j->add.copy + slice->lane * rni_filter_weights(&j->add);
    for (int64_t i = 0; i < part->count; i++)
        for (int64_t v = 0; v < width; v += lanes)
            j->add.k->winograd.products->taps((const float *)sum->at + i * sum->tile + v, sum->plane,
                                              copy + (part->first + i) * width + v, channels * width);
}

static void write_taps(const winograd_filter_job *j, const filter_part *part, const task_memory *m)
{
    const int64_t first = slice_of(j, part->block).lane;
    for (int64_t i = 0; i < part->blocks; i++) {
        const rni_conv_slice slice = slice_of(j, part->block + i);
        const rni_winograd_planes sum = columns_of(&m->sum, slice.lane - first);
        write_block(j, part, &slice, &sum);
    }
}

static filter_part part_of(const winograd_filter_job *j, int64_t task)
{
    const int64_t span = task % j->f.spans, piece = task / j->f.spans % j->f.parts;
    filter_part part = {.first = piece * j->f.part, .chunk = task / (j->f.spans * j->f.parts), .block = span * PART_BLOCKS};
    part.count = rni_conv_min(j->f.part, j->add.g.channels - part.first);
    part.blocks = rni_conv_min(PART_BLOCKS, j->f.pass.blocks - part.block);
    part.out = slice_of(j, part.block).first;
    const rni_conv_slice last = slice_of(j, part.block + part.blocks - 1);
    part.outs = last.first + (last.vectors - 1) * j->add.k->lanes + last.tail - part.out;
    return part;
}

static void run_part(void *arg, size_t index)
{
    const winograd_filter_job *const j = arg;
    const filter_part part = part_of(j, (int64_t)index);
    float *const memory = rni_scratch_take(&j->scratch, index);
    const task_memory m = lay_out(&j->f, memory, rni_winograd_padded(part.outs, j->add.k->lanes));
    add_groups(j, &part, &m);
    write_taps(j, &part, &m);
    rni_scratch_give(memory);
}

rn_status rni_winograd_backward_filter(const rni_conv *c, const rni_conv_kernels *k)
{
    winograd_filter_job j = {.f = filter_pass_of(k, c->p)};
    j.add = copies_of(k, c->p, &j.f, c->batch);
    j.add.c = c;
    j.add.sums = c->workspace;
    j.groups = rni_winograd_groups(&j.f.pass, c->batch);
    const size_t tasks = (size_t)(j.add.chunks * j.f.parts * j.f.spans);
    j.scratch = rni_scratch_make((char *)c->workspace + (size_t)(j.add.chunks * j.add.copy) * sizeof(float),
                                 slot_bytes(&j.f), c->call->cpu->host->num_threads, tasks);
    RNI_TRY(rni_cpu_parallel(c->call, run_part, &j, tasks));
    return rni_filter_add(&j.add);
}
