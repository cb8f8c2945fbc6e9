/* SPDX-License-Identifier: MIT */
/*
 * Winograd's algorithm against the direct kernels: its error, measured against double, may be four times theirs, and the
 * flag of a plan turns it off.
 */
#include "base/bf16.h"
#include "support.h"
#include <math.h>
#include <resnet/sys/cpu.h>

enum { Y, DX, DW, RESULTS };

typedef struct shape {
    int64_t images, in, out, height, width;
} shape;

static const shape shapes[] = {{8, 16, 16, 32, 32}, {8, 64, 64, 8, 8}, {2, 64, 64, 28, 28}, {4, 128, 96, 14, 14},
                               {12, 256, 256, 7, 7}, {5, 20, 33, 13, 10}, {8, 180, 171, 7, 8}, {3, 31, 47, 9, 5}};

/* What one way to compute gives, as doubles. */
typedef struct outcome {
    double *data[RESULTS];
    size_t count[RESULTS];
} outcome;

static rn_context *ctx;
static rn_device *cpu;

/* `rounded`: numbers that bf16 has. */
static rn_tensor *random_tensor(rn_dtype dtype, int rounded, int32_t rank, const int64_t *dims, uint32_t seed)
{
    rn_tensor *t;
    ck_ok(rn_tensor_create(cpu, dtype, rank, dims, &t));
    for (int64_t i = 0; i < rn_tensor_count(t); i++) {
        float v = support_random(&seed);
        if (rounded)
            v = rni_bf16_value(rni_bf16_round(v));
        if (dtype == RN_F64)
            ((double *)rn_tensor_data(t))[i] = (double)v;
        else
            ((float *)rn_tensor_data(t))[i] = v;
    }
    return t;
}

static void keep(outcome *o, int which, const rn_tensor *t, rn_dtype dtype)
{
    o->count[which] = (size_t)rn_tensor_count(t);
    o->data[which] = malloc(o->count[which] * sizeof(double));
    const void *const from = rn_tensor_data((rn_tensor *)t);
    for (size_t i = 0; i < o->count[which]; i++)
        o->data[which][i] = dtype == RN_F64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

static rn_model *conv_model(const shape *s)
{
    rn_conv2d_options o = RN_CONV2D_OPTIONS_INIT;
    rn_layer *conv;
    rn_model *m;
    o.in_channels = s->in;
    o.out_channels = s->out;
    o.kernel[0] = o.kernel[1] = 3;
    o.padding[0] = o.padding[1] = 1;
    ck_ok(rn_conv2d_create(ctx, &o, &conv));
    ck_ok(rn_model_create(ctx, conv, cpu, &m));
    rn_layer_release(conv);
    return m;
}

static void run(rn_model *m, const shape *s, rn_dtype dtype, int rounded, uint64_t flags, outcome *o)
{
    const int64_t in[4] = {s->images, s->in, s->height, s->width}, out[4] = {s->images, s->out, s->height, s->width};
    rn_plan_options options = RN_PLAN_OPTIONS_INIT;
    rn_plan *plan;
    rn_state_entry weight = RN_STATE_ENTRY_INIT;
    options.mode = RN_PLAN_TRAIN;
    options.flags = flags | RN_PLAN_INPUT_GRAD;
    options.compute_dtype = dtype;
    memcpy(options.input_dims, in, sizeof in);
    ck_ok(rn_plan_create(m, &options, &plan));
    const rn_dtype host = dtype == RN_F64 ? RN_F64 : RN_F32;
    rn_tensor *const x = random_tensor(host, rounded, 4, in, 1), *const dy = random_tensor(host, rounded, 4, out, 2);
    rn_tensor *const y = random_tensor(host, rounded, 4, out, 3), *const dx = random_tensor(host, rounded, 4, in, 4);
    ck_ok(rn_model_zero_grad(m));
    ck_ok(rn_plan_forward(plan, x, y));
    ck_ok(rn_plan_backward(plan, dy, dx));
    ck_ok(rn_model_find_state(m, "weight", &weight));
    keep(o, Y, y, host);
    keep(o, DX, dx, host);
    keep(o, DW, weight.grad, RN_F32);
    rn_tensor_release(x);
    rn_tensor_release(y);
    rn_tensor_release(dx);
    rn_tensor_release(dy);
    rn_plan_release(plan);
}

static void drop(outcome *o)
{
    for (int i = 0; i < RESULTS; i++)
        free(o->data[i]);
}

/* Root of the mean squared difference, and the largest one. */
typedef struct distance {
    double rms, largest;
} distance;

static distance distance_of(const outcome *a, const outcome *exact, int which)
{
    distance d = {0, 0};
    for (size_t i = 0; i < a->count[which]; i++) {
        const double e = fabs(a->data[which][i] - exact->data[which][i]);
        d.rms += e * e;
        d.largest = fmax(d.largest, e);
    }
    d.rms = sqrt(d.rms / (double)a->count[which]);
    return d;
}

/* Finds the direct kernels' errors, of which Winograd's may be four times, or of `least` where those are larger. */
static void check_type(rn_model *m, int index, rn_dtype dtype, const distance *least, distance direct[RESULTS])
{
    static const char *const names[RESULTS] = {"y", "dx", "dw"};
    const int rounded = dtype == RN_BF16;
    outcome exact, plain, winograd;
    run(m, &shapes[index], RN_F64, rounded, 0, &exact);
    run(m, &shapes[index], dtype, rounded, RN_PLAN_NO_WINOGRAD, &plain);
    run(m, &shapes[index], dtype, rounded, 0, &winograd);
    for (int which = 0; which < RESULTS; which++) {
        const distance w = distance_of(&winograd, &exact, which);
        distance d = direct[which] = distance_of(&plain, &exact, which);
        if (least)
            d = (distance){fmax(d.rms, least[which].rms), fmax(d.largest, least[which].largest)};
        ck_assert_msg(w.rms <= 4 * d.rms, "%s of shape %d, type %d: rms %g, direct %g", names[which], index, (int)dtype,
                      w.rms, d.rms);
        ck_assert_msg(w.largest <= 4 * d.largest, "%s of shape %d, type %d: largest %g, direct %g", names[which], index,
                      (int)dtype, w.largest, d.largest);
    }
    drop(&exact);
    drop(&plain);
    drop(&winograd);
}

/* Gradients of weights are sums of floats in bf16, too, where direct kernels add exact products: floats bound them. */
static void check_shape(int index)
{
    rn_model *const m = conv_model(&shapes[index]);
    distance floats[RESULTS], halves[RESULTS];
    check_type(m, index, RN_F32, NULL, floats);
    check_type(m, index, RN_BF16, floats, halves);
    rn_model_release(m);
}

START_TEST(errors_stay_within_four_times_the_direct_ones)
{
    ctx = support_context(&cpu);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check_shape((int)i);
    rn_context_release(ctx);
}
END_TEST

static int same(const outcome *a, const outcome *b)
{
    return memcmp(a->data[Y], b->data[Y], a->count[Y] * sizeof(double)) == 0;
}

START_TEST(a_flag_turns_it_off)
{
    ctx = support_context(&cpu);
    rn_model *const m = conv_model(&shapes[0]);
    for (int i = 0; i < 2; i++) {
        const rn_dtype dtype = i ? RN_BF16 : RN_F32;
        outcome direct, winograd, again;
        run(m, &shapes[0], dtype, 0, RN_PLAN_NO_WINOGRAD, &direct);
        run(m, &shapes[0], dtype, 0, 0, &winograd);
        run(m, &shapes[0], dtype, 0, RN_PLAN_NO_WINOGRAD, &again);
        ck_assert(same(&direct, &again));
        if (rn_cpu_level(cpu) > RN_CPU_BASE) /* the portable kernels have no Winograd */
            ck_assert(!same(&direct, &winograd));
        drop(&direct);
        drop(&winograd);
        drop(&again);
    }
    rn_model_release(m);
    rn_context_release(ctx);
}
END_TEST

SUPPORT_MAIN("winograd", errors_stay_within_four_times_the_direct_ones, a_flag_turns_it_off)
