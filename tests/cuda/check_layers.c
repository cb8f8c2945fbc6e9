/* SPDX-License-Identifier: MIT */
/*
 * Each kind of layer and of block on the simulated GPU against the CPU: outputs, gradients of the input and of all
 * parameters, running statistics; as training compiles it and as inference does.
 *   check_layers MODULE
 */
#include "simulated.h"
#include <math.h>

enum { MAX_VALUES = 1 << 16 };

/* All floats that a case gives on one device. */
typedef struct results {
    float values[MAX_VALUES];
    size_t count;
} results;

static void add(results *r, const rn_tensor *t)
{
    if (!t || rn_tensor_dtype(t) != RN_F32)
        return;
    ck_assert_uint_le(r->count + (size_t)rn_tensor_count(t), MAX_VALUES);
    ck_ok(rn_tensor_read(t, r->values + r->count, rn_tensor_nbytes(t)));
    r->count += (size_t)rn_tensor_count(t);
}

/* Numbers from a seed, on a device. */
static rn_tensor *numbers(rn_device *dev, int32_t rank, const int64_t *dims, uint64_t seed)
{
    rn_tensor *t = NULL;
    ck_ok(rn_tensor_create(dev, RN_F32, rank, dims, &t));
    const size_t count = (size_t)rn_tensor_count(t);
    double *const real = malloc(count * sizeof *real);
    float *const values = malloc(count * sizeof *values);
    net_input(real, count, seed);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)real[i];
    ck_ok(rn_tensor_write(t, values, count * sizeof *values));
    free(real);
    free(values);
    return t;
}

static rn_model *make_model(rn_device *dev, const net_case *c)
{
    rn_model *m = NULL;
    rn_layer *const layer = c->build(rn_device_context(dev));
    ck_assert_msg(layer != NULL, "%s: %s", c->name, rn_error_message());
    ck_ok(rn_model_create(rn_device_context(dev), layer, dev, &m));
    ck_ok(net_fill(m, 5));
    rn_layer_release(layer);
    return m;
}

static rn_plan *make_plan(rn_model *m, const net_case *c, int32_t mode)
{
    rn_plan *plan = NULL;
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = mode;
    o.rank = c->rank;
    memcpy(o.input_dims, c->dims, sizeof c->dims);
    o.flags = mode == RN_PLAN_TRAIN ? RN_PLAN_INPUT_GRAD : 0;
    o.seed = 3;
    ck_ok(rn_plan_create(m, &o, &plan));
    return plan;
}

static void run(rn_device *dev, const net_case *c, int32_t mode, results *r)
{
    int64_t dims[RN_MAX_RANK];
    int32_t rank = 0;
    rn_tensor *y = NULL, *dx = NULL;
    rn_model *const m = make_model(dev, c);
    rn_plan *const plan = make_plan(m, c, mode);
    ck_ok(rn_plan_output_shape(plan, c->dims[0], &rank, dims));
    rn_tensor *const x = numbers(dev, c->rank, c->dims, 11), *const dy = numbers(dev, rank, dims, 12);
    ck_ok(rn_tensor_create(dev, RN_F32, rank, dims, &y));
    ck_ok(rn_tensor_create(dev, RN_F32, c->rank, c->dims, &dx));
    r->count = 0;
    for (int round = 0; round < 3; round++) { /* in streams, captured, as a graph */
        ck_ok(rn_model_zero_grad(m));
        ck_ok(rn_plan_forward(plan, x, y));
        if (mode == RN_PLAN_TRAIN)
            ck_ok(rn_plan_backward(plan, dy, dx));
    }
    add(r, y);
    add(r, dx);
    for (size_t i = 0; i < rn_model_state_count(m); i++) {
        rn_state_entry entry = RN_STATE_ENTRY_INIT;
        ck_ok(rn_model_state(m, i, &entry));
        add(r, entry.value);
        add(r, mode == RN_PLAN_TRAIN ? entry.grad : NULL);
    }
    rn_tensor_release(x);
    rn_tensor_release(dy);
    rn_tensor_release(y);
    rn_tensor_release(dx);
    rn_plan_release(plan);
    rn_model_release(m);
}

/* Sums of up to some hundred terms near 1. */
static double furthest(const results *a, const results *b)
{
    double most = 0;
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const double x = (double)a->values[i], y = (double)b->values[i];
        ck_assert(isfinite(x));
        most = fmax(most, fabs(x - y) / fmax(1, fabs(y)));
    }
    return most;
}

static void check(const net_case *c, int32_t mode)
{
    static results here, there;
    rn_device *dev = NULL, *cpu = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &cpu));
    run(cpu, c, mode, &here);
    run(dev, c, mode, &there);
    const double off = furthest(&there, &here);
    ck_assert_msg(off <= 2e-5, "%s: off by %g", c->name, off);
    rn_context_release(ctx);
    sim_settled();
}

START_TEST(training)
{
    for (const net_case *c = net_cases; c->name; c++)
        check(c, RN_PLAN_TRAIN);
}
END_TEST

START_TEST(inference)
{
    for (const net_case *c = net_cases; c->name; c++)
        check(c, RN_PLAN_INFER);
}
END_TEST

START_TEST(statistics)
{
    for (const net_case *c = net_cases; c->name; c++)
        check(c, RN_PLAN_STATISTICS);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {training, inference, statistics};
    if (argc != 2 || !sim_open(argv[1]))
        return 2;
    return support_main("layers", tests, sizeof tests / sizeof *tests);
}
