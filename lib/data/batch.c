/* SPDX-License-Identifier: MIT */
/* Batches: the memory they live in, which images belong to one, and making it. */
#include "base/rng.h"
#include "data/loader.h"
#include "data/picture.h"
#include "tensor/convert.h"
#include <string.h>

static rn_status slot_tensors(rn_loader *l, rni_slot *slot, int which, int64_t n)
{
    const int64_t rows = n * l->pipeline.views;
    const int64_t dims[4] = {rows, l->pipeline.channels, l->pipeline.out_height, l->pipeline.out_width};
    const int64_t targets[2] = {rows, l->classes};
    RNI_TRY(rni_tensor_view(slot->image_storage, 0, l->dtype, l->layout, 4, dims, &slot->images[which]));
    return rni_tensor_view(slot->label_storage, 0, l->target_dtype, RN_LAYOUT_PLAIN, l->classes ? 2 : 1, targets,
                           &slot->labels[which]);
}

/*
 * What is copied to a device when it is handed out gets there after all that reads the batch before: one place serves
 * all slots, and programs see the same addresses with every batch.
 */
static rn_status slot_storage(rn_loader *l, rni_slot *slot, size_t image_bytes, size_t label_bytes)
{
    if (slot != l->slots && !l->dev->info.host_memory) {
        slot->image_storage = l->slots->image_storage;
        slot->label_storage = l->slots->label_storage;
        rni_reference(&slot->image_storage->references);
        rni_reference(&slot->label_storage->references);
        return RN_OK;
    }
    RNI_TRY(rni_storage_create(l->dev, image_bytes, "images of a batch", &slot->image_storage));
    return rni_storage_create(l->dev, label_bytes, "labels of a batch", &slot->label_storage);
}

/* Where workers write: straight into the tensors when the host can address them. */
static rn_status slot_memory(rn_loader *l, rni_slot *slot, size_t image_bytes, size_t label_bytes)
{
    if (l->resident)
        return RN_OK;
    if (l->dev->info.host_memory) {
        slot->image_data = slot->image_storage->data;
        slot->label_data = slot->label_storage->data;
        return RN_OK;
    }
    slot->image_data = rni_alloc(l->allocator, image_bytes);
    slot->label_data = rni_alloc(l->allocator, label_bytes);
    return slot->image_data && slot->label_data ? RN_OK : rni_nomem("batch", image_bytes + label_bytes);
}

/* Bytes of an image's label or class probabilities. */
static size_t target_bytes(const rn_loader *l)
{
    return (size_t)(l->classes ? l->classes : 1) * rn_dtype_size(l->target_dtype);
}

static rn_status slot_create(rn_loader *l, rni_slot *slot)
{
    const size_t rows = (size_t)(l->capacity * l->pipeline.views);
    const size_t images = rows * l->image_bytes, labels = rows * target_bytes(l);
    const int64_t rest = l->images % l->options.batch;
    slot->indices = rni_calloc(l->allocator, (size_t)l->capacity, sizeof *slot->indices);
    if (!slot->indices)
        return rni_nomem("batch", labels);
    RNI_TRY(slot_storage(l, slot, images, labels));
    RNI_TRY(slot_memory(l, slot, images, labels));
    RNI_TRY(slot_tensors(l, slot, 0, l->capacity));
    if (rest && rest != l->capacity)
        RNI_TRY(slot_tensors(l, slot, 1, rest));
    return RN_OK;
}

rn_status rni_slots_create(rn_loader *l)
{
    size_t bytes = 0;
    if (!rni_mul_size((size_t)(l->capacity * l->pipeline.views), l->image_bytes, &bytes))
        return rni_nomem("images of a batch", UINT64_MAX);
    if (!rni_mul_size((size_t)l->classes, sizeof(double), &bytes) || !rni_mul_size((size_t)l->capacity, bytes, &bytes))
        return rni_nomem("class probabilities of a batch", UINT64_MAX);
    l->slots = rni_calloc(l->allocator, l->num_slots, sizeof *l->slots);
    if (!l->slots)
        return rni_nomem("batches", l->num_slots * sizeof *l->slots);
    for (size_t i = 0; i < l->num_slots; i++)
        RNI_TRY(slot_create(l, &l->slots[i]));
    return RN_OK;
}

void rni_slots_free(rn_loader *l)
{
    for (size_t i = 0; l->slots && i < l->num_slots; i++) {
        rni_slot *const slot = &l->slots[i];
        for (int which = 0; which < 3; which++) {
            rn_tensor_release(slot->images[which]);
            rn_tensor_release(slot->labels[which]);
        }
        if (!l->dev->info.host_memory) {
            rni_free(l->allocator, slot->image_data);
            rni_free(l->allocator, slot->label_data);
        }
        if (slot->image_storage)
            rni_storage_release(slot->image_storage);
        if (slot->label_storage)
            rni_storage_release(slot->label_storage);
        rni_free(l->allocator, slot->indices);
    }
    rni_free(l->allocator, l->slots);
}

rn_status rni_slot_choose(rn_loader *l, rni_slot *slot, rn_tensor **images, rn_tensor **labels)
{
    int which = 0;
    while (which < 2 && !(slot->images[which] && slot->labels[which]->dims[0] == slot->count * l->pipeline.views))
        which++;
    if (which == 2) {
        rn_tensor_release(slot->images[2]);
        rn_tensor_release(slot->labels[2]);
        slot->images[2] = slot->labels[2] = NULL;
        RNI_TRY(slot_tensors(l, slot, 2, slot->count));
    }
    *images = slot->images[which];
    *labels = slot->labels[which];
    return RN_OK;
}

/*
 * The index lists of the pipeline, one stored image of a custom dataset, one that a frame has made, one finished image
 * in f32 before it becomes another type, and for mixing the last image of the batch and two neighbours.
 */
enum { MIXED_IMAGES = 3 };

typedef struct scratch_parts {
    size_t stored, framed, finished, mixed, total;
} scratch_parts;

static scratch_parts scratch_layout(const rn_loader *l)
{
    const size_t step = 64;
    const size_t lists = (rni_pipeline_scratch(&l->pipeline) + step - 1) / step * step;
    const size_t stored = (l->ds->image_bytes + step - 1) / step * step;
    const size_t framed = (rni_picture_framed_bytes(&l->pipeline) + step - 1) / step * step;
    const size_t finished = ((size_t)l->image_count * sizeof(float) + step - 1) / step * step;
    const size_t before = lists + stored + framed, mixed = before + finished;
    return (scratch_parts){lists, lists + stored, before, mixed, mixed + (l->classes ? MIXED_IMAGES * finished : 0)};
}

rn_status rni_batch_scratch(const rn_loader *l, void **out)
{
    const size_t bytes = scratch_layout(l).total;
    void *const scratch = rni_alloc(l->allocator, bytes);
    if (!scratch)
        return rni_nomem("loader", bytes);
    *out = scratch;
    return RN_OK;
}

static const int64_t *epoch_order(rn_loader *l, int64_t epoch)
{
    if (l->order && l->order_epoch != epoch) {
        rni_permutation(l->options.seed, (uint32_t)epoch, l->ds->info.count, l->order);
        l->order_epoch = epoch;
    }
    return l->order;
}

int64_t rni_loader_index(rn_loader *l, int64_t epoch, int64_t i)
{
    const int64_t *const order = epoch_order(l, epoch);
    const int64_t at = l->options.shard + i * l->options.num_shards;
    return order ? order[at] : at;
}

void rni_batch_assign(rn_loader *l, rni_slot *slot, const rni_position *position)
{
    const int64_t first = position->batch * l->options.batch, left = l->images - first;
    slot->epoch = position->epoch;
    slot->batch = position->batch;
    slot->count = left < l->capacity ? left : l->capacity;
    slot->ready = 0;
    for (int64_t i = 0; i < slot->count; i++)
        slot->indices[i] = rni_loader_index(l, position->epoch, first + i);
}

static void *image_of(const rn_loader *l, const rni_slot *slot, int64_t row)
{
    return (char *)slot->image_data + (size_t)row * l->image_bytes;
}

/* Where an image is finished in f32: in its place, or where it is converted from. */
static float *finishing_place(const rn_loader *l, const rni_slot *slot, int64_t row, void *scratch)
{
    return l->dtype == RN_F32 ? image_of(l, slot, row)
                              : (float *)(void *)((char *)scratch + scratch_layout(l).finished);
}

static void finish(const rn_loader *l, const rni_slot *slot, int64_t row, const float *finished)
{
    if (l->dtype != RN_F32)
        rni_convert(RN_F32, finished, l->dtype, image_of(l, slot, row), l->image_count);
}

static rni_draw draw_of(const rn_loader *l, const rni_slot *slot, int64_t i)
{
    return (rni_draw){l->options.seed, (uint32_t)slot->epoch, (uint32_t)slot->indices[i], 0};
}

static rn_status open_picture(const rn_loader *l, const rni_slot *slot, int64_t i, void *scratch, rni_picture *out,
                              int64_t *label)
{
    const rni_draw draw = draw_of(l, slot, i);
    return rni_picture_open(l->ds, slot->indices[i], &l->pipeline, &draw, (char *)scratch + scratch_layout(l).stored,
                            out, label);
}

/* One view of an image, transformed, in f32. */
static rn_status make_view(const rn_loader *l, const rni_picture *picture, const rni_draw *draw, char *scratch,
                           float *out)
{
    const void *image = NULL;
    RNI_TRY(rni_picture_view(picture, &l->pipeline, draw, scratch + scratch_layout(l).framed, &image));
    rni_pipeline_run(&l->pipeline, scratch, image, draw, l->layout == RN_LAYOUT_NHWC, out);
    return RN_OK;
}

/* Adds to one class probability of image i. */
static void add_probability(const rn_loader *l, const rni_slot *slot, int64_t i, int64_t label, float weight)
{
    const int64_t at = i * l->classes + label;
    if (l->target_dtype == RN_F64)
        ((double *)slot->label_data)[at] += (double)weight;
    else
        ((float *)slot->label_data)[at] += weight;
}

static rn_status make_image(const rn_loader *l, const rni_slot *slot, int64_t i, void *scratch)
{
    const int64_t views = l->pipeline.views;
    rni_draw draw = draw_of(l, slot, i);
    rni_picture picture;
    int64_t label = 0;
    RNI_TRY(open_picture(l, slot, i, scratch, &picture, &label));
    rn_status status = RN_OK;
    for (; draw.view < views && status == RN_OK; draw.view++) {
        const int64_t row = i * views + draw.view;
        float *const out = finishing_place(l, slot, row, scratch);
        status = make_view(l, &picture, &draw, scratch, out);
        if (status == RN_OK)
            finish(l, slot, row, out);
        if (!l->classes)
            ((int64_t *)slot->label_data)[row] = label;
    }
    rni_picture_close(&picture);
    if (status == RN_OK && l->classes)
        add_probability(l, slot, i, label, 1.0f);
    return status;
}

static rn_status check_cancelled(const atomic_int *cancelled)
{
    if (cancelled && atomic_load_explicit(cancelled, memory_order_relaxed))
        return rni_fail(RN_E_CANCELLED, "loader: batch left unfinished");
    return RN_OK;
}

/* Does the dataset leave image i out for this status? Then those after it move up. */
static int left_out(const rn_loader *l, rni_slot *slot, int64_t i, rn_status status)
{
    if (status >= 0 || !l->ds->cls->skip || !l->ds->cls->skip(l->ds, slot->indices[i], status))
        return 0;
    slot->count--;
    memmove(slot->indices + i, slot->indices + i + 1, (size_t)(slot->count - i) * sizeof *slot->indices);
    return 1;
}

static rn_status make_plain(const rn_loader *l, rni_slot *slot, void *scratch, const atomic_int *cancelled)
{
    for (int64_t i = 0; i < slot->count;) {
        RNI_TRY(check_cancelled(cancelled));
        const rn_status status = make_image(l, slot, i, scratch);
        if (status == RN_OK)
            i++;
        else if (!left_out(l, slot, i, status))
            return status;
    }
    return RN_OK;
}

/* An image before it is mixed. */
typedef struct unmixed {
    float *pixels;
    int64_t label;
} unmixed;

/* The only view of image i, as loaders that mix have no others. */
static rn_status render(const rn_loader *l, const rni_slot *slot, int64_t i, void *scratch, unmixed *out)
{
    const rni_draw draw = draw_of(l, slot, i);
    rni_picture picture;
    RNI_TRY(open_picture(l, slot, i, scratch, &picture, &out->label));
    const rn_status status = make_view(l, &picture, &draw, scratch, out->pixels);
    rni_picture_close(&picture);
    return status;
}

static void mix_image(const rn_loader *l, const rni_slot *slot, const rni_mix *mix, int64_t i, void *scratch,
                      const unmixed *image, const unmixed *partner)
{
    const rni_pipeline *const p = &l->pipeline;
    const rni_mix_shape shape = {p->channels, p->out_height, p->out_width, l->layout == RN_LAYOUT_NHWC};
    float *const out = finishing_place(l, slot, i, scratch);
    rni_mix_images(mix, &shape, image->pixels, partner->pixels, out);
    finish(l, slot, i, out);
    add_probability(l, slot, i, image->label, mix->own);
    add_probability(l, slot, i, partner->label, mix->other);
}

/* The last image that can be read. With none the batch is empty. */
static rn_status render_last(const rn_loader *l, rni_slot *slot, void *scratch, unmixed *out)
{
    rn_status status = RN_OK;
    do
        status = render(l, slot, slot->count - 1, scratch, out);
    while (left_out(l, slot, slot->count - 1, status) && slot->count);
    return slot->count ? status : RN_OK;
}

/* The last image is made first: it is the partner of the first. The others take turns in two places. */
static rn_status make_mixed(const rn_loader *l, rni_slot *slot, const rni_mix *mix, void *scratch,
                            const atomic_int *cancelled)
{
    const scratch_parts parts = scratch_layout(l);
    const size_t step = (parts.total - parts.mixed) / MIXED_IMAGES;
    char *const places = (char *)scratch + parts.mixed;
    unmixed last = {(float *)(void *)places, 0}, before;
    RNI_TRY(render_last(l, slot, scratch, &last));
    before = last;
    for (int64_t i = 0; i < slot->count;) {
        unmixed image = {(float *)(void *)(places + (size_t)(1 + i % 2) * step), 0};
        RNI_TRY(check_cancelled(cancelled));
        const rn_status status = i == slot->count - 1 ? RN_OK : render(l, slot, i, scratch, &image);
        if (left_out(l, slot, i, status))
            continue;
        RNI_TRY(status);
        if (i == slot->count - 1)
            image = last;
        mix_image(l, slot, mix, i, scratch, &image, &before);
        before = image;
        i++;
    }
    return RN_OK;
}

/* Loaders of other shards mix otherwise: batches are numbered through all shards. */
static rni_mix draw_mix(const rn_loader *l, const rni_slot *slot)
{
    const rn_loader_options *const o = &l->options;
    return rni_mix_draw(o, (uint32_t)slot->epoch, (uint32_t)(slot->batch * o->num_shards + o->shard),
                        l->pipeline.out_height, l->pipeline.out_width);
}

static rn_status make(const rn_loader *l, rni_slot *slot, void *scratch, const atomic_int *cancelled)
{
    if (!l->classes)
        return make_plain(l, slot, scratch, cancelled);
    const rni_mix mix = draw_mix(l, slot);
    memset(slot->label_data, 0, (size_t)slot->count * target_bytes(l));
    return mix.kind == RNI_MIX_NONE ? make_plain(l, slot, scratch, cancelled)
                                    : make_mixed(l, slot, &mix, scratch, cancelled);
}

void rni_batch_make(const rn_loader *l, rni_slot *slot, void *scratch, const atomic_int *cancelled)
{
    slot->status = make(l, slot, scratch, cancelled);
    if (slot->status < 0) {
        strncpy(slot->message, rn_error_message(), sizeof slot->message - 1);
        slot->message[sizeof slot->message - 1] = '\0';
    }
}
