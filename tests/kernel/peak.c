/* SPDX-License-Identifier: MIT */
#include "peak.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAINS = 12, FMA_STEPS = 1 << 19, ROUNDS = 12, MOST_THREADS = 1024, SPINS = 1000 };
/* Of one copy per thread: far beyond a core's share of any cache, and half of a small second-level cache. */
enum { COPY_BYTES = 128 << 20, CACHED_BYTES = 128 << 10, CACHED_COPIES = 400 };

/* Keeps results alive. */
static volatile float sink;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Independent chains of multiply-adds, enough to fill both units' pipelines. */
#define CHAINS_OF(name, attribute, type, start, step, first)                                                           \
    attribute static void name(void)                                                                                   \
    {                                                                                                                  \
        type a[CHAINS];                                                                                                \
        _Pragma("GCC unroll 16") for (int k = 0; k < CHAINS; k++)                                                      \
            a[k] = start((float)k);                                                                                    \
        for (int i = 0; i < FMA_STEPS; i++) {                                                                          \
            _Pragma("GCC unroll 16") for (int k = 0; k < CHAINS; k++)                                                  \
                a[k] = step(a[k]);                                                                                     \
        }                                                                                                              \
        _Pragma("GCC unroll 16") for (int k = 0; k < CHAINS; k++)                                                      \
            sink = first(a[k]);                                                                                        \
    }

#if defined(__x86_64__)
#include <immintrin.h>
#define STEP_BASE(a) _mm_add_ps(_mm_mul_ps(a, _mm_set1_ps(0.999f)), _mm_set1_ps(0.5f))
#define STEP_AVX2(a) _mm256_fmadd_ps(a, _mm256_set1_ps(0.999f), _mm256_set1_ps(0.5f))
#define STEP_AVX512(a) _mm512_fmadd_ps(a, _mm512_set1_ps(0.999f), _mm512_set1_ps(0.5f))
#define FIRST_AVX2(a) _mm_cvtss_f32(_mm256_castps256_ps128(a))
#define FIRST_AVX512(a) _mm_cvtss_f32(_mm512_castps512_ps128(a))
CHAINS_OF(chains_base, , __m128, _mm_set1_ps, STEP_BASE, _mm_cvtss_f32)
CHAINS_OF(chains_avx2, __attribute__((target("avx2,fma"))), __m256, _mm256_set1_ps, STEP_AVX2, FIRST_AVX2)
CHAINS_OF(chains_avx512, __attribute__((target("avx512f"))), __m512, _mm512_set1_ps, STEP_AVX512, FIRST_AVX512)
#if defined(PEAK_HAVE_BF16)
/* Both factors are 1: the sums grow beyond 2^24 and stay there, at the speed of any others. */
#define STEP_BF16(a) _mm512_dpbf16_ps(a, (__m512bh)_mm512_set1_epi16(0x3f80), (__m512bh)_mm512_set1_epi16(0x3f80))
CHAINS_OF(chains_bf16, __attribute__((target("avx512f,avx512bw,avx512bf16"))), __m512, _mm512_set1_ps, STEP_BF16,
          FIRST_AVX512)
#else
#define chains_bf16 NULL
#endif

static int has_kind(int kind)
{
    __builtin_cpu_init();
    switch (kind) {
    case PEAK_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case PEAK_AVX512:
        return __builtin_cpu_supports("avx512f") != 0;
#if defined(PEAK_HAVE_BF16)
    case PEAK_BF16:
        return __builtin_cpu_supports("avx512bf16") != 0;
#endif
    default:
        return kind == PEAK_BASE;
    }
}
#else
#define SAME(x) (x)
#define STEP_BASE(a) ((a) * 0.999f + 0.5f)
CHAINS_OF(chains_base, , float, SAME, STEP_BASE, SAME)
#define chains_avx2 NULL
#define chains_avx512 NULL
#define chains_bf16 NULL

static int has_kind(int kind)
{
    return kind == PEAK_BASE;
}
#endif

/* Operations per step and chain. */
#if defined(__x86_64__)
static const double step_flops[PEAK_KINDS] = {8, 16, 32, 64};
#else
static const double step_flops[PEAK_KINDS] = {2, 0, 0, 0};
#endif
static void (*const chains[PEAK_KINDS])(void) = {chains_base, chains_avx2, chains_avx512, chains_bf16};

typedef struct job {
    void (*fma)(void); /* or a copy */
    char *from, *to;
    size_t bytes;
    int copies, threads;
    atomic_int *arrived;
    double begin[ROUNDS], end[ROUNDS];
} job;

static void wait_for_all(const job *j, int round)
{
    atomic_fetch_add(j->arrived, 1);
    for (int spins = 0; atomic_load(j->arrived) < j->threads * (round + 1); spins++)
        if (spins > SPINS)
            sched_yield();
}

static void *run_job(void *arg)
{
    job *const j = arg;
    for (int round = 0; round < ROUNDS; round++) {
        wait_for_all(j, round);
        j->begin[round] = now();
        if (j->fma)
            j->fma();
        for (int i = 0; i < j->copies; i++)
            memcpy(j->to, j->from, j->bytes);
        j->end[round] = now();
    }
    return NULL;
}

/* Seconds of the best round, from the first start to the last end. */
static double best_round(const job *jobs, int threads)
{
    double best = 1e30;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = jobs[0].begin[round], end = jobs[0].end[round];
        for (int i = 1; i < threads; i++) {
            begin = jobs[i].begin[round] < begin ? jobs[i].begin[round] : begin;
            end = jobs[i].end[round] > end ? jobs[i].end[round] : end;
        }
        best = end - begin < best ? end - begin : best;
    }
    return best;
}

/* The calling thread is one of them. 0 when a thread cannot be made. */
static double run_jobs(job *jobs, int threads)
{
    pthread_t *const handles = calloc((size_t)threads, sizeof *handles);
    atomic_int arrived = 0;
    int started = 1;
    for (int i = 0; i < threads; i++) {
        jobs[i].arrived = &arrived;
        jobs[i].threads = threads;
    }
    while (handles && started < threads && pthread_create(&handles[started], NULL, run_job, &jobs[started]) == 0)
        started++;
    if (handles && started == threads)
        run_job(&jobs[0]);
    else
        atomic_store(&arrived, ROUNDS * threads); /* lets those go that wait for the others */
    for (int i = 1; i < started; i++)
        pthread_join(handles[i], NULL);
    free(handles);
    return started == threads ? best_round(jobs, threads) : 0;
}

int peak_kind(int level, int bf16)
{
    return bf16 ? PEAK_BF16 : level > PEAK_AVX512 ? PEAK_AVX512 : level;
}

double peak_flops(int threads, int kind)
{
    job *const jobs = threads < 1 || threads > MOST_THREADS ? NULL : calloc((size_t)threads, sizeof *jobs);
    double seconds = 0;
    if (jobs && chains[kind] && has_kind(kind)) {
        for (int i = 0; i < threads; i++)
            jobs[i].fma = chains[kind];
        seconds = run_jobs(jobs, threads);
    }
    free(jobs);
    return seconds > 0 ? step_flops[kind] * FMA_STEPS * CHAINS * threads / seconds * 1e-9 : 0;
}

static double copy_speed(int threads, size_t bytes, int copies)
{
    job *const jobs = threads < 1 || threads > MOST_THREADS ? NULL : calloc((size_t)threads, sizeof *jobs);
    double seconds = 0;
    int ready = 0;
    for (; jobs && ready < threads; ready++) {
        job *const j = &jobs[ready];
        *j = (job){.bytes = bytes, .copies = copies, .from = malloc(bytes), .to = malloc(bytes)};
        if (!j->from || !j->to)
            break;
        memset(j->from, 1, bytes);
        memset(j->to, 2, bytes);
    }
    if (jobs && ready == threads)
        seconds = run_jobs(jobs, threads);
    for (int i = 0; jobs && i < threads; i++) {
        free(jobs[i].from);
        free(jobs[i].to);
    }
    free(jobs);
    return seconds > 0 ? 2.0 * (double)bytes * copies * threads / seconds * 1e-9 : 0;
}

double peak_copy(int threads)
{
    return copy_speed(threads, COPY_BYTES / (size_t)(threads > 1 ? threads : 1), 1);
}

double peak_copy_cached(int threads)
{
    return copy_speed(threads, CACHED_BYTES, CACHED_COPIES);
}
