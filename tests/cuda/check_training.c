/* SPDX-License-Identifier: MIT */
/*
 * Trainings on the simulated GPU against the same on the CPU, step by step; and against themselves: twice, in another
 * order of blocks, in streams and as graphs, all with the same bits.
 *   check_training MODULE
 */
#include "simulated.h"
#include <math.h>
#include <pthread.h>

/* What two right f32 computations may differ by: rounding, grown by a few steps of training. */
typedef struct bounds {
    double loss, norm, state;
} bounds;

static const bounds f32_bounds = {2e-5, 1e-3, 2e-3}, bf16_bounds = {3e-2, 0.3, 0.1};

static double largest(const float *values, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fabs((double)values[i]) > most ? fabs((double)values[i]) : most;
    return most;
}

/* Root of the mean square of the differences. */
static double distance(const sim_outcome *a, const sim_outcome *b)
{
    double sum = 0;
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        sum += ((double)a->state[i] - (double)b->state[i]) * ((double)a->state[i] - (double)b->state[i]);
    return sqrt(sum / (double)a->count);
}

static void near(const sim_training *t, const sim_outcome *gpu, const sim_outcome *cpu, const bounds *b)
{
    double loss = 0, norm = 0;
    for (int i = 0; i < t->steps; i++) {
        loss = fmax(loss, fabs(gpu->losses[i] / cpu->losses[i] - 1));
        norm = fmax(norm, fabs(gpu->grad_norms[i] / cpu->grad_norms[i] - 1));
    }
    const double state = distance(gpu, cpu);
    printf("%-16s %s %s: loss %.2e, gradient %.2e, weights %.2e (largest %.2f)\n", t->net, rn_dtype_name(t->dtype),
           t->adam ? "Adam" : "SGD", loss, norm, state, largest(cpu->state, cpu->count));
    ck_assert_msg(loss <= b->loss, "%s: losses differ by %g, %g allowed", t->net, loss, b->loss);
    ck_assert_msg(norm <= b->norm, "%s: norms of gradients differ by %g, %g allowed", t->net, norm, b->norm);
    ck_assert_msg(state <= b->state, "%s: weights differ by %g, %g allowed", t->net, state, b->state);
}

static void against_the_cpu(const sim_training *t, const bounds *b)
{
    sim_outcome gpu, cpu;
    rn_device *dev = NULL, *host = NULL;
    rn_context *const ctx = sim_device(&dev);
    ck_ok(rn_context_find_device(ctx, "cpu", &host));
    sim_train(dev, t, &gpu);
    sim_train(host, t, &cpu);
    near(t, &gpu, &cpu, b);
    sim_outcome_free(&gpu);
    sim_outcome_free(&cpu);
    rn_context_release(ctx);
    sim_settled();
}

START_TEST(tutorial_sgd)
{
    against_the_cpu(&(sim_training){"tutorial", 4, 16, 6, 0, RN_F32, 1}, &f32_bounds);
}
END_TEST

START_TEST(tutorial_adam)
{
    against_the_cpu(&(sim_training){"tutorial", 3, 12, 4, 1, RN_F32, 1}, &f32_bounds);
}
END_TEST

/* With two images a value next to 0 falls on the other side of ReLU in the CPU's vector kernels than in its plain ones. */
START_TEST(cifar_resnet20_sgd)
{
    against_the_cpu(&(sim_training){"cifar_resnet20", 4, 16, 4, 0, RN_F32, 1}, &f32_bounds);
}
END_TEST

START_TEST(tutorial_bf16)
{
    against_the_cpu(&(sim_training){"tutorial", 4, 16, 4, 0, RN_BF16, 1}, &bf16_bounds);
}
END_TEST

static const sim_training small = {"tutorial", 2, 8, 5, 0, RN_F32, 2};

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
    sim_end(&parts);
    rn_context_release(ctx);
    sim_outcome_free(&graphs);
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
        ck_assert_msg(strstr(sim_logged, "runs without CUDA graphs"), "logged: '%s'", sim_logged);
        ck_assert_int_eq(sim_lines, 2); /* the device, and this: it is not tried again */
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
    ck_assert_msg(strstr(sim_logged, "runs without CUDA graphs: ") && strstr(sim_logged, "cannot be launched: ") &&
                      strstr(sim_logged, "cudaErrorLaunchOutOfResources"),
                  "logged: '%s'", sim_logged);
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
} elsewhere;

static void *use_tensors(void *unused)
{
    (void)unused;
    elsewhere.value += 1;
    elsewhere.times++;
    ck_ok(rn_tensor_write(elsewhere.to, &elsewhere.value, sizeof elsewhere.value));
    ck_ok(rn_tensor_copy(elsewhere.to, elsewhere.copy));
    return NULL;
}

static void use_tensors_elsewhere(void)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, use_tensors, NULL), 0);
    pthread_join(thread, NULL);
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
static void run_ahead(rn_device *dev, int wait, float values[432])
{
    sim_parts parts;
    rn_state_entry entry = RN_STATE_ENTRY_INIT;
    const sim_training t = {"tutorial", 2, 8, 24, 1, RN_F32, 1};
    ck_ok(sim_begin(dev, &t, &parts));
    rn_tensor *const x = sim_images(dev, &t, 0), *const y = sim_labels(dev, &t, 0);
    for (int step = 0; step < t.steps; step++) {
        ck_ok(rn_plan_train_step(parts.plan, x, y));
        if (wait)
            ck_ok(rn_device_synchronize(dev));
    }
    ck_ok(rn_model_state(parts.model, 0, &entry));
    ck_ok(rn_tensor_read(entry.value, values, rn_tensor_nbytes(entry.value)));
    rn_tensor_release(x);
    rn_tensor_release(y);
    sim_end(&parts);
}

START_TEST(the_host_runs_ahead)
{
    float waiting[432], ahead[432];
    rn_device *dev = NULL;
    rn_context *const ctx = sim_device(&dev);
    run_ahead(dev, 1, waiting);
    run_ahead(dev, 0, ahead);
    ck_assert_mem_eq(waiting, ahead, sizeof waiting);
    rn_context_release(ctx);
    sim_settled();
}
END_TEST

/* Convolutions by the module's own kernels, f32 products by its own: another order of sums, the same training. */
START_TEST(without_libraries)
{
    setenv("RN_CUDA_DIRECT", "1", 1);
    against_the_cpu(&(sim_training){"tutorial", 3, 12, 3, 0, RN_F32, 1}, &f32_bounds);
    unsetenv("RN_CUDA_DIRECT");
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        tutorial_sgd,
        tutorial_adam,
        cifar_resnet20_sgd,
        tutorial_bf16,
        the_same_bits_again,
        the_same_bits_in_any_order_of_blocks,
        the_same_bits_in_streams_and_as_graphs,
        the_same_bits_when_capture_is_refused,
        the_same_bits_when_an_op_cannot_be_captured,
        copies_of_another_thread_during_a_capture,
        the_host_runs_ahead,
        without_libraries,
    };
    if (argc != 2 || !sim_open(argv[1]))
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    return support_main("training", tests, sizeof tests / sizeof *tests);
}
