/* SPDX-License-Identifier: MIT */
/*
 * Gradients against finite differences, everything in double: for L = sum(w y) with fixed random w, each dL/dx and
 * dL/dweight is compared with (L(+h) - L(-h)) / 2h.
 *
 * Weights are multiples of 2^-12, so that the steps 2^-15, 2^-17 and 2^-19 are exact in the float they are kept in. The
 * difference is off by h^2/6 L''' (1e-10 at 2^-15) plus 1e-16 |L| / h (1e-9 at 2^-19), a gradient by its rounding to
 * float, 6e-8 of it. Three steps, because within a longer one a ReLU or a maximum may change sides; a wrong gradient agrees with none.
 */
#include "../common/nets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        rn_status try_status = (call);                                                                                 \
        if (try_status != RN_OK)                                                                                       \
            return try_status;                                                                                         \
    } while (0)

enum { STEPS = 3 };
static const double steps[STEPS] = {0x1p-15, 0x1p-17, 0x1p-19};
static const double relative_bound = 2e-7, absolute_bound = 1e-8;

typedef struct fixture {
    const net_case *net;
    uint64_t flags;
    rn_device *dev;
    rn_model *model;
    rn_plan *plan;
    rn_tensor *x, *y, *dy, *dx;
    size_t x_count, y_count;
    int failed;
    double worst;
} fixture;

static rn_status create_plan(fixture *f)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = RN_PLAN_TRAIN;
    o.flags = f->flags | RN_PLAN_INPUT_GRAD;
    o.compute_dtype = RN_F64;
    o.rank = f->net->rank;
    o.seed = 7;
    memcpy(o.input_dims, f->net->dims, sizeof f->net->dims);
    return rn_plan_create(f->model, &o, &f->plan);
}

static rn_status create_model(fixture *f, rn_context *ctx)
{
    rn_layer *layer = f->net->build(ctx);
    f->dev = rn_context_device(ctx, 0);
    rn_status status = rn_model_create(ctx, layer, f->dev, &f->model);
    rn_layer_release(layer);
    TRY(status);
    return net_fill(f->model, 3);
}

static rn_status set_up(fixture *f, rn_context *ctx)
{
    int64_t dims[RN_MAX_RANK];
    int32_t rank = 0;
    uint64_t state = 11;
    TRY(create_model(f, ctx));
    TRY(create_plan(f));
    TRY(rn_plan_output_shape(f->plan, f->net->dims[0], &rank, dims));
    TRY(rn_tensor_create(f->dev, RN_F64, f->net->rank, f->net->dims, &f->x));
    TRY(rn_tensor_create(f->dev, RN_F64, f->net->rank, f->net->dims, &f->dx));
    TRY(rn_tensor_create(f->dev, RN_F64, rank, dims, &f->y));
    TRY(rn_tensor_create(f->dev, RN_F64, rank, dims, &f->dy));
    f->x_count = (size_t)rn_tensor_count(f->x);
    f->y_count = (size_t)rn_tensor_count(f->y);
    net_input(rn_tensor_data(f->x), f->x_count, 5);
    double *dy = rn_tensor_data(f->dy);
    for (size_t i = 0; i < f->y_count; i++)
        dy[i] = 2 * net_random(&state) - 1;
    return RN_OK;
}

static void tear_down(fixture *f)
{
    rn_tensor_release(f->x);
    rn_tensor_release(f->y);
    rn_tensor_release(f->dy);
    rn_tensor_release(f->dx);
    rn_plan_release(f->plan);
    rn_model_release(f->model);
}

/* A plan made anew draws the same dropout masks again. */
static rn_status restart(fixture *f)
{
    if (!f->net->random)
        return RN_OK;
    rn_plan_release(f->plan);
    f->plan = NULL;
    return create_plan(f);
}

static rn_status value_of(fixture *f, double *value)
{
    const double *y = rn_tensor_data(f->y), *dy = rn_tensor_data(f->dy);
    TRY(restart(f));
    TRY(rn_plan_forward(f->plan, f->x, f->y));
    *value = 0;
    for (size_t i = 0; i < f->y_count; i++)
        *value += y[i] * dy[i];
    return RN_OK;
}

/* Something that can be changed: an element of the input or of a weight. */
typedef struct knob {
    double *input;
    float *weight;
} knob;

static rn_status turn(fixture *f, knob k, double by)
{
    if (k.input) {
        *k.input += by;
        return RN_OK;
    }
    *k.weight += (float)by;
    return rn_model_mark_written(f->model);
}

static rn_status slope(fixture *f, knob k, double h, double *out)
{
    double above = 0, below = 0;
    double input = k.input ? *k.input : 0;
    float weight = k.weight ? *k.weight : 0;
    TRY(turn(f, k, h));
    TRY(value_of(f, &above));
    TRY(turn(f, k, -2 * h));
    TRY(value_of(f, &below));
    TRY(turn(f, k, h));
    if (k.input)
        *k.input = input;
    else
        *k.weight = weight;
    *out = (above - below) / (2 * h);
    return RN_OK;
}

/* The smallest difference between a gradient and the slopes. */
static rn_status difference(fixture *f, knob k, double gradient, double good, double *out)
{
    *out = INFINITY;
    for (int i = 0; i < STEPS && *out > good; i++) {
        double found = 0;
        TRY(slope(f, k, steps[i], &found));
        *out = fmin(*out, fabs(found - gradient));
    }
    return RN_OK;
}

static rn_status check_tensor(fixture *f, const char *name, double *inputs, float *weights, const double *gradients,
                              size_t count)
{
    double largest = 0, bound = absolute_bound;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(gradients[i]));
    bound += relative_bound * largest;
    for (size_t i = 0; i < count; i++) {
        knob k = {inputs ? inputs + i : NULL, weights ? weights + i : NULL};
        double error = 0;
        TRY(difference(f, k, gradients[i], bound, &error));
        f->worst = fmax(f->worst, error / bound);
        if (error <= bound)
            continue;
        printf("FAIL %s (%s): d/d%s[%zu] is %.9g, off by %.2e, bound %.2e\n", f->net->name,
               f->flags ? "unfused" : "fused", name, i, gradients[i], error, bound);
        f->failed++;
        return RN_OK;
    }
    return RN_OK;
}

static rn_status check_weights(fixture *f, const rn_state_entry *entry, const double *gradients)
{
    return check_tensor(f, entry->name, NULL, rn_tensor_data(entry->value), gradients,
                        (size_t)rn_tensor_count(entry->value));
}

/* Gradients add up: two passes give twice the gradient. */
static rn_status compute_gradients(fixture *f, int passes)
{
    TRY(rn_model_zero_grad(f->model));
    for (int i = 0; i < passes; i++) {
        TRY(restart(f));
        TRY(rn_plan_forward(f->plan, f->x, f->y));
        TRY(rn_plan_backward(f->plan, f->dy, f->dx));
    }
    return RN_OK;
}

static rn_status check_state(fixture *f, size_t index, int passes)
{
    rn_state_entry entry = RN_STATE_ENTRY_INIT;
    TRY(rn_model_state(f->model, index, &entry));
    if (entry.kind != RN_STATE_PARAMETER)
        return RN_OK;
    size_t count = (size_t)rn_tensor_count(entry.value);
    const float *stored = rn_tensor_data(entry.grad);
    double *gradients = malloc(count * sizeof *gradients);
    for (size_t i = 0; i < count; i++)
        gradients[i] = (double)stored[i] / passes;
    rn_status status = check_weights(f, &entry, gradients);
    free(gradients);
    return status;
}

static rn_status check_all(fixture *f, rn_context *ctx)
{
    const int passes = 2;
    TRY(set_up(f, ctx));
    TRY(compute_gradients(f, passes));
    TRY(check_tensor(f, "x", rn_tensor_data(f->x), NULL, rn_tensor_data(f->dx), f->x_count));
    for (size_t i = 0; i < rn_model_state_count(f->model); i++)
        TRY(check_state(f, i, passes));
    return RN_OK;
}

static int check_net(rn_context *ctx, const net_case *net, uint64_t flags)
{
    fixture f = {.net = net, .flags = flags};
    if (check_all(&f, ctx) != RN_OK) {
        printf("FAIL %s (%s): %s\n", net->name, flags ? "unfused" : "fused", rn_error_message());
        f.failed++;
    }
    tear_down(&f);
    printf("%s %s (%s): largest share of a bound %.2f\n", f.failed ? "FAIL" : "ok", net->name,
           flags ? "unfused" : "fused", f.worst);
    return f.failed;
}

int main(int argc, char **argv)
{
    rn_context *ctx = NULL;
    int failed = 0, ran = 0;
    if (rn_context_create(NULL, &ctx) != RN_OK)
        return 2;
    for (const net_case *net = net_cases; net->name; net++) {
        if (argc > 1 && !strstr(net->name, argv[1]))
            continue;
        failed += check_net(ctx, net, 0);
        failed += check_net(ctx, net, RN_PLAN_NO_FUSION);
        ran++;
    }
    rn_context_release(ctx);
    printf("%d nets, %d failed\n", ran, failed);
    return failed > 0 || ran == 0;
}
