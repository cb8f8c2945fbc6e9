/* SPDX-License-Identifier: MIT */
/* Ten steps of optimizers against PyTorch: losses, weights, running statistics. */
#include "golden_net.h"

#include <stdio.h>
#include <string.h>

typedef struct way {
    const char *name;
    rn_dtype dtype;
    uint64_t flags;
    int own_loop; /* forward, loss, backward, clip and step by hand instead of train steps */
} way;

static const way ways[] = {
    {"f32", RN_F32, 0, 0},
    {"f32, direct", RN_F32, RN_PLAN_NO_WINOGRAD, 0},
    {"f32, direct, unfused", RN_F32, RN_PLAN_NO_FUSION | RN_PLAN_NO_WINOGRAD, 0},
    {"f32, direct, own loop", RN_F32, RN_PLAN_NO_WINOGRAD, 1},
    {"f64", RN_F64, 0, 0},
};

enum { MAX_STEPS = 16 };

typedef struct fixture {
    const golden *g;
    const way *way;
    rn_device *dev;
    rn_model *model;
    rn_optimizer *optimizer;
    rn_loss *loss;
    rn_plan *plan;
    rn_ema *ema; /* NULL: of cases without */
    rn_tensor *y, *dy;
    double losses[MAX_STEPS], norms[MAX_STEPS];
    int64_t x_dims[RN_MAX_RANK], y_dims[RN_MAX_RANK];
    int32_t x_rank, y_rank;
    int64_t micro; /* micro-batches per update */
    double clip;
} fixture;

static rn_status create_plan(fixture *f)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = RN_PLAN_TRAIN;
    o.flags = f->way->flags;
    o.compute_dtype = f->way->dtype;
    o.rank = f->x_rank;
    memcpy(o.input_dims, f->x_dims, sizeof f->x_dims);
    if (!f->way->own_loop) {
        o.loss = f->loss;
        o.optimizer = f->optimizer;
        o.clip_norm = f->clip;
        o.accumulate = (uint32_t)f->micro;
    }
    return rn_plan_create(f->model, &o, &f->plan);
}

static rn_status create_ema(fixture *f)
{
    const json_t *about = json_object_get(f->g->spec, "ema");
    rn_ema_options o = RN_EMA_OPTIONS_INIT;
    if (!about)
        return RN_OK;
    o.decay = golden_number(about, "decay");
    o.flags = golden_integer(about, "buffers") ? RN_EMA_AVERAGE_BUFFERS : 0;
    return rn_ema_create(f->model, &o, &f->ema);
}

static rn_status set_up(fixture *f, rn_context *ctx)
{
    f->dev = rn_context_device(ctx, 0);
    f->x_rank = golden_dims(json_object_get(f->g->spec, "x"), f->x_dims);
    f->clip = golden_number(f->g->spec, "clip");
    f->micro = json_object_get(f->g->spec, "accumulate") ? golden_integer(f->g->spec, "accumulate") : 1;
    TRY(golden_model(ctx, f->g, &f->model));
    TRY(golden_loss(ctx, f->g, &f->loss));
    TRY(golden_optimizer(f->model, f->g, &f->optimizer));
    TRY(create_plan(f));
    TRY(create_ema(f));
    TRY(rn_plan_output_shape(f->plan, f->x_dims[0], &f->y_rank, f->y_dims));
    TRY(rn_tensor_create(f->dev, f->way->dtype, f->y_rank, f->y_dims, &f->y));
    return rn_tensor_create(f->dev, f->way->dtype, f->y_rank, f->y_dims, &f->dy);
}

static void tear_down(fixture *f)
{
    rn_tensor_release(f->y);
    rn_tensor_release(f->dy);
    rn_ema_release(f->ema);
    rn_plan_release(f->plan);
    rn_optimizer_release(f->optimizer);
    rn_loss_release(f->loss);
    rn_model_release(f->model);
}

/* The loss is divided by the number of micro-batches. */
static void share_gradient(fixture *f)
{
    float *dy = rn_tensor_data(f->dy);
    for (int64_t i = 0; i < rn_tensor_count(f->dy); i++)
        dy[i] /= (float)f->micro;
}

static rn_status step_by_hand(fixture *f, int64_t step, const rn_tensor *x, const rn_tensor *target)
{
    float loss = 0;
    if (step % f->micro == 0)
        TRY(rn_model_zero_grad(f->model));
    TRY(rn_plan_forward(f->plan, x, f->y));
    TRY(rn_loss_compute(f->loss, f->y, target, f->dy, &loss));
    share_gradient(f);
    TRY(rn_plan_backward(f->plan, f->dy, NULL));
    f->losses[step] = (double)loss;
    if (step % f->micro != f->micro - 1)
        return RN_OK;
    if (f->clip > 0)
        TRY(rn_model_clip_grad_norm(f->model, f->clip, &f->norms[step / f->micro]));
    return rn_optimizer_step(f->optimizer);
}

static rn_status step_by_plan(fixture *f, int64_t step, const rn_tensor *x, const rn_tensor *target)
{
    rn_metrics metrics = RN_METRICS_INIT;
    TRY(rn_plan_train_step(f->plan, x, target));
    TRY(rn_plan_metrics(f->plan, &metrics, 0));
    f->losses[step] = metrics.last_loss;
    f->norms[step / f->micro] = metrics.grad_norm;
    return RN_OK;
}

static rn_status golden_x(const fixture *f, int64_t step, rn_tensor **out)
{
    const json_t *range = json_object_get(f->g->spec, "range");
    char what[32];
    snprintf(what, sizeof what, "x%d", (int)step);
    return golden_tensor(f->dev, f->g, what, f->way->dtype, f->x_rank, f->x_dims,
                         json_number_value(json_array_get(range, 0)), json_number_value(json_array_get(range, 1)), out);
}

static rn_status do_step(fixture *f, int64_t step)
{
    rn_tensor *x = NULL, *target = NULL;
    rn_status status = golden_x(f, step, &x);
    if (status == RN_OK)
        status = golden_target(f->dev, f->g, step, f->way->dtype, f->y_rank, f->y_dims, &target);
    if (status == RN_OK)
        status = f->way->own_loop ? step_by_hand(f, step, x, target) : step_by_plan(f, step, x, target);
    if (status == RN_OK && f->ema)
        status = rn_ema_update(f->ema);
    rn_tensor_release(x);
    rn_tensor_release(target);
    return status;
}

/* Averages are not stored for num_batches_tracked, which PyTorch averages too. */
static rn_status look_at_states(fixture *f, const char *part, rn_model *m, int precision, int *failed)
{
    for (size_t i = 0; i < rn_model_state_count(m); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        char key[256];
        TRY(rn_model_state(m, i, &entry));
        snprintf(key, sizeof key, "%s.%s", part, entry.name);
        if (m == f->model || rn_tensor_dtype(entry.value) != RN_I64)
            *failed += golden_check(f->g, key, entry.value, precision, f->way->name);
    }
    return RN_OK;
}

static rn_status forward_all(const fixture *f, rn_plan *plan, int64_t steps)
{
    rn_tensor *x = NULL;
    for (int64_t step = 0; step < steps; step++) {
        TRY(golden_x(f, step, &x));
        rn_status status = rn_plan_forward(plan, x, NULL);
        rn_tensor_release(x);
        TRY(status);
    }
    return RN_OK;
}

/* Running statistics of the average, as torch.optim.swa_utils.update_bn() makes them from all inputs. */
static rn_status look_at_statistics(fixture *f, int64_t steps, int precision, int *failed)
{
    rn_model *m = rn_ema_model(f->ema);
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_plan *plan = NULL;
    o.mode = RN_PLAN_STATISTICS;
    o.flags = f->way->flags;
    o.compute_dtype = f->way->dtype;
    o.rank = f->x_rank;
    memcpy(o.input_dims, f->x_dims, sizeof f->x_dims);
    TRY(rn_plan_create(m, &o, &plan));
    rn_status status = rn_model_reset_statistics(m);
    if (status == RN_OK)
        status = forward_all(f, plan, steps);
    rn_plan_release(plan);
    TRY(status);
    for (size_t i = 0; i < rn_model_state_count(m); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        char key[256];
        TRY(rn_model_state(m, i, &entry));
        snprintf(key, sizeof key, "exact.%s", entry.name);
        if (entry.kind == RN_STATE_BUFFER)
            *failed += golden_check(f->g, key, entry.value, precision, f->way->name);
    }
    return RN_OK;
}

static rn_status look(fixture *f, int64_t steps, int *failed)
{
    /* Weights are kept in float whatever the plan computes in, so the rule is that of float. */
    const int winograd = f->way->dtype == RN_F32 && !(f->way->flags & RN_PLAN_NO_WINOGRAD);
    const int precision = winograd ? GOLDEN_WINOGRAD : GOLDEN_F32;
    *failed += golden_compare(f->g, "losses", f->losses, (size_t)steps, precision, f->way->name);
    if (f->clip > 0)
        *failed += golden_compare(f->g, "grad_norms", f->norms, (size_t)(steps / f->micro), precision, f->way->name);
    TRY(look_at_states(f, "after", f->model, precision, failed));
    if (!f->ema)
        return RN_OK;
    TRY(look_at_states(f, "ema", rn_ema_model(f->ema), precision, failed));
    const int exact = (int)golden_integer(json_object_get(f->g->spec, "ema"), "update_bn");
    return exact ? look_at_statistics(f, steps, precision, failed) : RN_OK;
}

static rn_status run(fixture *f, rn_context *ctx, int *failed)
{
    int64_t steps = golden_integer(f->g->spec, "steps");
    if (steps > MAX_STEPS)
        return RN_E_USER;
    TRY(set_up(f, ctx));
    for (int64_t step = 0; step < steps; step++)
        TRY(do_step(f, step));
    return look(f, steps, failed);
}

static int check(rn_context *ctx, const golden *g)
{
    int failed = 0;
    if (!json_object_get(g->spec, "steps"))
        return -1;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        fixture f = {.g = g, .way = &ways[i]};
        if (run(&f, ctx, &failed) != RN_OK) {
            printf("FAIL %s (%s): %s\n", g->name, f.way->name, rn_error_message());
            failed++;
        }
        tear_down(&f);
    }
    return failed;
}

int main(int argc, char **argv)
{
    return golden_run(argc, argv, check);
}
