/* SPDX-License-Identifier: MIT */
#include "steps.h"
#include "base/error.h"
#include "memory.h"
#include <string.h>

/* Of a program's list; allocators do not give out nothing. */
static size_t list_bytes(const rn_program_desc *desc)
{
    return (size_t)(desc->num_ops ? desc->num_ops : 1) * sizeof(rni_cuda_step);
}

static rn_status prepare_alone(rni_cuda_steps *s, uint32_t i)
{
    const rn_op *const op = &s->desc->ops[i];
    const rni_cuda_driver *const driver = rni_cuda_driver_of(op->kind);
    s->step[i].left = s->step[i].also = RN_NO_VALUE;
    s->step[i].together = 1;
    return driver->prepare ? driver->prepare(s->device, op, s->desc->values, &s->step[i].state) : RN_OK;
}

/* The ops from i on that share a launch; *next is the first behind them. */
static rn_status prepare_together(rni_cuda_steps *s, uint32_t i, uint32_t *next)
{
    const rn_program_desc *const desc = s->desc;
    const rni_cuda_driver *const driver = rni_cuda_driver_of(desc->ops[i].kind);
    const uint32_t count = driver->together ? driver->together(&desc->ops[i], desc->values, desc->num_ops - i) : 1;
    void *joint = NULL;
    *next = i + count;
    if (count == 1)
        return RN_OK;
    if (driver->prepare_together)
        RNI_TRY(driver->prepare_together(s->device, &desc->ops[i], desc->values, count, &joint));
    for (uint32_t k = i; k < i + count; k++) {
        if (rni_cuda_driver_of(desc->ops[k].kind) != driver)
            continue; /* takes part, but begins nothing */
        s->step[k].joint = joint;
        s->step[k].together = i + count - k;
    }
    return RN_OK;
}

static rn_status prepare(rni_cuda_steps *s)
{
    for (uint32_t i = 0; i < s->desc->num_ops; i++)
        RNI_TRY(prepare_alone(s, i));
    for (uint32_t i = 0; i < s->desc->num_ops;)
        RNI_TRY(prepare_together(s, i, &i));
    return RN_OK;
}

static uint32_t count_normalisations(const rn_program_desc *desc)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < desc->num_ops; i++)
        count += desc->ops[i].kind == RN_OP_BN_APPLY;
    return count;
}

static size_t prologue_bytes(const rn_program_desc *desc)
{
    return count_normalisations(desc) * sizeof(rni_prologue);
}

/* Not where one of the convolutions is better left to the module's own kernel. */
static rn_status prepare_prologue(rni_cuda_steps *s, const rni_prologue_ops *ops)
{
    rni_prologue *const p = &s->prologues[s->num_prologues];
    if (!s->step[ops->forward].state || !s->step[ops->filter].state)
        return RN_OK;
    const rn_status status = rni_prologue_prepare(s->device, s->desc, ops, p);
    if (status != RN_OK)
        return status == RN_E_UNSUPPORTED ? RN_OK : status;
    s->num_prologues++;
    s->step[ops->apply].prologue = s->step[ops->forward].prologue = s->step[ops->filter].prologue = p;
    s->step[ops->forward].also = s->step[ops->filter].also = ops->x;
    return RN_OK;
}

static rn_status prepare_prologues(rni_cuda_steps *s)
{
    const rn_host_api *const host = s->device->host;
    const size_t bytes = prologue_bytes(s->desc);
    if (s->device->fuse < RNI_CUDA_FUSE_PROLOGUE || !s->device->dnn || !bytes)
        return RN_OK;
    s->prologues = host->alloc(host->host, bytes, _Alignof(rni_prologue));
    if (!s->prologues)
        return rni_fail(RN_E_NOMEM, "out of memory: a program needs %zu bytes", bytes);
    for (uint32_t i = 0; i < s->desc->num_ops; i++) {
        rni_prologue_ops ops;
        if (rni_prologue_match(s->desc, i, &ops))
            RNI_TRY(prepare_prologue(s, &ops));
    }
    return RN_OK;
}

static uint64_t leaves(const rni_cuda_steps *s, uint32_t i)
{
    const rn_op *const op = &s->desc->ops[i];
    const rni_cuda_driver *const driver = rni_cuda_driver_of(op->kind);
    const uint64_t bytes = driver->leaves ? driver->leaves(op, s->desc->values, s->step[i].state) : 0;
    return bytes <= RNI_LEFT_BYTES && bytes > 0 && rni_filters_serve(op->params) ? bytes : 0;
}

/* Whether two values share memory of the gradients. */
static int meet(const rn_value *a, const rn_value *b)
{
    return a->role == RN_ROLE_PARAM_GRAD && b->role == RN_ROLE_PARAM_GRAD && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

/* Whether op i reads or writes a gradient that ops first..i-1 leave for later. */
static int looks_at_left(const rni_cuda_steps *s, uint32_t first, uint32_t i)
{
    const rn_program_desc *const desc = s->desc;
    const rn_op *const op = &desc->ops[i];
    for (uint32_t k = first; k < i; k++) {
        const rn_value *const dw = &desc->values[desc->ops[k].out[0]];
        if (s->step[k].left == RN_NO_VALUE)
            continue;
        for (uint32_t n = 0; n < op->num_in; n++)
            if (op->in[n] != RN_NO_VALUE && meet(&desc->values[op->in[n]], dw))
                return 1;
        for (uint32_t n = 0; n < op->num_out; n++)
            if (op->out[n] != RN_NO_VALUE && meet(&desc->values[op->out[n]], dw))
                return 1;
    }
    return 0;
}

/* Which gradients are left, and where in memory. One dtype: programs have no others. */
static uint64_t place_left(rni_cuda_steps *s)
{
    rni_filters *const list = &s->left;
    uint64_t used = 0, most = 0;
    uint32_t first = 0, count = 0;
    for (uint32_t i = 0; i < s->desc->num_ops; i++) {
        const rn_op *const op = &s->desc->ops[i];
        const uint64_t bytes = (leaves(s, i) + 255) / 256 * 256;
        s->step[i].adds_first = used > 0 && (used + bytes > RNI_LEFT_BYTES || looks_at_left(s, first, i));
        if (s->step[i].adds_first) {
            used = 0;
            first = i;
        }
        if (!bytes || count == list->count)
            continue;
        rni_filters_set(list, count, op->params, s->desc->values[op->out[0]].offset, used, RNI_FILTERS_NO_SCALE);
        s->left_dtype = s->desc->values[op->in[0]].dtype;
        s->step[i].left = count++;
        used += bytes;
        most = used > most ? used : most;
    }
    return most;
}

static uint32_t count_left(const rni_cuda_steps *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->desc->num_ops && count < RNI_FILTERS_MOST_PARTS; i++)
        count += leaves(s, i) > 0;
    return count;
}

static rn_status prepare_left(rni_cuda_steps *s)
{
    const uint32_t count = count_left(s);
    void *memory;
    if (count < 2)
        return RN_OK;
    RNI_TRY(rni_filters_start(s->device, count, &s->left));
    RNI_TRY(rni_cuda_alloc(s->device, place_left(s), &memory));
    s->left_memory = memory;
    return rni_filters_upload(s->device, &s->left);
}

void rni_steps_release(rni_cuda_steps *s)
{
    const rn_host_api *const host = s->device->host;
    for (uint32_t i = 0; s->step && i < s->desc->num_ops; i++) {
        const rni_cuda_driver *const driver = rni_cuda_driver_of(s->desc->ops[i].kind);
        if (s->step[i].state)
            driver->release(s->device, s->step[i].state);
        if (s->step[i].joint && (i == 0 || s->step[i].joint != s->step[i - 1].joint))
            driver->release_together(s->device, s->step[i].joint);
    }
    for (uint32_t i = 0; i < s->num_prologues; i++)
        rni_prologue_release(s->device, &s->prologues[i]);
    if (s->prologues)
        host->free(host->host, s->prologues, prologue_bytes(s->desc), _Alignof(rni_prologue));
    rni_cuda_free(s->device, s->left_memory);
    rni_filters_release(s->device, &s->left);
    if (s->step)
        host->free(host->host, s->step, list_bytes(s->desc), 16);
}

rn_status rni_steps_make(rni_cuda_device *device, const rn_program_desc *desc, rni_cuda_steps *out)
{
    const rn_host_api *const host = device->host;
    *out = (rni_cuda_steps){.device = device, .desc = desc};
    out->step = host->alloc(host->host, list_bytes(desc), 16);
    if (!out->step)
        return rni_fail(RN_E_NOMEM, "out of memory: a program needs %zu bytes", list_bytes(desc));
    memset(out->step, 0, list_bytes(desc));
    rn_status status = prepare(out);
    if (status == RN_OK)
        status = prepare_prologues(out);
    if (status == RN_OK)
        status = prepare_left(out);
    if (status != RN_OK)
        rni_steps_release(out);
    return status;
}

int rni_steps_add_first(const rni_cuda_steps *s, const rni_steps_left *left, uint32_t i)
{
    const rni_cuda_step *const step = &s->step[i];
    return left->count && (step->adds_first || (step->left != RN_NO_VALUE && step->left != left->first + left->count));
}

rn_status rni_steps_add(const rni_cuda_steps *s, const rni_cuda_call *call, rni_steps_left *left)
{
    if (!left->count)
        return RN_OK;
    const rni_filters_run r = rni_filters_of(&s->left, left->first, left->count);
    left->count = 0;
    return rni_cuda_launched(
        call, rni_k_filters_add(call->stream, s->left_dtype, &r, s->left_memory, call->run->base[RN_ROLE_PARAM_GRAD]));
}

static rn_status run(const rni_cuda_step *step, const rni_cuda_call *call)
{
    const rn_status serves = step->prologue ? rni_prologue_serves(step->prologue, call->run->batch) : RN_E_UNSUPPORTED;
    if (serves == RN_OK)
        return rni_prologue_run(step->prologue, call);
    return serves == RN_E_UNSUPPORTED ? rni_cuda_driver_of(call->op->kind)->run(call) : serves;
}

rn_status rni_steps_run_op(const rni_cuda_steps *s, rni_cuda_call *call, uint32_t i, uint32_t end,
                           rni_steps_left *left)
{
    const rni_cuda_step *const step = &s->step[i];
    const uint32_t first_ticket = call->ticket;
    int32_t is_left = 0;
    call->op = &s->desc->ops[i];
    call->ticket = first_ticket + i;
    call->num_ops = step->together < end - i ? step->together : end - i;
    call->state = call->num_ops > 1 ? step->joint : step->state;
    call->leave = step->left == RN_NO_VALUE ? NULL : s->left_memory + s->left.parts[step->left].packed;
    call->left = &is_left;
    const rn_status status = run(step, call);
    call->ticket = first_ticket;
    if (is_left && !left->count++)
        left->first = step->left;
    return status;
}

rn_status rni_steps_run(const rni_cuda_steps *s, const rni_cuda_call *shared)
{
    const rn_run *const run = shared->run;
    const uint32_t end = run->first_op + run->num_ops;
    rni_cuda_call call = *shared;
    rni_steps_left left = {0, 0};
    for (uint32_t i = run->first_op; i < end; i += call.num_ops) {
        call.op = &s->desc->ops[i];
        if (rni_steps_add_first(s, &left, i))
            RNI_TRY(rni_steps_add(s, &call, &left));
        RNI_TRY(rni_steps_run_op(s, &call, i, end, &left));
    }
    return rni_steps_add(s, &call, &left);
}
