/* SPDX-License-Identifier: MIT */
/*
 * compare_onednn [--direction fwd|bwd_data|bwd_filter|all] [--dtype fp32|bf16|all] [--threads N] [--no-winograd]
 *                [--seconds S] [--pairs N] [--json] [N IC OC IH K S P]...
 *
 * Single convolutions of the CPU backend and of oneDNN in pairs: for each shape and direction the ratio of their speeds
 * (above 1: we are faster) as median, quartiles and extremes over the pairs. Shapes as in bench_conv.
 *
 * The two run in processes of their own, made by fork() before there is any thread. Their threads would disturb each other in
 * one process: OpenMP's spin for a while after each parallel region, and so do our workers. Of the two processes one
 * waits in read() while the other measures, and before each turn there is a pause that is longer than either side's
 * threads spin, so that those of the side that waits are asleep. Who begins changes from pair to pair. A turn starts with
 * a run that is not timed, which wakes the threads and loads the caches.
 *
 * What other processes took of the processors is measured beside each turn. One busy process more can slow OpenMP's threads,
 * which spin while they wait for one another, down many times: a row with more than a few per cent is measured again, and
 * the one with the least is kept; its share is the last figure of the line.
 *
 * Data gradients of layers with 3 channels are left out of the summary: no network asks for them.
 */
#include "base/threads.h"
#include "bench.h"
#include "onednn_conv.h"
#include "peak.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHAPE_NUMBERS = 7, MOST_SHAPES = 64, MOST_PAIRS = 1000, ATTEMPTS = 4 };
static const double pause_seconds = 5e-3, quiet_share = 0.05, disturbed_seconds = 0.3;

enum { PREPARE, MEASURE };

/* What the parent asks a side, and the answer. */
typedef struct request {
    int32_t what, reserved;
    conv_setup setup;
    double seconds;
} request;

typedef struct reply {
    int32_t ok, level;
    double seconds, others; /* per run; share of the processors of all other processes */
    char text[300]; /* PREPARE: the implementation, or what is wrong */
} reply;

/* How a side opens, runs and closes a convolution. */
typedef struct side {
    void *(*open)(const conv_setup *setup, reply *answer);
    void (*run)(void *c);
    void (*close)(void *c);
} side;

typedef struct process {
    pid_t pid;
    int to, from;
} process;

typedef struct options {
    conv_setup setup;
    const char *direction, *dtype; /* NULL: all */
    int json, pairs;
    double seconds;
    conv_shape shapes[MOST_SHAPES];
    int num_shapes;
} options;

typedef struct summary {
    int rows, won;
    double smallest;
    char worst[100];
} summary;

static void *open_ours(const conv_setup *setup, reply *answer)
{
    conv_case *const c = conv_case_open(setup, answer->text);
    if (c) {
        answer->level = conv_case_level_number(c);
        snprintf(answer->text, sizeof answer->text, "%s", conv_case_level(c));
    }
    return c;
}

static void close_ours(void *c)
{
    conv_case_close(c);
}

static void *open_theirs(const conv_setup *setup, reply *answer)
{
    onednn_conv *const c = onednn_conv_open(setup, answer->text);
    if (c)
        snprintf(answer->text, sizeof answer->text, "%s", onednn_conv_name(c));
    return c;
}

static void close_theirs(void *c)
{
    onednn_conv_close(c);
}

static const side ours = {open_ours, conv_case_run, close_ours}, theirs = {open_theirs, onednn_conv_run, close_theirs};

/* All of it; 0 at the end of the pipe. */
static int read_all(int from, void *to, size_t size)
{
    size_t done = 0;
    while (done < size) {
        const ssize_t n = read(from, (char *)to + done, size - done);
        if (n == 0 || (n < 0 && errno != EINTR))
            return 0;
        done += n > 0 ? (size_t)n : 0;
    }
    return 1;
}

static int write_all(int to, const void *from, size_t size)
{
    size_t done = 0;
    while (done < size) {
        const ssize_t n = write(to, (const char *)from + done, size - done);
        if (n < 0 && errno != EINTR)
            return 0;
        done += n > 0 ? (size_t)n : 0;
    }
    return 1;
}

/* A side's process: answers until the parent closes the pipe. */
static void serve(const side *s, int from, int to)
{
    void *c = NULL;
    request r;
    while (read_all(from, &r, sizeof r)) {
        reply answer = {.ok = 1};
        if (r.what == PREPARE) {
            s->close(c);
            c = s->open(&r.setup, &answer);
            answer.ok = c != NULL;
        } else {
            const bench_moment begin = bench_moment_now();
            answer.seconds = bench_time(s->run, c, r.seconds);
            answer.others = bench_foreign_share(&begin);
        }
        if (!write_all(to, &answer, sizeof answer))
            break;
    }
    s->close(c);
    exit(0);
}

/* `other`, when there is one already: the new process must not hold its pipe open. */
static process start(const side *s, const process *other)
{
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0)
        bench_die("compare_onednn: no pipe");
    fflush(stdout);
    const process p = {fork(), to[1], from[0]};
    if (p.pid < 0)
        bench_die("compare_onednn: no process");
    if (p.pid == 0) {
        if (other)
            close(other->to);
        close(to[1]);
        close(from[0]);
        serve(s, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    return p;
}

static reply ask(const process *p, const request *r)
{
    reply answer = {.ok = 0};
    bench_sleep(pause_seconds);
    if (!write_all(p->to, r, sizeof *r) || !read_all(p->from, &answer, sizeof answer))
        bench_die("compare_onednn: one of the two processes ended");
    return answer;
}

static void usage(const char *what)
{
    fprintf(stderr, "compare_onednn: bad flag or value: %s\nusage: compare_onednn [--direction NAME] "
                    "[--dtype fp32|bf16|all] [--threads N] [--no-winograd] [--seconds S] [--pairs N] [--json] "
                    "[N IC OC IH K S P]...\n",
            what);
    exit(2);
}

static void parse_value(options *o, const char *flag, const char *value)
{
    if (strcmp(flag, "--direction") == 0)
        o->direction = strcmp(value, "all") == 0 ? NULL : value;
    else if (strcmp(flag, "--dtype") == 0)
        o->dtype = strcmp(value, "all") == 0 ? NULL : bench_dtype_name(bench_dtype(value));
    else if (strcmp(flag, "--threads") == 0)
        o->setup.threads = atoi(value);
    else if (strcmp(flag, "--seconds") == 0)
        o->seconds = atof(value);
    else if (strcmp(flag, "--pairs") == 0)
        o->pairs = atoi(value);
    else
        usage(flag);
}

static void add_shape(options *o, int left, char **argv)
{
    if (left < SHAPE_NUMBERS || o->num_shapes == MOST_SHAPES)
        usage("seven numbers make a shape");
    const conv_shape s = {atoi(argv[0]), atoi(argv[1]), atoi(argv[2]), atoi(argv[3]),
                          atoi(argv[4]), atoi(argv[5]), atoi(argv[6])};
    if (!conv_shape_valid(&s))
        usage("a shape without an output");
    o->shapes[o->num_shapes++] = s;
}

static options parse(int argc, char **argv)
{
    options o = {.pairs = 15, .seconds = 0.03};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            o.json = 1;
        else if (strcmp(argv[i], "--no-winograd") == 0)
            o.setup.direct = 1;
        else if (argv[i][0] != '-') {
            add_shape(&o, argc - i, argv + i);
            i += SHAPE_NUMBERS - 1;
        } else if (i + 1 < argc) {
            parse_value(&o, argv[i], argv[i + 1]);
            i++;
        } else
            usage(argv[i]);
    }
    if (o.setup.threads < 1)
        o.setup.threads = rni_available_threads();
    if (o.pairs < 1 || o.pairs > MOST_PAIRS)
        usage("--pairs");
    if (o.num_shapes == 0) {
        memcpy(o.shapes, conv_shapes, (size_t)conv_shape_count * sizeof *o.shapes);
        o.num_shapes = conv_shape_count;
    }
    return o;
}

/* One row's figures: [0] ours, [1] oneDNN's. */
typedef struct row {
    double seconds[2][MOST_PAIRS], ratios[MOST_PAIRS];
    bench_spread ratio;
    double gflops[2], real_of_nominal, peak, others;
    char implementation[300];
} row;

static void print_json(const options *o, const conv_setup *s, const row *r)
{
    const conv_shape *const h = &s->shape;
    const double unit = r->peak > 0 ? r->peak : 1e30;
    printf("{\"shape\": [%d, %d, %d, %d, %d, %d, %d], \"direction\": \"%s\", \"dtype\": \"%s\", \"threads\": %d, "
           "\"winograd\": %s, \"pairs\": %d, ",
           h->images, h->in, h->out, h->size, h->kernel, h->stride, h->padding, conv_direction_names[s->direction],
           bench_dtype_name(s->dtype), s->threads, s->direct ? "false" : "true", o->pairs);
    printf("\"ratio\": %.4f, \"ratio_quartiles\": [%.4f, %.4f], \"ratio_smallest\": %.4f, \"ratio_largest\": %.4f, "
           "\"gflops\": %.2f, \"onednn_gflops\": %.2f, \"peak_gflops\": %.1f, \"share_of_peak\": %.4f, ",
           r->ratio.median, r->ratio.quarter, r->ratio.three_quarters, r->ratio.smallest, r->ratio.largest,
           r->gflops[0], r->gflops[1], r->peak, r->gflops[0] / unit);
    printf("\"onednn_share_of_peak\": %.4f, \"real_of_nominal\": %.4f, \"others\": %.3f, \"onednn\": \"%s\", "
           "\"onednn_implementation\": \"%s\"}\n",
           r->gflops[1] / unit, r->real_of_nominal, r->others, onednn_version(), r->implementation);
}

static void print_text(const conv_setup *s, const row *r)
{
    const conv_shape *const h = &s->shape;
    const double unit = r->peak > 0 ? r->peak : 1e30;
    printf("%4d %5d %5d %4d %2d %2d %2d  %-10s %s %8.1f %4.0f %% %8.1f %4.0f %%  %5.2f (%.2f-%.2f, %.2f-%.2f) %s, %.0f %%\n",
           h->images, h->in, h->out, h->size, h->kernel, h->stride, h->padding, conv_direction_names[s->direction],
           bench_dtype_name(s->dtype), r->gflops[0], 100 * r->gflops[0] / unit, r->gflops[1], 100 * r->gflops[1] / unit,
           r->ratio.median, r->ratio.quarter, r->ratio.three_quarters, r->ratio.smallest, r->ratio.largest,
           r->implementation, 100 * r->others);
}

static void note(summary *to, const conv_setup *s, double ratio)
{
    const conv_shape *const h = &s->shape;
    if (h->in <= 3 && s->direction == CONV_BACKWARD_DATA)
        return;
    to->rows++;
    to->won += ratio >= 1;
    if (to->rows > 1 && ratio >= to->smallest)
        return;
    to->smallest = ratio;
    snprintf(to->worst, sizeof to->worst, "%d->%d %d px k%d s%d b%d %s %s", h->in, h->out, h->size, h->kernel,
             h->stride, h->images, conv_direction_names[s->direction], bench_dtype_name(s->dtype));
}

static void measure_pairs(const options *o, const process sides[2], request *r, row *to)
{
    r->what = MEASURE;
    to->others = 0;
    for (int pair = 0; pair < o->pairs; pair++) {
        for (int turn = 0; turn < 2; turn++) {
            const int i = (turn + pair) & 1;
            const reply answer = ask(&sides[i], r);
            to->seconds[i][pair] = answer.seconds;
            to->others += answer.others / (2 * o->pairs);
        }
        to->ratios[pair] = to->seconds[1][pair] / to->seconds[0][pair];
    }
}

/* The attempt that others disturbed least. */
static void measure_quietly(const options *o, const process sides[2], request *r, row *best)
{
    static row again;
    measure_pairs(o, sides, r, best);
    for (int i = 1; i < ATTEMPTS && best->others > quiet_share; i++) {
        bench_sleep(disturbed_seconds);
        measure_pairs(o, sides, r, &again);
        if (again.others < best->others)
            *best = again;
    }
}

/* The largest seen so far: others may disturb a measurement. */
static double peak_of(int threads, int kind)
{
    static double largest[PEAK_KINDS];
    bench_sleep(pause_seconds);
    const double now = peak_flops(threads, kind);
    largest[kind] = now > largest[kind] ? now : largest[kind];
    return largest[kind];
}

/* Both sides make the convolution. 0, and a line, when one cannot. */
static int prepare(const process sides[2], request *r, reply ready[2])
{
    r->what = PREPARE;
    for (int i = 0; i < 2; i++) {
        ready[i] = ask(&sides[i], r);
        if (!ready[i].ok) {
            fprintf(stderr, "compare_onednn: %s %s, %s: %s\n", conv_direction_names[r->setup.direction],
                    bench_dtype_name(r->setup.dtype), i ? "oneDNN" : "ours", ready[i].text);
            return 0;
        }
    }
    return 1;
}

/* One row: 0 when a side cannot. */
static int compare_one(const options *o, const conv_setup *setup, const process sides[2], summary *to)
{
    static row r;
    const rn_conv_params params = conv_params_of(&setup->shape, setup->direct);
    const bench_flops flops = bench_conv_flops(&params, setup->shape.images);
    request wanted = {.setup = *setup, .seconds = o->seconds};
    reply ready[2];
    if (!prepare(sides, &wanted, ready))
        return 0;
    measure_quietly(o, sides, &wanted, &r);
    r.peak = peak_of(setup->threads, peak_kind(ready[0].level, setup->dtype == RN_BF16));
    r.ratio = bench_spread_of(r.ratios, o->pairs);
    r.real_of_nominal = flops.real / flops.nominal;
    snprintf(r.implementation, sizeof r.implementation, "%s", ready[1].text);
    for (int i = 0; i < 2; i++)
        r.gflops[i] = flops.real / bench_spread_of(r.seconds[i], o->pairs).median * 1e-9;
    r.others = r.others > 0 ? r.others : 0;
    note(to, setup, r.ratio.median);
    if (o->json)
        print_json(o, setup, &r);
    else
        print_text(setup, &r);
    fflush(stdout);
    return 1;
}

/* Returns how many rows could not be compared. */
static int compare_all(const options *o, const process sides[2], summary *to)
{
    static const rn_dtype dtypes[] = {RN_F32, RN_BF16};
    int failed = 0;
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < o->num_shapes; i++)
            for (int direction = 0; direction < CONV_DIRECTIONS; direction++) {
                conv_setup s = o->setup;
                s.shape = o->shapes[i];
                s.direction = direction;
                s.dtype = dtypes[d];
                if ((o->dtype && strcmp(o->dtype, bench_dtype_name(s.dtype)) != 0) ||
                    (o->direction && strcmp(o->direction, conv_direction_names[direction]) != 0))
                    continue;
                failed += !compare_one(o, &s, sides, to);
            }
    return failed;
}

int main(int argc, char **argv)
{
    const options o = parse(argc, argv);
    process sides[2];
    sides[0] = start(&ours, NULL);
    sides[1] = start(&theirs, &sides[0]);
    summary all = {.rows = 0};
    if (!o.json)
        printf("oneDNN %s, %d threads, %d pairs; GFLOP/s and %% of peak without taps in the padding: ours, oneDNN; ratio of "
               "speeds: median (quartiles, extremes); others' share of the processors\n",
               onednn_version(), o.setup.threads, o.pairs);
    const int failed = compare_all(&o, sides, &all);
    for (int i = 0; i < 2; i++) {
        close(sides[i].to);
        waitpid(sides[i].pid, NULL, 0);
        close(sides[i].from);
    }
    if (o.json)
        printf("{\"summary\": true, \"rows\": %d, \"at_least_1\": %d, \"smallest\": %.4f, \"smallest_row\": \"%s\", "
               "\"failed\": %d}\n",
               all.rows, all.won, all.smallest, all.worst, failed);
    else
        printf("%d of %d rows at 1.0 or more; the smallest is %.2f: %s\n", all.won, all.rows, all.smallest, all.worst);
    return failed != 0;
}
