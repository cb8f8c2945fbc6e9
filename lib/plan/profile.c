/* SPDX-License-Identifier: MIT */
/*
 * Times of ops. Where the backend has marks, they are put before and behind every op and read when they are asked for, or
 * when the op comes again: nothing waits for the op itself. Elsewhere every op is waited for.
 */
#include "plan/profile.h"
#include "plan/internal.h"
#include <stdio.h>
#include <time.h>

/* Time spent in one op. */
typedef struct op_time {
    uint64_t calls;
    double seconds;
    int64_t images;
    void *before, *behind; /* marks; NULL: none were made yet */
    int64_t pending; /* images of a run between the marks that was not read yet; 0: none */
} op_time;

struct rni_profile {
    rn_device *dev;
    uint32_t num_ops;
    op_time times[];
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t profile_bytes(uint32_t num_ops)
{
    return sizeof(rni_profile) + num_ops * sizeof(op_time);
}

rn_status rni_profile_create(rn_device *dev, uint32_t num_ops, rni_profile **out)
{
    rni_profile *const profile = rni_calloc(&dev->ctx->allocator, 1, profile_bytes(num_ops));
    *out = profile;
    if (!profile)
        return rni_nomem("a profile", profile_bytes(num_ops));
    profile->dev = dev;
    profile->num_ops = num_ops;
    return RN_OK;
}

void rni_profile_free(rni_profile *profile)
{
    if (!profile)
        return;
    rn_device *const dev = profile->dev;
    for (uint32_t i = 0; i < profile->num_ops; i++) {
        if (profile->times[i].before)
            dev->backend->mark_destroy(dev->dev, profile->times[i].before);
        if (profile->times[i].behind)
            dev->backend->mark_destroy(dev->dev, profile->times[i].behind);
    }
    rni_free(&dev->ctx->allocator, profile);
}

static void add(op_time *t, double seconds, int64_t images)
{
    t->seconds += seconds;
    t->calls++;
    t->images += images;
}

/* What an op took the last time, once it is done. */
static rn_status read_op(const rni_profile *profile, op_time *t)
{
    const rn_device *const dev = profile->dev;
    double seconds = 0;
    if (!t->pending)
        return RN_OK;
    RNI_TRY(dev->backend->mark_elapsed(dev->dev, t->before, t->behind, &seconds));
    add(t, seconds, t->pending);
    t->pending = 0;
    return RN_OK;
}

static rn_status put_mark(const rn_device *dev, void **mark)
{
    if (!*mark)
        RNI_TRY(dev->backend->mark_create(dev->dev, mark));
    return dev->backend->mark_record(dev->dev, dev->queue, *mark);
}

static rn_status run_marked(rni_profile *profile, rni_compiled *compiled, const rn_run *run, op_time *t)
{
    RNI_TRY(read_op(profile, t));
    RNI_TRY(put_mark(profile->dev, &t->before));
    RNI_TRY(rni_compiled_run(compiled, run));
    RNI_TRY(put_mark(profile->dev, &t->behind));
    t->pending = run->batch;
    return RN_OK;
}

static rn_status run_waiting(rni_profile *profile, rni_compiled *compiled, const rn_run *run, op_time *t)
{
    const double start = now();
    RNI_TRY(rni_compiled_run(compiled, run));
    RNI_TRY(rni_device_wait(profile->dev));
    add(t, now() - start, run->batch);
    return RN_OK;
}

rn_status rni_profile_run(rni_profile *profile, rni_compiled *compiled, const rn_run *run)
{
    const int marks = profile->dev->backend->mark_create != NULL;
    rn_run one = *run;
    one.num_ops = 1;
    for (; one.first_op < run->first_op + run->num_ops; one.first_op++)
        RNI_TRY((marks ? run_marked : run_waiting)(profile, compiled, &one, &profile->times[one.first_op]));
    return RN_OK;
}

static rn_status read_all(rni_profile *profile, double *seconds)
{
    *seconds = 0;
    for (uint32_t i = 0; i < profile->num_ops; i++) {
        RNI_TRY(read_op(profile, &profile->times[i]));
        *seconds += profile->times[i].seconds;
    }
    return RN_OK;
}

static void add_row(rni_text *text, const rn_plan *p, uint32_t i, double all)
{
    const rn_op *const op = &p->low.p.ops[i];
    const op_time *const t = &p->profile->times[i];
    const double per_call = t->seconds / (double)t->calls, images = (double)t->images / (double)t->calls;
    const rni_traffic least = rni_op_traffic(&p->low.p, op, images / (double)p->max_batch);
    char name[80] = "";
    snprintf(name, sizeof name, "%s%s%s%s%s", rni_op_name(op->kind), op->flags & RN_OPF_ADD ? "+add" : "",
             op->flags & RN_OPF_RELU ? "+relu" : "", op->flags & RN_OPF_STATS ? "+stats" : "",
             op->flags & RN_OPF_ACCUMULATE ? "+acc" : "");
    rni_text_append(text, "%-32s %-28s %7llu %10.4f %6.2f%% %10.1f %8.1f\n", name, op->path,
                    (unsigned long long)t->calls, per_call * 1e3, 100 * t->seconds / all,
                    per_call > 0 ? least.flops / per_call * 1e-9 : 0.0,
                    per_call > 0 ? least.bytes / per_call * 1e-9 : 0.0);
}

rn_status rn_plan_set_profiling(rn_plan *p, int32_t on)
{
    RNI_REQUIRE(p);
    rni_profile *profile = NULL;
    if (on)
        RNI_TRY(rni_profile_create(p->dev, p->low.p.num_ops, &profile));
    rni_profile_free(p->profile);
    p->profile = profile;
    return RN_OK;
}

rn_status rn_plan_profile(const rn_plan *p, rn_write_fn write, void *user)
{
    double all;
    RNI_REQUIRE(p);
    RNI_REQUIRE(write);
    if (!p->profile)
        return rni_fail(RN_E_STATE, "plan: rn_plan_set_profiling() was not called");
    RNI_TRY(read_all(p->profile, &all));
    rni_text text = {.allocator = &p->ctx->allocator};
    rni_text_append(&text, "%-32s %-28s %7s %10s %7s %10s %8s\n", "op", "layer", "calls", "ms", "share", "GFLOP/s",
                    "GB/s");
    for (uint32_t i = 0; i < p->low.p.num_ops; i++)
        if (p->profile->times[i].calls)
            add_row(&text, p, i, all > 0 ? all : 1);
    rni_text_append(&text, "all ops: %.3f ms\n", all * 1e3);
    return rni_plan_give_text(&text, write, user);
}
