/* SPDX-License-Identifier: MIT */
/*
 * Every op of the CPU backend at every kernel level this machine can run, against the f64 reference: random shapes and
 * all tails, guarded memory, the same bits for any threads, in place, and for an image in any batch.
 *   checkkernel [--seed N] [--function=GLOB] [--level=NAME] [--count=N] [--threads=N] [--bench] [--list] [--emulated]
 * --emulated: for QEMU, which reads all lanes of a masked load: reading behind a value is then no error, writing is.
 */
#include "backend/context.h"
#include "base/half.h"
#include "base/rng.h"
#include "cpu/levels.h"
#include "op_runner.h"
#include "peak.h"
#include <fnmatch.h>
#include <resnet/sys/cpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEVELS = RN_CPU_AVX512BF16 + 1 };
static const char *const level_names[] = {"base", "avx2", "avx512", "avx512bf16"};

typedef struct settings {
    uint64_t seed;
    const char *function, *level;
    int count, bench, list, emulated;
    int32_t threads;
    double seconds;
} settings;

typedef struct harness {
    settings s;
    oc_host *host;
    oc_machine machines[LEVELS]; /* by level; [0] is also the reference */
    int num_levels;
    int failures, runs;
    double flops[LEVELS], copy, cached; /* the machine's best, for --bench: GFLOP/s, GB/s of memory and of caches */
} harness;

/* A case of its own for each family and index, whatever else runs. */
static oc_rng rng_for(const settings *s, const oc_family *f, int index)
{
    oc_rng rng = {s->seed};
    for (const char *p = f->name; *p; p++)
        rng.state = rng.state * 31 + (unsigned char)*p;
    rng.state += (uint64_t)index * 0x100000001b3u;
    oc_next(&rng);
    return rng;
}

static int open_levels(harness *h)
{
    for (int level = 0; level <= rni_cpu_usable_level(UINT32_MAX); level++) {
        setenv("RN_CPU_LEVEL", level_names[level], 1);
        if (!oc_machine_open(&h->machines[level], h->host, &rni_cpu_backend, 0)) {
            fprintf(stderr, "device_open at %s: %s\n", level_names[level], rn_error_message());
            return 0;
        }
        h->machines[level].readable = h->s.emulated;
        h->num_levels = level + 1;
    }
    unsetenv("RN_CPU_LEVEL");
    return 1;
}

/* What is reported and makes the program fail. */
static void failed(harness *h, const oc_case *c, const oc_family *f, int index, const char *where, const char *message)
{
    h->failures++;
    printf("FAILED %s: %s: %s\n       again: --seed %llu --function=%s (case %d)\n", where, c->name, message,
           (unsigned long long)h->s.seed, f->name, index);
}

/* The same run in another way must give the same bits. */
static void check_same(harness *h, const oc_machine *m, const oc_case *c, const oc_options *o, const oc_result *first,
                       int64_t images, const char *where, const oc_family *f, int index)
{
    oc_result again;
    char message[300];
    const int outcome = oc_run(m, c, o, &again, message);
    h->runs++;
    if (outcome == OC_FAILED || (outcome == OC_OK && !oc_equal(c, first, &again, images, message)))
        failed(h, c, f, index, where, message);
    oc_result_free(&again);
}

static void check_ways(harness *h, const oc_machine *m, const oc_case *c, rn_dtype dtype, const oc_result *first,
                       const char *level, const oc_family *f, int index)
{
    oc_options o = {.dtype = dtype, .half = rni_is_half(dtype) ? dtype : 0};
    char where[80];
    for (int mode = OC_REVERSED; mode < OC_MODES; mode++) {
        snprintf(where, sizeof where, "%s, %s", level, mode == OC_THREADS ? "threads" : "reversed");
        oc_host_mode(h->host, mode);
        check_same(h, m, c, &o, first, 0, where, f, index);
    }
    oc_host_mode(h->host, OC_SERIAL);
    snprintf(where, sizeof where, "%s, in place", level);
    o.in_place = 1;
    check_same(h, m, c, &o, first, 0, where, f, index);
    if (c->per_image && c->run.batch > 1) {
        snprintf(where, sizeof where, "%s, batch of one", level);
        o.in_place = 0;
        o.batch = 1;
        check_same(h, m, c, &o, first, 1, where, f, index);
    }
}

static void check_level(harness *h, const oc_machine *m, const oc_case *c, rn_dtype dtype, const oc_result *expected,
                        const oc_result *scale, const char *level, const oc_family *f, int index)
{
    const oc_options o = {.dtype = dtype, .half = rni_is_half(dtype) ? dtype : 0};
    oc_result got;
    char message[300];
    oc_host_mode(h->host, OC_SERIAL);
    oc_case bounds = *c;
    if (strncmp(level, "avx512bf16", 10) != 0) /* only its dot products take what is transformed and rounded */
        bounds.rounds_inside = 0;
    const int outcome = oc_run(m, c, &o, &got, message);
    h->runs++;
    if (outcome != OC_OK || !oc_compare(&bounds, dtype, &got, expected, scale, message))
        failed(h, c, f, index, level, message);
    else
        check_ways(h, m, c, dtype, &got, level, f, index);
    oc_result_free(&got);
}

/* The reference against the definition. Sums run in another order over more terms than the bound counts. */
static void check_formula(harness *h, const oc_case *c, const oc_result *reference, const oc_result *scale,
                          const oc_family *f, int index)
{
    oc_case loose = *c;
    oc_result expected;
    char message[300];
    loose.factor = 1000;
    if (oc_formula(c, reference, &expected) && !oc_compare(&loose, RN_F64, reference, &expected, scale, message))
        failed(h, c, f, index, "formula", message);
    oc_result_free(&expected);
}

static void check_levels(harness *h, const oc_case *c, rn_dtype dtype, const oc_result *expected, const oc_result *scale,
                         const oc_family *f, int index)
{
    char name[40];
    for (int level = 0; level < h->num_levels; level++) {
        if (h->s.level && strcmp(h->s.level, level_names[level]) != 0)
            continue;
        snprintf(name, sizeof name, "%s%s", level_names[level], dtype == RN_BF16 ? ", bf16" : dtype == RN_F16 ? ", f16" : "");
        check_level(h, &h->machines[level], c, dtype, expected, scale, name, f, index);
    }
}

/* Against the reference on operands that bf16 or f16 can hold. */
static void check_half(harness *h, const oc_case *c, rn_dtype dtype, const oc_family *f, int index)
{
    oc_result expected, scale;
    char message[300];
    const oc_options exact = {.dtype = RN_F64, .half = dtype}, absolute = {.dtype = RN_F64, .half = dtype, .absolute = 1};
    oc_host_mode(h->host, OC_SERIAL);
    const int outcome = oc_run(&h->machines[0], c, &exact, &expected, message);
    const int scaled = oc_run(&h->machines[0], c, &absolute, &scale, outcome == OC_OK ? message : (char[300]){0});
    if (outcome != OC_OK || scaled != OC_OK)
        failed(h, c, f, index, dtype == RN_BF16 ? "reference of bf16" : "reference of f16", message);
    else
        check_levels(h, c, dtype, &expected, &scale, f, index);
    oc_result_free(&expected);
    oc_result_free(&scale);
}

static void check_case(harness *h, const oc_family *f, int index)
{
    oc_rng rng = rng_for(&h->s, f, index);
    oc_case c;
    oc_result expected, scale;
    char message[300];
    memset(&c, 0, sizeof c);
    f->make(&c, &rng, index);
    const oc_options exact = {.dtype = RN_F64}, absolute = {.dtype = RN_F64, .absolute = 1};
    oc_host_mode(h->host, OC_SERIAL);
    const int outcome = oc_run(&h->machines[0], &c, &exact, &expected, message);
    const int scaled = oc_run(&h->machines[0], &c, &absolute, &scale, outcome == OC_OK ? message : (char[300]){0});
    if (outcome != OC_OK || scaled != OC_OK) {
        failed(h, &c, f, index, "reference", message);
    } else {
        check_formula(h, &c, &expected, &scale, f, index);
        check_level(h, &h->machines[0], &c, RN_F64, &expected, &scale, "f64", f, index);
        check_levels(h, &c, RN_F32, &expected, &scale, f, index);
        if (oc_computes(&c)) {
            check_half(h, &c, RN_BF16, f, index);
            check_half(h, &c, RN_F16, f, index);
        }
    }
    oc_result_free(&expected);
    oc_result_free(&scale);
    oc_free(&c);
}

/* Calls visit for the families that were asked for. */
static void for_families(harness *h, void (*visit)(harness *h, const oc_family *f))
{
    for (const oc_family *const *table = oc_families; *table; table++)
        for (const oc_family *f = *table; f->name; f++)
            if (!h->s.function || fnmatch(h->s.function, f->name, 0) == 0)
                visit(h, f);
}

static void check_family(harness *h, const oc_family *f)
{
    const int before = h->failures, runs = h->runs;
    for (int index = 0; index < h->s.count && h->failures - before < 5; index++)
        check_case(h, f, index);
    printf("%-24s %5d runs %s\n", f->name, h->runs - runs, h->failures == before ? "ok" : "FAILED");
    fflush(stdout);
}

static void list_family(harness *h, const oc_family *f)
{
    (void)h;
    printf("%s\n", f->name);
}

static void bench_shape(harness *h, const oc_case *c)
{
    double base = 0;
    char message[300], shape[120] = "";
    const rn_value *const v = &c->values[0].v;
    for (int32_t i = 0; i < v->rank; i++)
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%lld", i ? "x" : "", (long long)v->dims[i]);
    for (int level = 0; level < h->num_levels; level++) {
        double best = 0;
        const oc_options o = {.dtype = RN_F32, .seconds = h->s.seconds, .best = &best};
        oc_result r;
        if (h->s.level && level > 0 && strcmp(h->s.level, level_names[level]) != 0)
            continue;
        if (oc_run(&h->machines[level], c, &o, &r, message) != OC_OK) {
            printf("%s: %s\n", c->name, message);
            oc_result_free(&r);
            return;
        }
        oc_result_free(&r);
        base = level ? base : best;
        printf("%-28s %-18s %-7s %9.1f us", c->name, shape, level_names[level], best * 1e6);
        if (c->flops > 0)
            printf(" %8.1f GFLOP/s %3.0f %%", c->flops / best * 1e-9, c->flops / best * 1e-7 / h->flops[level]);
        if (c->bytes > 0)
            printf(" %8.1f GB/s %3.0f %% (%3.0f %%)", c->bytes / best * 1e-9, c->bytes / best * 1e-7 / h->copy,
                   c->bytes / best * 1e-7 / h->cached);
        printf("  %6.2fx base\n", base / best);
    }
}

/*
 * Percentages are of these: of GFLOP/s, of memory copies and in brackets of copies within caches, which is what ops whose
 * operands stay in caches are held against.
 */
static void measure_peaks(harness *h)
{
    const int threads = (int)oc_host_api(h->host)->num_threads;
    for (int level = 0; level < h->num_levels; level++) {
        h->flops[level] = peak_flops(threads, peak_kind(level, 0));
        printf("peak at %s: %.1f GFLOP/s\n", level_names[level], h->flops[level]);
    }
    h->copy = peak_copy(threads);
    h->cached = peak_copy_cached(threads);
    printf("peak of copies: %.1f GB/s in memory, %.1f GB/s in caches, %d threads\n", h->copy, h->cached, threads);
}

static void bench_family(harness *h, const oc_family *f)
{
    oc_case c;
    oc_rng rng = rng_for(&h->s, f, 0);
    memset(&c, 0, sizeof c);
    oc_host_mode(h->host, OC_THREADS);
    for (int index = 0; f->bench && f->bench(&c, &rng, index); index++) {
        bench_shape(h, &c);
        oc_free(&c);
        memset(&c, 0, sizeof c);
    }
    fflush(stdout);
}

static int parse(settings *s, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *const a = argv[i];
        if (strcmp(a, "--seed") == 0 && i + 1 < argc)
            s->seed = strtoull(argv[++i], NULL, 0);
        else if (strncmp(a, "--seed=", 7) == 0)
            s->seed = strtoull(a + 7, NULL, 0);
        else if (strncmp(a, "--function=", 11) == 0)
            s->function = a + 11;
        else if (strncmp(a, "--level=", 8) == 0)
            s->level = a + 8;
        else if (strncmp(a, "--count=", 8) == 0)
            s->count = atoi(a + 8);
        else if (strncmp(a, "--threads=", 10) == 0)
            s->threads = atoi(a + 10);
        else if (strncmp(a, "--seconds=", 10) == 0)
            s->seconds = atof(a + 10);
        else if (strcmp(a, "--bench") == 0)
            s->bench = 1;
        else if (strcmp(a, "--list") == 0)
            s->list = 1;
        else if (strcmp(a, "--emulated") == 0)
            s->emulated = 1;
        else
            return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    harness h = {.s = {.seed = (uint64_t)time(NULL), .count = 60, .seconds = 0.2}};
    if (!parse(&h.s, argc, argv)) {
        fprintf(stderr, "usage: %s [--seed N] [--function=GLOB] [--level=NAME] [--count=N] [--threads=N] [--seconds=S] "
                        "[--bench] [--list] [--emulated]\n", argv[0]);
        return 2;
    }
    if (h.s.list) {
        for_families(&h, list_family);
        return 0;
    }
    h.host = oc_host_create(h.s.threads ? h.s.threads : h.s.bench ? rni_available_threads() : 3);
    if (!h.host || !open_levels(&h))
        return 1;
    oc_catch_signals();
    printf("seed %llu, levels up to %s\n", (unsigned long long)h.s.seed, level_names[h.num_levels - 1]);
    if (h.s.bench)
        measure_peaks(&h);
    for_families(&h, h.s.bench ? bench_family : check_family);
    for (int level = 0; level < h.num_levels; level++)
        oc_machine_close(&h.machines[level]);
    oc_host_destroy(h.host);
    if (h.failures)
        printf("%d failures\n", h.failures);
    return h.failures ? 1 : 0;
}
