/* SPDX-License-Identifier: MIT */
/* Datasets in device memory: whether they go there, how they get there, and making a batch. */
#include "data/resident.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Without being told to, a loader takes at most this share of the memory that its device has free. */
enum { AUTO_SHARE = 4 };
/* Of an image, as the op takes it. */
enum { MOST_NUMBERS = 1 << 30 };
/* Images on their way to the device. */
enum { CHUNK = 1 << 20 };

static rn_status check_dataset(const rn_loader *l)
{
    const rn_dataset *const ds = l->ds;
    if (ds->cls->fetch != rni_memory_fetch)
        return rni_fail(RN_E_UNSUPPORTED, "a dataset of kind %s does not lie in memory", ds->cls->kind);
    if (ds->info.dtype != RN_U8)
        return rni_fail(RN_E_UNSUPPORTED, "a dataset of u8 expected, got %s", rn_dtype_name(ds->info.dtype));
    if (l->images < 1)
        return rni_fail(RN_E_UNSUPPORTED, "a dataset with images expected, got none");
    if (l->image_count > MOST_NUMBERS || (int64_t)ds->image_bytes > MOST_NUMBERS)
        return rni_fail(RN_E_UNSUPPORTED, "images of more than %d numbers", MOST_NUMBERS);
    if (l->classes)
        return rni_fail(RN_E_UNSUPPORTED, "batches are mixed on the host only");
    return RN_OK;
}

static uint64_t take(uint64_t *end, uint64_t bytes)
{
    const uint64_t at = *end;
    *end += (bytes + 63) / 64 * 64;
    return at;
}

/* Datasets lie in the host's memory: their bytes can be counted. */
static void map_memory(const rn_loader *l, rni_resident_map *m)
{
    const rni_pipeline *const p = &l->pipeline;
    const uint64_t count = (uint64_t)l->ds->info.count, channels = (uint64_t)p->channels;
    m->images = take(&m->total, count * l->ds->image_bytes);
    m->labels = take(&m->total, count * sizeof(int64_t));
    m->order = take(&m->total, (uint64_t)l->images * sizeof(int64_t));
    m->key = take(&m->total, 2 * sizeof(int64_t));
    m->table = take(&m->total, 256 * channels * sizeof(float));
    m->fill = take(&m->total, (uint64_t)(p->levels + 1) * channels * sizeof(float));
    m->mean = take(&m->total, channels * (uint64_t)(p->mean_height * p->mean_width) * sizeof(float));
    m->after = take(&m->total, 2 * (uint64_t)rni_resident_after(p) * channels * sizeof(float));
}

static rn_status check_share(const rn_loader *l, uint64_t bytes)
{
    uint64_t free_bytes = 0;
    RNI_TRY(rn_device_memory(l->dev, &free_bytes, NULL));
    if (bytes <= free_bytes / AUTO_SHARE)
        return RN_OK;
    return rni_fail(RN_E_NOMEM,
                    "the dataset needs %" PRIu64 " bytes on %s, which is more than a quarter of the %" PRIu64
                    " it has free",
                    bytes, rn_device_name(l->dev), free_bytes);
}

/* A value at `offset` of the resident memory. */
static rn_status add_value(rni_resident *r, rn_dtype dtype, uint64_t offset, int32_t rank, const int64_t *dims,
                           uint32_t *out)
{
    RNI_TRY(rni_program_value(&r->program, dtype, RN_ROLE_BUFFER, RN_LAYOUT_PLAIN, rank, dims, 0, out));
    r->program.values[*out].offset = offset;
    return RN_OK;
}

/* Operands that stay; `in` has room for eight. */
static rn_status add_inputs(const rn_loader *l, rni_resident *r, uint32_t *in)
{
    const rni_pipeline *const p = &l->pipeline;
    const int64_t images[4] = {l->ds->info.count, p->channels, p->in_height, p->in_width};
    const int64_t key = 2, table[2] = {p->channels, 256}, fill[2] = {p->levels + 1, p->channels};
    const int64_t mean[3] = {p->channels, p->mean_height, p->mean_width};
    const int64_t after[3] = {rni_resident_after(p), 2, p->channels};
    RNI_TRY(add_value(r, RN_U8, r->map.images, 4, images, &in[0]));
    RNI_TRY(add_value(r, RN_I64, r->map.labels, 1, images, &in[1]));
    RNI_TRY(rni_program_value(&r->program, RN_I64, RN_ROLE_X, RN_LAYOUT_PLAIN, 1, &l->capacity, 1, &in[2]));
    RNI_TRY(add_value(r, RN_I64, r->map.key, 1, &key, &in[3]));
    RNI_TRY(add_value(r, RN_F32, r->map.table, 2, table, &in[4]));
    RNI_TRY(add_value(r, RN_F32, r->map.fill, 2, fill, &in[5]));
    if (p->mean_image)
        RNI_TRY(add_value(r, RN_F32, r->map.mean, 3, mean, &in[6]));
    return after[0] ? add_value(r, RN_F32, r->map.after, 3, after, &in[7]) : RN_OK;
}

static rn_status add_op(const rn_loader *l, rni_resident *r)
{
    const rni_pipeline *const p = &l->pipeline;
    const int64_t x[4] = {l->capacity, p->channels, p->out_height, p->out_width};
    const rn_augment_params params = {r->num_steps, r->steps};
    uint32_t in[8] = {0, 0, 0, 0, 0, 0, RN_NO_VALUE, RN_NO_VALUE}, out[2];
    RNI_TRY(add_inputs(l, r, in));
    RNI_TRY(rni_program_value(&r->program, l->dtype, RN_ROLE_INPUT, l->layout, 4, x, 1, &out[0]));
    RNI_TRY(rni_program_value(&r->program, RN_I64, RN_ROLE_TARGET, RN_LAYOUT_PLAIN, 1, x, 1, &out[1]));
    return rni_program_append(&r->program, RN_OP_AUGMENT, 0, in, 8, out, 2, &params, sizeof params, "loader");
}

/* The op, and whether the device can do it. */
static rn_status build_op(const rn_loader *l, rni_resident *r)
{
    rn_op_info info = {.struct_size = sizeof info, .in_place = -1};
    RNI_TRY(rni_resident_steps(&l->pipeline, r->steps, &r->num_steps));
    RNI_TRY(add_op(l, r));
    RNI_TRY(rni_program_verify(&r->program));
    RNI_TRY(r->dev->backend->op_query(r->dev->dev, r->program.ops, r->program.values, &info));
    return info.workspace ? rni_fail(RN_E_UNSUPPORTED, "%s wants a workspace for it", rn_device_name(r->dev)) : RN_OK;
}

static rn_status copy_in(const rni_resident *r, uint64_t offset, const void *from, uint64_t bytes)
{
    return bytes ? r->dev->backend->copy_in(r->dev->dev, r->dev->queue, r->memory + offset, from, bytes) : RN_OK;
}

/* Images lie with gaps between them, labels in several types. `images` has room for `count` of them. */
static rn_status send_images(const rn_loader *l, const rni_resident *r, int64_t first, int64_t count, char *images,
                             int64_t *labels)
{
    const size_t size = l->ds->image_bytes;
    for (int64_t i = 0; i < count; i++) {
        const void *image = NULL;
        RNI_TRY(rni_dataset_fetch(l->ds, first + i, NULL, &image, &labels[i]));
        memcpy(images + (size_t)i * size, image, size);
    }
    RNI_TRY(copy_in(r, r->map.images + (uint64_t)first * size, images, (uint64_t)count * size));
    return copy_in(r, r->map.labels + (uint64_t)first * sizeof *labels, labels, (uint64_t)count * sizeof *labels);
}

static rn_status send_dataset(const rn_loader *l, const rni_resident *r)
{
    const int64_t count = l->ds->info.count, size = (int64_t)l->ds->image_bytes;
    const int64_t at_once = size < CHUNK ? CHUNK / size : 1;
    char *const images = rni_alloc(l->allocator, (size_t)(at_once * size));
    int64_t *const labels = rni_alloc(l->allocator, (size_t)at_once * sizeof *labels);
    rn_status status = images && labels ? RN_OK : rni_nomem("loader", (uint64_t)(at_once * size));
    for (int64_t first = 0; first < count && status == RN_OK; first += at_once)
        status = send_images(l, r, first, count - first < at_once ? count - first : at_once, images, labels);
    rni_free(l->allocator, images);
    rni_free(l->allocator, labels);
    return status;
}

static rn_status send_numbers(const rn_loader *l, const rni_resident *r)
{
    const rni_pipeline *const p = &l->pipeline;
    const size_t channels = (size_t)p->channels, table = 256 * channels, fill = (size_t)(p->levels + 1) * channels;
    const size_t after = 2 * (size_t)rni_resident_after(p) * channels;
    const size_t mean = channels * (size_t)(p->mean_height * p->mean_width);
    float *const numbers = rni_calloc(l->allocator, table + fill + after, sizeof *numbers);
    if (!numbers)
        return rni_nomem("loader", (table + fill + after) * sizeof *numbers);
    rni_resident_numbers(p, numbers, numbers + table, numbers + table + fill);
    rn_status status = copy_in(r, r->map.table, numbers, table * sizeof *numbers);
    if (status == RN_OK)
        status = copy_in(r, r->map.fill, numbers + table, fill * sizeof *numbers);
    if (status == RN_OK)
        status = copy_in(r, r->map.after, numbers + table + fill, after * sizeof *numbers);
    rni_free(l->allocator, numbers);
    return status == RN_OK && p->mean_image ? copy_in(r, r->map.mean, p->mean_image, mean * sizeof *numbers) : status;
}

static rn_status fill_resident(const rn_loader *l, rni_resident *r)
{
    void *memory = NULL;
    RNI_TRY(build_op(l, r));
    r->order = rni_calloc(l->allocator, (size_t)l->images, sizeof *r->order);
    if (!r->order)
        return rni_nomem("order of images", (uint64_t)l->images * sizeof *r->order);
    RNI_TRY(rni_device_reserve(r->dev, r->map.total, "a resident dataset", &memory));
    r->memory = memory;
    RNI_TRY(send_dataset(l, r));
    return send_numbers(l, r);
}

static rn_status create(rn_loader *l)
{
    rni_resident_map map = {0};
    RNI_TRY(check_dataset(l));
    map_memory(l, &map);
    if (l->options.residency == RN_RESIDENCY_AUTO)
        RNI_TRY(check_share(l, map.total));
    rni_resident *const r = rni_calloc(l->allocator, 1, sizeof *r);
    if (!r)
        return rni_nomem("loader", sizeof *r);
    r->dev = l->dev;
    r->map = map;
    r->epoch = -1;
    rni_program_init(&r->program, l->allocator);
    l->resident = r;
    return fill_resident(l, r);
}

/* What was in the way is no failure of a loader that may do without. */
static rn_status fall_back(rn_loader *l, rn_status status, const char *message_before)
{
    if (status != RN_E_UNSUPPORTED && status != RN_E_NOMEM)
        return status;
    rni_log(l->ctx, RN_LOG_INFO, "loader: its batches are made on the host: %s", rn_error_message());
    rni_resident_free(l);
    rni_fail(status, "%s", message_before);
    return RN_OK;
}

rn_status rni_resident_choose(rn_loader *l)
{
    char before[RNI_MESSAGE_SIZE];
    const int32_t residency = l->options.residency;
    if (residency == RN_RESIDENCY_HOST || (residency == RN_RESIDENCY_AUTO && l->dev->info.host_memory))
        return RN_OK;
    snprintf(before, sizeof before, "%s", rn_error_message());
    const rn_status status = create(l);
    if (status < 0 && residency == RN_RESIDENCY_AUTO)
        return fall_back(l, status, before);
    return status < 0 ? rni_fail_prefix(status, "options.residency") : RN_OK;
}

void rni_resident_free(rn_loader *l)
{
    rni_resident *const r = l->resident;
    if (!r)
        return;
    rni_device_free(r->dev, r->memory, r->map.total);
    rni_program_free(&r->program);
    rni_free(l->allocator, r->order);
    rni_free(l->allocator, r);
    l->resident = NULL;
}

/* The order and the key of an epoch. What is enqueued before still reads the last one's: copies are in order with it. */
static rn_status send_epoch(rn_loader *l, rni_resident *r, int64_t epoch)
{
    const int64_t key[2] = {(int64_t)l->options.seed, epoch};
    if (r->epoch == epoch)
        return RN_OK;
    r->epoch = -1;
    for (int64_t i = 0; i < l->images; i++)
        r->order[i] = rni_loader_index(l, epoch, i);
    RNI_TRY(copy_in(r, r->map.order, r->order, (uint64_t)l->images * sizeof *r->order));
    RNI_TRY(copy_in(r, r->map.key, key, sizeof key));
    r->epoch = epoch;
    return RN_OK;
}

rn_status rni_resident_make(rn_loader *l, const rni_slot *slot, rn_tensor *images, rn_tensor *labels)
{
    rni_resident *const r = l->resident;
    void *base[RN_ROLE_COUNT] = {NULL};
    const rn_run run = {.struct_size = sizeof run, .batch = slot->count, .num_ops = 1, .base = base};
    RNI_TRY(rni_device_check(r->dev));
    RNI_TRY(send_epoch(l, r, slot->epoch));
    base[RN_ROLE_BUFFER] = r->memory;
    base[RN_ROLE_X] = r->memory + r->map.order + (uint64_t)(slot->batch * l->options.batch) * sizeof(int64_t);
    base[RN_ROLE_INPUT] = rni_tensor_address(images);
    base[RN_ROLE_TARGET] = rni_tensor_address(labels);
    RNI_TRY(r->dev->backend->op_run(r->dev->dev, r->dev->queue, r->program.ops, r->program.values, &run));
    rni_tensor_written(images);
    rni_tensor_written(labels);
    return RN_OK;
}
