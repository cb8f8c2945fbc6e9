/* SPDX-License-Identifier: MIT */
/* Step 8: images a second, beside what the device's bandwidth and peaks allow for the bytes and FLOPs of a step. */
#include "device.h"
#include "roofline.h"
#include "training.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* For comparison: an H100 with 3.35 TB/s, and of its peaks what programs reach. */
static const st_limits h100 = {3.35e12, 60e12, 800e12, ""};

typedef struct measurement {
    st_traffic traffic;
    double seconds; /* a step; 0: did not run */
} measurement;

static rn_status steps(st_trainer *r, rn_device *dev, int count)
{
    rn_status status = RN_OK;
    for (int i = 0; i < count && status == RN_OK; i++)
        status = rn_plan_train_step(r->plan, r->x, r->labels);
    return status == RN_OK ? rn_device_synchronize(dev) : status;
}

/* The best of some windows, each of steps that take long enough to be timed. */
static rn_status time_steps(const selftest *t, st_trainer *r, rn_device *dev, double *best)
{
    const double window = t->quick ? 0 : 0.5;
    int count = 1;
    rn_status status = steps(r, dev, 3); /* plans, graphs and clocks */
    *best = INFINITY;
    for (int i = 0; i < (t->quick ? 1 : 5) && status == RN_OK; i++) {
        const double begin = st_now();
        status = steps(r, dev, count);
        const double took = st_now() - begin;
        *best = fmin(*best, took / count);
        if (took < window) { /* again, with as many as fill it */
            count = (int)fmin(1e6, ceil(count * window / fmax(took, 1e-6)));
            i--;
        }
    }
    return status;
}

/* 0 when there is not enough memory, which is told. */
static int measure(selftest *t, const char *setting, const st_job *job, measurement *out)
{
    st_device d;
    st_trainer r;
    int enough = 1;
    out->seconds = 0;
    if (!st_open(t, setting, &d))
        return 1;
    const rn_status status = st_trainer_open(&d, d.dev, job, &r);
    if (status == RN_E_NOMEM) {
        st_say("%s, batch %d in %s: left out: %s", job->net, (int)job->batch, rn_dtype_name(job->dtype),
               rn_error_message());
        enough = 0;
    } else if (st_ok(t, status, job->net)) {
        out->traffic = st_traffic_of(r.plan);
        if (!st_ok(t, time_steps(t, &r, d.dev, &out->seconds), job->net))
            out->seconds = 0;
        st_trainer_close(&r);
    }
    st_close(&d);
    return enough;
}

/* Images a second at most; 0 when the limits are not known. */
static double roofline(const st_traffic *traffic, const st_limits *limits, const st_job *job)
{
    const double flops = job->dtype != RN_F32 ? limits->half_flops : limits->f32_flops;
    if (limits->bytes_per_second <= 0 || flops <= 0)
        return 0;
    return (double)job->batch / fmax(traffic->bytes / limits->bytes_per_second, traffic->flops / flops);
}

static void number(char text[24], double value)
{
    if (value > 0)
        snprintf(text, 24, "%.0f", value);
    else
        snprintf(text, 24, "-");
}

static void tell(const st_job *job, const measurement m[2], const st_limits *limits)
{
    char stream[24], graph[24], most[24], example[24], share[24] = "-";
    const double best = m[0].seconds > 0 && m[1].seconds > 0 ? fmin(m[0].seconds, m[1].seconds) : 0;
    const double allowed = roofline(&m[0].traffic, limits, job);
    number(stream, m[0].seconds > 0 ? (double)job->batch / m[0].seconds : 0);
    number(graph, m[1].seconds > 0 ? (double)job->batch / m[1].seconds : 0);
    number(most, allowed);
    number(example, roofline(&m[0].traffic, &h100, job));
    if (best > 0 && allowed > 0)
        snprintf(share, sizeof share, "%.0f%%", 100 * (double)job->batch / best / allowed);
    st_say("%-10s %-5s %5d %5d %10.1f %10.2f %10s %10s %10s %6s %10s", job->net, rn_dtype_name(job->dtype),
           (int)job->batch, m[0].traffic.ops, m[0].traffic.bytes * 1e-6, m[0].traffic.flops * 1e-9, stream, graph, most,
           share, example);
}

static void bench(selftest *t, const st_job *job, const st_limits *limits)
{
    measurement m[2];
    memset(m, 0, sizeof m);
    if (measure(t, "RN_CUDA_GRAPH=0", job, &m[0]) && measure(t, "RN_CUDA_GRAPH=1", job, &m[1]))
        tell(job, m, limits);
}

static void bench_all(selftest *t, const st_limits *limits, int bf16)
{
    static const rn_dtype dtypes[] = {RN_F32, RN_F16, RN_BF16};
    const int64_t batches[2] = {t->quick ? 2 : 100, t->quick ? 0 : 512};
    for (int b = 0; b < 2 && batches[b]; b++)
        for (int i = 0; i < 2 + bf16; i++) {
            const st_job job = {.net = "tutorial",
                                .dtype = dtypes[i],
                                .batch = batches[b],
                                .size = 32,
                                .lr = 0.001,
                                .steps = 1,
                                .batches = 1};
            bench(t, &job, limits);
        }
    for (int i = 1; i < 2 + bf16; i++) {
        const st_job resnet50 = {
            .net = "resnet50", .dtype = dtypes[i], .batch = 256, .size = 224, .lr = 0.001, .steps = 1, .batches = 1};
        if (!t->quick)
            bench(t, &resnet50, limits);
    }
    if (t->quick)
        st_say("resnet50: left out: --quick");
    if (!bf16)
        st_say("bf16: the device has none");
}

void st_step_benchmark(selftest *t)
{
    st_device d;
    st_limits limits;
    if (!st_open(t, NULL, &d))
        return;
    const int bf16 = st_has_bf16(&d);
    memset(&limits, 0, sizeof limits);
    if (!st_simulated(&d))
        st_limits_of(t->device, &limits);
    st_close(&d);
    st_say("limits: %s", limits.derivation[0] ? limits.derivation : "not known");
    st_say("training; images a second by stream and graph, at most by the roofline, the better one's share of it, and "
           "the");
    st_say("roofline of an H100 (3.35 TB/s, 60 and 800 TFLOP/s). Ops, MB and GFLOP are those of a step");
    st_say("%-10s %-5s %5s %5s %10s %10s %10s %10s %10s %6s %10s", "net", "type", "batch", "ops", "MB", "GFLOP",
           "stream", "graph", "roofline", "share", "H100");
    bench_all(t, &limits, bf16);
}
