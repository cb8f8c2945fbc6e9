/* SPDX-License-Identifier: MIT */
/*
 * Step 6: training on the device against the CPU's. Two trainings that round otherwise part ways, the faster the longer
 * they go on, and in leaps where a ReLU changes sides. So the bound is measured: how far the CPU parts from itself when it
 * rounds otherwise (by Winograd's algorithm) and when its weights begin one last bit away. The device may be SLACK times
 * as far, and besides off by LEAP of what training has changed by then, which is what a few ReLUs can do.
 *
 * In f16 rounding itself leads a training off. How far it is from the same in f32 is a property of the type: the device may be
 * half as far again as the CPU, and its losses, in which roundings cancel, three times.
 */
#include "training.h"
#include <math.h>
#include <stdio.h>

enum { SLACK = 8 };
#define FORWARD 1e-5 /* of a loss: rounding in one forward */
#define FORWARD_HALF 1e-3 /* the same of f16: two of its units */
#define LEAP 2e-3

enum { PLAIN, WINOGRAD, MOVED, CPU_COURSES };

static int run_cpu(selftest *t, const st_device *d, const st_job *job, st_course courses[CPU_COURSES])
{
    for (int i = 0; i < CPU_COURSES; i++) {
        st_job one = *job;
        one.flags = i == WINOGRAD ? 0 : RN_PLAN_NO_WINOGRAD;
        one.moved = i == MOVED;
        if (!st_train(t, d, d->cpu, &one, &courses[i]))
            return 0;
    }
    return 1;
}

/* As a share of the norm of b. */
static double distance(const float *a, const float *b, size_t count)
{
    double sum = 0, all = 0;
    for (size_t i = 0; i < count; i++) {
        const double x = a[i], y = b[i];
        sum += (x - y) * (x - y);
        all += y * y;
    }
    return sqrt(sum / all);
}

/* NaN is never within. */
static int within(double off, double allowed)
{
    return off <= allowed;
}

static void judge_losses(selftest *t, const st_job *job, const st_course *got, const st_course cpu[CPU_COURSES])
{
    double spread = 0, worst = 0, changed = 0;
    for (size_t i = 0; i < got->steps; i++) {
        const double loss = cpu[PLAIN].loss[i], off = fabs(got->loss[i] - loss);
        spread = fmax(spread, fmax(fabs(cpu[WINOGRAD].loss[i] - loss), fabs(cpu[MOVED].loss[i] - loss)));
        changed = fmax(changed, fabs(loss - cpu[PLAIN].loss[0]));
        const double allowed = SLACK * spread + LEAP * changed + FORWARD * fabs(loss);
        worst = fmax(worst, off / allowed);
        if (!within(off, allowed)) {
            st_fail(t, "%s: loss of step %zu: %.9g, expected %.9g, off by %.3g of %.3g allowed", job->net, i + 1,
                    got->loss[i], loss, off, allowed);
            return;
        }
    }
    st_say("%s: losses %.6f to %.6f, at most %.3f of what is allowed; the CPU is up to %.2g from itself", job->net,
           got->loss[0], got->loss[got->steps - 1], worst, spread);
}

/* Weights first to last, which are `what`. */
static void judge_weights(selftest *t, const st_job *job, const st_course *got, const st_course cpu[CPU_COURSES],
                          size_t first, size_t last, const char *what)
{
    const size_t count = last - first;
    const float *const plain = cpu[PLAIN].weights + first;
    const double winograd = distance(cpu[WINOGRAD].weights + first, plain, count);
    const double moved = distance(cpu[MOVED].weights + first, plain, count);
    const double changed = distance(cpu[PLAIN].start + first, plain, count);
    const double off = distance(got->weights + first, plain, count);
    const double allowed = SLACK * fmax(winograd, moved) + LEAP * changed;
    if (!within(off, allowed))
        st_fail(t, "%s: %s are off by %.3g of their norm, %.3g allowed", job->net, what, off, allowed);
    else
        st_say("%s: %s are off by %.2g of their norm, %.2g allowed; training changed %.2g", job->net, what, off,
               allowed, changed);
}

static void compare(selftest *t, const st_device *d, const st_job *job, const st_course cpu[CPU_COURSES])
{
    st_course first = {0}, again = {0};
    if (st_train(t, d, d->dev, job, &first)) {
        judge_losses(t, job, &first, cpu);
        judge_weights(t, job, &first, cpu, 0, first.num_parameters, "weights");
        judge_weights(t, job, &first, cpu, first.num_parameters, first.num_weights, "running statistics");
        if (st_train(t, d, d->dev, job, &again) && st_course_equal(t, &first, &again, job->net))
            st_say("%s: the same bits when done again", job->net);
    }
    st_course_free(&first);
    st_course_free(&again);
}

static st_job job_of(const selftest *t, const char *net)
{
    return (st_job){.net = net,
                    .dtype = RN_F32,
                    .batch = t->quick ? 2 : 32,
                    .size = 32,
                    .lr = 0.001,
                    .steps = t->quick ? 3 : 50,
                    .batches = t->quick ? 2 : 8};
}

/* The largest difference of two courses' losses. */
static double apart(const st_course *a, const st_course *b)
{
    double most = 0;
    for (size_t i = 0; i < a->steps; i++) {
        const double off = fabs(a->loss[i] - b->loss[i]);
        most = isnan(off) ? INFINITY : fmax(most, off);
    }
    return most;
}

static void judge_half(selftest *t, const char *what, double off, double cpu, double allowed)
{
    if (!within(off, allowed))
        st_fail(t, "%s: %.3g from f32, the CPU's f16 %.3g, %.3g allowed", what, off, cpu, allowed);
    else
        st_say("%s: %.2g from f32, the CPU's f16 %.2g", what, off, cpu);
}

static void judge_halves(selftest *t, const char *net, const st_course *got, const st_course *cpu, const st_course *exact)
{
    char what[100];
    const size_t parameters = exact->num_parameters, rest = exact->num_weights - parameters;
    const double losses = apart(cpu, exact), weights = distance(cpu->weights, exact->weights, parameters);
    const double statistics = distance(cpu->weights + parameters, exact->weights + parameters, rest);
    snprintf(what, sizeof what, "%s in f16: losses", net);
    judge_half(t, what, apart(got, exact), losses, 3 * losses + FORWARD_HALF * exact->loss[0]);
    snprintf(what, sizeof what, "%s in f16: weights", net);
    judge_half(t, what, distance(got->weights, exact->weights, parameters), weights, 1.5 * weights);
    snprintf(what, sizeof what, "%s in f16: running statistics", net);
    judge_half(t, what, distance(got->weights + parameters, exact->weights + parameters, rest), statistics,
               1.5 * statistics);
}

/* A scale that does not overflow: a skipped step of one side only would be a step behind. */
static void check_half(selftest *t, const st_device *d, const char *net)
{
    st_course got = {0}, cpu = {0}, exact = {0};
    st_job job = job_of(t, net);
    const int ran = st_train(t, d, d->cpu, &job, &exact);
    job.dtype = RN_F16;
    job.loss_scale = 1024;
    if (ran && st_train(t, d, d->cpu, &job, &cpu) && st_train(t, d, d->dev, &job, &got))
        judge_halves(t, net, &got, &cpu, &exact);
    st_course_free(&got);
    st_course_free(&cpu);
    st_course_free(&exact);
}

static void check(selftest *t, const st_device *d, const char *net)
{
    st_course cpu[CPU_COURSES] = {{0}};
    const st_job job = job_of(t, net);
    if (run_cpu(t, d, &job, cpu))
        compare(t, d, &job, cpu);
    for (int i = 0; i < CPU_COURSES; i++)
        st_course_free(&cpu[i]);
}

void st_step_training(selftest *t)
{
    st_device d;
    if (!st_open(t, NULL, &d))
        return;
    check(t, &d, "tutorial");
    check(t, &d, "cifar_resnet20");
    check_half(t, &d, "tutorial");
    st_close(&d);
}
