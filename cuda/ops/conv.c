/* SPDX-License-Identifier: MIT */
/*
 * Convolutions: cuDNN's where it has a plan and the module's f32 kernels are not faster, else the module's own. Filters are
 * O,H,W,I in both (pack.c).
 */
#include "base/error.h"
#include "dnn/conv.h"
#include "kernels/kernels.h"
#include "lanes.h"
#include "ops/conv_backward.h"
#include "ops/conv_direct.h"
#include "ops/conv_f32.h"
#include "ops/conv_prologue.h"
#include "ops/conv_rival.h"
#include "ops/conv_stats.h"
#include "ops/drivers.h"
#include "ops/operands.h"
#include "workspace.h"

/* How an op runs on cuDNN. */
typedef struct conv_state {
    rni_dnn_conv *conv;
    int32_t apart; /* forward: bias, residual and ReLU are a kernel after it */
} conv_state;

static const rn_conv_params *params_of(const rn_op *op)
{
    return op->params;
}

/* The image whose dims[0] is the batch. */
static const rn_value *image_of(const rn_op *op, const rn_value *values)
{
    return &values[op->in[0]];
}

static rni_direct direct_of(const rni_cuda_device *device, const rn_op *op, const rn_value *values, int64_t images)
{
    return (rni_direct){params_of(op), image_of(op, values)->dtype, device->processors,
                        images,        device->workspace_limit,     0};
}

/* The module's kernels with tiles, where they may serve instead of cuDNN and can. */
static int may_be_own(const rni_cuda_device *device, const rn_op *op, const rn_value *values)
{
    const rni_direct d = direct_of(device, op, values, image_of(op, values)->dims[0]);
    return device->own && !(device->tf32 && d.dtype == RN_F32) && !(op->flags & RN_OPF_STATS) &&
           rni_direct_tile(&d, op->kind) != RNI_DIRECT_GENERAL;
}

static int prefers_dnn(const rn_op *op, const rn_value *values)
{
    const rn_value *const image = image_of(op, values);
    return rni_f32_prefers_dnn(params_of(op), op->kind, image->dtype, image->dims[0]);
}

static rni_dnn_problem problem_of(const rn_op *op, const rn_value *values, uint32_t flags, const rni_dnn_rival *rival)
{
    const rn_value *const image = image_of(op, values);
    return (rni_dnn_problem){params_of(op), op->kind, flags, image->dtype, image->dims[0], rival};
}

static int aligned(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

enum { EPILOGUE = RN_OPF_BIAS | RN_OPF_ADD | RN_OPF_RELU };

/* With `out` prepares, else asks for the workspace. RN_E_UNSUPPORTED: no plan. */
static rn_status find(rni_cuda_device *device, const rni_dnn_problem *problem, rni_dnn_conv **out, uint64_t *workspace)
{
    return out ? rni_dnn_conv_prepare(device, problem, out) : rni_dnn_conv_query(device, problem, workspace);
}

/* With its epilogue, or without when there is no plan for both; with its statistics or not at all. */
static rn_status find_forward(rni_cuda_device *device, const rn_op *op, const rn_value *values,
                              const rni_dnn_rival *rival, conv_state *out, uint64_t *workspace)
{
    rni_dnn_problem problem = problem_of(op, values, op->flags & (EPILOGUE | RN_OPF_STATS), rival);
    rni_dnn_conv **const conv = out ? &out->conv : NULL;
    rn_status status = find(device, &problem, conv, workspace);
    if (status != RN_E_UNSUPPORTED || !(problem.flags & EPILOGUE))
        return status;
    problem.flags = 0;
    status = find(device, &problem, conv, workspace);
    if (out)
        out->apart = 1;
    return status;
}

/* One tap: O,H,W,I is OIHW, so what cuDNN adds to is the op's dw itself. */
static int adds_itself(const rn_conv_params *p, int32_t dtype)
{
    return dtype == RN_F32 && rni_filter_taps(p) == 1;
}

static rn_status find_filter(rni_cuda_device *device, const rn_op *op, const rn_value *values,
                             const rni_dnn_rival *rival, conv_state *out, uint64_t *workspace)
{
    const rn_conv_params *const p = params_of(op);
    const int32_t dtype = image_of(op, values)->dtype, itself = adds_itself(p, dtype);
    const rni_dnn_problem problem = problem_of(op, values, itself ? RN_OPF_ACCUMULATE : 0, rival);
    uint64_t conv = 0, total = 0;
    RNI_TRY(find(device, &problem, out ? &out->conv : NULL, &conv));
    if (!itself)
        rni_part(&total, rni_filter_bytes(p, dtype));
    rni_part(&total, conv);
    if (workspace)
        *workspace = total;
    return RN_OK;
}

static rn_status find_any(rni_cuda_device *device, const rn_op *op, const rn_value *values, conv_state *out,
                          uint64_t *workspace)
{
    const int own = may_be_own(device, op, values);
    const rni_direct direct = direct_of(device, op, values, image_of(op, values)->dims[0]);
    const rni_conv_rival way = rni_conv_rival_of(&direct, op);
    const rni_dnn_rival *const rival = own ? &way.rival : NULL;
    if (own && !device->autotune && !prefers_dnn(op, values))
        return RN_E_UNSUPPORTED;
    if (op->kind == RN_OP_CONV_FORWARD)
        return find_forward(device, op, values, rival, out, workspace);
    if (op->kind == RN_OP_CONV_BACKWARD_FILTER)
        return find_filter(device, op, values, rival, out, workspace);
    const rni_dnn_problem problem = problem_of(op, values, op->flags & RN_OPF_ACCUMULATE, rival);
    return find(device, &problem, out ? &out->conv : NULL, workspace);
}

static rn_status prepare(rni_cuda_device *device, const rn_op *op, const rn_value *values, void **state)
{
    const rn_host_api *const host = device->host;
    conv_state found = {NULL, 0};
    *state = NULL;
    if (!device->dnn)
        return RN_OK;
    const rn_status status = find_any(device, op, values, &found, NULL);
    if (status == RN_E_UNSUPPORTED)
        return RN_OK;
    RNI_TRY(status);
    conv_state *const s = host->alloc(host->host, sizeof *s, _Alignof(conv_state));
    if (!s) {
        rni_dnn_conv_release(device, found.conv);
        return rni_ops_refuse(op, RN_E_NOMEM, "out of memory: %zu bytes", sizeof *s);
    }
    *s = found;
    *state = s;
    return RN_OK;
}

static void release(rni_cuda_device *device, void *state)
{
    const rn_host_api *const host = device->host;
    conv_state *const s = state;
    if (!s)
        return;
    rni_dnn_conv_release(device, s->conv);
    host->free(host->host, s, sizeof *s, _Alignof(conv_state));
}

/* The workspace for either way: a batch may turn out to have no plan. */
static rn_status query_workspace(rni_cuda_device *device, const rn_op *op, const rn_value *values, uint64_t direct,
                                 rn_op_info *info)
{
    uint64_t dnn = 0;
    const rn_status status = device->dnn ? find_any(device, op, values, NULL, &dnn) : RN_E_UNSUPPORTED;
    if (status != RN_OK && status != RN_E_UNSUPPORTED)
        return status;
    if (status == RN_OK)
        info->in_place = -1; /* cuDNN's outputs share memory with nothing */
    info->workspace = rni_parts_bytes(dnn > direct ? dnn : direct);
    return RN_OK;
}

static rn_status forward_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    RNI_TRY(rni_ops_check_conv_forward(op, values, info));
    RNI_TRY(rni_direct_check(op));
    if (op->flags & RN_OPF_STATS)
        RNI_TRY(rni_conv_stats_query(device, op, values, info));
    else
        RNI_TRY(query_workspace(device, op, values, 0, info));
    return rni_conv_prologue_query(device, op, values, info);
}

/* The operands of a forward convolution. */
typedef struct forward_operands {
    const void *x, *w, *residual;
    const float *bias;
    void *y;
} forward_operands;

static rn_status forward_dnn(const rni_cuda_call *c, const conv_state *s, const forward_operands *o)
{
    const rn_value *const y = rni_cuda_out_value(c, 0);
    const int32_t apart = s->apart, relu = (c->op->flags & RN_OPF_RELU) != 0;
    const rni_dnn_operands operands = {.x = (void *)o->x,
                                       .w = (void *)o->w,
                                       .y = o->y,
                                       .bias = apart ? NULL : o->bias,
                                       .residual = apart ? NULL : o->residual};
    if (c->op->flags & RN_OPF_STATS)
        return rni_conv_stats_run(c, s->conv, &operands);
    RNI_TRY(rni_dnn_conv_run(s->conv, c->stream, c->run->batch, &operands, rni_part_of(c, 0)));
    if (!apart)
        return RN_OK;
    return rni_cuda_launched(c, rni_k_finish_rows(c->stream, y->dtype, y->dtype, o->y, o->bias, o->residual, o->y,
                                                  c->run->batch * rni_cuda_pixels(y), y->dims[1], relu));
}

static rn_status forward_run(const rni_cuda_call *c)
{
    const uint32_t flags = c->op->flags;
    const forward_operands o = {.x = rni_cuda_in(c, 0),
                                .w = rni_cuda_in(c, 1),
                                .bias = flags & RN_OPF_BIAS ? rni_cuda_in(c, 2) : NULL,
                                .residual = flags & RN_OPF_ADD ? rni_cuda_in(c, 3) : NULL,
                                .y = rni_cuda_out(c, 0)};
    if (c->state && aligned(o.x) && aligned(o.w) && aligned(o.residual) && aligned(o.y)) {
        const rn_status status = forward_dnn(c, c->state, &o);
        if (status != RN_E_UNSUPPORTED)
            return status;
    }
    const rni_direct d = direct_of(c->device, c->op, c->values, c->run->batch);
    RNI_TRY(rni_cuda_launched(
        c, rni_direct_forward(&d, c->stream, o.x, o.w, o.bias, o.residual, o.y, (flags & RN_OPF_RELU) != 0)));
    return flags & RN_OPF_STATS ? rni_conv_stats_apart(c) : RN_OK;
}

static rn_status data_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    RNI_TRY(rni_ops_check_conv_backward_data(op, values));
    RNI_TRY(rni_direct_check(op));
    return query_workspace(device, op, values, 0, info);
}

static rn_status data_run(const rni_cuda_call *c)
{
    const void *const dy = rni_cuda_in(c, 0), *const w = rni_cuda_in(c, 1);
    void *const dx = rni_cuda_out(c, 0);
    const conv_state *const s = c->state;
    if (s && aligned(dy) && aligned(w) && aligned(dx)) {
        const rni_dnn_operands operands = {.x = dx, .w = (void *)w, .y = (void *)dy};
        const rn_status status = rni_dnn_conv_run(s->conv, c->stream, c->run->batch, &operands, rni_part_of(c, 0));
        if (status != RN_E_UNSUPPORTED)
            return status;
    }
    const rni_direct d = direct_of(c->device, c->op, c->values, c->run->batch);
    return rni_cuda_launched(
        c, rni_direct_backward_data(&d, c->stream, dy, w, dx, (c->op->flags & RN_OPF_ACCUMULATE) != 0));
}

static rn_status filter_query(rni_cuda_device *device, const rn_op *op, const rn_value *values, rn_op_info *info)
{
    RNI_TRY(rni_ops_check_conv_backward_filter(op, values));
    RNI_TRY(rni_direct_check(op));
    const rni_direct most = direct_of(device, op, values, image_of(op, values)->dims[0]);
    info->late = device->overlap && rni_lanes_aside(op, values) ? RNI_LANES_LATE : 0;
    RNI_TRY(query_workspace(device, op, values, rni_direct_filter_workspace(&most), info));
    return rni_conv_prologue_query(device, op, values, info);
}

rn_status rni_conv_backward_filter_run(const rni_cuda_call *c, rni_dnn_conv *conv, const rni_dnn_operands *from)
{
    float *const dw = rni_cuda_out(c, 0);
    const rn_conv_params *const p = params_of(c->op);
    const int32_t dtype = image_of(c->op, c->values)->dtype;
    uint64_t total = 0;
    const int32_t itself = adds_itself(p, dtype);
    void *made = itself ? dw : rni_part_of(c, rni_part(&total, rni_filter_bytes(p, dtype)));
    if (c->leave)
        made = c->leave;
    rni_dnn_operands operands = *from;
    operands.w = made;
    operands.y = (void *)rni_cuda_in(c, 1);
    RNI_TRY(rni_dnn_conv_run(conv, c->stream, c->run->batch, &operands, rni_part_of(c, total)));
    if (c->leave)
        *c->left = 1;
    if (itself || c->leave)
        return RN_OK;
    return rni_cuda_launched(c, rni_k_filter_add(c->stream, dtype, made, 1, dw, p->out_channels,
                                                 (int32_t)(p->in_channels / p->groups), rni_filter_taps(p)));
}

/* What cuDNN makes, when it does not add itself. */
static uint64_t filter_leaves(const rn_op *op, const rn_value *values, const void *state)
{
    const int32_t dtype = image_of(op, values)->dtype;
    return state && !adds_itself(params_of(op), dtype) ? rni_filter_bytes(params_of(op), dtype) : 0;
}

static rn_status filter_run(const rni_cuda_call *c)
{
    const void *const x = rni_cuda_in(c, 0), *const dy = rni_cuda_in(c, 1);
    float *const dw = rni_cuda_out(c, 0);
    const conv_state *const s = c->state;
    if (s && aligned(x) && aligned(dy) && aligned(dw)) {
        const rn_status status = rni_conv_backward_filter_run(c, s->conv, &(rni_dnn_operands){.x = (void *)x});
        if (status != RN_E_UNSUPPORTED)
            return status;
    }
    const rni_direct d = direct_of(c->device, c->op, c->values, c->run->batch);
    const rni_direct most = direct_of(c->device, c->op, c->values, image_of(c->op, c->values)->dims[0]);
    return rni_cuda_launched(c, rni_direct_backward_filter(&d, &most, c->stream, x, dy, dw, rni_part_of(c, 0)));
}

const rni_cuda_driver rni_cuda_conv_forward = {
    .query = forward_query, .prepare = prepare, .release = release, .run = forward_run};
const rni_cuda_driver rni_cuda_conv_backward_data = {
    .query = data_query, .prepare = prepare, .release = release, .run = data_run};
const rni_cuda_driver rni_cuda_conv_backward_filter = {
    .query = filter_query, .prepare = prepare, .release = release, .run = filter_run, .leaves = filter_leaves};
