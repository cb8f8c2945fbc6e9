/* SPDX-License-Identifier: MIT */
/*
 * Every fused op against its unfused twin: each net as a plan with and without RN_PLAN_NO_FUSION.
 *
 * Both compute the same sums in another order and association, so each element differs by some roundings of its terms:
 * in double 1e-12 of a tensor's norm leaves room for some thousand, and 2e-7 for gradients and running statistics,
 * which are rounded to float (6e-8) in both. In float 1e-5 holds for single layers and blocks, where no ReLU's
 * input is near 0; nets are compared in double only. In bf16 (eps 2^-8) and f16 (an eighth of it) unfused plans also round what fused ones keep in
 * registers: 2 % of a norm.
 */
#include "../common/nets.h"
#include "base/half.h"
#include "support.h"

#include <math.h>

typedef struct side {
    rn_model *model;
    rn_plan *train, *infer;
    rn_tensor *y, *y_infer, *dx;
} side;

typedef struct pair {
    const char *name;
    rn_device *dev;
    rn_dtype dtype;
    side fused, plain;
    rn_tensor *x, *dy;
} pair;

/* Of tensors outside of a plan. */
static rn_dtype host_dtype(const pair *p)
{
    return rni_wide_dtype(p->dtype);
}

static rn_plan *make_plan(rn_model *m, int32_t mode, uint64_t flags, rn_dtype dtype, int32_t rank, const int64_t *dims)
{
    rn_plan *plan = NULL;
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    o.mode = mode;
    o.flags = flags;
    o.compute_dtype = dtype;
    o.rank = rank;
    o.seed = 5;
    memcpy(o.input_dims, dims, (size_t)rank * sizeof *dims);
    ck_ok(rn_plan_create(m, &o, &plan));
    return plan;
}

static void make_side(side *s, pair *p, rn_context *ctx, rn_layer *layer, uint64_t flags, int32_t rank,
                      const int64_t *dims)
{
    int64_t out[RN_MAX_RANK];
    int32_t out_rank = 0;
    ck_ok(rn_model_create(ctx, layer, p->dev, &s->model));
    ck_ok(net_fill(s->model, 17));
    s->train = make_plan(s->model, RN_PLAN_TRAIN, flags | RN_PLAN_INPUT_GRAD, p->dtype, rank, dims);
    s->infer = make_plan(s->model, RN_PLAN_INFER, flags, p->dtype, rank, dims);
    ck_ok(rn_plan_output_shape(s->train, dims[0], &out_rank, out));
    ck_ok(rn_tensor_create(p->dev, host_dtype(p), out_rank, out, &s->y));
    ck_ok(rn_tensor_create(p->dev, host_dtype(p), out_rank, out, &s->y_infer));
    ck_ok(rn_tensor_create(p->dev, host_dtype(p), rank, dims, &s->dx));
    if (!p->dy)
        ck_ok(rn_tensor_create(p->dev, host_dtype(p), out_rank, out, &p->dy));
}

static void release_side(side *s)
{
    rn_tensor_release(s->y);
    rn_tensor_release(s->y_infer);
    rn_tensor_release(s->dx);
    rn_plan_release(s->train);
    rn_plan_release(s->infer);
    rn_model_release(s->model);
}

static void fill(rn_tensor *t, uint64_t seed)
{
    size_t n = (size_t)rn_tensor_count(t);
    double *values = malloc(n * sizeof *values);
    net_input(values, n, seed);
    for (size_t i = 0; i < n; i++)
        if (rn_tensor_dtype(t) == RN_F64)
            ((double *)rn_tensor_data(t))[i] = values[i];
        else
            ((float *)rn_tensor_data(t))[i] = (float)values[i];
    free(values);
}

static double element(const rn_tensor *t, size_t i)
{
    const void *data = rn_tensor_data(t);
    switch (rn_tensor_dtype(t)) {
    case RN_F32: return (double)((const float *)data)[i];
    case RN_F64: return ((const double *)data)[i];
    default: return (double)((const int64_t *)data)[i];
    }
}

static double norm(const rn_tensor *a, const rn_tensor *b)
{
    double sum = 0;
    for (size_t i = 0; i < (size_t)rn_tensor_count(a); i++) {
        double d = element(a, i) - (b ? element(b, i) : 0);
        sum += d * d;
    }
    return sqrt(sum);
}

/* `floor`: the norm of what was summed, for sums that come to nothing (a bias before BN has no gradient). */
static void compare(const pair *p, const char *what, const rn_tensor *a, const rn_tensor *b, double floor)
{
    ck_assert_int_eq(rn_tensor_count(a), rn_tensor_count(b));
    /* In bf16 an output near zero may be on either side of it, and with it what ReLU lets through backwards: 0.021 was seen. */
    const double compute = p->dtype == RN_BF16 ? 3e-2 : p->dtype == RN_F16 ? 2.5e-3 : p->dtype == RN_F32 ? 1e-5 : 1e-12;
    const double store = rn_tensor_dtype(a) == RN_F32 ? 2e-7 : 0;
    double difference = norm(a, b), size = norm(b, NULL);
    ck_assert_msg(difference <= fmax(compute, store) * size + compute * floor, "%s, %s: differs by %.2e of %.2e",
                  p->name, what, difference, size);
}

static void run_side(const pair *p, side *s)
{
    ck_ok(rn_model_zero_grad(s->model));
    ck_ok(rn_plan_forward(s->train, p->x, s->y));
    ck_ok(rn_plan_backward(s->train, p->dy, s->dx));
    ck_ok(rn_plan_forward(s->infer, p->x, s->y_infer));
}

static void compare_sides(const pair *p)
{
    compare(p, "y in training", p->fused.y, p->plain.y, 0);
    compare(p, "dx", p->fused.dx, p->plain.dx, 0);
    compare(p, "y in inference", p->fused.y_infer, p->plain.y_infer, 0);
    for (size_t i = 0; i < rn_model_state_count(p->fused.model); i++) {
        rn_state_entry a = RN_STATE_ENTRY_INIT, b = RN_STATE_ENTRY_INIT;
        ck_ok(rn_model_state(p->fused.model, i, &a));
        ck_ok(rn_model_state(p->plain.model, i, &b));
        compare(p, a.name, a.value, b.value, 0);
        if (a.grad)
            compare(p, a.name, a.grad, b.grad, norm(p->dy, NULL));
    }
}

static void make_pair(pair *p, rn_context *ctx, rn_layer *layer, int32_t rank, const int64_t *dims)
{
    ck_assert_msg(layer != NULL, "%s: %s", p->name, rn_error_message());
    p->dev = rn_context_device(ctx, 0);
    make_side(&p->fused, p, ctx, layer, 0, rank, dims);
    make_side(&p->plain, p, ctx, layer, RN_PLAN_NO_FUSION, rank, dims);
    rn_layer_release(layer);
    ck_ok(rn_tensor_create(p->dev, host_dtype(p), rank, dims, &p->x));
    fill(p->x, 23);
    fill(p->dy, 29);
}

static void release_pair(pair *p)
{
    release_side(&p->fused);
    release_side(&p->plain);
    rn_tensor_release(p->x);
    rn_tensor_release(p->dy);
}

static void check_pair(rn_context *ctx, const char *name, rn_layer *layer, int32_t rank, const int64_t *dims,
                       rn_dtype dtype)
{
    pair p = {.name = name, .dtype = dtype};
    make_pair(&p, ctx, layer, rank, dims);
    run_side(&p, &p.fused);
    run_side(&p, &p.plain);
    compare_sides(&p);
    release_pair(&p);
}

static rn_context *make_context(void)
{
    rn_context *ctx = NULL;
    ck_ok(rn_context_create(NULL, &ctx));
    return ctx;
}

START_TEST(layers_and_blocks)
{
    rn_context *ctx = make_context();
    for (const net_case *net = net_cases; net->name; net++) {
        check_pair(ctx, net->name, net->build(ctx), net->rank, net->dims, RN_F64);
        check_pair(ctx, net->name, net->build(ctx), net->rank, net->dims, RN_F32);
        check_pair(ctx, net->name, net->build(ctx), net->rank, net->dims, RN_BF16);
        check_pair(ctx, net->name, net->build(ctx), net->rank, net->dims, RN_F16);
    }
    rn_context_release(ctx);
}
END_TEST

START_TEST(whole_nets)
{
    static const char *const names[] = {"tutorial", "cifar_resnet20", "cifar_resnet20_b", "cifar_plain20"};
    const int64_t dims[] = {3, 3, 16, 16};
    rn_context *ctx = make_context();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rn_layer *layer = NULL;
        ck_ok(rn_zoo_create(ctx, names[i], NULL, &layer));
        check_pair(ctx, names[i], layer, 4, dims, RN_F64);
    }
    rn_context_release(ctx);
}
END_TEST

static rn_status count_lines(void *user, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        *(size_t *)user += text[i] == '\n';
    return RN_OK;
}

/* Without it the tests above might compare a program with itself. */
START_TEST(programs_differ)
{
    const int64_t dims[] = {2, 3, 16, 16};
    rn_context *ctx = make_context();
    pair p = {.name = "tutorial", .dtype = RN_F32};
    rn_layer *layer = NULL;
    ck_ok(rn_zoo_create(ctx, "tutorial", NULL, &layer));
    make_pair(&p, ctx, layer, 4, dims);
    size_t train = 0, train_plain = 0, infer = 0, infer_plain = 0;
    ck_ok(rn_plan_describe(p.fused.train, count_lines, &train));
    ck_ok(rn_plan_describe(p.plain.train, count_lines, &train_plain));
    ck_ok(rn_plan_describe(p.fused.infer, count_lines, &infer));
    ck_ok(rn_plan_describe(p.plain.infer, count_lines, &infer_plain));
    ck_assert_uint_lt(train, train_plain);
    ck_assert_uint_lt(infer, infer_plain);
    release_pair(&p);
    rn_context_release(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fusion");
    TCase *tcase = tcase_create("fused and unfused");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, layers_and_blocks);
    tcase_add_test(tcase, whole_nets);
    tcase_add_test(tcase, programs_differ);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
