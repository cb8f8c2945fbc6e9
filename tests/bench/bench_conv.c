/* SPDX-License-Identifier: MIT */
/*
 * bench_conv [--direction fwd|bwd_data|bwd_filter|all] [--dtype fp32|bf16] [--threads N] [--level NAME] [--no-winograd]
 *            [--seconds S] [--windows N] [--json] [N IC OC IH K S P]...
 *
 * Times single convolutions of the CPU backend: the op alone, weights packed before. Shapes are groups of seven numbers:
 * images, channels in and out, height (= width), kernel, stride, padding; without any, layers of the CIFAR and
 * ImageNet nets. GFLOP/s and shares are of direct convolution: `gflops` and `share_of_peak` without the taps in the padding,
 * the nominal ones with them. The peak is measured in this process with as many threads.
 */
#include "base/threads.h"
#include "bench.h"
#include "conv_case.h"
#include "peak.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPE_NUMBERS = 7, MOST_SHAPES = 64, MOST_WINDOWS = 1000 };

typedef struct options {
    conv_setup setup;
    const char *direction; /* NULL: all */
    int json, windows;
    double seconds;
    conv_shape shapes[MOST_SHAPES];
    int num_shapes;
} options;

static void usage(const char *what)
{
    fprintf(stderr, "bench_conv: bad flag or value: %s\nusage: bench_conv [--direction NAME] [--dtype fp32|bf16] "
                    "[--threads N] [--level NAME] [--no-winograd] [--seconds S] [--windows N] [--json] "
                    "[N IC OC IH K S P]...\n",
            what);
    exit(2);
}

static conv_shape parse_shape(int left, char **argv)
{
    if (left < SHAPE_NUMBERS)
        usage("seven numbers make a shape");
    const conv_shape s = {atoi(argv[0]), atoi(argv[1]), atoi(argv[2]), atoi(argv[3]),
                          atoi(argv[4]), atoi(argv[5]), atoi(argv[6])};
    if (!conv_shape_valid(&s))
        usage("a shape without an output");
    return s;
}

static void parse_value(options *o, const char *flag, const char *value)
{
    if (strcmp(flag, "--direction") == 0)
        o->direction = strcmp(value, "all") == 0 ? NULL : value;
    else if (strcmp(flag, "--dtype") == 0)
        o->setup.dtype = bench_dtype(value);
    else if (strcmp(flag, "--threads") == 0)
        o->setup.threads = atoi(value);
    else if (strcmp(flag, "--level") == 0)
        snprintf(o->setup.level, sizeof o->setup.level, "%s", value);
    else if (strcmp(flag, "--seconds") == 0)
        o->seconds = atof(value);
    else if (strcmp(flag, "--windows") == 0)
        o->windows = atoi(value);
    else
        usage(flag);
}

static options parse(int argc, char **argv)
{
    options o = {.setup = {.dtype = RN_F32}, .windows = 9, .seconds = 0.05};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            o.json = 1;
        else if (strcmp(argv[i], "--no-winograd") == 0)
            o.setup.direct = 1;
        else if (argv[i][0] != '-') {
            if (o.num_shapes == MOST_SHAPES)
                usage("too many shapes");
            o.shapes[o.num_shapes++] = parse_shape(argc - i, argv + i);
            i += SHAPE_NUMBERS - 1;
        } else if (i + 1 < argc) {
            parse_value(&o, argv[i], argv[i + 1]);
            i++;
        } else
            usage(argv[i]);
    }
    if (o.setup.threads < 1)
        o.setup.threads = rni_available_threads();
    if (o.windows < 1 || o.windows > MOST_WINDOWS)
        usage("--windows");
    if (o.num_shapes == 0) {
        memcpy(o.shapes, conv_shapes, (size_t)conv_shape_count * sizeof *o.shapes);
        o.num_shapes = conv_shape_count;
    }
    return o;
}

/* The largest seen so far: clocks rise with use, and others disturb. */
static double peak_now(const options *o, const conv_case *c)
{
    static double largest;
    const double now = peak_flops(o->setup.threads, peak_kind(conv_case_level_number(c), o->setup.dtype == RN_BF16));
    largest = now > largest ? now : largest;
    return largest;
}

static void print_row(const options *o, const conv_setup *s, const conv_case *c, const bench_spread *seconds)
{
    const rn_conv_params params = conv_params_of(&s->shape, s->direct);
    const bench_flops flops = bench_conv_flops(&params, s->shape.images);
    const double real = flops.real / seconds->median * 1e-9, nominal = flops.nominal / seconds->median * 1e-9;
    const double peak = peak_now(o, c), unit = peak > 0 ? peak : 1e30;
    const conv_shape *const h = &s->shape;
    if (o->json)
        printf("{\"shape\": [%d, %d, %d, %d, %d, %d, %d], \"direction\": \"%s\", \"dtype\": \"%s\", \"threads\": %d, "
               "\"level\": \"%s\", \"winograd\": %s, \"ms\": %.5f, \"ms_best\": %.5f, \"gflops\": %.2f, "
               "\"gflops_nominal\": %.2f, \"peak_gflops\": %.1f, \"share_of_peak\": %.4f, \"share_nominal\": %.4f}\n",
               h->images, h->in, h->out, h->size, h->kernel, h->stride, h->padding, conv_direction_names[s->direction],
               bench_dtype_name(s->dtype), s->threads, conv_case_level(c), s->direct ? "false" : "true",
               seconds->median * 1e3, seconds->smallest * 1e3, real, nominal, peak, real / unit, nominal / unit);
    else
        printf("%4d %5d %5d %4d %2d %2d %2d  %-10s %9.4f %9.4f %9.1f %7.1f %9.1f\n", h->images, h->in, h->out, h->size,
               h->kernel, h->stride, h->padding, conv_direction_names[s->direction], seconds->median * 1e3,
               seconds->smallest * 1e3, real, 100 * real / unit, 100 * nominal / unit);
    fflush(stdout);
}

static int bench_one(const options *o, const conv_setup *s)
{
    char message[300];
    conv_case *const c = conv_case_open(s, message);
    if (!c) {
        fprintf(stderr, "bench_conv: %s: %s\n", conv_direction_names[s->direction], message);
        return 0;
    }
    double seconds[MOST_WINDOWS];
    for (int i = 0; i < o->windows; i++)
        seconds[i] = bench_time(conv_case_run, c, o->seconds);
    const bench_spread spread = bench_spread_of(seconds, o->windows);
    print_row(o, s, c, &spread);
    conv_case_close(c);
    return 1;
}

int main(int argc, char **argv)
{
    const options o = parse(argc, argv);
    int rows = 0;
    if (!o.json)
        printf("%4s %5s %5s %4s %2s %2s %2s  %-10s %9s %9s %9s %7s %9s\n", "n", "in", "out", "px", "k", "s", "p",
               "direction", "ms", "best ms", "GFLOP/s", "% peak", "% nominal");
    for (int i = 0; i < o.num_shapes; i++)
        for (int direction = 0; direction < CONV_DIRECTIONS; direction++) {
            conv_setup s = o.setup;
            s.shape = o.shapes[i];
            s.direction = direction;
            if (o.direction && strcmp(o.direction, conv_direction_names[direction]) != 0)
                continue;
            if (!bench_one(&o, &s))
                return 1;
            rows++;
        }
    if (!rows)
        usage(o.direction);
    return 0;
}
