/* SPDX-License-Identifier: MIT */
/*
 * Gradients of losses against finite differences in double: of rn_loss_compute() for predictions, and of a whole
 * train step for weights. Values come from the metrics, which keep losses in double. Bounds as in check_grad.c.
 */
#include "../common/nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        rn_status try_status = (call);                                                                                 \
        if (try_status != RN_OK)                                                                                       \
            return try_status;                                                                                         \
    } while (0)

enum { BATCH = 4, CLASSES = 5 };
enum { LABELS, SOFT, MSE };
static const int64_t flat_dims[] = {BATCH, CLASSES}, image_dims[] = {BATCH, 3, 6, 6};
static const double h = 0x1p-17, bound = 1e-6;

typedef struct fixture {
    const char *name;
    rn_context *ctx;
    rn_device *dev;
    rn_model *model;
    rn_loss *loss;
    rn_optimizer *optimizer;
    rn_plan *plan;
    rn_tensor *x, *target, *dx;
    int failed;
} fixture;

static rn_status make_loss(fixture *f, int kind, double smoothing)
{
    rn_cross_entropy_options o = RN_CROSS_ENTROPY_OPTIONS_INIT;
    f->dev = rn_context_device(f->ctx, 0);
    if (kind == MSE) {
        TRY(rn_tensor_create(f->dev, RN_F64, 2, flat_dims, &f->target));
        net_input(rn_tensor_data(f->target), BATCH * CLASSES, 9);
        return rn_mse_create(f->ctx, NULL, &f->loss);
    }
    o.label_smoothing = smoothing;
    TRY(rn_cross_entropy_create(f->ctx, &o, &f->loss));
    if (kind == SOFT) {
        TRY(rn_tensor_create(f->dev, RN_F64, 2, flat_dims, &f->target));
        double *probabilities = rn_tensor_data(f->target);
        for (int i = 0; i < BATCH * CLASSES; i++)
            probabilities[i] = 0.1 * ((3 * i + i / CLASSES) % 4); /* rows need not sum to 1 */
        return RN_OK;
    }
    TRY(rn_tensor_create(f->dev, RN_I64, 1, flat_dims, &f->target));
    int64_t *labels = rn_tensor_data(f->target);
    for (int i = 0; i < BATCH; i++)
        labels[i] = (3 * i + 1) % CLASSES;
    return RN_OK;
}

static rn_status make_model(fixture *f, rn_layer *layer)
{
    rn_status status = rn_model_create(f->ctx, layer, f->dev, &f->model);
    rn_layer_release(layer);
    TRY(status);
    return net_fill(f->model, 13);
}

static rn_status make_plan(fixture *f, int32_t mode, int32_t rank, const int64_t *dims)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_sgd_options still = {sizeof still, 0, 0.0, 0.0, 0.0, 0.0}; /* weights stay where they are */
    o.mode = mode;
    o.compute_dtype = RN_F64;
    o.rank = rank;
    memcpy(o.input_dims, dims, (size_t)rank * sizeof *dims);
    o.loss = f->loss;
    if (mode == RN_PLAN_TRAIN) {
        TRY(rn_sgd_create(f->model, &still, &f->optimizer));
        o.optimizer = f->optimizer;
    }
    TRY(rn_plan_create(f->model, &o, &f->plan));
    TRY(rn_tensor_create(f->dev, RN_F64, rank, dims, &f->x));
    net_input(rn_tensor_data(f->x), (size_t)rn_tensor_count(f->x), 21);
    return RN_OK;
}

static void tear_down(fixture *f)
{
    rn_tensor_release(f->x);
    rn_tensor_release(f->dx);
    rn_tensor_release(f->target);
    rn_plan_release(f->plan);
    rn_optimizer_release(f->optimizer);
    rn_loss_release(f->loss);
    rn_model_release(f->model);
}

static rn_status value_of(fixture *f, double *value)
{
    rn_metrics metrics = RN_METRICS_INIT;
    TRY(f->optimizer ? rn_plan_train_step(f->plan, f->x, f->target) : rn_plan_eval_step(f->plan, f->x, f->target));
    TRY(rn_plan_metrics(f->plan, &metrics, 1));
    *value = metrics.last_loss;
    return RN_OK;
}

static void compare(fixture *f, const char *what, size_t index, double gradient, double above, double below)
{
    double found = (above - below) / (2 * h);
    if (fabs(found - gradient) <= bound)
        return;
    printf("FAIL %s: d/d%s[%zu] is %.9g, the slope %.9g\n", f->name, what, index, gradient, found);
    f->failed++;
}

static rn_status check_predictions(fixture *f, int kind, double smoothing)
{
    rn_layer *identity = NULL;
    float value = 0;
    double stated = 0, above = 0, below = 0;
    TRY(make_loss(f, kind, smoothing));
    TRY(rn_identity_create(f->ctx, &identity));
    TRY(make_model(f, identity));
    TRY(make_plan(f, RN_PLAN_INFER, 2, flat_dims));
    TRY(rn_tensor_create(f->dev, RN_F64, 2, flat_dims, &f->dx));
    TRY(rn_loss_compute(f->loss, f->x, f->target, f->dx, &value));
    TRY(value_of(f, &stated));
    if (fabs(stated - (double)value) > 1e-6 * fabs(stated)) {
        printf("FAIL %s: rn_loss_compute() gives %.9g, a plan %.9g\n", f->name, (double)value, stated);
        f->failed++;
    }
    double *x = rn_tensor_data(f->x);
    const double *dx = rn_tensor_data(f->dx);
    for (size_t i = 0; i < BATCH * CLASSES; i++) {
        double before = x[i];
        x[i] = before + h;
        TRY(value_of(f, &above));
        x[i] = before - h;
        TRY(value_of(f, &below));
        x[i] = before;
        compare(f, "prediction", i, dx[i], above, below);
    }
    return RN_OK;
}

static rn_status check_weight(fixture *f, const rn_state_entry *entry, size_t i)
{
    float *weight = (float *)rn_tensor_data(entry->value) + i;
    const float before = *weight;
    double above = 0, below = 0;
    TRY(value_of(f, &above)); /* leaves the gradients of this step */
    const double gradient = (double)((const float *)rn_tensor_data(entry->grad))[i];
    *weight = before + (float)h;
    TRY(rn_model_mark_written(f->model));
    TRY(value_of(f, &above));
    *weight = before - (float)h;
    TRY(rn_model_mark_written(f->model));
    TRY(value_of(f, &below));
    *weight = before;
    TRY(rn_model_mark_written(f->model));
    compare(f, entry->name, i, gradient, above, below);
    return RN_OK;
}

static rn_status check_step(fixture *f, int kind, double smoothing)
{
    TRY(make_loss(f, kind, smoothing));
    TRY(make_model(f, net_small(f->ctx, CLASSES, 0)));
    TRY(make_plan(f, RN_PLAN_TRAIN, 4, image_dims));
    for (size_t s = 0; s < rn_model_state_count(f->model); s++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        TRY(rn_model_state(f->model, s, &entry));
        if (entry.kind != RN_STATE_PARAMETER)
            continue;
        size_t count = (size_t)rn_tensor_count(entry.value), stride = count > 16 ? count / 12 : 1;
        for (size_t i = 0; i < count; i += stride)
            TRY(check_weight(f, &entry, i));
    }
    return RN_OK;
}

static int check(rn_context *ctx, const char *name, rn_status (*run)(fixture *, int, double), int kind,
                 double smoothing)
{
    fixture f = {.name = name, .ctx = ctx};
    if (run(&f, kind, smoothing) != RN_OK) {
        printf("FAIL %s: %s\n", name, rn_error_message());
        f.failed++;
    }
    tear_down(&f);
    printf("%s %s\n", f.failed ? "FAIL" : "ok", name);
    return f.failed;
}

int main(void)
{
    rn_context *ctx = NULL;
    int failed = 0;
    if (rn_context_create(NULL, &ctx) != RN_OK)
        return 2;
    failed += check(ctx, "cross-entropy", check_predictions, LABELS, 0.0);
    failed += check(ctx, "cross-entropy, smoothed", check_predictions, LABELS, 0.2);
    failed += check(ctx, "cross-entropy, probabilities", check_predictions, SOFT, 0.0);
    failed += check(ctx, "cross-entropy, probabilities, smoothed", check_predictions, SOFT, 0.2);
    failed += check(ctx, "MSE", check_predictions, MSE, 0.0);
    failed += check(ctx, "train step, cross-entropy", check_step, LABELS, 0.1);
    failed += check(ctx, "train step, probabilities", check_step, SOFT, 0.1);
    failed += check(ctx, "train step, MSE", check_step, MSE, 0.0);
    rn_context_release(ctx);
    return failed > 0;
}
