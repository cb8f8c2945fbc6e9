/* SPDX-License-Identifier: MIT */
/* Fast forward convolutions and data gradients, cut into tasks of some rows of an image by a block of channels. */
#include "cpu/conv.h"

/* A task should do about so many multiplications: some microseconds. */
enum { TASK_PRODUCTS = 1 << 19 };
/* Packed weights beyond so many floats do not stay in a core's cache from image to image. */
enum { CACHED_WEIGHTS = 1 << 17 };

/* From so many moments on, chunks by channels, several threads add them up. */
enum { PARALLEL_MOMENTS = 1 << 15 };

typedef struct windows_job {
    const rni_conv *c;
    rni_conv_pass pass;
    int64_t cuts;       /* row ranges per image */
    int64_t blocks;     /* of all groups */
    int images_inside;  /* all images by one block before the next */
    const float *x;
    float *y;
    const float *residual;
    int64_t x_image, y_image;
    float *stats; /* [image][cut][moments][lanes of all groups], or NULL */
} windows_job;

/* How many row ranges an image is cut into: decided by the shape alone, as sums of statistics depend on it. */
static int64_t row_cuts(const rni_conv_pass *pass)
{
    const rn_conv_params *const p = pass->p;
    const int64_t lanes = rni_conv_min(pass->vectors, pass->k->max_vectors) * pass->k->lanes;
    const int64_t row = p->out_width * p->kernel[0] * p->kernel[1] * pass->sums * lanes;
    const int64_t rows = rni_conv_divide_up(TASK_PRODUCTS, row);
    const int64_t most = pass->backward_data ? p->in_height : p->out_height;
    return rni_conv_max(1, rni_conv_min(most, p->out_height / rows));
}

static int64_t stats_stride(const rni_conv_pass *pass)
{
    return pass->p->groups * pass->vectors * pass->k->lanes;
}

static rni_conv_block block_of(const windows_job *j, const rni_conv_slice *slice, int64_t image,
                               const rni_conv_part *part)
{
    const int64_t channel = slice->group * j->pass.outs + slice->first;
    const int64_t y = image * j->y_image + part->out_offset + channel;
    rni_conv_block b = {.vectors = slice->vectors, .tail = slice->tail};
    b.x = j->x + image * j->x_image + slice->group * j->pass.sums;
    b.weight = (const float *)j->c->w + part->weights +
               slice->lane * part->g.taps[0] * part->g.taps[1] * part->g.channels;
    b.bias = j->c->bias ? (const float *)j->c->bias + channel : NULL;
    b.residual = j->residual ? j->residual + y : NULL;
    b.y = j->y + y;
    return b;
}

/* Those of a chunk, a range of rows of an image. */
static rni_conv_moments moments_of(const windows_job *j, int64_t chunk, int64_t lane)
{
    const int64_t stride = stats_stride(&j->pass);
    float *const centre = j->stats + chunk * 3 * stride + lane;
    return (rni_conv_moments){centre, centre + stride, centre + 2 * stride};
}

static void take_moments(const windows_job *j, const rni_conv_slice *slice, const rni_conv_block *b,
                         const rni_conv_windows *g, int64_t chunk)
{
    const rni_conv_moments out = moments_of(j, chunk, slice->lane);
    j->pass.k->moments(b->y + b->first_row * g->out_row, (b->last_row - b->first_row) * g->out_width, g->out_pixel,
                       b->vectors, b->tail, &out);
}

static void run_windows(void *arg, size_t index)
{
    const windows_job *const j = arg;
    const int64_t chunks = j->c->batch * j->cuts, at = (int64_t)index;
    const int64_t chunk = j->images_inside ? at % chunks : at / j->blocks;
    const int64_t block = j->images_inside ? at / chunks : at % j->blocks;
    const int64_t image = chunk / j->cuts, cut = chunk % j->cuts;
    const rni_conv_kernels *const k = j->pass.k;
    const rni_conv_slice slice = rni_conv_slice_of(j->pass.outs, k->lanes, k->max_vectors, block);
    for (int64_t i = 0; i < j->pass.parts; i++) {
        rni_conv_part part = rni_conv_part_of(&j->pass, i);
        rni_conv_block b = block_of(j, &slice, image, &part);
        part.g.relu = (j->c->flags & RN_OPF_RELU) != 0;
        b.first_row = part.out_height * cut / j->cuts;
        b.last_row = part.out_height * (cut + 1) / j->cuts;
        if (part.g.out_width > 0)
            k->windows(&part.g, &b);
        if (j->stats)
            take_moments(j, &slice, &b, &part.g, chunk);
    }
}

static rn_status run_job(windows_job *j)
{
    j->cuts = row_cuts(&j->pass);
    j->blocks = j->pass.p->groups * j->pass.blocks;
    j->images_inside = rni_conv_packed_floats(&j->pass) > CACHED_WEIGHTS;
    return rni_cpu_parallel(j->c->call, run_windows, j, (size_t)(j->c->batch * j->cuts * j->blocks));
}

/* Statistics of one block's channels so far. */
typedef struct running_moments {
    double count, mean[RNI_CONV_MAX_BLOCK], squares[RNI_CONV_MAX_BLOCK];
} running_moments;

/* Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979. */
static void add_moments(running_moments *to, const rni_conv_moments *m, int64_t count, int64_t channels)
{
    const double share = (double)count / (to->count + (double)count), weight = to->count * share;
    for (int64_t i = 0; i < channels; i++) {
        const double delta = (double)m->centre[i] + (double)m->offset[i] - to->mean[i];
        to->mean[i] += delta * share;
        to->squares[i] += (double)m->squares[i] + delta * delta * weight;
    }
    to->count += (double)count;
}

/* Adds up a block's chunks in order. */
static void combine_block(void *arg, size_t index)
{
    const windows_job *const j = arg;
    const rn_conv_params *const p = j->pass.p;
    const rni_conv_kernels *const k = j->pass.k;
    const rni_conv_slice slice = rni_conv_slice_of(j->pass.outs, k->lanes, k->max_vectors, (int64_t)index);
    const int64_t channels = (slice.vectors - 1) * k->lanes + slice.tail;
    running_moments all = {.count = 0};
    for (int64_t chunk = 0; chunk < j->c->batch * j->cuts; chunk++) {
        const int64_t cut = chunk % j->cuts;
        const int64_t rows = p->out_height * (cut + 1) / j->cuts - p->out_height * cut / j->cuts;
        const rni_conv_moments m = moments_of(j, chunk, slice.lane);
        add_moments(&all, &m, rows * p->out_width, channels);
    }
    const int64_t first = slice.group * j->pass.outs + slice.first;
    for (int64_t i = 0; i < channels; i++) {
        ((float *)j->c->mean)[first + i] = (float)all.mean[i];
        ((float *)j->c->var)[first + i] = (float)(all.squares[i] / all.count);
    }
}

static rn_status combine(windows_job *j)
{
    if (j->blocks > 1 && j->c->batch * j->cuts * j->pass.p->out_channels >= PARALLEL_MOMENTS)
        return rni_cpu_parallel(j->c->call, combine_block, j, (size_t)j->blocks);
    for (int64_t block = 0; block < j->blocks; block++)
        combine_block(j, (size_t)block);
    return RN_OK;
}

uint64_t rni_conv_stats_bytes(const rni_conv_pass *pass, int64_t batch)
{
    return (uint64_t)(batch * row_cuts(pass) * 3 * stats_stride(pass)) * sizeof(float);
}

rn_status rni_conv_fast_forward(const rni_conv *c, const rni_conv_kernels *k)
{
    const rn_conv_params *const p = c->p;
    windows_job j = {.c = c, .pass = rni_conv_pass_of(k, p, 0), .x = c->x, .y = c->y, .residual = c->residual};
    j.x_image = p->in_height * p->in_width * p->in_channels;
    j.y_image = p->out_height * p->out_width * p->out_channels;
    j.stats = c->flags & RN_OPF_STATS ? c->workspace : NULL;
    const rn_status status = run_job(&j);
    return status == RN_OK && j.stats ? combine(&j) : status;
}

rn_status rni_conv_fast_backward_data(const rni_conv *c, const rni_conv_kernels *k)
{
    const rn_conv_params *const p = c->p;
    windows_job j = {.c = c, .pass = rni_conv_pass_of(k, p, 1), .x = c->dy, .y = c->dx};
    j.residual = c->flags & RN_OPF_ACCUMULATE ? c->dx : NULL;
    j.x_image = p->out_height * p->out_width * p->out_channels;
    j.y_image = p->in_height * p->in_width * p->in_channels;
    return run_job(&j);
}
