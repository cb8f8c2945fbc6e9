/* SPDX-License-Identifier: MIT */
/* Loaders as the host sees them. */
#include "data/loader.h"
#include "base/abi.h"
#include "base/half.h"
#include "data/resident.h"
#include "plan/plan.h"
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

/* Of rn_loader_options as first released. */
enum { FIRST_SIZE = offsetof(rn_loader_options, mixup_alpha) };

static const rn_loader_options defaults = RN_LOADER_OPTIONS_INIT;

rn_status rn_loader_options_init(rn_loader_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, FIRST_SIZE, "rn_loader_options");
}

static rn_status check_options(const rn_loader_options *o)
{
    if (o->flags & ~(uint64_t)(RN_LOADER_SHUFFLE | RN_LOADER_DROP_LAST))
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in 0x%" PRIx64, o->flags);
    if (o->batch < 1)
        return rni_fail(RN_E_INVALID, "options.batch: expected 1 or more, got %" PRId64, o->batch);
    if (o->workers < 0 || o->workers > RNI_MAX_WORKERS)
        return rni_fail(RN_E_INVALID, "options.workers: expected 0 to %d, got %" PRId32, RNI_MAX_WORKERS, o->workers);
    if (o->prefetch < 1 || o->prefetch > RNI_MAX_PREFETCH)
        return rni_fail(RN_E_INVALID, "options.prefetch: expected 1 to %d, got %" PRId32, RNI_MAX_PREFETCH,
                        o->prefetch);
    if (o->num_shards < 1)
        return rni_fail(RN_E_INVALID, "options.num_shards: expected 1 or more, got %" PRId64, o->num_shards);
    if (o->shard < 0 || o->shard >= o->num_shards)
        return rni_fail(RN_E_INVALID, "options.shard: expected 0 to %" PRId64 ", got %" PRId64, o->num_shards - 1,
                        o->shard);
    if (o->residency < RN_RESIDENCY_HOST || o->residency > RN_RESIDENCY_DEVICE)
        return rni_fail(RN_E_INVALID, "options.residency: expected RN_RESIDENCY_*, 0 to %d, got %" PRId32,
                        RN_RESIDENCY_DEVICE, o->residency);
    return rni_mix_check(o);
}

/* What the plan reads must be what the loader makes. */
static rn_status follow_plan(rn_loader *l)
{
    char shape[2][RNI_SHAPE_TEXT];
    const rni_pipeline *const p = &l->pipeline;
    const int64_t made[4] = {l->options.batch * p->views, p->channels, p->out_height, p->out_width};
    int64_t dims[RN_MAX_RANK];
    int32_t rank = 0;
    RNI_TRY(rni_plan_input_layout(l->options.plan, &l->layout, &l->dtype, &rank, dims));
    if (rank != 4 || memcmp(&dims[1], &made[1], 3 * sizeof made[0]) != 0 || made[0] > dims[0])
        return rni_fail(RN_E_SHAPE, "options.plan: it reads %s, but the loader makes %s",
                        rni_shape_text(shape[0], rank, dims), rni_shape_text(shape[1], 4, made));
    if (l->layout != RN_LAYOUT_PLAIN && l->layout != RN_LAYOUT_NHWC)
        return rni_fail(RN_E_UNSUPPORTED, "options.plan: images in memory order %" PRId32 " cannot be made", l->layout);
    if (!rni_is_compute_dtype(l->dtype))
        return rni_fail(RN_E_UNSUPPORTED, "options.plan: images of %s cannot be made", rn_dtype_name(l->dtype));
    return RN_OK;
}

/* options.device, else the plan's, else the CPU. */
static rn_status choose_device(rn_loader *l)
{
    rn_tensor *input = NULL;
    if (l->options.plan)
        RNI_TRY(rn_plan_input(l->options.plan, &input));
    if (l->options.device)
        l->dev = l->options.device;
    else if (input)
        l->dev = rn_tensor_device(input);
    else
        RNI_TRY(rn_context_find_device(l->ctx, "cpu", &l->dev));
    if (l->dev->ctx != l->ctx)
        return rni_fail(RN_E_DEVICE, "options.device: %s belongs to another context than the dataset",
                        rn_device_name(l->dev));
    if (input && rn_tensor_device(input) != l->dev)
        return rni_fail(RN_E_DEVICE, "options.device: the plan runs on %s, got %s",
                        rn_device_name(rn_tensor_device(input)), rn_device_name(l->dev));
    return RN_OK;
}

static void count_batches(rn_loader *l)
{
    const rn_loader_options *const o = &l->options;
    const int64_t count = l->ds->info.count;
    l->images = o->shard < count ? (count - o->shard - 1) / o->num_shards + 1 : 0;
    l->batches = l->images / o->batch;
    if (l->images % o->batch && !(o->flags & RN_LOADER_DROP_LAST))
        l->batches++;
    l->capacity = l->images < o->batch ? l->images : o->batch;
    l->capacity = l->capacity < 1 ? 1 : l->capacity;
}

static rn_status make_order(rn_loader *l)
{
    size_t bytes = 0;
    if (!(l->options.flags & RN_LOADER_SHUFFLE))
        return RN_OK;
    if (!rni_mul_size((size_t)l->ds->info.count, sizeof *l->order, &bytes))
        bytes = SIZE_MAX;
    l->order = bytes < SIZE_MAX ? rni_alloc(l->allocator, bytes) : NULL;
    l->order_epoch = -1;
    return l->order ? RN_OK : rni_nomem("shuffled order", bytes);
}

/* Labels, or probabilities of all classes: the dataset's, or those of the plan's output, which may be more. */
static rn_status choose_targets(rn_loader *l)
{
    int64_t dims[RN_MAX_RANK];
    int32_t rank = 0;
    l->target_dtype = RN_I64;
    if (!rni_mix_wanted(&l->options))
        return RN_OK;
    if (l->pipeline.views > 1)
        return rni_fail(RN_E_INVALID, "options.transform: expected none with a ten-crop in a loader that mixes");
    l->target_dtype = l->dtype == RN_F64 ? RN_F64 : RN_F32;
    l->classes = l->ds->info.classes;
    if (!l->options.plan)
        return RN_OK;
    RNI_TRY(rn_plan_output_shape(l->options.plan, 1, &rank, dims));
    if (rank == 2 && dims[1] > l->classes)
        l->classes = dims[1];
    return RN_OK;
}

/* What is made here is undone by rn_loader_release(). */
static rn_status build(rn_loader *l)
{
    const rn_loader_options *const o = &l->options;
    RNI_TRY(rni_pipeline_create(l->allocator, o->transform, &l->ds->info, &l->pipeline));
    l->layout = RN_LAYOUT_PLAIN;
    l->dtype = RN_F32;
    RNI_TRY(choose_device(l));
    if (o->plan)
        RNI_TRY(follow_plan(l));
    RNI_TRY(choose_targets(l));
    const int64_t dims[3] = {l->pipeline.channels, l->pipeline.out_height, l->pipeline.out_width};
    RNI_TRY(rni_shape_check(3, dims, l->dtype, "images of a batch", &l->image_count, &l->image_bytes));
    count_batches(l);
    RNI_TRY(make_order(l));
    RNI_TRY(rni_resident_choose(l));
    l->num_slots = o->workers && !l->resident ? (size_t)o->prefetch + 1 : 1;
    RNI_TRY(rni_slots_create(l));
    if (l->resident)
        return RN_OK;
    return o->workers ? rni_ring_start(l) : rni_batch_scratch(l, &l->scratch);
}

rn_status rn_loader_create(rn_dataset *ds, const rn_loader_options *options, rn_loader **out)
{
    RNI_REQUIRE(ds);
    RNI_REQUIRE(out);
    rn_loader_options o = defaults;
    RNI_TRY(rni_abi_read(&o, sizeof o, FIRST_SIZE, options, "rn_loader_options"));
    RNI_TRY(check_options(&o));
    rn_context *const ctx = ds->ctx;
    rn_loader *const l = rni_calloc(&ctx->allocator, 1, sizeof *l);
    if (!l)
        return rni_nomem("loader", sizeof *l);
    atomic_init(&l->references, 1);
    l->ctx = rn_context_retain(ctx);
    l->allocator = &ctx->allocator;
    l->ds = rn_dataset_retain(ds);
    l->options = o;
    l->options.seed = o.seed ? o.seed : ctx->seed;
    const rn_status status = build(l);
    if (status < 0) {
        rn_loader_release(l);
        return status;
    }
    *out = l;
    return RN_OK;
}

rn_loader *rn_loader_retain(rn_loader *l)
{
    if (l)
        rni_reference(&l->references);
    return l;
}

void rn_loader_release(rn_loader *l)
{
    if (!l || !rni_unreference(&l->references))
        return;
    rn_context *const ctx = l->ctx;
    rni_ring_stop(l);
    rni_slots_free(l);
    rni_resident_free(l);
    rni_pipeline_free(&l->pipeline);
    rni_free(l->allocator, l->order);
    rni_free(l->allocator, l->scratch);
    rn_dataset_release(l->ds);
    rni_free(&ctx->allocator, l);
    rn_context_release(ctx);
}

int64_t rn_loader_batches(const rn_loader *l)
{
    return l ? l->batches : 0;
}

uint64_t rn_loader_resident_bytes(const rn_loader *l)
{
    return l && l->resident ? l->resident->map.total : 0;
}

rn_status rn_loader_position(const rn_loader *l, int64_t *epoch, int64_t *batch)
{
    RNI_REQUIRE(l);
    RNI_REQUIRE(epoch);
    RNI_REQUIRE(batch);
    *epoch = l->position.epoch;
    *batch = l->position.batch;
    return RN_OK;
}

static void rewind_loader(rn_loader *l)
{
    if (l->ring.made)
        rni_ring_rewind(l);
}

rn_status rn_loader_seek(rn_loader *l, int64_t epoch, int64_t batch)
{
    RNI_REQUIRE(l);
    if (epoch < 0 || epoch > UINT32_MAX)
        return rni_fail(RN_E_INVALID, "epoch: expected 0 to %" PRIu32 ", got %" PRId64, UINT32_MAX, epoch);
    if (batch < 0 || batch > l->batches)
        return rni_fail(RN_E_INVALID, "batch: expected 0 to %" PRId64 ", got %" PRId64, l->batches, batch);
    RNI_TRY(rni_ring_check(l));
    rewind_loader(l);
    l->position = (rni_position){epoch, batch};
    return RN_OK;
}

static rn_status make_next(rn_loader *l, rni_slot **out)
{
    if (l->ring.made)
        return rni_ring_next(l, out);
    *out = &l->slots[0];
    rni_batch_assign(l, *out, &l->position);
    if (!l->resident)
        rni_batch_make(l, *out, l->scratch, NULL);
    return RN_OK;
}

static rn_status send(rn_loader *l, const rni_slot *slot, rn_tensor *images, rn_tensor *labels)
{
    if (l->resident)
        return rni_resident_make(l, slot, images, labels);
    if (l->dev->info.host_memory)
        return RN_OK;
    RNI_TRY(rni_tensor_put(images, slot->image_data)); /* made in the order of the tensor */
    return rni_tensor_put(labels, slot->label_data);
}

static rn_status hand_out(rn_loader *l, rni_slot *slot, rn_tensor **images, rn_tensor **labels)
{
    rn_tensor *x = NULL, *y = NULL;
    if (slot->status < 0)
        return rni_fail(slot->status, "%s", slot->message);
    RNI_TRY(rni_slot_choose(l, slot, &x, &y));
    RNI_TRY(send(l, slot, x, y));
    *images = x;
    *labels = y;
    return RN_OK;
}

/* The batch after the loader's position that has images: none may be left of one. */
static rn_status find_next(rn_loader *l, rni_slot **out)
{
    for (; l->position.batch < l->batches; l->position.batch++) {
        RNI_TRY(make_next(l, out));
        if ((*out)->status < 0 || (*out)->count > 0)
            return RN_OK;
    }
    return RN_END;
}

rn_status rn_loader_next(rn_loader *l, rn_tensor **images, rn_tensor **labels)
{
    RNI_REQUIRE(l);
    RNI_REQUIRE(images);
    RNI_REQUIRE(labels);
    rni_slot *slot = NULL;
    /* Enqueued work may still read the batch that is reused now. What is copied to a device gets there after it. */
    if (l->position.batch < l->batches)
        RNI_TRY(l->dev->info.host_memory ? rni_device_wait(l->dev) : rni_device_check(l->dev));
    rn_status status = find_next(l, &slot);
    if (status == RN_END)
        l->position = (rni_position){l->position.epoch + 1, 0};
    if (status != RN_OK)
        return status;
    status = hand_out(l, slot, images, labels);
    if (status < 0)
        rewind_loader(l);
    else
        l->position.batch++;
    return status;
}
