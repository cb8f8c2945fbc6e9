/* SPDX-License-Identifier: MIT */
/* Gradient norm and clipping, SGD and Adam over the segments of the flat parameter buffers; averages of weights. */
#include "base/error.h"
#include "kernels/kernels.h"
#include "ops/drivers.h"
#include "ops/operands.h"
#include "workspace.h"

/* The segments in parts for blocks, in device memory. */
typedef struct update_table {
    rni_update_part *parts;
    int64_t count;
} update_table;

typedef struct segment_list {
    const rn_segment *first;
    uint64_t count;
} segment_list;

static segment_list segments_of(const rn_op *op)
{
    if (op->kind == RN_OP_SGD) {
        const rn_sgd_params *const p = op->params;
        return (segment_list){p->segments, p->num_segments};
    }
    if (op->kind == RN_OP_ADAM) {
        const rn_adam_params *const p = op->params;
        return (segment_list){p->segments, p->num_segments};
    }
    const rn_segments_params *const p = op->params;
    return (segment_list){p->segments, p->num_segments};
}

static uint64_t parts_of(const rn_segment *s)
{
    return (s->count + RNI_UPDATE_ELEMENTS - 1) / RNI_UPDATE_ELEMENTS;
}

static uint64_t count_parts(segment_list list)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < list.count; i++)
        count += parts_of(&list.first[i]);
    return count;
}

static void fill_parts(segment_list list, rni_update_part *parts)
{
    for (uint64_t i = 0; i < list.count; i++) {
        const rn_segment *const s = &list.first[i];
        for (uint64_t at = 0; at < s->count; at += RNI_UPDATE_ELEMENTS) {
            const uint64_t left = s->count - at;
            *parts++ = (rni_update_part){.offset = s->offset + at,
                                         .count = (uint32_t)(left < RNI_UPDATE_ELEMENTS ? left : RNI_UPDATE_ELEMENTS),
                                         .group = s->group,
                                         .weight_decay = s->weight_decay};
        }
    }
}

static rn_status query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)device;
    RNI_TRY(rni_ops_check_update(op, values));
    if (op->kind == RN_OP_LERP || op->kind == RN_OP_LOSS_SCALE)
        return RN_OK;
    const uint64_t count = count_parts(segments_of(op));
    if (count > INT32_MAX)
        return rni_ops_refuse(op, RN_E_UNSUPPORTED, "%llu parameters are too many", (unsigned long long)count);
    if (op->kind == RN_OP_GRAD_NORM || op->kind == RN_OP_GRAD_UNSCALE)
        info->workspace = (count ? count : 1) * sizeof(double);
    return RN_OK;
}

/* A table on the device, copied from memory that may go at once. In a stream of our own, as the null one waits for all
 * others of the process. */
static rn_status upload(rni_cuda_device *device, const rni_update_part *parts, size_t bytes, update_table *table)
{
    void *memory = NULL;
    RNI_TRY(rni_cuda_result(device, cudaMalloc(&memory, bytes), "allocate a table of parameters"));
    cudaError_t error = cudaMemcpyAsync(memory, parts, bytes, cudaMemcpyHostToDevice, cudaStreamPerThread);
    if (error == cudaSuccess)
        error = cudaStreamSynchronize(cudaStreamPerThread);
    if (error != cudaSuccess)
        cudaFree(memory);
    else
        table->parts = memory;
    return rni_cuda_result(device, error, "copy a table of parameters");
}

static void release(rni_cuda_device *device, void *state)
{
    const rn_host_api *const host = device->host;
    update_table *const table = state;
    if (!table)
        return;
    cudaFree(table->parts);
    host->free(host->host, table, sizeof *table, _Alignof(update_table));
}

static rn_status fill_table(rni_cuda_device *device, const rn_op *op, segment_list list, update_table *table)
{
    const rn_host_api *const host = device->host;
    const size_t bytes = (size_t)table->count * sizeof(rni_update_part);
    rni_update_part *const parts = host->alloc(host->host, bytes, _Alignof(rni_update_part));
    if (!parts)
        return rni_ops_refuse(op, RN_E_NOMEM, "out of memory: %zu bytes", bytes);
    fill_parts(list, parts);
    const rn_status status = upload(device, parts, bytes, table);
    host->free(host->host, parts, bytes, _Alignof(rni_update_part));
    return status;
}

static rn_status prepare(rni_cuda_device *device, const rn_op *op, const rn_value *values, void **state)
{
    const rn_host_api *const host = device->host;
    const segment_list list = segments_of(op);
    (void)values;
    *state = NULL;
    update_table *const table = host->alloc(host->host, sizeof *table, _Alignof(update_table));
    if (!table)
        return rni_ops_refuse(op, RN_E_NOMEM, "out of memory: %zu bytes", sizeof *table);
    *table = (update_table){NULL, (int64_t)count_parts(list)};
    const rn_status status = table->count ? fill_table(device, op, list, table) : RN_OK;
    if (status == RN_OK)
        *state = table;
    else
        release(device, table);
    return status;
}

static rn_status norm_run(const rni_cuda_call *c)
{
    const update_table *const t = c->state;
    return rni_cuda_launched(c, rni_k_grad_norm(c->stream, t->parts, t->count, rni_cuda_in(c, 0), rni_cuda_workspace(c),
                                                rni_cuda_out(c, 0)));
}

static rn_status clip_run(const rni_cuda_call *c)
{
    const update_table *const t = c->state;
    const rn_segments_params *const p = c->op->params;
    if (!t->count)
        return RN_OK;
    return rni_cuda_launched(
        c, rni_k_grad_clip(c->stream, t->parts, t->count, p->clip_norm, rni_cuda_in(c, 0), rni_cuda_out(c, 0)));
}

static rn_status sgd_run(const rni_cuda_call *c)
{
    const update_table *const t = c->state;
    const rn_sgd_params *const p = c->op->params;
    if (!t->count)
        return RN_OK;
    return rni_cuda_launched(c, rni_k_sgd(c->stream, t->parts, t->count, p, c->scalars, rni_cuda_in(c, 1),
                                          rni_cuda_in(c, 0), rni_cuda_out(c, 0),
                                          p->momentum != 0 ? rni_cuda_out(c, 1) : NULL));
}

static rn_status adam_run(const rni_cuda_call *c)
{
    const update_table *const t = c->state;
    if (!t->count)
        return RN_OK;
    return rni_cuda_launched(c, rni_k_adam(c->stream, t->parts, t->count, c->op->params, c->scalars, rni_cuda_in(c, 1),
                                           rni_cuda_in(c, 0), rni_cuda_out(c, 0), rni_cuda_out(c, 1)));
}

static rn_status unscale_run(const rni_cuda_call *c)
{
    const update_table *const t = c->state;
    if (!t->count)
        return RN_OK;
    return rni_cuda_launched(c, rni_k_grad_unscale(c->stream, t->parts, t->count, rni_cuda_out(c, 0),
                                                   rni_cuda_workspace(c), rni_cuda_out(c, 1)));
}

static rn_status loss_scale_run(const rni_cuda_call *c)
{
    return rni_cuda_launched(c, rni_k_loss_scale(c->stream, c->op->params, rni_cuda_out(c, 0)));
}

static rn_status lerp_run(const rni_cuda_call *c)
{
    const int64_t count = (int64_t)(rni_cuda_in_value(c, 0)->bytes / sizeof(float));
    return count ? rni_cuda_launched(c, rni_k_lerp(c->stream, c->scalars, rni_cuda_in(c, 0), rni_cuda_out(c, 0), count))
                 : RN_OK;
}

const rni_cuda_driver rni_cuda_grad_norm = {.query = query, .prepare = prepare, .release = release, .run = norm_run};
const rni_cuda_driver rni_cuda_grad_clip = {.query = query, .prepare = prepare, .release = release, .run = clip_run};
const rni_cuda_driver rni_cuda_sgd = {.query = query, .prepare = prepare, .release = release, .run = sgd_run};
const rni_cuda_driver rni_cuda_adam = {.query = query, .prepare = prepare, .release = release, .run = adam_run};
const rni_cuda_driver rni_cuda_grad_unscale = {.query = query, .prepare = prepare, .release = release, .run = unscale_run};
const rni_cuda_driver rni_cuda_loss_scale = {.query = query, .run = loss_scale_run};
const rni_cuda_driver rni_cuda_lerp = {.query = query, .run = lerp_run};
