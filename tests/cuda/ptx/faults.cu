/* SPDX-License-Identifier: MIT */
/* Kernels with one mistake each, which test_compiled.py expects the interpreter to name; the first has none. */
#include "simt.h"

extern "C" {

__global__ void correct(const float *x, float *y, int32_t n)
{
    const int32_t i = (int32_t)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        y[i] = 2.0f * x[i];
}

__global__ void out_of_bounds(const float *x, float *y, int32_t n)
{
    const int32_t i = (int32_t)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i <= n)
        y[i] = 2.0f * x[i];
}

/* The second half of y was never written. */
__global__ void uninitialised(const float *x, float *y, int32_t n)
{
    const int32_t i = (int32_t)threadIdx.x;
    if (i < n / 2)
        y[i] = x[i];
    __syncthreads();
    if (i < n / 2)
        y[i] += y[n - 1 - i];
}

/* Four floats at once from an address that is a multiple of four bytes only. */
__global__ void misaligned(const float *x, float *y, int32_t n)
{
    const int32_t i = (int32_t)threadIdx.x;
    if (4 * i + 5 <= n) {
        const float4 v = *reinterpret_cast<const float4 *>(x + 4 * i + 1);
        y[i] = v.x + v.y + v.z + v.w;
    }
}

__global__ void missing_barrier(const float *x, float *y, int32_t n)
{
    RN_SHARED(float, shared, 256);
    const int32_t i = (int32_t)threadIdx.x;
    shared[i] = x[i];
    y[i] = shared[n - 1 - i];
}

__global__ void outside_shared(const float *x, float *y, int32_t n)
{
    RN_SHARED(float, shared, 64);
    const int32_t i = (int32_t)threadIdx.x;
    shared[i] = x[i % n];
    __syncthreads();
    y[i % n] = shared[i];
}

/* The full mask in one half of a warp. */
__global__ void half_a_warp(const float *x, float *y, int32_t n)
{
    const int32_t i = (int32_t)threadIdx.x;
    float v = x[i];
    if (i % 32 < 16)
        v += __shfl_xor_sync(0xffffffffu, v, 1);
    else
        __syncwarp();
    y[i] = i < n ? v : 0.0f;
}

__global__ void parted_barrier(const float *x, float *y, int32_t n)
{
    const int32_t i = (int32_t)threadIdx.x;
    if (i < n / 2) {
        y[i] = x[i];
        __syncthreads();
    } else {
        __syncthreads();
        y[i] = x[n - 1 - i];
    }
    y[i] += y[n - 1 - i];
}
}
