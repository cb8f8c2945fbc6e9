/* SPDX-License-Identifier: MIT */
#include "cpu/filter_bands.h"
#include "base/error.h"
#include "cpu/conv_filter.h"
#include "cpu/pointwise.h"
#include "cpu/scratch.h"
#include <string.h>

/* So many tasks should be there to share; from so many parts on, pixels are not cut into chunks besides. */
enum { FILTER_TASKS = 16, ENOUGH_PARTS = 6 };
/* Pixels of a band; so many channels of x, and sums of so many floats, stay in a core's cache. */
enum { BAND_PIXELS = 144, CACHED_CHANNELS = 512, CACHED_SUMS = 1 << 17 };
/* The taps of a row are taken together when they have at most so many channels. */
enum { MOST_TOGETHER = 192 };

int rni_bands_suit(const rni_conv_kernels *k, const rn_conv_params *p)
{
    return rni_pointwise_suits(p) || (k->step > 1 && p->groups == 1);
}

/*
 * Sums of dw: a chunk of pixels into a copy of the weights of its own, by parts of the units of taps, of x's channels and
 * of the blocks.
 */
typedef struct bands_job {
    rni_filter_job add;
    int64_t pixels;
    int64_t unit_parts, channel_parts, block_parts;
    int64_t taps, units; /* taken together along a row: all of a row, or one; rows of taps by what is left of a row */
    int64_t width;       /* elements of x that meet a pixel of dy in a unit */
    rni_scratch scratch;
} bands_job;

/* Of the channels in a unit, of the units when all their sums are too many, then of the blocks. */
static void cut_parts(bands_job *j)
{
    const rni_filter_job *const add = &j->add;
    j->channel_parts = rni_conv_divide_up(j->width, CACHED_CHANNELS);
    j->unit_parts = add->copy / j->channel_parts > CACHED_SUMS ? j->units : 1;
    const int64_t sums = add->copy / (j->channel_parts * j->unit_parts);
    j->block_parts = rni_conv_min(add->blocks, rni_conv_divide_up(sums, CACHED_SUMS));
}

static int64_t part_count(const bands_job *j)
{
    return j->unit_parts * j->channel_parts * j->block_parts;
}

static bands_job job_of(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    bands_job j = {.add = rni_filter_plan(k, p, batch), .pixels = rni_pointwise_pixels(p, batch)};
    const int64_t bands = rni_conv_divide_up(j.pixels, BAND_PIXELS);
    j.taps = p->dilation[1] == 1 && p->kernel[1] * p->in_channels <= MOST_TOGETHER ? p->kernel[1] : 1;
    j.units = p->kernel[0] * p->kernel[1] / j.taps;
    j.width = j.taps * p->in_channels;
    cut_parts(&j);
    const int64_t parts = part_count(&j), wanted = parts >= ENOUGH_PARTS ? 1 : rni_conv_divide_up(FILTER_TASKS, parts);
    j.add.chunks = rni_conv_min(bands, wanted);
    return j;
}

/* Most channels in a part. */
static int64_t part_width(const bands_job *j)
{
    return rni_conv_divide_up(j->width, j->channel_parts);
}

/* What the kernel copies: x in panels, and a block of dy. */
static size_t panel_bytes(const bands_job *j)
{
    const rni_conv_kernels *const k = j->add.k;
    const int64_t panels = 2 * rni_conv_divide_up(part_width(j), 4) * k->lanes;
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
    int64_t channel; /* of x, the first of the part */
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
        const char *const row = (const char *)c->x + (y / p->out_height * p->in_height + h) * p->in_width * pixel +
                                b->channel * j->add.k->size;
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

/* A task's share: units, channels of x in each of them, output channels of its blocks. */
typedef struct share {
    int64_t unit, last_unit;
    int64_t channel, channels;
    int64_t first, count;
} share;

static share share_of(const bands_job *j, int64_t part)
{
    const rni_filter_job *const add = &j->add;
    const int64_t at = part % j->channel_parts, block = part / j->channel_parts % j->block_parts;
    const int64_t unit = part / (j->channel_parts * j->block_parts);
    const int64_t width = add->block_vectors * add->k->lanes;
    share s = {.unit = j->units * unit / j->unit_parts, .last_unit = j->units * (unit + 1) / j->unit_parts};
    s.channel = j->width * at / j->channel_parts;
    s.first = add->blocks * block / j->block_parts * width;
    s.channels = j->width * (at + 1) / j->channel_parts - s.channel;
    s.count = rni_conv_min(add->c->out_per_group, add->blocks * (block + 1) / j->block_parts * width) - s.first;
    return s;
}

/* The share's sums: those of each unit lie together in each block. */
static void clear(const bands_job *j, const share *r, float *sum)
{
    const int64_t lanes = j->add.k->lanes, whole = j->add.block_vectors * lanes, weights = rni_filter_weights(&j->add);
    for (int64_t o = 0; o < r->count; o += whole) {
        const int64_t width = rni_conv_divide_up(rni_conv_min(whole, r->count - o), lanes) * lanes;
        for (int64_t unit = r->unit; unit < r->last_unit; unit++)
            memset(sum + (unit * j->width + r->channel) * width, 0, (size_t)(r->channels * width) * sizeof *sum);
        sum += weights * width;
    }
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

static void add_band(const bands_job *j, const share *r, band *b, int more, float *sum, void *memory)
{
    const rni_conv *const c = j->add.c;
    const int64_t in_row = j->units / c->p->kernel[0], weights = rni_filter_weights(&j->add);
    rni_conv_band k = {.x_at = b->at, .dy_pixel = c->p->out_channels, .count = b->count, .memory = memory};
    k.channels = r->channels;
    k.outs = r->count;
    k.weights = weights;
    k.max_vectors = j->add.block_vectors;
    k.dy = rni_at_const(c->dy, (size_t)(b->first * k.dy_pixel + r->first), (size_t)j->add.k->size);
    for (int64_t unit = r->unit; unit < r->last_unit; unit++) {
        b->row = unit / in_row;
        b->tap = unit % in_row;
        locate(j, b);
        if (more && unit == r->last_unit - 1)
            look_ahead(j, b, &k);
        k.sum = sum;
        k.unit = unit * j->width + r->channel;
        j->add.k->band(&k);
    }
}

static void run_part(void *arg, size_t index)
{
    const bands_job *const j = arg;
    const rni_filter_job *const add = &j->add;
    const int64_t parts = part_count(j), chunk = (int64_t)index / parts;
    const int64_t bands = rni_conv_divide_up(j->pixels, BAND_PIXELS);
    const int64_t end = rni_conv_min(j->pixels, bands * (chunk + 1) / add->chunks * BAND_PIXELS);
    const share r = share_of(j, (int64_t)index % parts);
    float *const sum = add->sums + chunk * add->copy + r.first * rni_filter_weights(add);
    char *const memory = rni_scratch_take(&j->scratch, index);
    band b = {.channel = r.channel, .outside = memory + panel_bytes(j)};
    clear(j, &r, sum);
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
    RNI_TRY(rni_cpu_parallel(c->call, run_part, &j, (size_t)(j.add.chunks * part_count(&j))));
    return rni_filter_add(&j.add);
}
