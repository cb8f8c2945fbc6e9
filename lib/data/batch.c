/* SPDX-License-Identifier: MIT */
/* Batches: the memory they live in, which images belong to one, and making it. */
#include "base/rng.h"
#include "data/loader.h"
#include "data/picture.h"
#include "tensor/convert.h"
#include <string.h>

static rn_status slot_tensors(rn_loader *l, rni_slot *slot, int which, int64_t n)
{
    const int64_t dims[4] = {n * l->pipeline.views, l->pipeline.channels, l->pipeline.out_height,
                             l->pipeline.out_width};
    RNI_TRY(rni_tensor_view(slot->image_storage, 0, l->dtype, l->layout, 4, dims, &slot->images[which]));
    return rni_tensor_view(slot->label_storage, 0, RN_I64, RN_LAYOUT_PLAIN, 1, dims, &slot->labels[which]);
}

/* Where workers write: straight into the tensors when the host can address them. */
static rn_status slot_memory(rn_loader *l, rni_slot *slot, size_t image_bytes, size_t label_bytes)
{
    if (l->dev->info.host_memory) {
        slot->image_data = slot->image_storage->data;
        slot->label_data = slot->label_storage->data;
        return RN_OK;
    }
    slot->image_data = rni_alloc(l->allocator, image_bytes);
    slot->label_data = rni_alloc(l->allocator, label_bytes);
    return slot->image_data && slot->label_data ? RN_OK : rni_nomem("batch", image_bytes + label_bytes);
}

static rn_status slot_create(rn_loader *l, rni_slot *slot)
{
    const size_t images = (size_t)(l->capacity * l->pipeline.views) * l->image_bytes,
                 labels = (size_t)(l->capacity * l->pipeline.views) * sizeof(int64_t);
    const int64_t rest = l->images % l->options.batch;
    slot->indices = rni_calloc(l->allocator, (size_t)l->capacity, sizeof *slot->indices);
    if (!slot->indices)
        return rni_nomem("batch", labels);
    RNI_TRY(rni_storage_create(l->dev, images, "images of a batch", &slot->image_storage));
    RNI_TRY(rni_storage_create(l->dev, labels, "labels of a batch", &slot->label_storage));
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
 * in f32 before it becomes another type.
 */
typedef struct scratch_parts {
    size_t stored, framed, finished, total;
} scratch_parts;

static scratch_parts scratch_layout(const rn_loader *l)
{
    const size_t step = 64;
    const size_t lists = (rni_pipeline_scratch(&l->pipeline) + step - 1) / step * step;
    const size_t stored = (l->ds->image_bytes + step - 1) / step * step;
    const size_t framed = (rni_picture_framed_bytes(&l->pipeline) + step - 1) / step * step;
    const size_t finished = lists + stored + framed;
    return (scratch_parts){lists, lists + stored, finished, finished + (size_t)l->image_count * sizeof(float)};
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

void rni_batch_assign(rn_loader *l, rni_slot *slot, const rni_position *position)
{
    const int64_t *const order = epoch_order(l, position->epoch);
    const int64_t first = position->batch * l->options.batch, left = l->images - first;
    slot->epoch = position->epoch;
    slot->batch = position->batch;
    slot->count = left < l->capacity ? left : l->capacity;
    slot->ready = 0;
    for (int64_t i = 0; i < slot->count; i++) {
        const int64_t at = l->options.shard + (first + i) * l->options.num_shards;
        slot->indices[i] = order ? order[at] : at;
    }
}

/* One view of an image, of the type that batches have, to `out`. */
static rn_status make_view(const rn_loader *l, const rni_picture *picture, const rni_draw *draw, char *scratch,
                           void *out)
{
    const scratch_parts parts = scratch_layout(l);
    const int nhwc = l->layout == RN_LAYOUT_NHWC;
    float *const finished = (float *)(void *)(scratch + parts.finished);
    const void *image = NULL;
    RNI_TRY(rni_picture_view(picture, &l->pipeline, draw, scratch + parts.framed, &image));
    rni_pipeline_run(&l->pipeline, scratch, image, draw, nhwc, l->dtype == RN_F32 ? out : finished);
    if (l->dtype != RN_F32)
        rni_convert(RN_F32, finished, l->dtype, out, l->image_count);
    return RN_OK;
}

static rn_status make_image(const rn_loader *l, rni_slot *slot, int64_t i, void *scratch)
{
    const int64_t views = l->pipeline.views;
    char *const out = (char *)slot->image_data + (size_t)(i * views) * l->image_bytes;
    rni_draw draw = {l->options.seed, (uint32_t)slot->epoch, (uint32_t)slot->indices[i], 0};
    rni_picture picture;
    int64_t label = 0;
    void *const stored = (char *)scratch + scratch_layout(l).stored;
    RNI_TRY(rni_picture_open(l->ds, slot->indices[i], &l->pipeline, &draw, stored, &picture, &label));
    rn_status status = RN_OK;
    for (; draw.view < views && status == RN_OK; draw.view++) {
        slot->label_data[i * views + draw.view] = label;
        status = make_view(l, &picture, &draw, scratch, out + (size_t)draw.view * l->image_bytes);
    }
    rni_picture_close(&picture);
    return status;
}

void rni_batch_make(const rn_loader *l, rni_slot *slot, void *scratch, const atomic_int *cancelled)
{
    rn_status status = RN_OK;
    int64_t made = 0;
    for (int64_t i = 0; i < slot->count && status == RN_OK; i++) {
        slot->indices[made] = slot->indices[i]; /* what is left out is made up for by the next */
        if (cancelled && atomic_load_explicit(cancelled, memory_order_relaxed))
            status = rni_fail(RN_E_CANCELLED, "loader: batch left unfinished");
        else
            status = make_image(l, slot, made, scratch);
        if (status == RN_OK)
            made++;
        else if (l->ds->cls->skip && l->ds->cls->skip(l->ds, slot->indices[made], status))
            status = RN_OK;
    }
    slot->count = made;
    slot->status = status;
    if (status < 0) {
        strncpy(slot->message, rn_error_message(), sizeof slot->message - 1);
        slot->message[sizeof slot->message - 1] = '\0';
    }
}
