/* SPDX-License-Identifier: MIT */
/* Running a plan: forward, backward, whole steps. */
#include "plan/internal.h"
#include <stddef.h>
#include <string.h>

enum { DEVICE_ALIGN = 64 };

rn_status rni_plan_run_ops(rn_plan *p, rn_run *run, uint32_t first, uint32_t count)
{
    if (!count)
        return RN_OK;
    run->first_op = first;
    run->num_ops = count;
    return p->profile ? rni_profile_run(p->profile, p->compiled, run) : rni_compiled_run(p->compiled, run);
}

rn_status rni_plan_run_sections(rn_plan *p, rn_run *run, int first, int last)
{
    return rni_plan_run_ops(p, run, p->first[first], p->first[last + 1] - p->first[first]);
}

void rni_plan_start_run(rn_plan *p, rn_run *run, void **base, int64_t batch)
{
    memset(base, 0, RN_ROLE_COUNT * sizeof *base);
    base[RN_ROLE_INPUT] = p->input_storage->data;
    base[RN_ROLE_ARENA] = p->arena;
    base[RN_ROLE_PARAM] = p->model->params->data;
    base[RN_ROLE_PARAM_GRAD] = p->model->grads ? p->model->grads->data : NULL;
    base[RN_ROLE_BUFFER] = p->model->buffers->data;
    base[RN_ROLE_STATE] = p->optimizer && p->optimizer->state ? p->optimizer->state->data : NULL;
    base[RN_ROLE_DERIVED] = p->derived;
    base[RN_ROLE_METRICS] = p->metrics_storage->data;
    *run = (rn_run){.struct_size = sizeof *run, .batch = batch, .base = base, .seed = p->seed, .step = p->step};
    run->grad_scale = 1.0 / (double)(p->options.accumulate > 1 ? p->options.accumulate : 1);
    if (p->optimizer) {
        run->lr = rni_optimizer_lrs(p->optimizer);
        run->optimizer_step = p->optimizer->steps + 1;
    }
}

/* Read where it lies. One channel, or one pixel: plain order is the backend's order. */
static int same_order(const rn_tensor *x, const rn_value *input)
{
    if (x->dtype != input->dtype)
        return 0;
    return x->layout == input->layout || x->rank != 4 || x->dims[1] == 1 || x->dims[2] * x->dims[3] == 1;
}

/* Part of a tensor may begin anywhere: kernels of devices read in larger pieces. */
static int is_aligned(const rn_plan *p, const rn_tensor *x)
{
    return p->dev->info.host_memory || (uintptr_t)rni_tensor_address(x) % DEVICE_ALIGN == 0;
}

/* A tensor of the caller against a value's shape but for the batch, which it gives. */
static rn_status check_tensor(const rn_plan *p, const rn_tensor *t, uint32_t value, const char *what, int64_t *batch)
{
    const rn_value *const v = &p->low.p.values[value];
    char expected[RNI_SHAPE_TEXT], got[RNI_SHAPE_TEXT];
    RNI_TRY(rni_tensor_expect(t, p->dev, v->dtype, what));
    const int64_t n = t->rank ? t->dims[0] : 0;
    if (t->rank != v->rank || memcmp(t->dims + 1, v->dims + 1, (size_t)(v->rank - 1) * sizeof *t->dims) != 0)
        return rni_fail(RN_E_SHAPE, "%s: expected %s (fewer images are allowed), got %s", what,
                        rni_shape_text(expected, v->rank, v->dims), rni_shape_text(got, t->rank, t->dims));
    if (*batch ? n != *batch : (n < p->low.min_batch || n > p->max_batch))
        return rni_fail(RN_E_SHAPE, "%s: expected %lld%s%lld images, got %lld", what,
                        (long long)(*batch ? *batch : p->low.min_batch), *batch ? " of " : " to ",
                        (long long)p->max_batch, (long long)n);
    *batch = n;
    return RN_OK;
}

static rn_status check_plain(const rn_tensor *t, const char *what)
{
    if (t->layout != RN_LAYOUT_PLAIN)
        return rni_fail(RN_E_INVALID, "%s: expected a tensor in plain order", what);
    return RN_OK;
}

/* The caller's x: the plan's own input, or a tensor like it, or one in plain order. */
static rn_status check_x(const rn_plan *p, const rn_tensor *x, int64_t *batch)
{
    if (same_order(x, &p->low.p.values[p->input]))
        return check_tensor(p, x, p->input, "x", batch);
    RNI_TRY(check_tensor(p, x, p->x, "x", batch));
    return check_plain(x, "x");
}

static rn_status check_fresh(const rn_plan *p)
{
    if (p->options.mode == RN_PLAN_TRAIN && p->trainable_clock != p->model->trainable_clock)
        return rni_fail(RN_E_STATE, "plan: rn_model_set_trainable() was called after it was made");
    return rni_device_check(p->dev);
}

/* x in the plan's order: read where it lies, or copied to the plan's own input. */
static rn_status bind_x(const rn_plan *p, const rn_tensor *x, void **base, rn_tensor **bound)
{
    if (!is_aligned(p, x))
        return p->dev->backend->copy(p->dev->dev, p->dev->queue, base[RN_ROLE_INPUT], rni_tensor_address(x), x->nbytes);
    *bound = rn_tensor_retain((rn_tensor *)x);
    base[RN_ROLE_INPUT] = rni_tensor_address(x);
    return RN_OK;
}

/* Input and forward. */
static rn_status run_forward(rn_plan *p, const rn_tensor *x, rn_run *run, void **base, int last)
{
    const rn_value *const input = &p->low.p.values[p->input];
    RNI_TRY(rni_plan_prepare(p, run));
    int first = RNI_SECTION_INPUT;
    rn_tensor *bound = NULL;
    if (same_order(x, input)) {
        first = RNI_SECTION_FORWARD;
        RNI_TRY(bind_x(p, x, base, &bound));
    } else {
        base[RN_ROLE_X] = rni_tensor_address(x);
    }
    rn_tensor_release(p->bound_x);
    p->bound_x = bound;
    const rn_status status = rni_plan_run_sections(p, run, first, last);
    if (status == RN_OK && p->low.train) {
        p->step++;
        rni_model_buffers_updated(p->model);
    }
    return status;
}

static rn_status check_y(const rn_plan *p, const rn_tensor *y, int64_t *batch)
{
    RNI_TRY(check_tensor(p, y, p->y, "y", batch));
    return check_plain(y, "y");
}

rn_status rn_plan_forward(rn_plan *p, const rn_tensor *x, rn_tensor *y)
{
    void *base[RN_ROLE_COUNT];
    rn_run run;
    int64_t n = 0;
    RNI_REQUIRE(p);
    RNI_REQUIRE(x);
    if (p->options.mode != RN_PLAN_STATISTICS)
        RNI_REQUIRE(y);
    RNI_TRY(check_fresh(p));
    RNI_TRY(check_x(p, x, &n));
    if (y)
        RNI_TRY(check_y(p, y, &n));
    rni_plan_start_run(p, &run, base, n);
    base[RN_ROLE_Y] = y ? rni_tensor_address(y) : NULL;
    p->last_batch = 0;
    RNI_TRY(run_forward(p, x, &run, base, y ? RNI_SECTION_OUTPUT : RNI_SECTION_FORWARD));
    p->last_batch = n;
    if (y)
        rni_tensor_written(y);
    return RN_OK;
}

static rn_status check_backward(const rn_plan *p, const rn_tensor *dx)
{
    if (p->options.mode != RN_PLAN_TRAIN)
        return rni_fail(RN_E_STATE, "plan: %s plan has no backward", p->low.train ? "a STATISTICS" : "an INFER");
    if (!p->last_batch)
        return rni_fail(RN_E_STATE, "plan: backward without a forward before it");
    if (dx && !(p->options.flags & RN_PLAN_INPUT_GRAD))
        return rni_fail(RN_E_STATE, "dx: the plan was made without RN_PLAN_INPUT_GRAD");
    return check_fresh(p);
}

rn_status rn_plan_backward(rn_plan *p, const rn_tensor *dy, rn_tensor *dx)
{
    void *base[RN_ROLE_COUNT];
    rn_run run;
    RNI_REQUIRE(p);
    RNI_REQUIRE(dy);
    RNI_TRY(check_backward(p, dx));
    int64_t n = p->last_batch;
    RNI_TRY(check_tensor(p, dy, p->y, "dy", &n));
    RNI_TRY(check_plain(dy, "dy"));
    if (dx) {
        RNI_TRY(check_tensor(p, dx, p->x, "dx", &n));
        RNI_TRY(check_plain(dx, "dx"));
    }
    rni_plan_start_run(p, &run, base, n);
    run.step = p->step - 1; /* dropout: the masks of the forward */
    if (p->bound_x)
        base[RN_ROLE_INPUT] = rni_tensor_address(p->bound_x);
    base[RN_ROLE_DY] = rni_tensor_address(dy);
    base[RN_ROLE_DX] = dx ? rni_tensor_address(dx) : NULL;
    p->last_batch = 0; /* the arena is used up: a second backward needs a forward */
    RNI_TRY(rni_plan_run_sections(p, &run, RNI_SECTION_DY, RNI_SECTION_BACKWARD));
    if (!dx)
        return RN_OK;
    if (!p->wants_dx)
        return p->dev->backend->fill(p->dev->dev, p->dev->queue, rni_tensor_address(dx), dx->nbytes);
    return rni_plan_run_sections(p, &run, RNI_SECTION_DX, RNI_SECTION_DX);
}

/* Class probabilities instead of labels. */
static int is_soft(const rn_plan *p, const rn_tensor *target)
{
    return p->soft_target != RN_NO_VALUE && target->dtype == p->low.p.values[p->soft_target].dtype;
}

/* x and target of a step; labels in host memory are looked at before anything changes. */
static rn_status check_step(const rn_plan *p, const rn_tensor *x, const rn_tensor *target, int64_t *n)
{
    const int soft = is_soft(p, target);
    RNI_TRY(check_fresh(p));
    RNI_TRY(check_x(p, x, n));
    RNI_TRY(check_tensor(p, target, soft ? p->soft_target : p->target, "target", n));
    RNI_TRY(check_plain(target, "target"));
    if (soft || p->loss->op != RN_OP_CROSS_ENTROPY || !p->dev->info.host_memory)
        return RN_OK;
    return rni_check_labels(rni_tensor_address(target), *n, p->low.p.values[p->y].dims[1]);
}

static rn_status run_loss(rn_plan *p, rn_run *run, const rn_tensor *target)
{
    const int section = is_soft(p, target) ? RNI_SECTION_SOFT_LOSS : RNI_SECTION_LOSS;
    return rni_plan_run_sections(p, run, section, section);
}

/* Zeroes the gradients and the mark of a loss or gradient that is not finite, before the first micro-batch. */
static rn_status start_update(rn_plan *p)
{
    RNI_TRY(rn_model_zero_grad(p->model));
    return rni_plan_clear_metrics(p, offsetof(rn_step_metrics, step_nonfinite), sizeof(int64_t));
}

static rn_status finish_update(rn_plan *p, rn_run *run)
{
    RNI_TRY(rni_plan_run_sections(p, run, RNI_SECTION_UPDATE, RNI_SECTION_UPDATE));
    p->micro = 0;
    const rn_step_metrics *const metrics = p->metrics_storage->data;
    if (p->dev->info.host_memory && metrics->step_nonfinite)
        return RN_OK;
    p->optimizer->steps++;
    rni_model_stepped(p->model);
    return RN_OK;
}

rn_status rn_plan_train_step(rn_plan *p, const rn_tensor *x, const rn_tensor *target)
{
    void *base[RN_ROLE_COUNT];
    rn_run run;
    int64_t n = 0;
    RNI_REQUIRE(p);
    RNI_REQUIRE(x);
    RNI_REQUIRE(target);
    if (!p->low.train || !p->loss || !p->optimizer)
        return rni_fail(RN_E_STATE, "plan: a train step needs a TRAIN plan with a loss and an optimizer");
    RNI_TRY(check_step(p, x, target, &n));
    if (p->micro == 0)
        RNI_TRY(start_update(p));
    rni_plan_start_run(p, &run, base, n);
    base[RN_ROLE_TARGET] = rni_tensor_address(target);
    p->last_batch = 0;
    RNI_TRY(run_forward(p, x, &run, base, RNI_SECTION_FORWARD));
    RNI_TRY(run_loss(p, &run, target));
    RNI_TRY(rni_plan_run_sections(p, &run, RNI_SECTION_BACKWARD, RNI_SECTION_BACKWARD));
    p->micro++;
    if (p->micro < (int64_t)p->options.accumulate)
        return RN_OK;
    return finish_update(p, &run);
}

rn_status rn_plan_eval_step(rn_plan *p, const rn_tensor *x, const rn_tensor *target)
{
    void *base[RN_ROLE_COUNT];
    rn_run run;
    int64_t n = 0;
    RNI_REQUIRE(p);
    RNI_REQUIRE(x);
    RNI_REQUIRE(target);
    if (p->low.train || !p->loss)
        return rni_fail(RN_E_STATE, "plan: an eval step needs an INFER plan with a loss");
    RNI_TRY(check_step(p, x, target, &n));
    rni_plan_start_run(p, &run, base, n);
    base[RN_ROLE_TARGET] = rni_tensor_address(target);
    RNI_TRY(run_forward(p, x, &run, base, RNI_SECTION_FORWARD));
    return run_loss(p, &run, target);
}
