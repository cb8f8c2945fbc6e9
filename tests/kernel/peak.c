/* SPDX-License-Identifier: MIT */
#include "peak.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 1 << 18, CHAINS = 12, REPEATS = 8, COPY_BYTES = 64 << 20 };

/* Keeps results alive. */
static volatile float sink;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Independent chains of multiply-adds, enough to fill both units' pipelines. */
#define FMA_CHAINS(name, attribute, vector, set, step)                       \
    attribute static void name(void *arg, size_t index)                      \
    {                                                                        \
        vector a[CHAINS];                                                    \
        const vector b = set(0.999f), c = set((float)index);                 \
        (void)arg;                                                           \
        _Pragma("GCC unroll 16") for (int k = 0; k < CHAINS; k++)            \
            a[k] = set((float)k);                                            \
        for (int i = 0; i < ROUNDS; i++) {                                   \
            _Pragma("GCC unroll 16") for (int k = 0; k < CHAINS; k++)        \
                a[k] = step(a[k], b, c);                                     \
        }                                                                    \
        _Pragma("GCC unroll 16") for (int k = 0; k < CHAINS; k++)            \
            sink = *(const float *)&a[k];                                    \
    }

#if defined(__x86_64__)
#include <immintrin.h>
#define MULTIPLY_ADD(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
FMA_CHAINS(fma_base, , __m128, _mm_set1_ps, MULTIPLY_ADD)
FMA_CHAINS(fma_avx2, __attribute__((target("avx2,fma"))), __m256, _mm256_set1_ps, _mm256_fmadd_ps)
FMA_CHAINS(fma_avx512, __attribute__((target("avx512f"))), __m512, _mm512_set1_ps, _mm512_fmadd_ps)
static const rn_task_fn chains[] = {fma_base, fma_avx2, fma_avx512};
static const double lanes[] = {4, 8, 16};
#else
static float itself(float x)
{
    return x;
}
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
FMA_CHAINS(fma_base, , float, itself, MULTIPLY_ADD)
static const rn_task_fn chains[] = {fma_base, NULL, NULL};
static const double lanes[] = {1, 0, 0};
#endif

static double best_time(const rn_host_api *api, rn_task_fn task, void *arg)
{
    double best = 1e30;
    for (int i = 0; i < REPEATS; i++) {
        const double start = now();
        api->parallel(api->host, task, arg, (size_t)api->num_threads);
        const double took = now() - start;
        best = took < best ? took : best;
    }
    return best;
}

double oc_peak_flops(oc_host *host, int level)
{
    const rn_host_api *const api = oc_host_api(host);
    if (!chains[level])
        return 0;
    const double flops = 2.0 * ROUNDS * CHAINS * lanes[level] * api->num_threads;
    return flops / best_time(api, chains[level], NULL) * 1e-9;
}

typedef struct copying {
    char *from, *to;
    size_t part;
} copying;

static void copy_part(void *arg, size_t index)
{
    const copying *const c = arg;
    memcpy(c->to + index * c->part, c->from + index * c->part, c->part);
}

double oc_peak_bandwidth(oc_host *host)
{
    const rn_host_api *const api = oc_host_api(host);
    copying c = {malloc(COPY_BYTES), malloc(COPY_BYTES), COPY_BYTES / (size_t)api->num_threads};
    double speed = 0;
    if (c.from && c.to) {
        memset(c.from, 1, COPY_BYTES);
        speed = 2.0 * COPY_BYTES / best_time(api, copy_part, &c) * 1e-9;
    }
    free(c.from);
    free(c.to);
    return speed;
}
