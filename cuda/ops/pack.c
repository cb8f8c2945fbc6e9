/* SPDX-License-Identifier: MIT */
/* Filters in the order that convolutions read: O,H,W,I, for both directions. All that follow one another go at once. */
#include "base/error.h"
#include "kernels/kernels.h"
#include "ops/conv_direct.h"
#include "ops/drivers.h"
#include "ops/filters.h"
#include "ops/operands.h"

/* What prepare_together made of some ops. */
typedef struct packs {
    rni_filters list;
    const rn_op *first;
} packs;

static const rn_conv_params *params_of(const rn_op *op)
{
    return op->params;
}

static const rn_value *scale_of(const rn_op *op, const rn_value *values)
{
    return op->in[1] == RN_NO_VALUE ? NULL : &values[op->in[1]];
}

static rn_status query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    (void)device;
    RNI_TRY(rni_ops_check_pack(op, values));
    RNI_TRY(rni_direct_check(op));
    info->out_bytes = rni_filter_bytes(params_of(op), values[op->out[0]].dtype);
    info->one_packing = 1;
    return RN_OK;
}

/* Whether two ops can share a launch: addresses are told from the beginnings of the same memory. */
static int alike(const rn_op *a, const rn_op *b, const rn_value *values)
{
    const rn_value *const to = &values[a->out[0]], *const other = &values[b->out[0]];
    const rn_value *const scale = scale_of(a, values), *const other_scale = scale_of(b, values);
    return b->kind == RN_OP_PACK && rni_filters_serve(params_of(a)) && rni_filters_serve(params_of(b)) &&
           to->dtype == other->dtype && to->role == other->role && values[a->in[0]].role == values[b->in[0]].role &&
           !scale == !other_scale && (!scale || scale->role == other_scale->role);
}

static uint32_t together(const rn_op *ops, const rn_value *values, uint32_t left)
{
    uint32_t count = 1;
    while (count < left && count < RNI_FILTERS_MOST_PARTS && alike(ops, ops + count, values))
        count++;
    return count;
}

static rn_status prepare_list(rni_cuda_device *device, const rn_op *ops, const rn_value *values, packs *p)
{
    for (uint32_t i = 0; i < p->list.count; i++) {
        const rn_value *const scale = scale_of(&ops[i], values);
        rni_filters_set(&p->list, i, params_of(&ops[i]), values[ops[i].in[0]].offset, values[ops[i].out[0]].offset,
                        scale ? scale->offset : RNI_FILTERS_NO_SCALE);
    }
    return rni_filters_upload(device, &p->list);
}

static void release_together(rni_cuda_device *device, void *state)
{
    const rn_host_api *const host = device->host;
    packs *const p = state;
    rni_filters_release(device, &p->list);
    host->free(host->host, p, sizeof *p, _Alignof(packs));
}

static rn_status prepare_together(rni_cuda_device *device, const rn_op *ops, const rn_value *values, uint32_t count,
                                  void **state)
{
    const rn_host_api *const host = device->host;
    packs *const p = host->alloc(host->host, sizeof *p, _Alignof(packs));
    if (!p)
        return rni_ops_refuse(ops, RN_E_NOMEM, "out of memory: %zu bytes", sizeof *p);
    *p = (packs){.first = ops};
    rn_status status = rni_filters_start(device, count, &p->list);
    if (status == RN_OK)
        status = prepare_list(device, ops, values, p);
    if (status == RN_OK)
        *state = p;
    else
        release_together(device, p);
    return status;
}

static rn_status run_several(const rni_cuda_call *c)
{
    const packs *const p = c->state;
    const rni_filters_run r = rni_filters_of(&p->list, (uint32_t)(c->op - p->first), c->num_ops);
    const rn_value *const scale = rni_cuda_in_value(c, 1), *const to = rni_cuda_out_value(c, 0);
    void *const *const base = c->run->base;
    return rni_cuda_launched(c, rni_k_filters_pack(c->stream, to->dtype, &r, base[rni_cuda_in_value(c, 0)->role],
                                                   scale ? base[scale->role] : NULL, base[to->role]));
}

static rn_status run(const rni_cuda_call *c)
{
    const rn_conv_params *const p = params_of(c->op);
    if (c->num_ops > 1)
        return run_several(c);
    return rni_cuda_launched(c, rni_k_filter_pack(c->stream, rni_cuda_out_value(c, 0)->dtype, rni_cuda_in(c, 0),
                                                  rni_cuda_in(c, 1), rni_cuda_out(c, 0), p->out_channels,
                                                  (int32_t)(p->in_channels / p->groups), rni_filter_taps(p)));
}

const rni_cuda_driver rni_cuda_pack = {
    .query = query,
    .run = run,
    .together = together,
    .prepare_together = prepare_together,
    .release_together = release_together,
};
