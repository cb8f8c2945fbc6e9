/* SPDX-License-Identifier: MIT */
#include "train/own.h"
#include <string.h>

rn_status rni_own_begin(rni_own *own, rn_device *dev)
{
    memset(own, 0, sizeof *own);
    RNI_TRY(rni_device_check(dev));
    own->dev = dev;
    rni_program_init(&own->program, &dev->ctx->allocator);
    const int64_t bytes = (int64_t)sizeof(rn_step_metrics);
    rn_status status =
        rni_program_value(&own->program, RN_U8, RN_ROLE_METRICS, RN_LAYOUT_PLAIN, 1, &bytes, 0, &own->metrics_value);
    if (status >= 0)
        status = rni_device_alloc(dev, sizeof(rn_step_metrics), "metrics", &own->metrics);
    if (status < 0)
        rni_own_free(own);
    return status;
}

/* Workspaces all begin at the arena's base: ops run one after the other. */
static rn_status give_workspace(rni_own *own, uint32_t op)
{
    rni_program *const p = &own->program;
    rn_op_info info = {.struct_size = sizeof info, .in_place = -1};
    RNI_TRY(own->dev->backend->op_query(own->dev->dev, &p->ops[op], p->values, &info));
    if (!info.workspace)
        return RN_OK;
    const int64_t bytes = (int64_t)info.workspace;
    RNI_TRY(rni_program_value(p, RN_U8, RN_ROLE_ARENA, RN_LAYOUT_PLAIN, 1, &bytes, 0, &p->ops[op].workspace));
    if (info.workspace > own->workspace_bytes)
        own->workspace_bytes = info.workspace;
    return RN_OK;
}

rn_status rni_own_compile(rni_own *own)
{
    rni_program *const p = &own->program;
    for (uint32_t i = 0; i < p->num_ops; i++)
        RNI_TRY(give_workspace(own, i));
    RNI_TRY(rni_program_verify(p));
    if (own->workspace_bytes)
        RNI_TRY(rni_device_alloc(own->dev, own->workspace_bytes, "a workspace", &own->workspace));
    own->desc = (rn_program_desc){
        .struct_size = sizeof own->desc,
        .values = p->values,
        .ops = p->ops,
        .num_values = p->num_values,
        .num_ops = p->num_ops,
    };
    return rni_compiled_create(own->dev, &own->desc, &own->compiled);
}

rn_status rni_own_run(rni_own *own, void *const *bases, const rn_run *run)
{
    void *base[RN_ROLE_COUNT];
    memcpy(base, bases, sizeof base);
    base[RN_ROLE_ARENA] = own->workspace;
    base[RN_ROLE_METRICS] = own->metrics;
    rn_run whole = *run;
    whole.struct_size = sizeof whole;
    whole.first_op = 0;
    whole.num_ops = own->program.num_ops;
    whole.base = base;
    return rni_compiled_run(own->compiled, &whole);
}

rn_status rni_own_metrics(rni_own *own, rn_step_metrics *out)
{
    rn_device *const dev = own->dev;
    RNI_TRY(rni_device_wait(dev));
    return dev->backend->copy_out(dev->dev, dev->queue, out, own->metrics, sizeof *out);
}

void rni_own_free(rni_own *own)
{
    if (!own->dev)
        return;
    /* Enqueued work may still use the memory. A fault of it is remembered by the device and met by the next call. */
    (void)rni_device_wait(own->dev);
    if (own->compiled)
        rni_compiled_destroy(own->compiled);
    rni_device_free(own->dev, own->workspace, own->workspace_bytes);
    rni_device_free(own->dev, own->metrics, sizeof(rn_step_metrics));
    rni_program_free(&own->program);
    memset(own, 0, sizeof *own);
}
