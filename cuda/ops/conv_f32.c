/* SPDX-License-Identifier: MIT */
#include "ops/conv_f32.h"

/* Warps that keep a processor's units busy half of the time, and registers that a processor has for so many threads. */
enum { HALF_BUSY_WARPS = 3, RESIDENT_THREADS = 512, MOST_TAPS = 64, MOST_SINGLE_TERMS = 160, MOST_ROUNDS = 6 };

static const rni_f32_tile gather_tiles[RNI_F32_GATHER_TILES] = {
    {128, 128, 256, 0, 0, 0.65f}, {128, 64, 128, 0, 0, 0.65f}, {128, 32, 64, 0, 0, 0.6f},   {256, 16, 128, 0, 0, 0.45f},
    {64, 64, 128, 0, 0, 0.5f},    {64, 32, 64, 0, 0, 0.48f},   {128, 16, 64, 0, 0, 0.4f},   {32, 32, 64, 0, 0, 0.33f},
    {64, 64, 256, 0, 0, 0.5f},    {64, 32, 128, 0, 0, 0.55f},  {128, 64, 128, 1, 0, 0.35f}, {128, 16, 64, 1, 0, 0.25f},
};

static const rni_f32_tile filter_tiles[RNI_F32_FILTER_TILES] = {
    {128, 128, 256, 0, 0, 0.65f}, {64, 64, 128, 0, 1, 0.6f}, {32, 144, 128, 0, 0, 0.55f},
    {16, 144, 128, 0, 1, 0.45f},  {64, 64, 128, 1, 0, 0.4f}, {16, 32, 128, 1, 1, 0.2f},
};

const rni_f32_tile *rni_f32_tiles(int32_t kind, int32_t *count)
{
    const int filter = kind == RN_OP_CONV_BACKWARD_FILTER;
    *count = filter ? RNI_F32_FILTER_TILES : RNI_F32_GATHER_TILES;
    return filter ? filter_tiles : gather_tiles;
}

static int64_t in_elements(const rni_conv_shape *s)
{
    return (int64_t)s->images * s->in[0] * s->in[1] * s->in_channels;
}

static int64_t out_elements(const rni_conv_shape *s)
{
    return (int64_t)s->images * s->out[0] * s->out[1] * s->out_channels;
}

static int64_t terms_of(const rni_conv_shape *s)
{
    return (int64_t)s->in_channels * s->kernel[0] * s->kernel[1];
}

/* Elements are counted in 32 bits, some beyond the last: windows may begin outside by a padding. */
static int counts(const rni_conv_shape *s)
{
    enum { MOST = 1 << 30 };
    const int64_t aside =
        ((int64_t)s->padding[0] + s->kernel[0] * (int64_t)s->dilation[0]) * (s->in[1] + s->padding[1]) * s->in_channels;
    return in_elements(s) <= MOST && out_elements(s) <= MOST && aside <= MOST / 2 &&
           terms_of(s) <= MOST / (s->out_channels + 16);
}

int rni_f32_serves(int32_t kind, int32_t dtype, const rni_conv_shape *s, int32_t number)
{
    const int32_t lanes = dtype == RN_F32 ? 4 : 8; /* elements in 16 bytes */
    if (s->groups != 1 || s->out_channels % lanes != 0 || !counts(s))
        return 0;
    if (kind == RN_OP_CONV_BACKWARD_FILTER)
        return (s->in_channels % lanes == 0 || filter_tiles[number].single) &&
               (dtype == RN_F32 || filter_tiles[number].halves);
    if (dtype != RN_F32)
        return 0;
    if (gather_tiles[number].single)
        return kind == RN_OP_CONV_FORWARD && terms_of(s) <= MOST_SINGLE_TERMS;
    for (int axis = 0; axis < 2 && kind == RN_OP_CONV_BACKWARD_DATA; axis++)
        if (s->stride[axis] > 1 && s->dilation[axis] > 1)
            return 0;
    return s->in_channels % 4 == 0 && s->kernel[0] <= MOST_TAPS && s->kernel[0] * s->kernel[1] <= MOST_TAPS &&
           s->stride[0] <= 8 && s->stride[1] <= 8;
}

static double ceil_div(double a, int32_t b)
{
    return (double)(int64_t)((a + b - 1) / b);
}

/* Seconds but for a factor: the products of a processor's blocks, which few warps compute slowly. */
static double gather_time(int32_t kind, const rni_conv_shape *s, const rni_f32_tile *t, int32_t processors)
{
    const int backward = kind == RN_OP_CONV_BACKWARD_DATA;
    const int32_t classes = backward ? s->stride[0] * s->stride[1] : 1;
    const double pixels = (double)s->images * (backward ? s->in[0] * (double)s->in[1] : s->out[0] * (double)s->out[1]);
    const double blocks = ceil_div(pixels / classes, t->rows) * classes *
                          ceil_div(backward ? s->in_channels : s->out_channels, t->columns);
    const double each = ceil_div(blocks, processors), resident = RESIDENT_THREADS / t->threads;
    const double warps = (each < resident ? each : resident) * t->threads / 32;
    const double busy = warps / (warps + HALF_BUSY_WARPS);
    return each * t->rows * t->columns / (t->efficiency * busy);
}

/* Pixels are shared out to as many blocks as it takes: only what a tile computes in vain counts. */
static double filter_time(const rni_conv_shape *s, const rni_f32_tile *t)
{
    return ceil_div(s->out_channels, t->rows) * t->rows * ceil_div((double)terms_of(s), t->columns) * t->columns /
           t->efficiency;
}

int rni_f32_prefers_dnn(const rn_conv_params *p, int32_t kind, int32_t dtype, int64_t images)
{
    enum { MANY_CHANNELS = 128, FEW_CHANNELS = 16, MANY_PIXELS = 300000, LANES = 8 };
    if (dtype != RN_F32) /* cuDNN takes about as long for 100,000 pixels as for 500,000, and fills up odd channels before */
        return p->out_channels > FEW_CHANNELS || p->in_channels > FEW_CHANNELS ||
               (p->in_channels % LANES == 0 && images * p->out_height * p->out_width > MANY_PIXELS);
    return kind == RN_OP_CONV_BACKWARD_FILTER && !p->direct && p->kernel[0] == 3 && p->kernel[1] == 3 &&
           p->stride[0] == 1 && p->stride[1] == 1 && p->dilation[0] == 1 && p->dilation[1] == 1 &&
           p->in_channels >= MANY_CHANNELS && p->out_channels >= MANY_CHANNELS;
}

/*
 * Blocks of a tile run in rounds of as many as processors hold; a share costs a round's part of the products, and its sums
 * are written and read again. A processor multiplies 128 times a tick, and has about 10 bytes of bandwidth in that time.
 */
int32_t rni_f32_shares(const rni_conv_shape *s, int32_t number, int32_t processors, int64_t most)
{
    const rni_f32_tile *const t = &filter_tiles[number];
    const double tiles = ceil_div(s->out_channels, t->rows) * ceil_div((double)terms_of(s), t->columns);
    const double round = (double)processors * (RESIDENT_THREADS / t->threads);
    const double pixels = (double)s->images * s->out[0] * s->out[1];
    const double products = pixels * t->rows * t->columns / (t->efficiency * 128) * (RESIDENT_THREADS / t->threads);
    const double sums = 8.0 * s->out_channels * (double)terms_of(s) / (10.0 * processors);
    double least = 0;
    int32_t best = 1;
    for (int32_t rounds = 1; rounds <= MOST_ROUNDS; rounds++) {
        const double wanted = (double)(int64_t)(rounds * round / tiles);
        const int32_t n = wanted < 1 ? 1 : wanted > (double)most ? (int32_t)most : (int32_t)wanted;
        const double time = ceil_div(tiles * n, (int32_t)round) * products / n + n * sums;
        if (rounds > 1 && time >= least)
            continue;
        least = time;
        best = n;
    }
    return best;
}

int32_t rni_f32_choose(int32_t kind, int32_t dtype, const rni_conv_shape *s, int32_t processors)
{
    int32_t count, best = -1;
    const rni_f32_tile *const tiles = rni_f32_tiles(kind, &count);
    double least = 0;
    for (int32_t i = 0; i < count; i++) {
        if (!rni_f32_serves(kind, dtype, s, i))
            continue;
        const double time = kind == RN_OP_CONV_BACKWARD_FILTER ? filter_time(s, &tiles[i])
                                                               : gather_time(kind, s, &tiles[i], processors);
        if (best < 0 || time < least) {
            best = i;
            least = time;
        }
    }
    return best;
}
