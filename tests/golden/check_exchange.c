/* SPDX-License-Identifier: MIT */
/*
 * Trainings that change sides: PyTorch does five steps and saves weights and optimizer state, libresnet does the next ten;
 * and libresnet's own five steps go through a file of that form. Every loss within 1e-4 of PyTorch's in double.
 */
#include "golden_net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct fixture {
    const golden *g;
    rn_context *ctx;
    rn_device *dev;
    rn_model *model;
    rn_optimizer *optimizer;
    rn_loss *loss;
    rn_plan *plan;
    rn_tensor *y;
    int64_t x_dims[RN_MAX_RANK], y_dims[RN_MAX_RANK];
    int32_t x_rank, y_rank;
} fixture;

static const char *folder;

static rn_status set_up(fixture *f, rn_context *ctx, const golden *g)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    *f = (fixture){.g = g, .ctx = ctx, .dev = rn_context_device(ctx, 0)};
    f->x_rank = golden_dims(json_object_get(g->spec, "x"), f->x_dims);
    TRY(golden_model(ctx, g, &f->model));
    TRY(golden_loss(ctx, g, &f->loss));
    TRY(golden_optimizer(f->model, g, &f->optimizer));
    o.mode = RN_PLAN_TRAIN;
    o.flags = RN_PLAN_NO_WINOGRAD;
    o.rank = f->x_rank;
    memcpy(o.input_dims, f->x_dims, sizeof f->x_dims);
    o.loss = f->loss;
    o.optimizer = f->optimizer;
    TRY(rn_plan_create(f->model, &o, &f->plan));
    return rn_plan_output_shape(f->plan, f->x_dims[0], &f->y_rank, f->y_dims);
}

static void tear_down(fixture *f)
{
    rn_plan_release(f->plan);
    rn_optimizer_release(f->optimizer);
    rn_loss_release(f->loss);
    rn_model_release(f->model);
}

static rn_status do_step(fixture *f, int64_t step, double *loss)
{
    const json_t *range = json_object_get(f->g->spec, "range");
    rn_metrics metrics = RN_METRICS_INIT;
    rn_tensor *x = NULL, *target = NULL;
    char what[32];
    snprintf(what, sizeof what, "x%d", (int)step);
    rn_status status = golden_tensor(f->dev, f->g, what, RN_F32, f->x_rank, f->x_dims,
                                     json_number_value(json_array_get(range, 0)),
                                     json_number_value(json_array_get(range, 1)), &x);
    if (status == RN_OK)
        status = golden_target(f->dev, f->g, step, RN_F32, f->y_rank, f->y_dims, &target);
    if (status == RN_OK)
        status = rn_plan_train_step(f->plan, x, target);
    if (status == RN_OK)
        status = rn_plan_metrics(f->plan, &metrics, 0);
    *loss = metrics.last_loss;
    rn_tensor_release(x);
    rn_tensor_release(target);
    return status;
}

/* The steps that PyTorch's losses are stored of, from `first` on. */
static rn_status compare_steps(fixture *f, int64_t first, double *worst)
{
    size_t nbytes = 0;
    const double *expected = golden_bytes(f->g, "losses", &nbytes);
    *worst = 0;
    for (int64_t step = first; step < golden_integer(f->g->spec, "steps"); step++) {
        double loss = 0;
        TRY(do_step(f, step, &loss));
        double error = fabs(loss - expected[step]);
        *worst = error > *worst || isnan(error) ? error : *worst;
    }
    return RN_OK;
}

/* Weights and optimizer from one file; what was there before must not matter. */
static rn_status take_over(fixture *f, const char *path)
{
    TRY(rn_model_init(f->model, 99));
    TRY(rn_optimizer_set_lr(f->optimizer, 99.0));
    TRY(rn_model_load(f->model, path, NULL));
    return rn_optimizer_load_torch(f->optimizer, path);
}

static rn_status from_torch(fixture *f, double *worst)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.pth", folder, f->g->name);
    TRY(take_over(f, path));
    return compare_steps(f, golden_integer(f->g->spec, "split"), worst);
}

/* Five steps of ours, written and read again. */
static rn_status through_file(fixture *f, double *worst)
{
    char path[] = "exchange-XXXXXX";
    rn_checkpoint c = RN_CHECKPOINT_INIT;
    double loss;
    int64_t split = golden_integer(f->g->spec, "split");
    int file = mkstemp(path);
    if (file < 0)
        return RN_E_USER;
    close(file);
    for (int64_t step = 0; step < split; step++)
        TRY(do_step(f, step, &loss));
    c.model = f->model;
    c.optimizer = f->optimizer;
    rn_status status = rn_checkpoint_save_torch(f->ctx, path, &c);
    if (status == RN_OK)
        status = take_over(f, path);
    unlink(path);
    TRY(status);
    return compare_steps(f, split, worst);
}

static int check_way(rn_context *ctx, const golden *g, const char *how, rn_status (*run)(fixture *, double *))
{
    fixture f;
    double worst = INFINITY;
    rn_status status = set_up(&f, ctx, g);
    if (status == RN_OK)
        status = run(&f, &worst);
    int failed = status != RN_OK || !(worst <= 1e-4);
    printf("%s %s, %s: largest difference of a loss %.1e %s\n", failed ? "FAIL" : "ok", g->name, how, worst,
           status == RN_OK ? "" : rn_error_message());
    tear_down(&f);
    return failed;
}

static int check(rn_context *ctx, const golden *g)
{
    if (!json_object_get(g->spec, "split"))
        return -1;
    return check_way(ctx, g, "from PyTorch", from_torch) + check_way(ctx, g, "through a file", through_file);
}

int main(int argc, char **argv)
{
    folder = argc > 1 ? argv[1] : "";
    return golden_run(argc, argv, check);
}
