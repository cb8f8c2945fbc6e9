/* SPDX-License-Identifier: MIT */
/* A device's bandwidth and peaks, from its attributes. */
#include "device.h"
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

/*
 * Floating-point operations of a multiprocessor in a clock: multiply-adds of f32, and products of f16, and of bf16 but for 7.5,
 * with f32 sums by tensor cores, dense. Data centre parts; a GeForce of 8.6, 8.9 and 12.0 has half of the latter.
 */
static const struct {
    int capability, f32, half;
} rates[] = {{75, 128, 1024},   {80, 128, 2048},  {86, 256, 1024},  {87, 256, 2048},  {89, 256, 1024},
             {90, 256, 4096}, {100, 256, 8192}, {103, 256, 8192}, {120, 256, 1024}, {121, 256, 1024}};

/* The newest that is not newer than the device. */
static int rate_of(int capability, int *half)
{
    int f32 = 0;
    *half = 0;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0] && rates[i].capability <= capability; i++) {
        f32 = rates[i].f32;
        *half = rates[i].half;
    }
    return f32;
}

static int attribute(int32_t device, enum cudaDeviceAttr which)
{
    int value = 0;
    if (cudaDeviceGetAttribute(&value, which, device) != cudaSuccess) {
        cudaGetLastError();
        return 0;
    }
    return value;
}

void st_limits_of(int32_t device, st_limits *out)
{
    const int processors = attribute(device, cudaDevAttrMultiProcessorCount);
    const int clock = attribute(device, cudaDevAttrClockRate);
    const int memory_clock = attribute(device, cudaDevAttrMemoryClockRate);
    const int width = attribute(device, cudaDevAttrGlobalMemoryBusWidth);
    const int capability = 10 * attribute(device, cudaDevAttrComputeCapabilityMajor) +
                           attribute(device, cudaDevAttrComputeCapabilityMinor);
    int half;
    const int f32 = rate_of(capability, &half);
    memset(out, 0, sizeof *out);
    if (!processors || !clock || !memory_clock || !width)
        return;
    const double clocks = 1e3 * clock * processors;
    out->bytes_per_second = 2e3 * memory_clock * width / 8;
    out->f32_flops = clocks * f32;
    out->half_flops = clocks * half;
    snprintf(out->derivation, sizeof out->derivation,
             "2 x %d kHz x %d bits of memory, %d processors x %d kHz x %d (f32) and %d (f16) FLOP a clock",
             memory_clock, width, processors, clock, f32, half);
}
