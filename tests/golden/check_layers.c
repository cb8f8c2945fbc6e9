/* SPDX-License-Identifier: MIT */
/* Single layers, blocks and whole nets against PyTorch: inference, training forward and backward, running statistics. */
#include "golden_net.h"

#include <stdio.h>
#include <string.h>

/* One way of computing a case. */
typedef struct way {
    const char *name;
    rn_dtype dtype;
    uint64_t flags;
    int64_t spare; /* the plans are made for so many images more than they get */
} way;

static const way ways[] = {
    {"f32", RN_F32, 0, 0},
    {"f32, unfused", RN_F32, RN_PLAN_NO_FUSION, 3},
    {"f32, direct", RN_F32, RN_PLAN_NO_WINOGRAD, 0},
    {"f32, direct, unfused", RN_F32, RN_PLAN_NO_FUSION | RN_PLAN_NO_WINOGRAD, 0},
    {"f32, direct, larger plan", RN_F32, RN_PLAN_NO_WINOGRAD, 3},
    {"f64", RN_F64, 0, 0},
    {"f64, unfused", RN_F64, RN_PLAN_NO_FUSION, 2},
};

typedef struct fixture {
    const golden *g;
    const way *way;
    rn_device *dev;
    rn_model *model;
    rn_plan *infer, *train;
    rn_loss *loss;
    rn_tensor *x, *y, *dy, *dx, *target;
    int precision, failed;
} fixture;

static void look(fixture *f, const char *key, const rn_tensor *t)
{
    f->failed += golden_check(f->g, key, t, f->precision, f->way->name);
}

static rn_status create_plan(fixture *f, int32_t mode, int32_t rank, const int64_t *dims, rn_plan **out)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = mode;
    o.flags = f->way->flags | (mode == RN_PLAN_TRAIN ? RN_PLAN_INPUT_GRAD : 0);
    o.compute_dtype = f->way->dtype;
    o.rank = rank;
    memcpy(o.input_dims, dims, (size_t)rank * sizeof *dims);
    o.input_dims[0] += f->way->spare;
    return rn_plan_create(f->model, &o, out);
}

static rn_status input(fixture *f, const char *what, rn_tensor **out)
{
    int64_t dims[RN_MAX_RANK];
    int32_t rank = golden_dims(json_object_get(f->g->spec, "x"), dims);
    const json_t *range = json_object_get(f->g->spec, "range");
    double low = json_number_value(json_array_get(range, 0)), high = json_number_value(json_array_get(range, 1));
    return golden_tensor(f->dev, f->g, what, f->way->dtype, rank, dims, low, high, out);
}

static rn_status set_up(fixture *f, rn_context *ctx)
{
    int64_t dims[RN_MAX_RANK], out[RN_MAX_RANK];
    int32_t rank = golden_dims(json_object_get(f->g->spec, "x"), dims), out_rank = 0;
    f->dev = rn_context_device(ctx, 0);
    f->precision = f->way->dtype == RN_F64                ? GOLDEN_F64
                   : f->way->flags & RN_PLAN_NO_WINOGRAD ? GOLDEN_F32
                                                         : GOLDEN_WINOGRAD;
    TRY(golden_model(ctx, f->g, &f->model));
    TRY(create_plan(f, RN_PLAN_INFER, rank, dims, &f->infer));
    TRY(create_plan(f, RN_PLAN_TRAIN, rank, dims, &f->train));
    TRY(input(f, "x", &f->x));
    TRY(rn_plan_output_shape(f->train, dims[0], &out_rank, out));
    TRY(rn_tensor_create(f->dev, f->way->dtype, out_rank, out, &f->y));
    TRY(rn_tensor_create(f->dev, f->way->dtype, rank, dims, &f->dx));
    if (!json_object_get(f->g->spec, "loss"))
        return golden_tensor(f->dev, f->g, "dy", f->way->dtype, out_rank, out, -1, 1, &f->dy);
    TRY(golden_loss(ctx, f->g, &f->loss));
    TRY(golden_target(f->dev, f->g, 0, f->way->dtype, out_rank, out, &f->target));
    return rn_tensor_create(f->dev, f->way->dtype, out_rank, out, &f->dy);
}

static void tear_down(fixture *f)
{
    rn_tensor_release(f->x);
    rn_tensor_release(f->y);
    rn_tensor_release(f->dy);
    rn_tensor_release(f->dx);
    rn_tensor_release(f->target);
    rn_loss_release(f->loss);
    rn_plan_release(f->infer);
    rn_plan_release(f->train);
    rn_model_release(f->model);
}

static rn_status look_at_infer(fixture *f, const char *key)
{
    TRY(rn_plan_forward(f->infer, f->x, f->y));
    look(f, key, f->y);
    return RN_OK;
}

/* Another batch first: running statistics, and nothing else, remember it. */
static rn_status warm_up(fixture *f)
{
    rn_tensor *x0 = NULL;
    if (!golden_integer(f->g->spec, "warm"))
        return RN_OK;
    TRY(input(f, "x0", &x0));
    rn_status status = rn_plan_forward(f->train, x0, f->y);
    rn_tensor_release(x0);
    return status;
}

static rn_status look_at_loss(fixture *f)
{
    float value = 0;
    TRY(rn_loss_compute(f->loss, f->y, f->target, f->dy, &value));
    double wide = (double)value;
    f->failed += golden_compare(f->g, "train.loss", &wide, 1, f->precision, f->way->name);
    look(f, "train.dy", f->dy);
    return RN_OK;
}

static rn_status look_at_state(fixture *f)
{
    for (size_t i = 0; i < rn_model_state_count(f->model); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        char key[256];
        TRY(rn_model_state(f->model, i, &entry));
        int parameter = entry.kind == RN_STATE_PARAMETER;
        snprintf(key, sizeof key, "%s.%s", parameter ? "grad" : "buffer", entry.name);
        look(f, key, parameter ? entry.grad : entry.value);
    }
    return RN_OK;
}

static rn_status look_at_training(fixture *f)
{
    TRY(warm_up(f));
    TRY(rn_plan_forward(f->train, f->x, f->y));
    look(f, "train.y", f->y);
    if (f->loss)
        TRY(look_at_loss(f));
    TRY(rn_model_zero_grad(f->model));
    TRY(rn_plan_backward(f->train, f->dy, f->dx));
    look(f, "train.dx", f->dx);
    return look_at_state(f);
}

static rn_status look_at_all(fixture *f, rn_context *ctx)
{
    TRY(set_up(f, ctx));
    TRY(look_at_infer(f, "infer.y"));
    if (golden_integer(f->g->spec, "infer_only"))
        return RN_OK;
    TRY(look_at_training(f));
    return golden_has(f->g, "after.y") ? look_at_infer(f, "after.y") : RN_OK;
}

static int check(rn_context *ctx, const golden *g)
{
    int failed = 0;
    if (json_object_get(g->spec, "steps"))
        return -1;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        fixture f = {.g = g, .way = &ways[i]};
        if (look_at_all(&f, ctx) != RN_OK) {
            printf("FAIL %s (%s): %s\n", g->name, f.way->name, rn_error_message());
            failed++;
        }
        failed += f.failed;
        tear_down(&f);
    }
    return failed;
}

int main(int argc, char **argv)
{
    return golden_run(argc, argv, check);
}
