/* SPDX-License-Identifier: MIT */
/* Fast forward convolutions and data gradients, cut into tasks of some rows of an image by a block of channels. */
#include "cpu/conv_stats.h"

/* A task should do about so many multiplications: some microseconds. */
enum { TASK_PRODUCTS = 1 << 19 };
/* Parts of a pass that are found out once, and not by each task: those of strides up to 2. */
enum { KNOWN_PARTS = 4 };
/* Packed weights of more bytes do not stay in a core's cache from image to image. */
enum { CACHED_WEIGHTS = 1 << 19 };

typedef struct windows_job {
    const rni_conv *c;
    rni_conv_pass pass;
    int64_t cuts;       /* row ranges per image */
    int64_t blocks;     /* of all groups */
    int images_inside;  /* all images by one block before the next */
    const void *x, *residual;
    void *y;
    int64_t x_image, y_image;
    rni_conv_stats stats; /* chunks are [image][cut]; without moments when none are wanted */
    rni_conv_part parts[KNOWN_PARTS];
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
    const size_t size = (size_t)j->pass.k->size;
    b.x = rni_at_const(j->x, (size_t)(image * j->x_image + slice->group * j->pass.sums), size);
    b.weight = rni_at_const(
        j->c->w, (size_t)(part->weights + slice->lane * part->g.taps[0] * part->g.taps[1] * j->pass.packed), size);
    b.bias = j->c->bias ? (const float *)j->c->bias + channel : NULL;
    b.residual = rni_at_const(j->residual, (size_t)y, size);
    b.y = rni_at(j->y, (size_t)y, size);
    return b;
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
        rni_conv_part part = i < KNOWN_PARTS ? j->parts[i] : rni_conv_part_of(&j->pass, i);
        rni_conv_block b = block_of(j, &slice, image, &part);
        part.g.relu = (j->c->flags & RN_OPF_RELU) != 0;
        part.g.cached = i > 0;
        b.first_row = part.out_height * cut / j->cuts;
        b.last_row = part.out_height * (cut + 1) / j->cuts;
        if (part.g.out_width > 0)
            k->windows(&part.g, &b);
        if (j->stats.moments)
            rni_conv_stats_take(&j->stats, &slice, chunk, rni_at(b.y, (size_t)(b.first_row * part.g.out_row), (size_t)k->size),
                                (b.last_row - b.first_row) * part.g.out_width, part.g.out_pixel);
    }
}

static rn_status run_job(windows_job *j)
{
    for (int64_t i = 0; i < rni_conv_min(j->pass.parts, KNOWN_PARTS); i++)
        j->parts[i] = rni_conv_part_of(&j->pass, i);
    j->cuts = row_cuts(&j->pass);
    j->blocks = j->pass.p->groups * j->pass.blocks;
    j->images_inside = rni_conv_packed_count(&j->pass) * j->pass.k->size > CACHED_WEIGHTS;
    return rni_cpu_parallel(j->c->call, run_windows, j, (size_t)(j->c->batch * j->cuts * j->blocks));
}

static int64_t chunk_pixels(const void *user, int64_t chunk)
{
    const windows_job *const j = user;
    const rn_conv_params *const p = j->pass.p;
    const int64_t cut = chunk % j->cuts;
    return (p->out_height * (cut + 1) / j->cuts - p->out_height * cut / j->cuts) * p->out_width;
}

uint64_t rni_conv_stats_bytes(const rni_conv_pass *pass, int64_t batch)
{
    return (uint64_t)rni_conv_stats_floats(batch * row_cuts(pass), stats_stride(pass)) * sizeof(float);
}

rn_status rni_conv_fast_forward(const rni_conv *c, const rni_conv_kernels *k)
{
    const rn_conv_params *const p = c->p;
    windows_job j = {.c = c, .pass = rni_conv_pass_of(k, p, 0), .x = c->x, .y = c->y, .residual = c->residual};
    j.pass.in_pixel = c->in_pixel ? c->in_pixel : p->in_channels;
    j.x_image = p->in_height * p->in_width * j.pass.in_pixel;
    j.y_image = p->out_height * p->out_width * p->out_channels;
    j.stats = (rni_conv_stats){.c = c, .k = k, .outs = j.pass.outs, .stride = stats_stride(&j.pass), .user = &j};
    j.stats.moments = c->flags & RN_OPF_STATS ? c->workspace : NULL;
    j.stats.chunks = c->batch * row_cuts(&j.pass);
    j.stats.blocks = p->groups * j.pass.blocks;
    j.stats.pixels = chunk_pixels;
    const rn_status status = run_job(&j);
    return status == RN_OK && j.stats.moments ? rni_conv_stats_finish(&j.stats) : status;
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
