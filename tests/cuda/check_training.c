/* SPDX-License-Identifier: MIT */
/*
 * Trainings on the simulated GPU against the same on the CPU, step by step; and against themselves: twice, in another
 * order of blocks, in streams and as graphs, all with the same bits.
 *   check_training MODULE
 */
#include "simulated.h"
#include <math.h>
#include <pthread.h>

/*
 * What two right trainings may differ by: losses and norms of gradients, relative; weights and running statistics as a
 * share of the way that the training took them, so that what is not learnt at all is 1 off.
 *
 * f32: an operation rounds by 6e-8, and a sum of some hundred terms in another order by ten times as much; layers and
 * steps add up to 7e-7 in losses, 5e-6 in weights (the CPU's three levels, nets below). Ten times that is allowed.
 * Adam's first steps go by the sign of a gradient, whatever its size: an element whose gradient is next to 0 goes the
 * whole step in either direction. That is 3e-4 in weights, and ten times is allowed again.
 */
typedef struct bounds {
    double loss, norm, weights, statistics;
} bounds;

static const bounds sgd_bounds = {1e-5, 1e-5, 5e-5, 1e-5}, adam_bounds = {3e-5, 3e-5, 3e-3, 3e-5};

/* Length of the difference. */
static double distance(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum);
}

/* How far apart two trainings ended, as a share of the way that the second one went: of values [from, end). */
static double apart(const sim_outcome *gpu, const sim_outcome *cpu, size_t from, size_t end)
{
    const double way = distance(cpu->start + from, cpu->state + from, end - from);
    ck_assert_msg(isfinite(way) && way > 0, "the training went a way of %g", way);
    ck_assert_mem_eq(gpu->start + from, cpu->start + from, (end - from) * sizeof(float));
    return distance(gpu->state + from, cpu->state + from, end - from) / way;
}

static double largest_error(const double *got, const double *expected, int count)
{
    double most = 0;
    for (int i = 0; i < count; i++) {
        const double error = fabs(got[i] / expected[i] - 1);
        ck_assert_msg(isfinite(error), "step %d: %g, expected %g", i, got[i], expected[i]);
        most = fmax(most, error);
    }
    return most;
}

static void near(const sim_training *t, const sim_outcome *gpu, const sim_outcome *cpu, const bounds *b)
{
    ck_assert(gpu->count == cpu->count && gpu->parameters == cpu->parameters);
    const double errors[] = {largest_error(gpu->losses, cpu->losses, t->steps),
                             largest_error(gpu->grad_norms, cpu->grad_norms, t->steps),
                             apart(gpu, cpu, 0, cpu->parameters), apart(gpu, cpu, cpu->parameters, cpu->count)};
    const double allowed[] = {b->loss, b->norm, b->weights, b->statistics};
    static const char *const what[] = {"losses", "norms of gradients", "weights", "running statistics"};
    printf("%-16s %s %s: loss %.2e, gradient %.2e, weights %.2e, statistics %.2e\n", t->net, rn_dtype_name(t->dtype),
           t->adam ? "Adam" : "SGD", errors[0], errors[1], errors[2], errors[3]);
    for (int i = 0; i < 4; i++)
        ck_assert_msg(errors[i] <= allowed[i], "%s: %s differ by %g, %g allowed", t->net, what[i], errors[i],
                      allowed[i]);
}

static void against_the_cpu(const sim_training *t)
{
    sim_outcome gpu, cpu;
    rn_device *dev = NULL, *host = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &host));
    sim_train(dev, t, &gpu);
    sim_train(host, t, &cpu);
    near(t, &gpu, &cpu, t->adam ? &adam_bounds : &sgd_bounds);
    sim_outcome_free(&gpu);
    sim_outcome_free(&cpu);
    rn_context_release(ctx);
    sim_settled();
}

START_TEST(tutorial_sgd)
{
    against_the_cpu(&(sim_training){"tutorial", 4, 16, 6, 0, RN_F32, 1, 0, 0});
}
END_TEST

START_TEST(tutorial_adam)
{
    against_the_cpu(&(sim_training){"tutorial", 3, 12, 4, 1, RN_F32, 1, 0, 0});
}
END_TEST

START_TEST(cifar_resnet20_sgd)
{
    against_the_cpu(&(sim_training){"cifar_resnet20", 4, 16, 4, 0, RN_F32, 1, 0, 0});
}
END_TEST

/*
 * bf16 rounds by 4e-3, which turns the steps of two right trainings a fifth of their length apart from the first on: no
 * bound of a number's own tells much, and f16, eight times finer, turns them half as far. But how far a type takes a training from
 * the same in f32 is a property of the type: in weights and statistics it is the same on the CPU and on the GPU to a tenth, and
 * half as much again is allowed. The loss and the norm of the gradient are sums in which roundings cancel: in bf16 0.9 and 1.8 of
 * a hundredth off, three times that is allowed. f16, which rounds less, gets the same bound: how much cancels is chance.
 */
static bounds half_bounds(const sim_outcome *cpu, const sim_outcome *exact)
{
    return (bounds){0.03, 0.06, 1.5 * apart(cpu, exact, 0, exact->parameters),
                    1.5 * apart(cpu, exact, exact->parameters, exact->count)};
}

static void half_against_the_cpu(rn_dtype dtype)
{
    const sim_training half = {"tutorial", 4, 16, 4, 0, dtype, 1, 0, 0};
    const sim_training full = {"tutorial", 4, 16, 4, 0, RN_F32, 1, 0, 0};
    sim_outcome gpu, cpu, exact;
    rn_device *dev = NULL, *host = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &host));
    sim_train(dev, &half, &gpu);
    sim_train(host, &half, &cpu);
    sim_train(host, &full, &exact);
    const bounds b = half_bounds(&cpu, &exact);
    ck_assert_msg(b.weights < 0.6, "on the CPU %s weighs %g", rn_dtype_name(dtype), b.weights);
    ck_assert_int_eq(gpu.skipped + cpu.skipped, 0);
    near(&half, &gpu, &exact, &b);
    sim_outcome_free(&gpu);
    sim_outcome_free(&cpu);
    sim_outcome_free(&exact);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

START_TEST(tutorial_bf16)
{
    half_against_the_cpu(RN_BF16);
}
END_TEST

START_TEST(tutorial_f16)
{
    half_against_the_cpu(RN_F16);
}
END_TEST

static const sim_training overflowing = {"tutorial", 2, 8, 14, 0, RN_F16, 1, 0x1p22, 3};

/*
 * From a scale that is too large the device skips, backs off and grows as the CPU does, without a host that waits. By the module's
 * own kernels: cuDNN's gradients of filters are f16 before they are added, so that they overflow earlier.
 */
START_TEST(loss_scale_moves_as_on_the_cpu)
{
    sim_outcome gpu, cpu;
    rn_device *dev = NULL, *host = NULL;
    setenv("RN_CUDA_DIRECT", "1", 1);
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &host));
    sim_train(dev, &overflowing, &gpu);
    sim_train(host, &overflowing, &cpu);
    rn_context_release(ctx);
    unsetenv("RN_CUDA_DIRECT");
    int grew = 0;
    for (int i = 0; i < overflowing.steps; i++) {
        ck_assert_msg(gpu.scales[i] == cpu.scales[i], "step %d: scale %g, on the CPU %g", i, gpu.scales[i],
                      cpu.scales[i]);
        grew += i > 0 && gpu.scales[i] > gpu.scales[i - 1];
    }
    ck_assert_int_eq(gpu.skipped, cpu.skipped);
    ck_assert_msg(gpu.skipped >= 4 && grew > 0, "it fell %d times and grew %d times", (int)gpu.skipped, grew);
    sim_outcome_free(&gpu);
    sim_outcome_free(&cpu);
    sim_settled();
}
END_TEST

START_TEST(loss_scale_in_streams_and_as_graphs)
{
    sim_outcome graphs, streams;
    sim_train_alone(&overflowing, &graphs);
    setenv("RN_CUDA_GRAPH", "0", 1);
    sim_train_alone(&overflowing, &streams);
    unsetenv("RN_CUDA_GRAPH");
    const int last = overflowing.steps - 1;
    ck_assert_mem_eq(graphs.state, streams.state, graphs.count * sizeof(float));
    ck_assert_mem_eq(graphs.scales, streams.scales, sizeof graphs.scales);
    ck_assert_msg(graphs.skipped >= 4 && graphs.skipped <= last, "%d steps were skipped", (int)graphs.skipped);
    sim_outcome_free(&graphs);
    sim_outcome_free(&streams);
    sim_settled();
}
END_TEST

/* Adam's steps depend on their number. A host that never looks counts the skipped ones, the device does not. */
START_TEST(skipped_updates_have_no_number)
{
    sim_training t = overflowing;
    sim_outcome looking;
    sim_parts parts;
    rn_device *dev = NULL;
    rn_metrics metrics = RN_METRICS_INIT;
    t.adam = 1;
    sim_train_alone(&t, &looking);
    ck_assert_int_ge(looking.skipped, 4);
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &t, &parts));
    for (int step = 0; step < t.steps; step++)
        ck_ok(sim_step(dev, &t, &parts, step));
    ck_assert_int_eq(rn_optimizer_steps(parts.optimizer), t.steps);
    ck_ok(rn_plan_metrics(parts.plan, &metrics, 0));
    ck_assert_int_eq(metrics.skipped, looking.skipped);
    ck_assert_int_eq(rn_optimizer_steps(parts.optimizer), t.steps - metrics.skipped);
    size_t count;
    float *const first = sim_first_parameter(parts.model, &count);
    ck_assert_mem_eq(first, looking.state, count * sizeof *first);
    free(first);
    sim_end(&parts);
    rn_context_release(ctx);
    sim_outcome_free(&looking);
    sim_settled();
}
END_TEST

static const sim_training small = {"tutorial", 2, 8, 5, 0, RN_F32, 2, 0, 0};

START_TEST(the_same_bits_again)
{
    sim_outcome first, second;
    sim_train_alone(&small, &first);
    sim_train_alone(&small, &second);
    sim_same(&first, &second, small.steps, "a second time");
    sim_outcome_free(&second);
    sim_outcome_free(&first);
    sim_settled();
}
END_TEST

START_TEST(the_same_bits_in_any_order_of_blocks)
{
    sim_outcome first, other;
    sim_train_alone(&small, &first);
    for (int order = 1; order <= 2; order++) {
        sim.set("order", order);
        sim_train_alone(&small, &other);
        sim_same(&first, &other, small.steps, order == 1 ? "descending" : "random");
        sim_outcome_free(&other);
    }
    sim.set("order", 0);
    sim_outcome_free(&first);
    sim_settled();
}
END_TEST

START_TEST(the_same_bits_in_streams_and_as_graphs)
{
    sim_outcome graphs, streams;
    rn_device *dev = NULL;
    sim_parts parts;
    sim_train_alone(&small, &graphs);
    setenv("RN_CUDA_GRAPH", "0", 1);
    sim_train_alone(&small, &streams);
    unsetenv("RN_CUDA_GRAPH");
    sim_same(&graphs, &streams, small.steps, "in streams");
    /* There were graphs to compare with. */
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &small, &parts));
    for (int step = 0; step < 4; step++)
        ck_ok(sim_step(dev, &small, &parts, step));
    ck_assert_int_gt(sim.get("graphs"), 0);
    ck_assert_int_ge(sim.get("graph_width"), 5); /* the rest, and gradients of filters in all other lanes */
    sim_end(&parts);
    rn_context_release(ctx);
    sim_outcome_free(&graphs);
    sim_outcome_free(&streams);
    sim_settled();
}
END_TEST

/* So many layers that memory of gradients is used again while others of them are still on their way. */
START_TEST(the_same_bits_of_a_deep_net_as_graph)
{
    static const sim_training deep = {
        .net = "cifar_resnet32", .batch = 2, .side = 8, .steps = 3, .dtype = RN_F32, .accumulate = 1};
    sim_outcome graphs, streams;
    setenv("RN_CUDA_GRAPH", "0", 1);
    sim_train_alone(&deep, &streams);
    unsetenv("RN_CUDA_GRAPH");
    for (int order = 1; order <= 2; order++) {
        sim.set("order", order);
        sim_train_alone(&deep, &graphs);
        sim_same(&graphs, &streams, deep.steps, order == 1 ? "descending" : "random");
        sim_outcome_free(&graphs);
    }
    sim.set("order", 0);
    sim_outcome_free(&streams);
    sim_settled();
}
END_TEST

START_TEST(the_same_bits_when_capture_is_refused)
{
    sim_outcome first, other;
    sim_train_alone(&small, &first);
    for (int how = 1; how <= 3; how++) {
        sim.set("refuse_capture", how);
        sim_train_alone(&small, &other);
        ck_assert_msg(strstr(logged_text, "runs without CUDA graphs"), "logged: '%s'", logged_text);
        ck_assert_int_eq(logged_lines, 2); /* the device, and this: it is not tried again */
        sim_same(&first, &other, small.steps, "without graphs");
        sim_outcome_free(&other);
    }
    sim.set("refuse_capture", 0);
    sim_outcome_free(&first);
    sim_settled();
}
END_TEST

/* An op that fails in a capture is what the log tells. */
static void fail_the_next_launch(void)
{
    sim.set("fail_launch", 1);
}

START_TEST(the_same_bits_when_an_op_cannot_be_captured)
{
    sim_outcome first, other;
    sim_train_alone(&small, &first);
    sim.on_capture(fail_the_next_launch);
    sim_train_alone(&small, &other);
    ck_assert_msg(strstr(logged_text, "runs without CUDA graphs: ") && strstr(logged_text, "cannot be launched: ") &&
                      strstr(logged_text, "cudaErrorLaunchOutOfResources"),
                  "logged: '%s'", logged_text);
    ck_assert_int_eq(sim.get("fail_launch"), 0);
    sim_same(&first, &other, small.steps, "without graphs");
    sim_outcome_free(&other);
    sim_outcome_free(&first);
    sim_settled();
}
END_TEST

/* What another thread does while one captures a program. */
static struct {
    rn_tensor *to, *copy;
    float value;
    int times;
    rn_status status; /* the first failure: the checks themselves belong to the thread of the test */
} elsewhere;

static void *use_tensors(void *unused)
{
    (void)unused;
    elsewhere.value += 1;
    elsewhere.times++;
    rn_status status = rn_tensor_write(elsewhere.to, &elsewhere.value, sizeof elsewhere.value);
    if (status == RN_OK)
        status = rn_tensor_copy(elsewhere.to, elsewhere.copy);
    if (elsewhere.status == RN_OK)
        elsewhere.status = status;
    return NULL;
}

static void use_tensors_elsewhere(void)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, use_tensors, NULL), 0);
    pthread_join(thread, NULL);
    ck_assert_msg(elsewhere.status == RN_OK, "on another thread: %s", rn_status_name(elsewhere.status));
    sim.on_capture(use_tensors_elsewhere);
}

START_TEST(copies_of_another_thread_during_a_capture)
{
    sim_outcome alone, beside;
    rn_device *dev = NULL;
    float got = 0;
    const int64_t one = 1;
    sim_train_alone(&small, &alone);
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_tensor_create(dev, RN_F32, 1, &one, &elsewhere.to));
    ck_ok(rn_tensor_create(dev, RN_F32, 1, &one, &elsewhere.copy));
    sim.on_capture(use_tensors_elsewhere);
    sim_train(dev, &small, &beside);
    sim.on_capture(NULL);
    ck_assert_int_gt(elsewhere.times, 0);
    ck_ok(rn_tensor_read(elsewhere.copy, &got, sizeof got)); /* no replay of a graph brought an older one back */
    ck_assert(got == elsewhere.value);
    sim_same(&alone, &beside, small.steps, "beside copies");
    rn_tensor_release(elsewhere.to);
    rn_tensor_release(elsewhere.copy);
    rn_context_release(ctx);
    sim_outcome_free(&beside);
    sim_outcome_free(&alone);
    sim_settled();
}
END_TEST

/* Weights after more steps than there are slots for what goes to the device with each. */
static float *run_ahead(rn_device *dev, int wait, size_t *count)
{
    sim_parts parts;
    const sim_training t = {"tutorial", 2, 8, 24, 1, RN_F32, 1, 0, 0};
    ck_ok(sim_begin(dev, &t, &parts));
    rn_tensor *const x = sim_images(dev, &t, 0), *const y = sim_labels(dev, &t, 0);
    for (int step = 0; step < t.steps; step++) {
        ck_ok(rn_plan_train_step(parts.plan, x, y));
        if (wait)
            ck_ok(rn_device_synchronize(dev));
    }
    float *const values = sim_first_parameter(parts.model, count);
    rn_tensor_release(x);
    rn_tensor_release(y);
    sim_end(&parts);
    return values;
}

START_TEST(the_host_runs_ahead)
{
    size_t count, again;
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    float *const waiting = run_ahead(dev, 1, &count), *const ahead = run_ahead(dev, 0, &again);
    ck_assert_uint_eq(count, again);
    ck_assert_mem_eq(waiting, ahead, count * sizeof(float));
    free(waiting);
    free(ahead);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* Convolutions and products by the module's own kernels, or by libraries alone: another order of sums, the same training. */
START_TEST(with_and_without_libraries)
{
    for (int direct = 0; direct < 2; direct++) {
        setenv("RN_CUDA_DIRECT", direct ? "1" : "0", 1);
        against_the_cpu(&(sim_training){"tutorial", 3, 12, 3, 0, RN_F32, 1, 0, 0});
        unsetenv("RN_CUDA_DIRECT");
    }
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        tutorial_sgd,
        tutorial_adam,
        cifar_resnet20_sgd,
        tutorial_bf16,
        tutorial_f16,
        loss_scale_moves_as_on_the_cpu,
        loss_scale_in_streams_and_as_graphs,
        skipped_updates_have_no_number,
        the_same_bits_again,
        the_same_bits_in_any_order_of_blocks,
        the_same_bits_in_streams_and_as_graphs,
        the_same_bits_of_a_deep_net_as_graph,
        the_same_bits_when_capture_is_refused,
        the_same_bits_when_an_op_cannot_be_captured,
        copies_of_another_thread_during_a_capture,
        the_host_runs_ahead,
        with_and_without_libraries,
    };
    if (argc != 2 || !sim_open(argv[1]))
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    return support_main("training", tests, sizeof tests / sizeof *tests);
}
