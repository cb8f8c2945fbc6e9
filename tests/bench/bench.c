/* SPDX-License-Identifier: MIT */
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *message)
{
    fprintf(stderr, "%s\n", message);
    exit(1);
}

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void bench_sleep(double seconds)
{
    const time_t whole = (time_t)seconds;
    const struct timespec t = {whole, (long)((seconds - (double)whole) * 1e9)};
    nanosleep(&t, NULL);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Between the two neighbours of a place, as share of the way through the sorted values. */
static double quantile(const double *sorted, int count, double share)
{
    const double place = share * (count - 1);
    const int below = (int)place, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

bench_spread bench_spread_of(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return (bench_spread){values[0], quantile(values, count, 0.25), quantile(values, count, 0.5),
                          quantile(values, count, 0.75), values[count - 1]};
}

int bench_number(const char *program, const char *flag, const char *text, int least, int most)
{
    char *end;
    const long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "%s: bad flag or value: %s\n", program, flag);
        exit(2);
    }
    return (int)value;
}

double bench_time(void (*run)(void *arg), void *arg, double seconds)
{
    run(arg);
    const double begin = bench_now();
    double took;
    int64_t calls = 0;
    do {
        run(arg);
        calls++;
        took = bench_now() - begin;
    } while (took < seconds);
    return took / (double)calls;
}

long long bench_peak_rss(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (long long)usage.ru_maxrss * 1024;
}

rn_dtype bench_dtype(const char *name)
{
    if (strcmp(name, "fp32") == 0)
        return RN_F32;
    if (strcmp(name, "bf16") == 0)
        return RN_BF16;
    if (strcmp(name, "fp16") == 0)
        return RN_F16;
    fprintf(stderr, "--dtype: expected fp32, bf16 or fp16, got \"%s\"\n", name);
    exit(2);
}

const char *bench_dtype_name(rn_dtype dtype)
{
    return dtype == RN_BF16 ? "bf16" : dtype == RN_F16 ? "fp16" : "fp32";
}

/* Processor seconds that all processes have used: user, nice, system, irq, softirq and steal. */
static double all_seconds(void)
{
    unsigned long long v[8] = {0};
    FILE *const f = fopen("/proc/stat", "r");
    if (!f)
        return 0;
    const int found =
        fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
    fclose(f);
    return found == 8 ? (double)(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / (double)sysconf(_SC_CLK_TCK) : 0;
}

bench_moment bench_moment_now(void)
{
    struct rusage u;
    const double all = all_seconds();
    getrusage(RUSAGE_SELF, &u);
    const double own =
        (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    return (bench_moment){bench_now(), all > 0 ? all - own : 0};
}

double bench_foreign_share(const bench_moment *since)
{
    const bench_moment now = bench_moment_now();
    const double wall = (now.wall - since->wall) * (double)sysconf(_SC_NPROCESSORS_ONLN);
    return wall > 0 ? (now.foreign - since->foreign) / wall : 0;
}

/* Pairs of an output position and a tap that lies inside the image, along one axis. */
static double inside(const rn_conv_params *p, int axis)
{
    const int64_t in = axis ? p->in_width : p->in_height, out = axis ? p->out_width : p->out_height;
    int64_t count = 0;
    for (int64_t o = 0; o < out; o++)
        for (int64_t tap = 0; tap < p->kernel[axis]; tap++) {
            const int64_t i = o * p->stride[axis] - p->padding[axis] + tap * p->dilation[axis];
            count += i >= 0 && i < in;
        }
    return (double)count;
}

bench_flops bench_conv_flops(const rn_conv_params *p, double images)
{
    const double channels = 2 * images * (double)p->out_channels * (double)(p->in_channels / p->groups);
    const double taps = (double)(p->out_height * p->kernel[0]) * (double)(p->out_width * p->kernel[1]);
    return (bench_flops){channels * inside(p, 0) * inside(p, 1), channels * taps};
}

static double matrix_flops(const rn_value *weight, double images)
{
    return 2 * images * (double)weight->dims[0] * (double)weight->dims[1];
}

static bench_flops op_flops(const rn_op *op, const rn_value *values, double images)
{
    bench_flops f = {0, 0};
    switch (op->kind) {
    case RN_OP_CONV_FORWARD:
    case RN_OP_CONV_BACKWARD_DATA:
    case RN_OP_CONV_BACKWARD_FILTER:
        return bench_conv_flops(op->params, images);
    case RN_OP_LINEAR:
    case RN_OP_LINEAR_BACKWARD_DATA:
        f.real = matrix_flops(&values[op->in[1]], images);
        break;
    case RN_OP_LINEAR_BACKWARD_FILTER:
        f.real = matrix_flops(&values[op->out[0]], images);
        break;
    default:
        break;
    }
    f.nominal = f.real;
    return f;
}

bench_flops bench_plan_flops(const rn_plan *plan)
{
    const rni_program *const program = &plan->low.p;
    bench_flops sum = {0, 0};
    for (uint32_t i = 0; i < program->num_ops; i++) {
        const bench_flops f = op_flops(&program->ops[i], program->values, (double)plan->max_batch);
        sum.real += f.real;
        sum.nominal += f.nominal;
    }
    return sum;
}
