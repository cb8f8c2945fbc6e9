/* SPDX-License-Identifier: MIT */
/* When Winograd's algorithm is taken, in which form, and how images are cut into groups of tiles. */
#include "cpu/winograd.h"

/* Transforms cost more than they save below. */
enum { LEAST_CHANNELS = 8, LEAST_SIZE = 3 };
/* Tiles in a group: enough to use a weight often, few enough to stay in a core's cache. */
enum { TILES_NARROW = 16, TILES_WIDE = 32, TILES_WIDEST = 64 };
/* Weights of so many floats stay in a core's cache, or in the one that cores share. */
enum { WEIGHTS_NARROW = 1 << 18, WEIGHTS_WIDE = 1 << 20 };
/* The same of bf16; a vector of outputs needs so little memory that more tiles fit. */
enum { DOTS_ONE_VECTOR = 64, DOTS_NARROW = 16, DOTS_WIDE = 32, DOTS_WEIGHTS_NARROW = 1 << 17 };
/* More pairs of channels than these pay for so many tiles or for more. */
enum { FLOATS_PAIRS = WEIGHTS_WIDE / 36, FLOATS_TILES = 12, DOTS_PAIRS = 1 << 15, DOTS_TILES = 48 };
/* So many tasks should be there to share. */
enum { LEAST_TASKS = 8, UNKNOWN_BATCH = 16 };

static int is_plain_3x3(const rn_conv_params *p)
{
    for (int axis = 0; axis < 2; axis++)
        if (p->kernel[axis] != 3 || p->stride[axis] != 1 || p->dilation[axis] != 1)
            return 0;
    return p->groups == 1 && !p->direct;
}

/* The larger, the more of the tiles lies outside of the image. */
static double waste(const rni_winograd_form *form, int64_t size)
{
    return (double)(rni_conv_divide_up(size, form->tile) * form->tile) / (double)size;
}

/* With few images the larger weights are what takes the time. */
static int pays(const rni_winograd_form *form, const rn_conv_params *p, int64_t height, int64_t width)
{
    const int64_t tiles = (p->batch ? p->batch : UNKNOWN_BATCH) * rni_conv_divide_up(height, form->tile) *
                          rni_conv_divide_up(width, form->tile);
    const int64_t pairs = p->in_channels * p->out_channels;
    if (pairs > (form->step > 1 ? DOTS_PAIRS : FLOATS_PAIRS) && tiles < (form->step > 1 ? DOTS_TILES : FLOATS_TILES))
        return 0;
    return waste(form, height) * waste(form, width) < 2;
}

/* Dot products are taken by whole vectors only: bf16 wins unless these are filled badly. */
const rni_winograd_form *rni_winograd_form_of(const rni_conv_kernels *k, const rn_conv_params *p)
{
    const int64_t filled = rni_winograd_padded(p->in_channels, k->lanes) * rni_winograd_padded(p->out_channels, k->lanes);
    const int fits = 4 * filled <= 5 * p->in_channels * p->out_channels;
    return k->winograd_dots && fits ? k->winograd_dots : &k->winograd;
}

int rni_winograd_suits(const rni_conv_kernels *k, const rn_conv_params *p, uint32_t flags)
{
    const int back = (flags & RN_OPF_BACKWARD_DATA) != 0;
    const int64_t height = back ? p->in_height : p->out_height, width = back ? p->in_width : p->out_width;
    return is_plain_3x3(p) && p->in_channels >= LEAST_CHANNELS && p->out_channels >= LEAST_CHANNELS &&
           height >= LEAST_SIZE && width >= LEAST_SIZE && pays(rni_winograd_form_of(k, p), p, height, width);
}

int rni_winograd_suits_filter(const rni_conv_kernels *k, const rn_conv_params *p)
{
    return is_plain_3x3(p) && p->in_channels >= LEAST_CHANNELS && p->out_channels >= LEAST_CHANNELS &&
           p->out_height >= LEAST_SIZE && p->out_width >= LEAST_SIZE &&
           waste(&k->winograd, p->out_height) * waste(&k->winograd, p->out_width) < 1.5;
}

static int64_t wanted_tiles(const rni_winograd_form *form, const rni_conv_kernels *k, const rni_winograd *g)
{
    const int64_t weights = RNI_WINOGRAD_PLANES(form->tile) * g->channels * g->outs;
    if (form->step > 1)
        return g->outs <= k->lanes ? DOTS_ONE_VECTOR : weights <= DOTS_WEIGHTS_NARROW ? DOTS_NARROW : DOTS_WIDE;
    return weights <= WEIGHTS_NARROW ? TILES_NARROW : weights <= WEIGHTS_WIDE ? TILES_WIDE : TILES_WIDEST;
}

/* Of a batch in groups of so many images, what the larger half of the groups has. */
static int64_t larger_half(int64_t images, int64_t batch)
{
    return rni_conv_divide_up(rni_conv_divide_up(batch, images), 2) * images;
}

/* About so many images, so that two threads have the same to do. */
static void cut_images(rni_winograd_pass *pass, int64_t images, int64_t batch)
{
    const int64_t wanted = rni_conv_min(images, batch);
    pass->group_images = wanted;
    for (int64_t n = (wanted + 1) / 2; n <= rni_conv_min(batch, images + images / 4); n++)
        if (larger_half(n, batch) <= larger_half(pass->group_images, batch))
            pass->group_images = n;
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

rni_winograd_pass rni_winograd_pass_of(const rni_conv_kernels *k, const rni_winograd_form *form, const rn_conv_params *p,
                                       int backward_data)
{
    rni_winograd_pass pass = {.form = form, .parts = 1};
    rni_winograd *const g = &pass.g;
    g->channels = backward_data ? p->out_channels : p->in_channels;
    g->outs = backward_data ? p->in_channels : p->out_channels;
    g->in_height = backward_data ? p->out_height : p->in_height;
    g->in_width = backward_data ? p->out_width : p->in_width;
    g->out_height = backward_data ? p->in_height : p->out_height;
    g->out_width = backward_data ? p->in_width : p->out_width;
    for (int axis = 0; axis < 2; axis++)
        g->padding[axis] = backward_data ? 2 - p->padding[axis] : p->padding[axis];
    g->tile_rows = rni_conv_divide_up(g->out_height, form->tile);
    g->tile_cols = rni_conv_divide_up(g->out_width, form->tile);
    pass.vectors = rni_conv_divide_up(g->outs, k->lanes);
    pass.blocks = rni_conv_divide_up(pass.vectors, k->max_vectors);
    const int64_t batch = p->batch ? p->batch : UNKNOWN_BATCH;
    rni_winograd_cut(&pass, wanted_tiles(form, k, g), batch);
    const int64_t groups = rni_conv_divide_up(batch, pass.group_images) * pass.groups;
    if (groups < LEAST_TASKS)
        pass.parts = rni_conv_min(pass.blocks, LEAST_TASKS / groups);
    return pass;
}

int64_t rni_winograd_padded(int64_t channels, int64_t lanes)
{
    return rni_conv_divide_up(channels, lanes) * lanes;
}

int64_t rni_winograd_plane(int64_t elements, int64_t size)
{
    return elements + RNI_WINOGRAD_GAP / size;
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
int64_t rni_winograd_pixels(const rni_winograd_pass *pass, const rni_winograd_span *s)
{
    const int64_t tile = pass->form->tile, last = rni_conv_min(pass->g.out_height, (s->row + s->rows) * tile);
    return s->images * (last - s->row * tile) * pass->g.out_width;
}

/* First and last element that a span reads of x, as far as the image goes. */
void rni_winograd_reads(const rni_winograd_pass *pass, const rni_winograd_span *s, int64_t *first, int64_t *last)
{
    const rni_winograd *const g = &pass->g;
    const int64_t tile = pass->form->tile, row = g->in_width * g->channels, above = s->row * tile - g->padding[0];
    const int64_t below = rni_conv_min(above + s->rows * tile + 2, g->in_height);
    *first = (s->image * g->in_height + rni_conv_max(above, 0)) * row;
    *last = ((s->image + s->images - 1) * g->in_height + below) * row;
}

int64_t rni_winograd_lines(const rni_winograd_form *form, int64_t elements, int64_t size)
{
    return rni_conv_divide_up(rni_conv_max(0, elements) * size, 64 * RNI_WINOGRAD_PLANES(form->tile));
}
