/* SPDX-License-Identifier: MIT */
/* A program on a device: handed over whole where the backend takes it, else run op by op. */
#include "backend/context.h"
#include "backend/validate.h"

struct rni_compiled {
    rn_device *dev;
    const rn_program_desc *desc;
    void *program; /* NULL: op by op */
    int watched;
};

rn_status rni_compiled_create(rn_device *dev, const rn_program_desc *desc, rni_compiled **out)
{
    rni_compiled *const c = rni_calloc(&dev->ctx->allocator, 1, sizeof *c);
    if (!c)
        return rni_nomem("a program", sizeof *c);
    c->dev = dev;
    c->desc = desc;
    c->watched = rni_validate_wanted(dev);
    if (dev->backend->program_create) {
        const rn_status status = dev->backend->program_create(dev->dev, desc, &c->program);
        if (status < 0) {
            rni_free(&dev->ctx->allocator, c);
            return status;
        }
    }
    *out = c;
    return RN_OK;
}

static rn_status run_ops(const rni_compiled *c, const rn_run *run)
{
    const rn_backend *const b = c->dev->backend;
    if (c->program)
        return b->program_run(c->program, c->dev->queue, run);
    for (uint32_t i = run->first_op; i < run->first_op + run->num_ops; i++)
        RNI_TRY(b->op_run(c->dev->dev, c->dev->queue, &c->desc->ops[i], c->desc->values, run));
    return RN_OK;
}

static rn_status run_watched(const rni_compiled *c, const rn_run *run)
{
    rn_run one = *run;
    if (run->first_op > c->desc->num_ops || run->num_ops > c->desc->num_ops - run->first_op)
        return rni_fail(RN_E_INTERNAL, "ops %u to %u of a program of %u", run->first_op, run->first_op + run->num_ops,
                        c->desc->num_ops);
    one.num_ops = 1;
    for (; one.first_op < run->first_op + run->num_ops; one.first_op++) {
        const rn_op *const op = &c->desc->ops[one.first_op];
        int had_nan;
        RNI_TRY(rni_validate_before(op, c->desc, run, &had_nan));
        RNI_TRY(run_ops(c, &one));
        RNI_TRY(rni_device_wait(c->dev));
        RNI_TRY(rni_validate_after(op, c->desc, run, had_nan));
    }
    return RN_OK;
}

rn_status rni_compiled_run(rni_compiled *c, const rn_run *run)
{
    RNI_TRY(rni_device_check(c->dev));
    return c->watched ? run_watched(c, run) : run_ops(c, run);
}

void rni_compiled_destroy(rni_compiled *c)
{
    if (!c)
        return;
    if (c->program)
        c->dev->backend->program_destroy(c->program);
    rni_free(&c->dev->ctx->allocator, c);
}
