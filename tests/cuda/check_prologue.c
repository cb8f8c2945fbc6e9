/* SPDX-License-Identifier: MIT */
/*
 * Trainings on the simulated GPU with batch normalisation inside of convolutions (RN_CUDA_FUSE=2): as far from f32 as f16 may
 * take them, the same bits in streams and as graphs, and in batches, types and on devices where there is no engine those
 * of a training without.
 *   check_prologue MODULE
 */
#include "simulated.h"
#include <math.h>

static const sim_training half = {"tutorial", 4, 16, 5, 0, RN_F16, 1, 0, 0};

static void fuse(const char *level)
{
    setenv("RN_CUDA_FUSE", level, 1);
}

static void train_with(const char *level, const sim_training *t, sim_outcome *out)
{
    fuse(level);
    sim_train_alone(t, out);
    unsetenv("RN_CUDA_FUSE");
}

static int is_same(const sim_outcome *a, const sim_outcome *b)
{
    ck_assert_uint_eq(a->count, b->count);
    return memcmp(a->state, b->state, a->count * sizeof *a->state) == 0;
}

/* How far apart two trainings ended, as a share of the way that the second one went. */
static double apart(const sim_outcome *a, const sim_outcome *b)
{
    double distance = 0, way = 0;
    for (size_t i = 0; i < a->parameters; i++) {
        distance += pow((double)a->state[i] - (double)b->state[i], 2);
        way += pow((double)b->start[i] - (double)b->state[i], 2);
    }
    ck_assert_msg(isfinite(way) && way > 0, "the training went a way of %g", sqrt(way));
    return sqrt(distance / way);
}

/*
 * Between a convolution's output x and the next convolution f16 rounds x, which is u |x scale| in units of the activation, u being
 * half a unit of f16, and the activation z. With the normalisation inside, scale and shift are rounded besides, another
 * u (|x scale| + |shift|) <= u (2 |x scale| + |z|): 3 and 2 times as much. All other roundings of a training are the
 * same, so that it may be three times as far from one in f32.
 */
static void near_to_f32(const char *net)
{
    sim_training t = half, full;
    sim_outcome with, without, exact;
    t.net = net;
    t.batch = 8;
    t.steps = 2;
    full = t;
    full.dtype = RN_F32;
    train_with("2", &t, &with);
    train_with("0", &t, &without);
    train_with("0", &full, &exact);
    ck_assert_int_eq(with.skipped + without.skipped, 0);
    const double got = apart(&with, &exact), allowed = 3 * apart(&without, &exact);
    printf("%-16s %.3g apart from f32, %.3g without, %.3g from one another\n", net, got, allowed / 3,
           apart(&with, &without));
    ck_assert_msg(allowed < 0.5, "%g", allowed);
    ck_assert_msg(got <= allowed, "%g of the way apart from f32, %g allowed", got, allowed);
    ck_assert(!is_same(&with, &without));
    sim_outcome_free(&with);
    sim_outcome_free(&without);
    sim_outcome_free(&exact);
}

START_TEST(no_farther_from_f32)
{
    near_to_f32("tutorial");
    near_to_f32("cifar_resnet20");
    sim_settled();
}
END_TEST

/* The second convolution has no statistics behind it. */
static rn_layer *normalised_in_between(rn_context *ctx)
{
    rn_layer *flatten = NULL;
    ck_ok(rn_flatten_create(ctx, &flatten));
    rn_layer *const layers[] = {net_conv(ctx, 3, 32, 3, 1, 1, 0),  net_bn(ctx, 32),   net_relu(ctx),
                                net_conv(ctx, 32, 32, 3, 1, 1, 0), net_relu(ctx),     net_pool(ctx, 1, 8, 8, 0, 0),
                                flatten,                           net_linear(ctx, 128, 10)};
    return net_chain(ctx, sizeof layers / sizeof *layers, layers);
}

/* An A100 has engines for that, an H100 none. */
START_TEST(without_statistics)
{
    sim_outcome with, without;
    sim_training t = half;
    t.net = "in between";
    sim_build = normalised_in_between;
    setenv("RNI_SIM_DEVICE", "a100", 1);
    near_to_f32(t.net);
    unsetenv("RNI_SIM_DEVICE");
    train_with("2", &t, &with);
    train_with("1", &t, &without);
    sim_build = NULL;
    sim_same(&with, &without, t.steps, "on an H100");
    sim_outcome_free(&with);
    sim_outcome_free(&without);
    sim_settled();
}
END_TEST

/* So many layers that memory of activations is used again while gradients of filters are still on their way. */
START_TEST(the_same_bits_in_streams_and_as_graphs)
{
    static const sim_training deep = {
        .net = "cifar_resnet32", .batch = 2, .side = 8, .steps = 4, .dtype = RN_F16, .accumulate = 1};
    const sim_training *const trainings[] = {&half, &deep};
    for (int i = 0; i < 2; i++) {
        const sim_training *const t = trainings[i];
        sim_outcome streams, graphs, apart_from_it;
        setenv("RN_CUDA_GRAPH", "0", 1);
        train_with("2", t, &streams);
        unsetenv("RN_CUDA_GRAPH");
        for (int order = 0; order <= 2; order++) {
            sim.set("order", order);
            train_with("2", t, &graphs);
            sim_same(&graphs, &streams, t->steps, "as graphs");
            sim_outcome_free(&graphs);
        }
        sim.set("order", 0);
        train_with("1", t, &apart_from_it);
        ck_assert(!is_same(&streams, &apart_from_it)); /* there was something to compare */
        sim_outcome_free(&apart_from_it);
        sim_outcome_free(&streams);
    }
    sim_settled();
}
END_TEST

/* In other types, and on devices that have no engines. */
START_TEST(where_there_is_no_engine)
{
    static const struct {
        const char *device;
        rn_dtype dtype;
    } places[] = {{"h100", RN_F32}, {"h100", RN_BF16}, {"b200", RN_F16}, {"rtx5090", RN_F16}, {"t4", RN_F16}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        sim_training t = half;
        sim_outcome with, without;
        t.dtype = places[i].dtype;
        t.steps = 3;
        setenv("RNI_SIM_DEVICE", places[i].device, 1);
        train_with("2", &t, &with);
        train_with("1", &t, &without);
        unsetenv("RNI_SIM_DEVICE");
        sim_same(&with, &without, t.steps, places[i].device);
        sim_outcome_free(&with);
        sim_outcome_free(&without);
    }
    sim_settled();
}
END_TEST

/* Steps of fewer images than the plan is for, the first ones; the weights of the first convolution behind them. */
static float *train_few(const char *level, int64_t few, size_t *count)
{
    enum { STEPS = 3 }; /* with the third they are a graph, and gradients of all filters come to the first weights */
    sim_training t = half;
    sim_parts parts;
    rn_device *dev = NULL;
    fuse(level);
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &t, &parts));
    unsetenv("RN_CUDA_FUSE");
    t.batch = few;
    for (int step = 0; step < STEPS; step++)
        ck_ok(sim_step(dev, &t, &parts, step));
    float *const weights = sim_first_parameter(parts.model, count);
    sim_end(&parts);
    rn_context_release(ctx);
    return weights;
}

static int few_are_as_without(int64_t few, int64_t refused)
{
    size_t count, again;
    sim.set("refuse_prologue", refused);
    float *const with = train_few("2", few, &count);
    sim.set("refuse_prologue", 0);
    float *const without = train_few("1", few, &again);
    ck_assert_uint_eq(count, again);
    const int same = memcmp(with, without, count * sizeof *with) == 0;
    free(with);
    free(without);
    sim_settled();
    return same;
}

/* All three ops take the same way. Refused: for so many images, and with a sign for gradients of filters alone. */
START_TEST(batches_that_have_no_plan)
{
    ck_assert(!few_are_as_without(4, 0));
    ck_assert(!few_are_as_without(3, 0));
    ck_assert(few_are_as_without(3, 3));
    ck_assert(few_are_as_without(3, -3));
    ck_assert(few_are_as_without(4, 4));
    ck_assert(few_are_as_without(3, 4)); /* what the largest batch has not, others have not */
    ck_assert(few_are_as_without(4, -4));
    ck_assert(!few_are_as_without(4, 3));
}
END_TEST

/* Every request for memory of the device refused in turn, while a plan is made. */
START_TEST(out_of_memory)
{
    int request = 1;
    for (rn_status status = RN_E_NOMEM; status != RN_OK; request++) {
        sim_parts parts;
        rn_device *dev = NULL;
        fuse("2");
        rn_context *const ctx = sim_device(&dev);
        sim.set("fail_malloc", request);
        status = sim_begin(dev, &half, &parts);
        sim.set("fail_malloc", 0);
        unsetenv("RN_CUDA_FUSE");
        ck_assert(status == RN_OK || status == RN_E_NOMEM);
        sim_end(&parts);
        rn_context_release(ctx);
        sim_settled();
    }
    ck_assert_int_gt(request, 3);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        no_farther_from_f32,
        without_statistics,
        the_same_bits_in_streams_and_as_graphs,
        where_there_is_no_engine,
        batches_that_have_no_plan,
        out_of_memory,
    };
    if (argc != 2 || !sim_open(argv[1]))
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    return support_main("prologue", tests, sizeof tests / sizeof *tests);
}
