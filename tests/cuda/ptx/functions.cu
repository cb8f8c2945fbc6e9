/* SPDX-License-Identifier: MIT */
/* What nvcc makes of library functions, divisions, calls and arrays indexed at run time: see test_compiled.py. */
#include "simt.h"

__constant__ float table[8] = {1, 2, 4, 8, 16, 32, 64, 128};
__device__ uint32_t counter = 5;

template <int CASE>
__device__ __noinline__ float weighted(const float *x, int32_t n)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < n; i++)
        sum = sum + x[i] * (float)(i + CASE);
    return sum;
}

extern "C" {

__global__ void singles(const float *x, float *y, int32_t n)
{
    const int32_t i = (int32_t)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n)
        return;
    const float v = x[i];
    float *const out = y + 10 * i;
    out[0] = expf(v);
    out[1] = logf(fabsf(v));
    out[2] = sqrtf(fabsf(v));
    out[3] = 1.0f / v;
    out[4] = rsqrtf(fabsf(v));
    out[5] = powf(fabsf(v), 1.3f);
    out[6] = tanhf(v);
    out[7] = cosf(v * 1000.0f);
    out[8] = log1pf(fabsf(v));
    out[9] = v / 3.0f;
}

__global__ void doubles(const double *x, double *y, int32_t n)
{
    const int32_t i = (int32_t)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n)
        return;
    const double v = x[i];
    double *const out = y + 8 * i;
    out[0] = exp(v);
    out[1] = log(fabs(v));
    out[2] = sqrt(fabs(v));
    out[3] = 1.0 / v;
    out[4] = rsqrt(fabs(v));
    out[5] = pow(fabs(v), 1.3);
    out[6] = cos(v * 1e6);
    out[7] = log1p(fabs(v));
}

__global__ void integers(const int64_t *x, int64_t *y, int32_t n)
{
    const int32_t i = (int32_t)(blockIdx.x * blockDim.x + threadIdx.x);
    const int64_t v = x[i], d = x[n - 1 - i] | 1;
    const uint32_t w = (uint32_t)v, e = (uint32_t)d;
    int64_t *const out = y + 10 * i;
    out[0] = v / d;
    out[1] = v % d;
    out[2] = (int64_t)((uint64_t)v / (uint64_t)d);
    out[3] = (int64_t)((uint64_t)v % 1000003u);
    out[4] = w / e + w % 7u;
    out[5] = (int32_t)w / (int32_t)e;
    out[6] = __mul64hi(v, d);
    out[7] = __umulhi(w, e);
    out[8] = __popc(w) + __clz((int)w) * 100 + __ffs((int)w) * 10000;
    out[9] = __brev(w);
}

/* Calls that are not inlined, an array in local memory, constants, a switch with a table of labels. */
__global__ void others(const float *x, float *y, int32_t n)
{
    const int32_t i = (int32_t)threadIdx.x;
    float local[9];
    for (int32_t j = 0; j < 9; j++)
        local[j] = x[(i + j) % n];
    float v = local[(i * 7) % 9] + table[i % 8];
    v += i % 2 ? weighted<1>(x, i % 5) : weighted<2>(x + 1, 3);
    switch (i % 7) {
    case 0:
        v += x[0];
        break;
    case 1:
        v *= 3.0f;
        break;
    case 2:
        v = -v;
        break;
    case 3:
        v -= 11.0f;
        break;
    case 4:
        v = v * v;
        break;
    default:
        v = 0.5f;
    }
    y[i] = v;
    const uint32_t old = atomicAdd(&counter, 1u);
    if (__syncthreads_count(i % 3 == 0) != (n + 2) / 3 || old < 5 || old >= 5u + (uint32_t)n)
        y[i] = -1.0f;
    if (__syncthreads_or(i == 40) != (n > 40) || !__all_sync(__activemask(), old >= 5))
        y[i] = -2.0f;
}
}
