/* SPDX-License-Identifier: MIT */
#include "data/picture.h"
#include <math.h>
#include <string.h>

/* What is to be made of a picture, for the decoder to ask. */
typedef struct wish {
    const rni_pipeline *p;
    const rni_draw *draw;
} wish;

static int64_t side_needed(int64_t side, int64_t made, double box)
{
    const double needed = ceil((double)side * (double)made / box);
    return needed < (double)side ? (int64_t)needed : 0;
}

/* A picture may be smaller as long as the frame's box is no smaller than what it becomes. */
static void least_size(void *user, int64_t height, int64_t width, int64_t *least_height, int64_t *least_width)
{
    const wish *const w = user;
    rni_frame f;
    rni_pipeline_frame(w->p, height, width, w->draw, &f);
    *least_height = side_needed(height, f.height, f.box_height);
    *least_width = side_needed(width, f.width, f.box_width);
}

static rn_status open_decoded(const rn_dataset *ds, int64_t index, wish *w, rni_picture *picture, int64_t *label)
{
    rni_decoded decoded;
    RNI_TRY(rni_dataset_decode(ds, index, least_size, w, &decoded, label));
    picture->block = decoded.pixels.data;
    picture->raster = rni_raster_pixels(&decoded.pixels);
    picture->scale = decoded.pixels.scale;
    picture->height = decoded.height;
    picture->width = decoded.width;
    return RN_OK;
}

rn_status rni_picture_open(const rn_dataset *ds, int64_t index, const rni_pipeline *p, const rni_draw *draw,
                           void *stored, rni_picture *out, int64_t *label)
{
    rni_picture picture = {.allocator = &ds->ctx->allocator, .scale = 1.0};
    wish w = {p, draw};
    if (ds->cls->decode) {
        RNI_TRY(open_decoded(ds, index, &w, &picture, label));
    } else {
        RNI_TRY(rni_dataset_fetch(ds, index, stored, &picture.stored, label));
        picture.height = ds->info.height;
        picture.width = ds->info.width;
        picture.raster = rni_raster_planes(picture.stored, ds->info.channels, picture.height, picture.width);
    }
    *out = picture;
    return RN_OK;
}

void rni_picture_close(rni_picture *picture)
{
    rni_free(picture->allocator, picture->block);
}

size_t rni_picture_framed_bytes(const rni_pipeline *p)
{
    return p->frame_steps ? (size_t)(p->channels * p->in_height * p->in_width) : 0;
}

rn_status rni_picture_view(const rni_picture *picture, const rni_pipeline *p, const rni_draw *draw, void *framed,
                           const void **image)
{
    rni_frame f;
    *image = picture->stored;
    if (!p->frame_steps)
        return RN_OK;
    rni_pipeline_frame(p, picture->height, picture->width, draw, &f);
    f.top *= picture->scale;
    f.left *= picture->scale;
    f.box_height *= picture->scale;
    f.box_width *= picture->scale;
    *image = framed;
    return rni_resize(picture->allocator, &picture->raster, &f, framed);
}
