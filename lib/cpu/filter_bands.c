/* SPDX-License-Identifier: MIT */
#include "cpu/filter_bands.h"
#include "base/error.h"
#include "cpu/pointwise.h"
#include "cpu/scratch.h"
#include <string.h>

/* So many tasks should be there to share; from so many parts on, pixels are not cut into chunks besides. */
enum { FILTER_TASKS = 16, ENOUGH_PARTS = 6 };
/* Pixels of a band, and of a chunk at least: adding up its sums must not show. */
enum { BAND_PIXELS = 192, CHUNK_PIXELS = 512 };
/* What a part has at most: output channels, elements of x that meet a pixel, and sums, which stay in a core's cache. */
enum { PART_OUTS = 256, FEW_OUTS = 64, PART_WIDTH = 256, PART_SUMS = 96 << 10 };
/* The taps of a row are taken together when they have at most so many channels. */
enum { MOST_TOGETHER = 192 };
/* Floats of other than 1x1 taps: with fewer channels the kernel that needs no copies is faster. */
enum { LEAST_CHANNELS = 512 };

int rni_bands_suit(const rni_conv_kernels *k, const rn_conv_params *p)
{
    return p->groups == 1 && (k->step > 1 || rni_pointwise_suits(p) || p->in_channels >= LEAST_CHANNELS);
}

/*
 * Sums of dw, [unit of taps][output channel][tap of the unit, channel]: a chunk of pixels into a copy of its own, by parts
 * of the units, the output channels and the elements of x.
 */
typedef struct bands_job {
    const rni_conv *c;
    const rni_conv_kernels *k;
    const rn_conv_params *p;
    int64_t pixels, bands, chunks;
    int64_t unit_parts, out_parts, width_parts;
    int64_t taps, units; /* taken together along a row: all of a row, or one; rows of taps by what is left of a row */
    int64_t width, row;  /* elements of x that meet a pixel of dy in a unit; filled up to whole vectors */
    int64_t part_width;
    int direct;          /* x is multiplied where it lies */
    int whole;           /* dw itself takes the sums */
    float *sums;
    rni_scratch scratch;
} bands_job;

static int64_t round_up(int64_t n, int64_t step)
{
    return rni_conv_divide_up(n, step) * step;
}

static int64_t part_count(const bands_job *j)
{
    return j->unit_parts * j->out_parts * j->width_parts;
}

static void cut_parts(bands_job *j, int64_t most_outs)
{
    const int64_t block = 2 * j->k->lanes;
    j->part_width = round_up(rni_conv_divide_up(j->row, rni_conv_divide_up(j->row, PART_WIDTH)), block);
    j->width_parts = rni_conv_divide_up(j->row, j->part_width);
    j->out_parts = rni_conv_divide_up(j->p->out_channels, most_outs);
    const int64_t sums = rni_conv_divide_up(j->p->out_channels, j->out_parts) * rni_conv_min(j->part_width, j->row);
    j->unit_parts = rni_conv_min(j->units, rni_conv_divide_up(j->units * sums, PART_SUMS));
}

/* With one tap and no stride x has the pixels of dy. */
static int is_aligned(const rn_conv_params *p)
{
    return rni_pointwise_suits(p) && p->stride[0] == 1 && p->stride[1] == 1;
}

static bands_job job_of(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch)
{
    bands_job j = {.k = k, .p = p, .pixels = rni_pointwise_pixels(p, batch)};
    j.bands = rni_conv_divide_up(j.pixels, BAND_PIXELS);
    j.taps = p->dilation[1] == 1 && p->kernel[1] * p->in_channels <= MOST_TOGETHER ? p->kernel[1] : 1;
    j.units = p->kernel[0] * p->kernel[1] / j.taps;
    j.width = j.taps * p->in_channels;
    j.row = round_up(j.width, k->lanes);
    cut_parts(&j, PART_OUTS);
    if (part_count(&j) < ENOUGH_PARTS && j.pixels < FILTER_TASKS * CHUNK_PIXELS / part_count(&j))
        cut_parts(&j, FEW_OUTS); /* pixels that are not worth cutting */
    const int64_t parts = part_count(&j), wanted = parts >= ENOUGH_PARTS ? 1 : rni_conv_divide_up(FILTER_TASKS, parts);
    j.chunks = rni_conv_max(1, rni_conv_min(j.pixels / CHUNK_PIXELS, wanted));
    j.direct = k->step == 1 && is_aligned(p) && j.row == j.width;
    j.whole = rni_pointwise_suits(p) && j.row == j.width && j.chunks == 1;
    return j;
}

/* Elements of the copies of a band: of x, and of dy when it is copied. */
static int64_t x_elements(const bands_job *j)
{
    return j->direct ? 0 : round_up(BAND_PIXELS, j->k->step) * rni_conv_min(j->part_width, j->row);
}

static int64_t out_row(const bands_job *j)
{
    return round_up(rni_conv_divide_up(j->p->out_channels, j->out_parts), j->k->lanes);
}

static int64_t dy_elements(const bands_job *j)
{
    return j->k->step > 1 ? round_up(BAND_PIXELS, j->k->step) * out_row(j) : 0;
}

/* A pixel that is outside, and copies of those whose taps are so in part. */
static int64_t edge_elements(const bands_job *j)
{
    return j->width * (j->taps > 1 ? BAND_PIXELS + 1 : 1);
}

static size_t slot_bytes(const bands_job *j)
{
    return (size_t)(x_elements(j) + dy_elements(j) + edge_elements(j)) * (size_t)j->k->size;
}

static int64_t copy_floats(const bands_job *j)
{
    return j->units * j->p->out_channels * j->row;
}

static size_t sums_bytes(const bands_job *j)
{
    return j->whole ? 0 : (size_t)round_up(j->chunks * copy_floats(j), 16) * sizeof(float);
}

uint64_t rni_bands_bytes(const rni_conv_kernels *k, const rn_conv_params *p, int64_t batch, int32_t threads)
{
    const bands_job j = job_of(k, p, batch);
    return sums_bytes(&j) + (uint64_t)threads * rni_scratch_slot_bytes(slot_bytes(&j));
}

/* A band of pixels of dy, counted through all images, and the unit of taps that looks at x. */
typedef struct band {
    int64_t first, count;
    int64_t element; /* of x's that meet a pixel, the first of the part */
    int64_t row, tap; /* of taps; the first of the unit in its row */
    const void *at[BAND_PIXELS];
    char *outside; /* memory: zeros, then copies */
} band;

/* The unit's pixels of a row of x from column `col` on, of which some are outside. */
static const char *copy_edge(const bands_job *j, const band *b, const char *row, int64_t col, char **room)
{
    const size_t pixel = (size_t)(j->p->in_channels * j->k->size);
    char *const made = *room;
    if (j->taps == 1)
        return b->outside;
    for (int64_t t = 0; t < j->taps; t++, *room += pixel) {
        if (col + t >= 0 && col + t < j->p->in_width)
            memcpy(*room, row + (col + t) * (int64_t)pixel, pixel);
        else
            memset(*room, 0, pixel);
    }
    return made;
}

static void point(const void **at, int64_t first, int64_t last, const char *from, int64_t step)
{
    for (int64_t n = first; n < last; n++)
        at[n] = from + n * step;
}

/* For `run` neighbours in a row of dy, the first of which looks at column `col` of a row of x. */
static void locate_run(const bands_job *j, const band *b, const char *row, int64_t col, int64_t run, const void **at,
                       char **room)
{
    const int64_t stride = j->p->stride[1], pixel = j->p->in_channels * j->k->size, shift = b->element * j->k->size;
    const int64_t to_right = j->p->in_width - j->taps - col;
    const int64_t first = rni_conv_min(run, col < 0 ? rni_conv_divide_up(-col, stride) : 0);
    const int64_t last = rni_conv_max(first, rni_conv_min(run, to_right < 0 ? 0 : to_right / stride + 1));
    for (int64_t n = 0; n < first; n++)
        at[n] = copy_edge(j, b, row, col + n * stride, room) + shift;
    point(at, first, last, row + col * pixel + shift, stride * pixel);
    for (int64_t n = last; n < run; n++)
        at[n] = copy_edge(j, b, row, col + n * stride, room) + shift;
}

/* Where the pixels of x are that meet those of dy, row by row. */
static void locate(const bands_job *j, band *b)
{
    const rn_conv_params *const p = j->p;
    const int64_t pixel = p->in_channels * j->k->size, end = b->first + b->count, shift = b->element * j->k->size;
    char *room = b->outside + j->width * j->k->size;
    if (is_aligned(p)) {
        point(b->at, 0, b->count, (const char *)j->c->x + b->first * pixel + shift, pixel);
        return;
    }
    for (int64_t i = b->first, run; i < end; i += run) {
        const int64_t ox = i % p->out_width, y = i / p->out_width;
        const int64_t h = y % p->out_height * p->stride[0] - p->padding[0] + b->row * p->dilation[0];
        const int64_t w = ox * p->stride[1] - p->padding[1] + b->tap * p->dilation[1];
        const void **const at = b->at + (i - b->first);
        run = rni_conv_min(end - i, p->out_width - ox);
        if (h < 0 || h >= p->in_height)
            point(at, 0, run, b->outside + shift, 0);
        else
            locate_run(j, b, (const char *)j->c->x + (y / p->out_height * p->in_height + h) * p->in_width * pixel, w, run, at,
                       &room);
    }
}

/* A task's share: units, elements of x in each of them, output channels. */
typedef struct share {
    int64_t unit, last_unit;
    int64_t element, width;
    int64_t out, outs;
} share;

static share share_of(const bands_job *j, int64_t part)
{
    const int64_t at = part % j->width_parts, outs = part / j->width_parts % j->out_parts;
    const int64_t unit = part / (j->width_parts * j->out_parts), all = j->p->out_channels;
    share s = {.unit = j->units * unit / j->unit_parts, .last_unit = j->units * (unit + 1) / j->unit_parts};
    s.element = at * j->part_width;
    s.width = rni_conv_min(j->part_width, j->row - s.element);
    s.out = all * outs / j->out_parts;
    s.outs = all * (outs + 1) / j->out_parts - s.out;
    return s;
}

static float *sums_of(const bands_job *j, const share *s, int64_t chunk, int64_t unit)
{
    float *const copy = j->whole ? j->c->dw : j->sums + chunk * copy_floats(j);
    return copy + (unit * j->p->out_channels + s->out) * j->row + s->element;
}

/* What is known of a band's dy before any unit: where it lies, or its copy. */
static void take_dy(const bands_job *j, const share *s, const band *b, void *memory, rni_conv_product *k)
{
    const size_t size = (size_t)j->k->size;
    const int64_t pixel = j->p->out_channels;
    const void *at[BAND_PIXELS];
    k->dy = rni_at_const(j->c->dy, (size_t)(b->first * pixel + s->out), size);
    k->dy_step = pixel;
    if (j->k->step == 1)
        return;
    for (int64_t i = 0; i < b->count; i++)
        at[i] = rni_at_const(k->dy, (size_t)(i * pixel), size);
    k->dy_step = j->k->step * out_row(j);
    j->k->rows(at, b->count, s->outs, memory, k->dy_step);
    k->dy = memory;
}

static void take_x(const bands_job *j, const share *s, const band *b, void *memory, rni_conv_product *k)
{
    k->x = b->at[0];
    k->x_step = j->p->in_channels;
    if (j->direct)
        return;
    k->x_step = j->k->step * s->width;
    j->k->rows(b->at, b->count, rni_conv_min(s->width, j->width - s->element), memory, k->x_step);
    k->x = memory;
}

static int64_t lines_of(const bands_job *j, int64_t elements)
{
    return rni_conv_divide_up(elements * j->k->size, 64);
}

/* Rows of x, spread over the band's pixels; those that this band has read as well are asked for in vain. */
static void look_ahead_in_rows(const bands_job *j, const band *b, rni_conv_product *k)
{
    const rn_conv_params *const p = j->p;
    const int64_t next = b->first + b->count, y = next / p->out_width, row = p->in_width * p->in_channels;
    const int64_t h = rni_conv_max(0, y % p->out_height * p->stride[0] - p->padding[0]);
    const int64_t rows = rni_conv_divide_up(b->count, p->out_width) * p->stride[0];
    k->x_ahead = rni_at_const(j->c->x, (size_t)((y / p->out_height * p->in_height + h) * row), (size_t)j->k->size);
    k->x_lines = rni_conv_divide_up(lines_of(j, rows * row), b->count);
    k->x_pixel = k->x_lines * 64 / j->k->size;
}

/* What the next band reads; of x where a part has whole pixels. */
static void look_ahead(const bands_job *j, const share *s, const band *b, rni_conv_product *k)
{
    const size_t size = (size_t)j->k->size;
    k->dy_pixel = j->p->out_channels;
    k->dy_ahead = rni_at_const(j->c->dy, (size_t)((b->first + b->count) * k->dy_pixel + s->out), size);
    k->dy_lines = lines_of(j, s->outs);
    if (rni_pointwise_suits(j->p)) { /* behind this band's */
        k->x_pixel = j->p->stride[1] * j->p->in_channels;
        k->x_ahead = rni_at_const(b->at[b->count - 1], (size_t)k->x_pixel, size);
        k->x_lines = lines_of(j, s->width);
    } else if (j->width_parts == 1)
        look_ahead_in_rows(j, b, k);
}

static void add_band(const bands_job *j, const share *s, band *b, int fresh, int more, int64_t chunk, void *memory)
{
    const int64_t in_row = j->units / j->p->kernel[0];
    void *const copy_of_dy = rni_at(memory, (size_t)x_elements(j), (size_t)j->k->size);
    rni_conv_product k = {.count = b->count, .channels = s->width, .outs = s->outs, .sum_row = j->row, .fresh = fresh};
    take_dy(j, s, b, copy_of_dy, &k);
    for (int64_t unit = s->unit; unit < s->last_unit; unit++) {
        b->row = unit / in_row;
        b->tap = unit % in_row;
        locate(j, b);
        take_x(j, s, b, memory, &k);
        if (more && unit == s->last_unit - 1)
            look_ahead(j, s, b, &k);
        k.sum = sums_of(j, s, chunk, unit);
        j->k->product(&k);
    }
}

/* First pixel of a band; bands are of nearly equal size. */
static int64_t band_start(const bands_job *j, int64_t index)
{
    return j->pixels * index / j->bands;
}

static void run_part(void *arg, size_t index)
{
    const bands_job *const j = arg;
    const int64_t parts = part_count(j), chunk = (int64_t)index / parts;
    const int64_t start = j->bands * chunk / j->chunks, end = j->bands * (chunk + 1) / j->chunks;
    const share s = share_of(j, (int64_t)index % parts);
    void *const memory = rni_scratch_take(&j->scratch, index);
    band b = {.element = s.element};
    b.outside = rni_at(memory, (size_t)(x_elements(j) + dy_elements(j)), (size_t)j->k->size);
    memset(b.outside, 0, (size_t)(j->width * j->k->size));
    for (int64_t i = start; i < end; i++) {
        b.first = band_start(j, i);
        b.count = band_start(j, i + 1) - b.first;
        add_band(j, &s, &b, i == start && !j->whole, i + 1 < end, chunk, memory);
    }
    rni_scratch_give(memory);
}

/* Adds the other chunks' sums of a row to the first chunk's. */
static void fold_chunks(const bands_job *j, float *sum)
{
    for (int64_t chunk = 1; chunk < j->chunks; chunk++) {
        const float *const other = sum + chunk * copy_floats(j);
        for (int64_t i = 0; i < j->width; i++)
            sum[i] += other[i];
    }
}

/* The sums for one output channel, tap after tap, become its weights, channel after channel. */
static void add_taps(const bands_job *j, const float *sum, float *dw)
{
    const size_t taps = (size_t)(j->p->kernel[0] * j->p->kernel[1]), channels = (size_t)j->p->in_channels;
    const size_t unit = (size_t)(j->p->out_channels * j->row), together = (size_t)j->taps;
    const rni_typed_kernels *const f = &j->c->call->kernels->f32;
    if (together == 1)
        f->transpose(dw, taps, sum, unit, taps, channels, 1);
    else
        for (size_t i = 0; i < (size_t)j->units; i++)
            f->transpose(dw + i * together, taps, sum + i * unit, channels, together, channels, 1);
}

static void add_output(void *arg, size_t index)
{
    const bands_job *const j = arg;
    float *const dw = j->c->dw + (int64_t)index * j->p->kernel[0] * j->p->kernel[1] * j->p->in_channels;
    float *const sum = j->sums + (int64_t)index * j->row;
    for (int64_t unit = 0; unit < j->units; unit++)
        fold_chunks(j, sum + unit * j->p->out_channels * j->row);
    if (rni_pointwise_suits(j->p))
        for (int64_t i = 0; i < j->width; i++)
            dw[i] += sum[i];
    else
        add_taps(j, sum, dw);
}

rn_status rni_bands_backward_filter(const rni_conv *c, const rni_conv_kernels *k)
{
    bands_job j = job_of(k, c->p, c->batch);
    j.c = c;
    j.sums = c->workspace;
    const size_t tasks = (size_t)(j.chunks * part_count(&j));
    j.scratch =
        rni_scratch_make((char *)c->workspace + sums_bytes(&j), slot_bytes(&j), c->call->cpu->host->num_threads, tasks);
    RNI_TRY(rni_cpu_parallel(c->call, run_part, &j, tasks));
    return j.whole ? RN_OK : rni_cpu_parallel(c->call, add_output, &j, (size_t)c->p->out_channels);
}
