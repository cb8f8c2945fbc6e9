/* SPDX-License-Identifier: MIT */
#include "cpu/filter_bands.h"
#include "base/error.h"
#include "cpu/conv_filter.h"
#include "cpu/pointwise.h"
#include "cpu/scratch.h"
#include <string.h>

/* So many tasks should be there to share. */
enum { FILTER_TASKS = 16 };
/* Pixels of a band; sums of so many floats stay in a core's cache. */
enum { BAND_PIXELS = 144, CACHED_SUMS = 1 << 17 };
/* The taps of a row are taken together when they have at most so many channels. */
enum { MOST_TOGETHER = 192 };

int rni_bands_suit(const rni_conv_kernels *k, const rn_conv_params *p)
{
    return rni_pointwise_suits(p) || (k->step > 1 && p->groups == 1);
}

/* Sums of dw: a chunk of pixels into a copy of the weights of its own, by parts of the blocks. */
typedef struct bands_job {
    rni_filter_job add;
    int64_t pixels, parts;
    int64_t taps, units; /* taken together along a row: all of a row, or one; rows of taps by what is left of a row */
    int64_t width;       /* elements of x that meet a pixel of dy in a unit */
    rni_scratch scratch;
} bands_job;

static int64_t filter_parts(const rni_filter_job *j)
{
    return rni_conv_min(j->blocks, rni_conv_divide_up(j->copy, CACHED_SUMS));
}

static bands_job job_of(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    bands_job j = {.add = rni_filter_plan(k, p, batch), .pixels = rni_pointwise_pixels(p, batch)};
    const int64_t bands = rni_conv_divide_up(j.pixels, BAND_PIXELS);
    j.parts = filter_parts(&j.add);
    j.add.chunks = rni_conv_min(bands, rni_conv_divide_up(FILTER_TASKS, j.parts));
    j.taps = p->dilation[1] == 1 && p->kernel[1] * p->in_channels <= MOST_TOGETHER ? p->kernel[1] : 1;
    j.units = p->kernel[0] * p->kernel[1] / j.taps;
    j.width = j.taps * p->in_channels;
    return j;
}

/* What the kernel copies: x in panels, and a block of dy. */
static size_t panel_bytes(const bands_job *j)
{
    const rni_conv_kernels *const k = j->add.k;
    const int64_t panels = 2 * rni_conv_divide_up(j->width, 4) * k->lanes;
    return (size_t)(BAND_PIXELS * (panels + k->max_vectors * k->lanes)) * (size_t)k->size;
}

/* A pixel that is outside, and copies of those whose taps are so in part. */
static size_t edge_bytes(const bands_job *j)
{
    return (size_t)(j->width * (j->taps > 1 ? BAND_PIXELS + 1 : 1)) * (size_t)j->add.k->size;
}

static size_t sums_bytes(const bands_job *j)
{
    return (size_t)(rni_conv_divide_up(j->add.chunks * j->add.copy, 16) * 16) * sizeof(float);
}

uint64_t rni_bands_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch, int32_t threads)
{
    const bands_job j = job_of(k, p, batch);
    return sums_bytes(&j) + (uint64_t)threads * rni_scratch_slot_bytes(panel_bytes(&j) + edge_bytes(&j));
}

/* A band of pixels of dy, counted through all images, and the unit of taps that looks at x. */
typedef struct band {
    int64_t first, count;
    int64_t row, tap; /* of taps; the first of the unit in its row */
    const void *at[BAND_PIXELS];
    char *outside; /* memory: zeros, then copies */
} band;

/* The unit's pixels of a row of x from column `col` on, of which some are outside. */
static const void *copy_edge(const bands_job *j, band *b, const char *row, int64_t col, char **room)
{
    const rn_conv_params *const p = j->add.c->p;
    const size_t pixel = (size_t)p->in_channels * (size_t)j->add.k->size;
    char *const made = *room;
    if (j->taps == 1)
        return b->outside;
    for (int64_t t = 0; t < j->taps; t++, *room += pixel) {
        if (col + t >= 0 && col + t < p->in_width)
            memcpy(*room, row + (col + t) * (int64_t)pixel, pixel);
        else
            memset(*room, 0, pixel);
    }
    return made;
}

/* Where the pixels of x are that meet those of dy, row by row. */
static void locate(const bands_job *j, band *b)
{
    const rni_conv *const c = j->add.c;
    const rn_conv_params *const p = c->p;
    const int64_t pixel = p->in_channels * j->add.k->size, end = b->first + b->count;
    char *room = b->outside + j->width * j->add.k->size;
    const void **at = b->at;
    for (int64_t i = b->first; i < end;) {
        const int64_t ox = i % p->out_width, y = i / p->out_width, run = rni_conv_min(end - i, p->out_width - ox);
        const int64_t h = y % p->out_height * p->stride[0] - p->padding[0] + b->row * p->dilation[0];
        const char *const row = (const char *)c->x + (y / p->out_height * p->in_height + h) * p->in_width * pixel;
        int64_t w = ox * p->stride[1] - p->padding[1] + b->tap * p->dilation[1];
        for (int64_t n = 0; n < run; n++, w += p->stride[1]) {
            if (h < 0 || h >= p->in_height)
                *at++ = b->outside;
            else if (w >= 0 && w + j->taps <= p->in_width)
                *at++ = row + w * pixel;
            else
                *at++ = copy_edge(j, b, row, w, &room);
        }
        i += run;
    }
}

/* A task's blocks as output channels: the first, how many, lanes of them. */
typedef struct block_range {
    int64_t first, count, lanes;
} block_range;

static block_range range_of(const bands_job *j, int64_t part)
{
    const rni_filter_job *const add = &j->add;
    const int64_t outs = add->c->out_per_group, width = add->block_vectors * add->k->lanes;
    block_range r = {.first = add->blocks * part / j->parts * width};
    const int64_t end = rni_conv_min(outs, add->blocks * (part + 1) / j->parts * width);
    r.count = end - r.first;
    r.lanes = rni_conv_divide_up(r.count, add->k->lanes) * add->k->lanes;
    return r;
}

/* What the next band reads, for 1x1 convolutions: it lies behind this one's. */
static void look_ahead(const bands_job *j, const band *b, rni_conv_band *k)
{
    const rn_conv_params *const p = j->add.c->p;
    const size_t size = (size_t)j->add.k->size;
    k->dy_ahead = rni_at_const(k->dy, (size_t)(b->count * k->dy_pixel), size);
    if (!rni_pointwise_suits(p))
        return;
    k->x_pixel = p->stride[1] * p->in_channels;
    k->x_ahead = rni_at_const(b->at[b->count - 1], (size_t)k->x_pixel, size);
}

static void add_band(const bands_job *j, const block_range *r, band *b, int more, float *sum, void *memory)
{
    const rni_conv *const c = j->add.c;
    const int64_t in_row = j->units / c->p->kernel[0], weights = rni_filter_weights(&j->add);
    rni_conv_band k = {.x_at = b->at, .dy_pixel = c->p->out_channels, .count = b->count, .memory = memory};
    k.channels = j->width;
    k.outs = r->count;
    k.weights = weights;
    k.max_vectors = j->add.block_vectors;
    k.dy = rni_at_const(c->dy, (size_t)(b->first * k.dy_pixel + r->first), (size_t)j->add.k->size);
    for (int64_t unit = 0; unit < j->units; unit++) {
        b->row = unit / in_row;
        b->tap = unit % in_row;
        locate(j, b);
        if (more && unit == j->units - 1)
            look_ahead(j, b, &k);
        k.sum = sum;
        k.unit = unit * j->width;
        j->add.k->band(&k);
    }
}

static void run_part(void *arg, size_t index)
{
    const bands_job *const j = arg;
    const rni_filter_job *const add = &j->add;
    const int64_t chunk = (int64_t)index / j->parts, bands = rni_conv_divide_up(j->pixels, BAND_PIXELS);
    const int64_t end = rni_conv_min(j->pixels, bands * (chunk + 1) / add->chunks * BAND_PIXELS);
    const block_range r = range_of(j, (int64_t)index % j->parts);
    const int64_t weights = rni_filter_weights(add);
    float *const sum = add->sums + chunk * add->copy + r.first * weights;
    char *const memory = rni_scratch_take(&j->scratch, index);
    band b = {.outside = memory + panel_bytes(j)};
    memset(sum, 0, (size_t)(r.lanes * weights) * sizeof *sum);
    memset(b.outside, 0, (size_t)(j->width * add->k->size));
    for (b.first = bands * chunk / add->chunks * BAND_PIXELS; b.first < end; b.first += BAND_PIXELS) {
        b.count = rni_conv_min(BAND_PIXELS, end - b.first);
        add_band(j, &r, &b, b.first + 2 * BAND_PIXELS <= end, sum, memory);
    }
    rni_scratch_give(memory);
}

rn_status rni_bands_backward_filter(const rni_conv *c, const rni_conv_kernels *k)
{
    bands_job j = job_of(k, c->p, c->batch);
    j.add.c = c;
    j.add.sums = c->workspace;
    j.scratch = rni_scratch_make((char *)c->workspace + sums_bytes(&j), panel_bytes(&j) + edge_bytes(&j),
                                 c->call->cpu->host->num_threads);
    RNI_TRY(rni_cpu_parallel(c->call, run_part, &j, (size_t)(j.add.chunks * j.parts)));
    return rni_filter_add(&j.add);
}
